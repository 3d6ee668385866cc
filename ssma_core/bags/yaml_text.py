"""YAML as bags hold it: metadata.yaml, and the QoS of each publisher."""
from __future__ import annotations

from typing import Any

import yaml

from ssma_core.plain import stands_for

_DEEPEST = 100  # open brackets: deeper text takes a parser seconds, or its stack
_MOST_VALUES = 1_000_000  # with aliases: a split bag's metadata has thousands of files
# libyaml's is some 30 times as fast; every wheel and distribution has it.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load(text: str) -> Any:
    """Plain values; None for what is no YAML, or stands for far more values than are written."""
    depth = 0
    for mark in text:
        depth += (mark in "[{") - (mark in "]}")
        if depth > _DEEPEST:
            return None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None or stands_for(node, _MOST_VALUES) > _MOST_VALUES:
            return None
        return loader.construct_document(node)
    # It has errors of its own, and plain ones for odd numbers, dates and nesting.
    except (yaml.YAMLError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None

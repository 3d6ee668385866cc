"""YAML as bags hold it: metadata.yaml, and the QoS of each publisher."""
from __future__ import annotations

from typing import Any

import yaml

_DEEPEST = 100  # open brackets: deeper text takes a parser seconds, or its stack
# libyaml's is some 30 times as fast; every wheel and distribution has it.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load(text: str) -> Any:
    """Plain values; None for what is no YAML."""
    depth = 0
    for mark in text:
        depth += (mark in "[{") - (mark in "]}")
        if depth > _DEEPEST:
            return None
    try:
        return yaml.load(text, _Loader)
    # It has errors of its own, and plain ones for odd numbers, dates and nesting.
    except (yaml.YAMLError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None

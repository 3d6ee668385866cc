"""The QoS that publishers offered while a bag was recorded, as far as a replay needs it."""
from __future__ import annotations

from enum import Enum
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

import yaml
from rosbags.interfaces import QosDurability, QosHistory, QosLiveliness, QosReliability

from ssma_core.bags import yaml_text

Kind = TypeVar("Kind", bound=Enum)

_KINDS: dict[str, Any] = {"history": QosHistory, "reliability": QosReliability,
                          "durability": QosDurability, "liveliness": QosLiveliness}
_FIELDS = {*_KINDS, "depth", "deadline", "lifespan", "liveliness_lease_duration",
           "avoid_ros_namespace_conventions"}


class Qos(NamedTuple):
    """What is missing or not known is UNKNOWN, and 0."""

    reliability: QosReliability
    durability: QosDurability
    depth: int


def profiles(written: Any) -> tuple[Qos, ...]:
    """Of each publisher, from a list or its YAML text: names as rosbag2 writes them today, or its
    older numbers. Other values are left out: people edit them, and tools leave them empty."""
    if isinstance(written, str):
        return _of_text(written)
    if not isinstance(written, list):
        return ()
    return tuple(Qos(_named(QosReliability, each.get("reliability")),
                     _named(QosDurability, each.get("durability")), _depth(each.get("depth")))
                 for each in written if isinstance(each, dict))


@lru_cache(maxsize=256)
def _of_text(text: str) -> tuple[Qos, ...]:
    content = yaml_text.load(text)
    return () if isinstance(content, str) else profiles(content)


def in_numbers(written: Any) -> str:
    """The same profiles as YAML text with rosbag2's older numbers, which every version of it reads
    from an MCAP file. Empty where a field is missing: rosbag2 would then not open the file."""
    content = yaml_text.load(written) if isinstance(written, str) else written
    if not content or not isinstance(content, list) or not all(
            isinstance(each, dict) and each.keys() >= _FIELDS for each in content):
        return ""
    return str(yaml.safe_dump([each | {field: _named(kind, each[field]).value
                                       for field, kind in _KINDS.items()} for each in content]))


def _named(kind: type[Kind], value: Any) -> Kind:
    for member in kind:
        if value in (member, member.value) or (
                isinstance(value, str) and member.name == value.upper()):
            return member
    return kind["UNKNOWN"]


def _depth(value: Any) -> int:
    return value if type(value) is int and value >= 0 else 0

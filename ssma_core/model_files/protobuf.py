"""Protocol buffers' wire format (protobuf.dev/programming-guides/encoding): only what the files of
TensorFlow and ONNX need.

This is our own code because onnx's and TensorFlow's protobuf packages are heavy and conflict in
versions; a robot has neither.
"""
from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

Fields = dict[int, list[int | bytes]]


class Entry(NamedTuple):
    """A field of a message: its number, its value (varints as int, the rest as bytes) and its
    unchanged bytes. Parts of a memoryview are memoryviews, without a copy."""

    number: int
    value: int | bytes
    whole: bytes


def entries(message: int | bytes) -> Iterator[Entry]:
    """A message's fields, in order.

    Raises ValueError or IndexError where it is no message.
    """
    if isinstance(message, int):
        raise ValueError("a field is a number where a message is wanted")
    at = 0
    while at < len(message):
        begin = at
        tag, at = varint(message, at)
        if tag & 7 == 0:
            number, at = varint(message, at)
            yield Entry(tag >> 3, number, message[begin:at])
            continue
        length, at = _length(message, tag & 7, at)
        if at + length > len(message):
            raise ValueError("a field is longer than its message")
        yield Entry(tag >> 3, message[at:at + length], message[begin:at + length])
        at += length


def fields(message: int | bytes) -> Fields:
    """A message's values by number. Raises as `entries` does."""
    found: Fields = {}
    for entry in entries(message):
        found.setdefault(entry.number, []).append(entry.value)
    return found


def encoded(number: int) -> bytes:
    """As a varint."""
    low, rest = number & 0x7F, number >> 7
    return bytes([low]) if not rest else bytes([low | 0x80]) + encoded(rest)


def _length(message: bytes, wire_type: int, at: int) -> tuple[int, int]:
    """The length of a value of this type, and where it begins."""
    if wire_type == 2:
        return varint(message, at)
    if wire_type not in (1, 5):
        raise ValueError(f"a field has the unknown type {wire_type}")
    return 8 if wire_type == 1 else 4, at


def number(found: Fields, field: int) -> int:
    """A field's last value; absent fields are 0, as in protocol buffers."""
    value = found.get(field, [0])[-1]
    if not isinstance(value, int):
        raise ValueError(f"field {field} is no number")
    return value


def varint(data: bytes, at: int) -> tuple[int, int]:
    """An integer of seven bits a byte, low ones first, and where the next value begins.

    Raises IndexError where the data end, ValueError beyond the ten bytes that 64 bits take.
    """
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
    raise ValueError("a number has more than 64 bits")

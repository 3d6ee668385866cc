"""Writes protobuf messages, and TensorFlow's records of them, by the formats' documentation."""
from __future__ import annotations

import struct
from collections.abc import Mapping

from ssma_core.model_files.tf_checkpoint import masked_crc32c


def varint(number: int) -> bytes:
    low, rest = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + varint(rest) if rest else bytes([low])


def field(number: int, value: bytes | int) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def example(features: Mapping[str, bytes | int], packed: bool = True) -> bytes:
    """A tf.train.Example."""
    entries = b""
    for name, value in features.items():
        if isinstance(value, bytes):
            feature = field(1, field(1, value))
        else:
            feature = field(3, field(1, varint(value) if packed else value))
        entries += field(1, field(1, name.encode()) + field(2, feature))
    return field(1, entries)


def framed(data: bytes) -> bytes:
    """A TFRecord."""
    length = struct.pack("<Q", len(data))
    return b"".join((length, struct.pack("<I", masked_crc32c(length)),
                     data, struct.pack("<I", masked_crc32c(data))))

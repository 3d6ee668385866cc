"""CRC-32C, the checksum in TensorFlow's files (RFC 3720, appendix B.4)."""
from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint32]

_LANE = 6  # the longest lane is 2**6 bytes: fastest for frames of some megabytes


def masked_crc32c(data: bytes) -> int:
    """CRC-32C, rotated and offset as LevelDB and TFRecord store it."""
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def crc32c(data: bytes) -> int:
    """The checksum, at some 5 ms a megabyte.

    A CRC is linear. So the bytes are cut into lanes of one length, which are gone through side by
    side; then neighbours are joined, crc(a + b) = advance(crc(a), len(b)) xor crc(b), until one is
    left. What the register starts with is advanced over the whole and added last, so that zeros
    can be put in front to fill the lanes.
    """
    lane = min(_LANE, len(data).bit_length())
    lanes = (len(data) >> lane).bit_length()
    padded = np.zeros(1 << lane + lanes, np.uint8)
    padded[padded.size - len(data):] = np.frombuffer(data, np.uint8)
    crc = np.zeros(1 << lanes, np.uint32)
    for column in np.ascontiguousarray(padded.reshape(1 << lanes, 1 << lane).T):
        crc = crc >> 8 ^ _TABLE[(crc ^ column) & 0xFF]
    for power in range(lane, lane + lanes):
        crc = _advance(crc[0::2], power) ^ crc[1::2]
    start = np.full(1, 0xFFFFFFFF, np.uint32)
    for power in range(len(data).bit_length()):
        if len(data) >> power & 1:
            start = _advance(start, power)
    return int(crc[0] ^ start[0]) ^ 0xFFFFFFFF


def _advance(crc: Words, power: int) -> Words:
    """The registers after 2**power further bytes of zero."""
    tables = _advance_tables(power)
    step: Words = (tables[0][crc & 0xFF] ^ tables[1][crc >> 8 & 0xFF]
                   ^ tables[2][crc >> 16 & 0xFF] ^ tables[3][crc >> 24])
    return step


@cache
def _advance_tables(power: int) -> Words:
    """4×256: the advanced register for every value of each of its four bytes, lowest first."""
    if power == 0:
        single = np.arange(256, dtype=np.uint32) << np.array([[0], [8], [16], [24]], np.uint32)
        return single >> 8 ^ _TABLE[single & 0xFF]
    half = _advance_tables(power - 1)
    return _advance(half, power - 1)


def _byte_table() -> Words:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = (table >> 1 ^ np.where(table & 1, 0x82F63B78, 0)).astype(np.uint32)
    return table


_TABLE = _byte_table()

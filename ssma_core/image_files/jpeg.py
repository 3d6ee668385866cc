"""JPEG: header and wholeness, by its segments (ITU T.81, annex B)."""
from __future__ import annotations

import struct
from collections.abc import Collection

from ssma_core.errors import SsmaError
from ssma_core.image_files.header import CUT_SHORT, DAMAGED, Header

MAGIC = b"\xff\xd8\xff"
_END = b"\xff\xd9"  # no such pair is in a scan: there, a zero follows 0xFF
_SCAN = 0xDA
# Start of frame, of every kind; the three codes left out are tables and extensions.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def header(data: memoryview) -> Header:
    """Raises SsmaError where the bytes end before the header does."""
    try:
        at = _segment(data, _FRAMES)
        depth, height, width, channels = struct.unpack_from(">BHHB", data, at + 4)
    except (IndexError, struct.error):
        raise SsmaError(CUT_SHORT) from None
    return Header("JPEG", width, height, depth, channels > 1)


def check_whole(data: memoryview) -> None:
    """Raises SsmaError where the marker of the end is missing: before 4.11, OpenCV invents the rows
    that are missing. A thumbnail's end does not count: it lies before the first scan."""
    try:
        begin = _segment(data, {_SCAN})
    except (IndexError, struct.error):
        begin = len(data)
    if bytes(data[begin:]).rfind(_END) < 0:  # from behind: it is the last of many bytes
        raise SsmaError(f"{DAMAGED}: the marker of its end is missing")


def _segment(data: memoryview, wanted: Collection[int]) -> int:
    """Where the first segment with one of these markers begins. Raises IndexError or struct.error
    at the end of the data."""
    at = 2
    while (marker := data[at + 1]) not in wanted:
        # A marker may be preceded by any number of filling bytes.
        at += 1 if marker == 0xFF else 2 + struct.unpack_from(">H", data, at + 2)[0]
    return at

"""JPEG: header and wholeness, by its segments (ITU T.81, annex B)."""
from __future__ import annotations

import re
import struct

from ssma_core.errors import SsmaError
from ssma_core.image_files.header import CUT_SHORT, DAMAGED, Header

MAGIC = b"\xff\xd8\xff"
_END = 0xD9
_ALONE = {0x01, 0xD8}  # markers that no length follows
# Start of frame, of every kind; the three codes left out are tables and extensions.
_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# A marker, with any number of filling bytes before it. In the pixels' data, 0xFF is followed by a
# zero, and restart markers (0xD0 to 0xD7) lie between them.
_MARKER = re.compile(rb"\xff+[^\xff\x00\xd0-\xd7]")


def header(data: memoryview) -> Header:
    """Raises SsmaError where the bytes end before the header does."""
    at = 2
    try:
        while (marker := data[at + 1]) not in _FRAMES:
            at += 1 if marker == 0xFF else 2 + struct.unpack_from(">H", data, at + 2)[0]
        depth, height, width, channels = struct.unpack_from(">BHHB", data, at + 4)
    except (IndexError, struct.error):
        raise SsmaError(CUT_SHORT) from None
    return Header("JPEG", width, height, depth, channels > 1)


def check_whole(data: memoryview) -> None:
    """Raises SsmaError where the marker of the end is missing: before 4.11, OpenCV invents the rows
    that are missing. A thumbnail's end does not count: it lies inside a segment."""
    at = 2
    while found := _MARKER.search(data, at):
        marker, at = data[found.end() - 1], found.end()
        if marker == _END:
            return
        if marker not in _ALONE and at + 2 <= len(data):
            at += struct.unpack_from(">H", data, at)[0]
    raise SsmaError(f"{DAMAGED}: the marker of its end is missing")

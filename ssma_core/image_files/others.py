"""The headers of BMP, WebP, and the PNM family with PFM."""
from __future__ import annotations

import re
import struct

from ssma_core.errors import SsmaError
from ssma_core.image_files.header import CUT_SHORT, DAMAGED, Header

_WORD = re.compile(rb"(?:\s|#[^\n]*\n)*([^\s#]+)")
_MAX_PNM_HEADER = 4096  # bytes


def bmp(data: memoryview) -> Header:
    try:
        width, height, _, bits = struct.unpack_from("<iiHH", data, 18)
    except struct.error:
        raise SsmaError(CUT_SHORT) from None
    return Header("BMP", abs(width), abs(height), 8, True, bits <= 8)


def webp(data: memoryview) -> Header:
    try:
        length, kind = struct.unpack_from("<I4x4s", data, 4)
        if kind == b"VP8X":
            low_width, high_width, low_height, high_height = struct.unpack_from("<HBHB", data, 24)
            width, height = (1 + low + (high << 16) for low, high in (
                (low_width, high_width), (low_height, high_height)))
        elif kind == b"VP8L":
            sides, = struct.unpack_from("<I", data, 21)
            width, height = 1 + (sides & 0x3FFF), 1 + (sides >> 14 & 0x3FFF)
        else:
            width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", data, 26))
    except struct.error:
        raise SsmaError(CUT_SHORT) from None
    if length + 8 > len(data):
        raise SsmaError(f"{DAMAGED}: its end is missing")
    return Header("WebP", width, height, 8, True)


def pnm(data: memoryview) -> Header:
    """P2, P3, P5 and P6, and PFM's Pf and PF. Raises SsmaError, too, for what OpenCV would
    rescale."""
    start = bytes(data[:_MAX_PNM_HEADER])
    kind = start[:2].decode("ascii")
    words = [found.group(1) for found in _WORD.finditer(start, 2)][:3]
    try:
        width, height = int(words[0]), int(words[1])
        largest = 1 if kind in ("P1", "P4") else float(words[2])
    except (ValueError, IndexError):
        raise SsmaError(CUT_SHORT) from None
    if kind in ("Pf", "PF"):
        return Header("PNM", width, height, 32, kind == "PF")
    if largest not in (255, 65535):
        raise SsmaError(f"the values of this {kind} picture end at {largest:g}, and would not be "
                        "read as they are: save it as PNG, or with 255 or 65535")
    return Header("PNM", width, height, 8 if largest == 255 else 16, kind in ("P3", "P6"))

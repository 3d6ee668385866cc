"""PNG: header and wholeness, by its chunks (W3C, Portable Network Graphics, chapter 5)."""
from __future__ import annotations

import struct
from binascii import crc32

from ssma_core.errors import SsmaError
from ssma_core.image_files.header import CUT_SHORT, DAMAGED, Header

MAGIC = b"\x89PNG\r\n\x1a\n"
HEADER_BYTES = 33  # from the beginning
_GREY, _PALETTE, _WITH_COLOUR = 0, 3, 2  # of the colour type; the last is a bit of it
_CRITICAL = 0x20  # this bit of a chunk's first letter is not set


def header(data: memoryview) -> Header:
    """Raises SsmaError where the bytes end before the header does, or begin with another chunk."""
    if len(data) < HEADER_BYTES:
        raise SsmaError(CUT_SHORT)
    if bytes(data[12:16]) != b"IHDR":
        raise SsmaError("it is damaged: it does not begin with a header")
    width, height, bits, colours = struct.unpack_from(">IIBB", data, 16)
    return Header("PNG", width, height, bits, bool(colours & _WITH_COLOUR), colours == _PALETTE)


def check_whole(data: memoryview) -> None:
    """Raises SsmaError where a chunk reaches beyond the end, one that the pixels need is not as it
    was written, or the last one is missing. Decoders differ in what they do then."""
    at, kind = len(MAGIC), b""
    while kind != b"IEND":
        if at + 12 > len(data):
            raise SsmaError(f"{DAMAGED}: its end is missing")
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if end > len(data):
            raise SsmaError(f"{DAMAGED}: a part of it claims {length} bytes, and "
                            f"{len(data) - at} are left")
        if not kind[0] & _CRITICAL:
            expected, = struct.unpack_from(">I", data, end - 4)
            if crc32(data[at + 4:end - 4]) != expected:
                raise SsmaError("it is damaged: a checksum in it does not fit")
        at = end

"""What a picture's file says of itself, before a decoder believes it: a header of 24 bytes can ask
for a terabyte."""
from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterator

from ssma_core.errors import SsmaError

LIMIT = "SSMA_MAX_MEGAPIXELS"  # an environment variable, which processes inherit
MEGAPIXELS = 64
_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
_TIFF = {b"II*\0": "<", b"MM\0*": ">"}
_TIFF_NUMBERS = {1: "B", 3: "H", 4: "I"}  # of TIFF's types: how struct names them
_NETPBM = re.compile(rb"P[1-6fF](?:\s|#[^\n]*\n)+(\d+)(?:\s|#[^\n]*\n)+(\d+)\s")
# Start of frame: all of C0 to CF but tables (C4), a reserved one (C8) and conditioning (CC).
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_STANDALONE = {0x01, *range(0xD0, 0xD9)}  # markers without a length


def check(data: bytes | memoryview, where: str) -> None:
    """Raises SsmaError for a picture that is larger than the limit, whose PNG chunks are longer
    than the file, or whose size is not found.

    data: a file of PNG, JPEG, TIFF, BMP, WebP, PGM, PPM or PFM. where: its name in errors."""
    try:
        size = size_of(data)
    except ValueError as error:
        raise SsmaError(f"cannot read {where}: it is not a picture (PNG, JPEG, TIFF, BMP, WebP, "
                        "PGM, PPM or PFM), or it is cut short") from error
    check_size(size, f"{where}, says its header,")


def size_of(data: bytes | memoryview) -> tuple[int, int]:
    """(width, height) as the header says. Raises ValueError where it is not found, and where a
    PNG's chunks are longer than the file."""
    try:
        return _size(data)
    except (IndexError, struct.error) as error:
        raise ValueError("cut short") from error


def check_size(size: tuple[int, int], what: str) -> None:
    """Raises SsmaError for a (width, height) above the limit. what: the subject of the error."""
    most = _limit()
    if size[0] * size[1] > most * 1e6:
        raise SsmaError(f"{what} is {size[0]}x{size[1]} (width x height), more than "
                        f"{most:g} megapixels; if that is right, set {LIMIT} higher")


def _limit() -> float:
    """In megapixels."""
    given = os.environ.get(LIMIT, str(MEGAPIXELS))
    try:
        most = float(given)
    except ValueError:
        most = 0
    if not most > 0:
        raise SsmaError(f"{LIMIT} must be a number of megapixels above 0, got {given!r}")
    return most


def _size(data: bytes | memoryview) -> tuple[int, int]:
    start = bytes(data[:64])
    if start.startswith(_PNG):
        return _png(data)
    if start.startswith(_JPEG):
        return _jpeg(data)
    if start[:4] in _TIFF:
        return _tiff(data, _TIFF[start[:4]])
    if start.startswith(b"BM"):
        width, height = struct.unpack_from("<ii", data, 18)
        return abs(width), abs(height)  # a negative height: rows from the top
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return _webp(start)
    if found := _NETPBM.match(bytes(data[:4096])):
        return int(found[1]), int(found[2])
    raise ValueError("unknown")


def _png(data: bytes | memoryview) -> tuple[int, int]:
    at = len(_PNG)
    kind, *size = struct.unpack_from(">4sII", data, at + 4)
    if kind != b"IHDR":
        raise ValueError("no header")
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        at += 12 + length
        if at > len(data):
            raise ValueError("a chunk is longer than the file")
        if kind == b"IEND":
            break
    return size[0], size[1]


def _jpeg(data: bytes | memoryview) -> tuple[int, int]:
    at = 2
    while True:
        if data[at] != 0xFF:
            raise ValueError("no marker")
        marker = data[at + 1]
        if marker in _FRAMES:
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        # A marker may be preceded by any number of filling bytes.
        at += 1 if marker == 0xFF else 2 if marker in _STANDALONE else 2 + struct.unpack_from(
            ">H", data, at + 2)[0]


def _tiff(data: bytes | memoryview, order: str) -> tuple[int, int]:
    widths, heights = [0], [0]
    for tag, value in _tiff_entries(data, order):
        if tag == 256:
            widths.append(value)
        elif tag == 257:
            heights.append(value)
    if not max(widths) or not max(heights):
        raise ValueError("no size")
    return max(widths), max(heights)


def _tiff_entries(data: bytes | memoryview, order: str) -> Iterator[tuple[int, int]]:
    """Tags and numbers of the first directory: OpenCV decodes no other one."""
    (at,) = struct.unpack_from(f"{order}I", data, 4)
    (count,) = struct.unpack_from(f"{order}H", data, at)
    for entry in range(at + 2, at + 2 + 12 * count, 12):
        tag, kind = struct.unpack_from(f"{order}HH", data, entry)
        if kind in _TIFF_NUMBERS:
            yield tag, struct.unpack_from(f"{order}{_TIFF_NUMBERS[kind]}", data, entry + 8)[0]


def _webp(start: bytes) -> tuple[int, int]:
    kind = start[12:16]
    if kind == b"VP8X":
        return (int.from_bytes(start[24:27], "little") + 1,
                int.from_bytes(start[27:30], "little") + 1)
    if kind == b"VP8L":
        bits = int.from_bytes(start[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", start, 26)
        return width & 0x3FFF, height & 0x3FFF
    raise ValueError("unknown")

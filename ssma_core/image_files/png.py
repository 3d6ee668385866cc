"""PNG: header, wholeness and writing, by its chunks (W3C, Portable Network Graphics, chapter 5)."""
from __future__ import annotations

import struct
from binascii import crc32
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

try:  # four times as fast as zlib, and its files are no larger
    from isal import isal_zlib as deflate
except ImportError:  # no package of Ubuntu 22.04
    import zlib as deflate  # type: ignore[no-redef]

from ssma_core.errors import SsmaError
from ssma_core.image_files.header import CUT_SHORT, DAMAGED, Header

MAGIC = b"\x89PNG\r\n\x1a\n"
HEADER_BYTES = 33  # from the beginning
_GREY, _PALETTE, _WITH_COLOUR = 0, 3, 2  # of the colour type; the last is a bit of it
_CRITICAL = 0x20  # this bit of a chunk's first letter is not set
_UNDERSTOOD = {b"IHDR", b"IDAT", b"IEND"}
_UP, _FILTERS = 2, 5  # each row as its difference from the one above; how many kinds there are


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
    for _ in _chunks(data):
        pass


def holds_all(data: memoryview) -> bool:
    """Whether it surely can be decoded: it holds all rows, of grey or colour without a palette, 8
    or 16 bits, not interlaced. Others may be good too. In a third of decoding's time.

    Raises SsmaError as `check_whole`.
    """
    chunks = list(_chunks(data))
    found = header(data)
    bits, colours, *rest = data[24:29]
    channels = {0: 1, 2: 3, 4: 2, 6: 4}.get(colours, 0)
    critical = {kind for kind, _ in chunks if not kind[0] & _CRITICAL}
    if bits not in (8, 16) or not channels or any(rest) or critical != _UNDERSTOOD:
        return False
    row = 1 + found.width * channels * bits // 8
    kinds = [kind for kind, _ in chunks]
    first, count = kinds.index(b"IDAT"), kinds.count(b"IDAT")
    if set(kinds[first:first + count]) != {b"IDAT"}:
        return False
    stream = deflate.decompressobj()
    try:  # a byte more than there may be, so that the end of the stream is seen
        unpacked = stream.decompress(b"".join(body for _, body in chunks[first:first + count]),
                                     row * found.height + 1)
    except deflate.error:  # type: ignore[misc]  # its types say less than it is
        return False
    filters = np.frombuffer(unpacked, np.uint8)[::row]
    return (stream.eof and len(unpacked) == row * found.height
            and bool((filters < _FILTERS).all()))


def can_hold(pixels: npt.NDArray[Any]) -> bool:
    """Whether `encoded` takes it."""
    return pixels.size > 0 and pixels.dtype in (np.uint8, np.uint16) and (
        pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] == 3))


def encoded(pixels: npt.NDArray[Any]) -> bytes:
    """The file of a picture: H×W or H×W×3 (BGR), uint8 or uint16.

    OpenCV's writer takes four times as long, under any of its settings.
    """
    colours = _GREY
    if pixels.ndim == 3:
        pixels, colours = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), _WITH_COLOUR
    height, width = pixels.shape[:2]
    bits = 8 * pixels.itemsize
    values = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder(">")).view(np.uint8)
    values = values.reshape(height, -1)
    rows = np.empty((height, 1 + values.shape[1]), np.uint8)
    rows[:, 0] = _UP
    rows[0, 1:] = values[0]
    np.subtract(values[1:], values[:-1], out=rows[1:, 1:])
    begin = struct.pack(">IIBBBBB", width, height, bits, colours, 0, 0, 0)
    chunks = ((b"IHDR", begin), (b"IDAT", deflate.compress(rows, 1)), (b"IEND", b""))
    return MAGIC + b"".join(struct.pack(">I", len(body)) + kind + body
                            + struct.pack(">I", crc32(body, crc32(kind))) for kind, body in chunks)


def _chunks(data: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Kind and content of each. Raises SsmaError as `check_whole`."""
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
        yield kind, data[at + 8:end - 4]
        at = end

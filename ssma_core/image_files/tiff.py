"""TIFF: header, wholeness, and the pixels as stored (Adobe, TIFF revision 6)."""
from __future__ import annotations

import struct

from ssma_core.errors import SsmaError
from ssma_core.image_files.header import CUT_SHORT, DAMAGED, Header

MAGICS = (b"II*\0", b"MM\0*")
BIG_MAGICS = (b"II+\0", b"MM\0+")
_SHORT, _LONG = 3, 4
_WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _ORIENTATION, _CHANNELS = 256, 257, 258, 262, 274, 277
_PARTS = ((273, 279), (324, 325))  # offsets and lengths of strips, or of tiles
_WHITE_IS_ZERO, _PALETTE = 0, 3


def header(data: memoryview) -> Header:
    """Raises SsmaError for damaged bytes, and for what OpenCV would rescale."""
    tags = _tags(data)
    bits, channels = _first(tags, _BITS, 1), _first(tags, _CHANNELS, 1)
    photometric = _first(tags, _PHOTOMETRIC, 1)
    if bits < 8 or photometric == _WHITE_IS_ZERO:
        raise SsmaError("it is a TIFF of less than 8 bits, or in which white is 0, and its values "
                        "would not be read as they are: save it as PNG, or with 8 bits")
    has_palette = photometric == _PALETTE
    return Header("TIFF", _first(tags, _WIDTH, 0), _first(tags, _HEIGHT, 0), bits,
                  channels > 1 or has_palette, has_palette)


def check_whole(data: memoryview) -> None:
    """Raises SsmaError where a strip or tile reaches beyond the end."""
    tags = _tags(data)
    for offsets, lengths in _PARTS:
        for at, length in zip(tags.get(offsets, ()), tags.get(lengths, ())):
            if at + length > len(data):
                raise SsmaError(f"{DAMAGED}: a part of it lies behind its end")


def as_stored(data: memoryview) -> memoryview:
    """The same picture without an orientation: OpenCV turns a TIFF whatever its flags are."""
    place = _entries(data).get(_ORIENTATION)
    if place is None:
        return data
    upright = bytearray(data)
    struct.pack_into(_order(data) + "H", upright, place + 8, 1)
    return memoryview(upright)


def _order(data: memoryview) -> str:
    return "<" if data[0] == ord("I") else ">"


def _entries(data: memoryview) -> dict[int, int]:
    """Where each tag of the first picture lies."""
    order = _order(data)
    try:
        first, = struct.unpack_from(order + "I", data, 4)
        count, = struct.unpack_from(order + "H", data, first)
        places = range(first + 2, first + 2 + 12 * count, 12)
        return {struct.unpack_from(order + "H", data, place)[0]: place for place in places}
    except struct.error:
        raise SsmaError(CUT_SHORT) from None


def _tags(data: memoryview) -> dict[int, tuple[int, ...]]:
    """The values of the tags that hold integers."""
    order, found = _order(data), {}
    for tag, place in _entries(data).items():
        try:
            kind, count = struct.unpack_from(order + "HI", data, place + 2)
            if kind not in (_SHORT, _LONG):
                continue
            size = 2 if kind == _SHORT else 4
            if count * size > len(data):
                raise SsmaError(CUT_SHORT)
            at = place + 8
            if count * size > 4:
                at, = struct.unpack_from(order + "I", data, at)
            found[tag] = struct.unpack_from(f"{order}{count}{'H' if size == 2 else 'I'}", data, at)
        except struct.error:
            raise SsmaError(CUT_SHORT) from None
    return found


def _first(tags: dict[int, tuple[int, ...]], tag: int, default: int) -> int:
    return next(iter(tags.get(tag, ())), default)

"""Label Studio's run lengths: a stream of bits with the RGBA values of a picture, row by row.

The format of the npm package @thi.ng/rle-pack, most significant bit first: how many values, 32
bits; bits of a value − 1, 5 bits; four widths − 1, of 4 bits each. Then pieces: 1 for a run or 0
for single values, 1 bit; which width, 2 bits; how many − 1, in so many bits; and the run's value,
or every value.
"""
from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ssma_core.errors import SsmaError

_HEAD, _VALUE, _RUN = 53, 8, 27  # bits: before the pieces; of a value; of a run as we write it
_WIDTHS = (3, 4, 8, 16)  # what Label Studio writes
_OPAQUE = 128


def decoded(numbers: Any, size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """The mask, H×W: where the picture's alpha is at least half. numbers: the bytes as a list.
    size: (width, height). Raises SsmaError where they are no picture of this size."""
    try:
        bits = np.unpackbits(np.frombuffer(bytes(list(numbers)), np.uint8))
    except (ValueError, TypeError) as error:
        raise SsmaError("its rle is no list of bytes") from error
    width, height = size
    head = "".join(map(str, bits[:_HEAD].tolist()))
    if len(head) < _HEAD or int(head[:32], 2) != width * height * 4:
        raise SsmaError(f"its rle is not that of a picture of {width}x{height}")
    if int(head[32:37], 2) + 1 != _VALUE:
        raise SsmaError("its rle has not the 8 bits a value that Label Studio writes")
    widths = [int(head[at:at + 4], 2) + 1 for at in range(37, _HEAD, 4)]
    values = _values(bits, widths, width * height * 4)
    return values.reshape(height, width, 4)[..., 3] >= _OPAQUE


def _values(bits: npt.NDArray[np.uint8], widths: list[int], count: int) -> npt.NDArray[np.uint8]:
    # As text, of which int() reads a number faster than from an array.
    text = (bits + np.uint8(ord("0"))).tobytes().decode("ascii")
    values = np.empty(count, np.uint8)
    filled, at = 0, _HEAD
    while filled < count:
        begin = at + 3
        end = begin + widths[int(text[at + 1:begin] or "0", 2)]
        many = int(text[begin:end] or "0", 2) + 1
        is_run = text[at:at + 1] == "1"
        at = end + _VALUE * (1 if is_run else many)
        if at > len(text) or filled + many > count:
            raise SsmaError("its rle is cut short or damaged")
        values[filled:filled + many] = np.packbits(bits[end:at])
        filled += many
    return values


def encoded(mask: npt.NDArray[np.bool_]) -> list[int]:
    """The bytes of a picture that is white and opaque where the mask (H×W) is true, and 0
    elsewhere."""
    flat = np.repeat(mask.ravel(), 4)
    longest = 1 << _WIDTHS[3]
    begins = np.union1d(np.flatnonzero(flat[1:] != flat[:-1]) + 1, np.arange(0, len(flat), longest))
    lengths = np.diff(begins, append=len(flat))
    # Every piece is a run with the fourth width.
    runs = 0b111 << 24 | (lengths - 1) << 8 | flat[begins] * 255
    head = [int(bit) for bit in f"{len(flat):032b}{_VALUE - 1:05b}"
            + "".join(f"{width - 1:04b}" for width in _WIDTHS)]
    pieces = runs[:, None] >> np.arange(_RUN - 1, -1, -1) & 1
    return np.packbits(np.concatenate([head, pieces.ravel()]).astype(np.uint8)).tolist()

"""COCO's run lengths: of the columns of a mask, one below the other, in turns 0 and 1, 0 first.

Not those of pycocotools, which trust the lengths: version 2.0.11 writes beyond its memory for some
texts.
"""
from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ssma_core.errors import SsmaError

_NO_RUNS = "its run lengths are none of COCO's"


def decoded(counts: Any, size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """The mask, H×W. counts: a list of lengths, or COCO's text of them. size: (width, height).
    Raises SsmaError where they are anything else, or do not fill the mask."""
    width, height = size
    lengths = _of_text(counts, width * height) if isinstance(counts, str) else counts
    try:
        runs = np.array(lengths, np.int64)
    except (ValueError, TypeError, OverflowError) as error:
        raise SsmaError(_NO_RUNS) from error
    # Not their sum, which could overflow.
    if runs.ndim != 1 or ((runs < 0) | (runs > width * height)).any():
        raise SsmaError(_NO_RUNS)
    if runs.sum() != width * height:
        raise SsmaError(f"its run lengths are those of {runs.sum():,} pixels, and {width}x{height} "
                        f"has {width * height:,}")
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(width, height).T


def encoded(mask: npt.NDArray[np.bool_]) -> list[int]:
    """The lengths as a list, which every reader of COCO takes."""
    flat = np.concatenate([[False], mask.T.ravel()])
    starts = np.flatnonzero(flat[1:] != flat[:-1])
    return np.diff(starts, prepend=0, append=mask.size).tolist()


def _of_text(text: str, largest: int) -> list[int]:
    """The lengths in cocoapi's text (rleToString in maskApi.c). A number is written 5 bits to a
    letter, the lowest first, in two's complement: letter − 48, where 32 says that more follow and
    16, in the last, that it is negative. From the fourth on, it is the difference to the last but
    one."""
    lengths: list[int] = []
    value = shift = 0
    for letter in text:
        code = ord(letter) - 48
        if not 0 <= code < 64 or shift > 60:
            raise SsmaError(_NO_RUNS)
        value |= (code & 31) << shift
        shift += 5
        if not code & 32:
            if code & 16:
                value -= 1 << shift
            lengths.append(value + (lengths[-2] if len(lengths) > 2 else 0))
            if not 0 <= lengths[-1] <= largest:
                raise SsmaError(_NO_RUNS)
            value = shift = 0
    if shift:
        raise SsmaError(_NO_RUNS)
    return lengths

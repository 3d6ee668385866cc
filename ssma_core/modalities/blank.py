"""Images that show nothing: black, or without a measurement.

Some rows of every image are examined, so that it takes far less than a millisecond.
"""
from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ssma_core.modalities.depth import measured

Array = npt.NDArray[Any]

MIN_VALID_DEPTH = 0.01  # share of a map's pixels; below it, the map counts as blank
ROWS = 64
DARK = 8  # pixels behind a lens cap, in the unit of any sensor with integer values
# Behind a lens cap a camera turns its gain up: noise, in images of 8 bits.
DIM = 32  # all but BRIGHT of the pixels are darker
BRIGHT = 0.005  # of the pixels, by noise or because they are hot
BLOCK = (16, 4)  # rows and columns whose mean has hardly any noise left
STRUCTURE = 4.0  # how much more the means of blocks differ than noise would let them


def looked_at(image: Array) -> Array:
    """About ROWS rows of an image, from top to bottom, as a copy."""
    return np.ascontiguousarray(image[::max(1, len(image) // ROWS)])


def is_black(rows: Array) -> bool:
    """Whether no pixel is brighter than DARK, or than 0 where a sensor's values are floats."""
    return bool(rows.max() <= (DARK if np.issubdtype(rows.dtype, np.integer) else 0))


def is_noise(rows: Array) -> bool:
    """Whether an image of 8 bits is dim, and no place in it differs from another by more than
    noise. At night something is lit, or the sky differs from the ground."""
    if rows.dtype != np.uint8 or np.count_nonzero(rows > DIM) > BRIGHT * rows.size:
        return False
    down, across = (size // side for size, side in zip(rows.shape, BLOCK))
    if not (down and across):
        return False
    channels = rows[:down * BLOCK[0], :across * BLOCK[1]].astype(np.float32)
    channels = np.minimum(channels, DIM).reshape(*channels.shape[:2], -1)
    blocks = channels.reshape(down, BLOCK[0], across, BLOCK[1], -1).mean(axis=(1, 3))
    by_noise = channels.var(axis=(0, 1)) / (BLOCK[0] * BLOCK[1])
    return bool(np.all(blocks.var(axis=(0, 1)) <= STRUCTURE * by_noise))


def valid_share(rows: Array) -> float:
    """The share of a map's pixels that are `measured`, 0…1."""
    return float(np.mean(measured(rows)))


def shows_nothing(rows: Array, is_map: bool, min_valid: float, *,
                  may_be_negative: bool = False) -> str:
    """Why an image is blank, in words; "" if it is not.

    rows: of `looked_at`. is_map: its pixels are measurements, where 0 and below are invalid.
    min_valid: the share of a map's pixels that must be valid. may_be_negative: its floats may have
    any value, such as temperatures.
    """
    if is_map and rows.ndim == 2:
        share = valid_share(rows)
        return (f"{100 * share:.1f} % of the pixels are valid, less than min_valid_depth"
                if share < min_valid else "")
    if may_be_negative and rows.dtype.kind == "f":
        return "" if np.isfinite(rows).any() else "no pixel has a value"
    if is_black(rows):
        return "they are black"
    return "they are black but for the sensor's noise" if is_noise(rows) else ""


def same_rows(rows: Array, before: Array | None) -> bool:
    """Byte for byte: NaNs are equal."""
    return (before is not None and rows.shape == before.shape and rows.dtype == before.dtype
            and np.array_equal(rows.view(np.uint8), before.view(np.uint8)))

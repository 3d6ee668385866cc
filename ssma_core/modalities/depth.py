"""Depth and disparity: units, what is a measurement, the level of a frame, and filling holes."""
from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt


def millimetres(depth: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Converts depth as ROS cameras give it (REP 118) to millimetres.

    depth: H×W, uint16 millimetres (returned unchanged) or float metres.
    """
    return depth * np.float32(1000) if depth.dtype.kind == "f" else depth


def in_metres(depth: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The same to metres: depth H×W, uint16 millimetres or float metres (returned unchanged)."""
    return depth if depth.dtype.kind == "f" else depth.astype(np.float32) / np.float32(1000)


def measured(values: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Where a depth or disparity is a measurement: above zero, not NaN, not infinite. H×W bool."""
    return (values > 0) & (values < np.inf) if values.dtype.kind == "f" else values > 0


def shift_median(values: npt.NDArray[Any], level: float) -> npt.NDArray[np.float32]:
    """Shifts the map so that the median of what is `measured` becomes `level`. Values that would
    fall to zero or below become the smallest positive float32, because zero is no measurement.

    values: H×W, in the unit of `level`. Returns H×W float32, with holes zero.
    """
    known = measured(values)
    if not known.any():
        return np.zeros(values.shape, np.float32)
    shift = level - np.median(values[known])
    shifted = np.where(known, values, 0).astype(np.float32) + np.float32(shift)
    return np.where(known, np.maximum(shifted, np.finfo(np.float32).tiny), np.float32(0))


def fill_holes(values: npt.NDArray[Any], widest: int,
               larger_is_nearer: bool = False) -> npt.NDArray[Any]:
    """Fills holes up to `widest` pixels wide from the pixels around them.

    values: H×W uint8, uint16 or float; a hole is where nothing is `measured`.
    widest: a pixel stays a hole if a square with sides of `widest` + 1 pixels and without any
      measurement covers it: a long gap is as wide as its narrow side. If `widest` is at least the
      image's shorter side, all holes are filled, up to the top of the image.
    larger_is_nearer: true for disparity, false for depth.
    Returns an array of the same shape and dtype, zero in the holes that remain. Wide holes remain
    because they carry information: a stereo camera sees no depth in the sky. Measured pixels keep
    their value, because an estimate must not replace a measurement.

    Similar to IP-Basic (Ku, Harakeh and Waslander, "In Defense of Classical Image Processing: Fast
    Depth Completion on the CPU", 2018): maximum filters, from small to large, in which the nearer
    surface wins, so that the background does not cover thin near objects. Unlike IP-Basic, nothing
    is blurred and the widest hole is a parameter. It takes two mask filters and some 3×3, 5×5, 9×9
    … filters, which are max-pools in a network graph.
    """
    known = measured(values)
    filled = np.where(known, values, 0)
    if not known.any():
        return filled
    wanted = ~(known | _wide(~known, widest))
    nearness = np.float32(1 if larger_is_nearer else -1)
    spread = np.where(known, nearness * filled, -np.inf)
    radius = 1
    while (wanted & (spread == -np.inf)).any():
        window = np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)
        nearest = cv2.dilate(spread, window, borderType=cv2.BORDER_REPLICATE)
        np.copyto(spread, nearest, where=spread == -np.inf)
        radius *= 2
    np.copyto(filled, nearness * spread, where=wanted, casting="unsafe")
    return filled


def _wide(holes: npt.NDArray[np.bool_], widest: int) -> npt.NDArray[np.bool_]:
    """The pixels that are covered by a square of holes, `widest` + 1 wide and inside the image."""
    side = widest + 1
    if side > min(holes.shape):
        return np.zeros_like(holes)
    square = np.ones((side, side), np.uint8)
    first = cv2.erode(holes.astype(np.uint8), square, anchor=(0, 0),
                      borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return cv2.dilate(first, square, anchor=(side - 1, side - 1)) > 0

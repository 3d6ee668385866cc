"""Depth and disparity: filling their holes, and the jet colours the released networks were fed."""
from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ssma_core.modalities.jet import jet


def millimetres(depth: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Depth as ROS cameras give it (REP 118), in millimetres.

    depth: H×W, uint16 millimetres (returned as it is) or float metres.
    """
    return depth * np.float32(1000) if depth.dtype.kind == "f" else depth


def measured(values: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Where a depth or disparity is one: above zero, not NaN, not infinite. H×W bool."""
    return (values > 0) & (values < np.inf) if values.dtype.kind == "f" else values > 0


def levelled(values: npt.NDArray[Any], level: float) -> npt.NDArray[np.float32]:
    """The map shifted so that the median of what is `measured` is `level`; what falls below zero
    stays just above it, since zero is no measurement. H×W float32, holes zero."""
    known = measured(values)
    if not known.any():
        return np.zeros(values.shape, np.float32)
    shift = level - np.median(values[known])
    shifted = np.where(known, values, 0).astype(np.float32) + np.float32(shift)
    return np.where(known, np.maximum(shifted, np.finfo(np.float32).tiny), np.float32(0))


def fill_holes(values: npt.NDArray[Any], widest: int,
               larger_is_nearer: bool = False) -> npt.NDArray[Any]:
    """Fills the holes up to `widest` pixels wide from what surrounds them.

    values: H×W uint8, uint16 or float; a hole is what is not `measured`.
    widest: a pixel stays a hole where a square of `widest` + 1 pixels without any measurement
      covers it: a long gap is as wide as its narrow side. From the image's shorter side on,
      everything is filled, up to the top of the image.
    larger_is_nearer: true for disparity, false for depth.
    Returns an array of the same shape and dtype, zero in the holes that are left. They are left
    because a wide hole says something: a stereo camera sees no depth in the sky. Measured pixels
    keep their value, since a guess must not overrule a measurement.

    In the spirit of IP-Basic (Ku, Harakeh and Waslander, "In Defense of Classical Image Processing:
    Fast Depth Completion on the CPU", 2018): maximum filters, from small to large, in which the
    nearer surface wins, so that thin near things are not eaten by what is behind them. Unlike it,
    nothing is blurred and the widest hole is a choice. Two mask filters and some 3×3, 5×5, 9×9 …
    filters: in a network graph, max-pools.
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
    """The pixels that a square of holes, `widest` + 1 wide and inside the image, covers."""
    side = widest + 1
    if side > min(holes.shape):
        return np.zeros_like(holes)
    square = np.ones((side, side), np.uint8)
    first = cv2.erode(holes.astype(np.uint8), square, anchor=(0, 0),
                      borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return cv2.dilate(first, square, anchor=(side - 1, side - 1)) > 0


def in_jet(values: npt.NDArray[Any], far: float) -> npt.NDArray[np.uint8]:
    """A scalar map in jet colours: clip(value · 255 / far, 0, 255), H×W×3 uint8, BGR.

    values: H×W, uint8, uint16 or float, in the unit of `far`. What is not a measurement (zero,
      negative, NaN, infinite) becomes black, a colour that jet does not have.
    Source: value · 255 / 7000 mm is what the authors name in issues 6 and 7 of DeepSceneSeg/SSMA.
    """
    known = measured(values)
    scaled = np.where(known, values, 0) * np.float32(255 / far)
    coloured = jet(np.minimum(scaled, 255).astype(np.uint8))
    return cv2.bitwise_and(coloured, coloured, mask=known.view(np.uint8))

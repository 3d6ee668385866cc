"""Depth in a wrong unit: what is far too near, or far too far, to be the metres that it should be.

REP 118: depth of integers is in millimetres, of floats in metres. A driver that sends another unit
sends plausible images, and labels come; they are wrong in silence.
"""
from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ssma_core import Modality, in_metres, is_depth, measured

Array = npt.NDArray[Any]

PIXELS = 64  # in a row, at most, that are looked at
ENOUGH_PIXELS = 20
NEAREST_M = 0.25  # hardly a depth camera measures less, in a twentieth of its image at least
NO_SCENE_M = 0.1  # everything within it: no scene of a robot
MEDIAN = 1 / 20  # of the range: a robot's scene is deeper, unless it stands before a wall
FAR = 1 / 4  # of the range: depth that reaches it has the right unit
BEYOND = 1.5  # ranges: nearer than that is something in every scene
TYPICAL = 1 / 5  # of the range: the median depth of a scene
HHA_RANGE_M = 10.0
LASTS_S = 1.0
SILENT_S = 5.0  # after that a driver may have come back with another unit
UNITS = {"metres": 1.0, "centimetres": 0.01, "millimetres": 0.001}


class Quantiles(NamedTuple):
    """Of an image's valid depth in metres: of the nearest twentieth, the median, and of all but the
    farthest twentieth."""

    near: float
    middle: float
    far: float


class DepthUnits:
    """Takes depth images. range_m: up to where the model tells depths apart, in metres."""

    def __init__(self, range_m: float) -> None:
        self._range_m = range_m
        self._begin_anew(np.dtype(np.uint16))

    def _begin_anew(self, dtype: np.dtype[Any]) -> None:
        self._dtype = dtype
        self._was_right = False
        self._seen_at = -math.inf
        self._since: float | None = None  # when the images of a wrong unit began

    def look(self, depth: Array, now: float) -> str:
        """Takes an image, or some of its rows, that came at the time `now` in seconds. Returns what
        is wrong, in words; "" where nothing is, or where it is not certain."""
        if depth.dtype != self._dtype or now - self._seen_at > SILENT_S:
            self._begin_anew(depth.dtype)
        self._seen_at = now
        found = quantiles(depth)
        if found is None:
            return ""
        self._was_right |= FAR * self._range_m < found.far < self._range_m / FAR
        if not (self._is_too_far(found) or self._is_too_near(found)):
            self._since = None
            return ""
        self._since = now if self._since is None else self._since
        return self._words(found) if now - self._since >= LASTS_S else ""

    def _is_too_far(self, found: Quantiles) -> bool:
        return found.near > BEYOND * self._range_m

    def _is_too_near(self, found: Quantiles) -> bool:
        if found.far < NO_SCENE_M < FAR * self._range_m:
            return True
        return (not self._was_right and found.near < NEAREST_M
                and found.middle < MEDIAN * self._range_m)

    def _words(self, found: Quantiles) -> str:
        kind, unit = (("integers", "millimetres") if self._dtype.kind == "u"
                      else ("floats", "metres"))
        sent = found.middle / UNITS[unit]
        likely = min((name for name in UNITS if name != unit),
                     key=lambda name: abs(math.log(
                         sent * UNITS[name] / (TYPICAL * self._range_m))))
        return (f"in {unit}, as which {kind} are read (REP 118), its median is {found.middle:.2g} "
                f"m, and nine tenths lie between {found.near:.2g} and {found.far:.2g} m. It seems "
                f"to be in {likely}: set the driver's unit, or convert it")


def range_m(modality: Modality) -> float | None:
    """Up to where a model tells depths apart, in metres; None for what is not depth."""
    if modality.encoding == "hha":
        return HHA_RANGE_M
    return modality.range / 1000 if is_depth(modality) and modality.range else None


def quantiles(depth: Array) -> Quantiles | None:
    """None where too few pixels are valid. depth: H×W, uint16 millimetres or float metres."""
    pixels = depth[:, ::max(1, depth.shape[1] // PIXELS)]
    valid = pixels[measured(pixels)]
    if valid.size < ENOUGH_PIXELS:
        return None
    return Quantiles(*map(float, np.percentile(in_metres(valid), (5, 50, 95))))

"""How late the second sensor's stamps are, by the motion that both sensors see.

A robot nods, turns and shakes. Its two cameras look the same way, so both images move alike, and at
the same moments. The delay is the shift of stamps under which the two motions agree best. While the
robot stands or glides there is no answer, and a delay does no harm.
"""
from __future__ import annotations

import cmath
import math
from collections import deque
from collections.abc import Iterable
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from ssma_core import STREAMS, Stream

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]

GRID = (64, 96)  # rows and columns of pixels that are looked at, at least
BLUR = 1.5  # of these
REMEMBERED = 75  # motions of a stream
ENOUGH = 14  # motions to judge by
FARTHEST, STEP = 2.5, 0.1  # shifts that are tried, in periods
BEGINS = 0.45  # periods; the stamps of what belongs together may lie apart by less
FREE_BEGINS = 0.8  # the same where the cameras have no common trigger
LOCKED = 0.8  # mean of the phases as unit vectors: from there on there is a common trigger
NEAR = 0.4  # periods between what motion shows and what the stamps allow
ANSWERS = 5  # the last ones, which must all be the same
AGREE = 0.8  # least correlation of one of the motions
BEGIN, END, SEEN = 0, 1, slice(2, 4)  # columns of arrays of motions
SURE = 8.0  # how much likelier the delay must be than none, as a logarithm


class Motion(NamedTuple):
    """From one image of a stream to the next. begin, end: their stamps in seconds. right, down: in
    pixels that are looked at."""

    begin: float
    end: float
    right: float
    down: float


class DelayEstimator:
    """Takes pixels of the images of both streams, each stream's in the order of its stamps."""

    def __init__(self) -> None:
        self.begin_anew()

    def begin_anew(self) -> None:
        self._last: dict[Stream, tuple[float, Floats]] = {}
        self._near: dict[Stream, float] = {}  # the unit of inverse values
        self._motions: dict[Stream, deque[Motion]] = {
            stream: deque(maxlen=REMEMBERED) for stream in STREAMS}
        self._answers: deque[float | None] = deque(maxlen=ANSWERS)

    def look(self, stream: Stream, stamp_ns: int, pixels: Array) -> None:
        """pixels: one channel of an image, at every few of its rows and columns, see `GRID`."""
        if stream not in self._near:
            self._near[stream] = _near(pixels)
        stamp, shown = stamp_ns / 1e9, _smooth(pixels, self._near[stream])
        before, last = self._last.get(stream, (stamp, shown))
        if stamp < before:
            return
        self._last[stream] = stamp, shown
        if stamp > before and last.shape == shown.shape:
            self._motions[stream].append(Motion(before, stamp, *_motion(last, shown)))

    def delay(self, assumed: float) -> float | None:
        """How many seconds the second sensor's stamps are late, negative where they are early; None
        where that is about what is assumed, or where it is not certain. To be called every second.
        """
        rgb, aux = (_steady(self._motions[stream]) for stream in STREAMS)
        if min(len(rgb), len(aux)) < ENOUGH:
            return None
        seen = _seen(assumed, rgb, aux)
        if seen is None:
            return None
        self._answers.append(_by_stamps(assumed, seen, rgb, aux))
        last, near = self._answers[-1], BEGINS * _usual(rgb)
        if (len(self._answers) < 2 or last is None or abs(last - assumed) < near
                or any(answer is None or abs(answer - last) > near for answer in self._answers)):
            return None
        return last


def _seen(assumed: float, rgb: Array, aux: Array) -> float | None:
    """The delay under which motions agree best; None where none of them agree well, or where others
    do about as well."""
    shifts = assumed + max(_usual(rgb), _usual(aux)) * np.arange(-FARTHEST, FARTHEST + STEP, STEP)
    found = [_agreement(rgb, aux, shift) for shift in shifts]
    likely = np.array([_log_likelihood(*each) for each in found])
    best, now = int(likely.argmax()), int(np.abs(shifts - assumed).argmin())
    if found[best][1].max() < AGREE or best in (0, len(shifts) - 1):  # beyond what was tried
        return None
    return assumed if likely[best] - likely[now] < SURE else float(shifts[best])


def _by_stamps(assumed: float, seen: float, rgb: Array, aux: Array) -> float | None:
    """The delay that motion shows, made exact by the stamps: where both cameras have one trigger,
    these know it but for whole periods. None where the two disagree."""
    if seen == assumed:
        return assumed
    period = _usual(rgb)
    apart = aux[:, None, END] - rgb[:, END]
    nearest = np.take_along_axis(apart, np.abs(apart).argmin(axis=1)[:, None], axis=1)
    phase = complex(np.exp(2j * math.pi * nearest / period).mean())
    if abs(phase) < LOCKED:
        return seen if abs(seen - assumed) > FREE_BEGINS * period else assumed
    offset = cmath.phase(phase) / (2 * math.pi) * period
    delay = offset + period * round((seen - offset) / period)
    return delay if abs(seen - delay) < NEAR * period else None


def _near(pixels: Array) -> float:
    """A value that is near, in a map that measures distances."""
    good = pixels[(pixels > 0) & np.isfinite(pixels)]
    return float(np.percentile(good, 5)) / 2 if good.size else 1.0


def _smooth(pixels: Array, near: float) -> Floats:
    """Maps of many bits by their inverse, 0 to 255: what is near moves most. 0 where nothing is
    measured."""
    values = pixels.astype(np.float32)
    if pixels.dtype != np.uint8:
        good = (values > 0) & np.isfinite(values)
        values = np.where(good, 255 * near / np.maximum(values, near), 0).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(values, (0, 0), BLUR), np.float32)


def _motion(before: Floats, after: Floats) -> tuple[float, float]:
    """The shift that explains most of the change: least squares, outliers weigh little."""
    change = (after - before)[1:-1, 1:-1]
    right = (before[1:-1, 2:] - before[1:-1, :-2]) / 2
    down = (before[2:, 1:-1] - before[:-2, 1:-1]) / 2
    size = np.abs(change)
    weights = 1 / (1 + (size / (size.mean() + 1e-6)) ** 2)
    weighted_right, weighted_down = weights * right, weights * down
    normal = np.array([[np.vdot(weighted_right, right), np.vdot(weighted_right, down)],
                       [np.vdot(weighted_right, down), np.vdot(weighted_down, down)]])
    explained = np.array([np.vdot(weighted_right, change), np.vdot(weighted_down, change)])
    x, y = -np.linalg.solve(normal + 1e-6 * np.eye(2), explained)
    return float(x), float(y)


def _steady(motions: Iterable[Motion]) -> Array:
    """Those between neighbours, N×4 as in `Motion`: where images were lost, or a sensor was silent,
    much has moved."""
    found = np.array(list(motions)).reshape(-1, len(Motion._fields))
    return found[found[:, END] - found[:, BEGIN] < 1.5 * _usual(found)] if len(found) else found


def _usual(motions: Array) -> float:
    """The usual seconds from one image to the next."""
    return float(np.median(motions[:, END] - motions[:, BEGIN]))


def _agreement(rgb: Array, aux: Array, shift: float) -> tuple[int, Array]:
    """With the second stream's stamps earlier by so many seconds: how many motions of the first it
    covers, and the correlation of both, to the right and down."""
    begin, end = rgb[:, BEGIN, None], rgb[:, END, None]
    overlap = (np.minimum(end, aux[:, END] - shift)
               - np.maximum(begin, aux[:, BEGIN] - shift)).clip(0)
    covered = overlap.sum(axis=1)
    whole = covered > 0.9 * (end - begin)[:, 0]
    if whole.sum() < 2 * ENOUGH // 3:
        return 0, np.zeros(2)
    theirs = (overlap[whole] / covered[whole, None]) @ aux[:, SEEN]
    ours = rgb[whole, SEEN]
    ours, theirs = ours - ours.mean(axis=0), theirs - theirs.mean(axis=0)
    sizes = np.sqrt((ours ** 2).sum(axis=0) * (theirs ** 2).sum(axis=0))
    return int(whole.sum()), (ours * theirs).sum(axis=0) / np.maximum(sizes, 1e-12)


def _log_likelihood(count: int, correlations: Array) -> float:
    """Of motions that agree so well, up to a constant: independent parts, Gaussian noise."""
    good = np.clip(correlations, 0, 0.99)
    return float(-count / 2 * np.log(1 - good ** 2).sum())

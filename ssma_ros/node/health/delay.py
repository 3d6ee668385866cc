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

from ssma_core import STREAMS, Stream, measured

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]

GRID = (64, 96)  # rows and columns of pixels that are looked at, at least
BLUR = 1.5  # of these
MOSTLY = 0.5  # of the surroundings
LOGARITHM = 80.0  # so that depth has about the contrast of an image
LEAST = 1e-3  # change, in the unit of images of 8 bits
REMEMBERED = 75  # motions of a stream
ENOUGH = 14  # motions to judge by
FARTHEST, STEP = 2.5, 0.1  # shifts that are tried, in periods
BEGINS = 0.45  # periods; the stamps of what belongs together may lie apart by less
FREE_BEGINS = 0.8  # the same where the cameras have no common trigger
LOCKED = 0.8  # mean of the phases as unit vectors: from there on there is a common trigger
NEAR = 0.4  # periods between what motion shows and what the stamps allow
ANSWERS = 5  # the last ones, which must all be the same
AGREE = 0.8  # least correlation of one of the motions
BEGIN, END, SEEN = 0, 1, slice(2, 5)  # columns of arrays of motions
SURE = 8.0  # how much likelier the delay must be than none, as a logarithm


class Shown(NamedTuple):
    """What an image shows. values: of each pixel. valid: where there is one. smooth: of its
    surroundings. known: where these are mostly valid."""

    values: Floats
    valid: npt.NDArray[np.bool_]
    smooth: Floats
    known: npt.NDArray[np.bool_]


class Motion(NamedTuple):
    """From one image of a stream to the next. begin, end: their stamps in seconds. right, down: in
    pixels that are looked at. much: the logarithm of how much changed."""

    begin: float
    end: float
    right: float
    down: float
    much: float


class DelayEstimator:
    """Takes pixels of the images of both streams, each stream's in the order of its stamps."""

    def __init__(self) -> None:
        self.begin_anew()

    def begin_anew(self) -> None:
        self._last: dict[Stream, tuple[float, Shown]] = {}
        self._motions: dict[Stream, deque[Motion]] = {
            stream: deque(maxlen=REMEMBERED) for stream in STREAMS}
        self._answers: deque[float | None] = deque(maxlen=ANSWERS)

    def look(self, stream: Stream, stamp_ns: int, pixels: Array) -> None:
        """pixels: one channel of an image, at every few of its rows and columns, see `GRID`."""
        stamp, shown = stamp_ns / 1e9, _shown(pixels)
        before, last = self._last.get(stream, (stamp, shown))
        if stamp < before:
            return
        self._last[stream] = stamp, shown
        if stamp > before and last.values.shape == shown.values.shape:
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


def _shown(pixels: Array) -> Shown:
    """Maps of many bits by their logarithm: a ratio of depths moves alike, near and far."""
    if pixels.dtype == np.uint8:
        values, valid = pixels.astype(np.float32), np.ones(pixels.shape, np.bool_)
    else:
        valid = measured(pixels)
        values = LOGARITHM * np.log(np.where(valid, pixels, 1)).astype(np.float32)
    weights = cv2.GaussianBlur(valid.astype(np.float32), (0, 0), BLUR)
    smooth = cv2.GaussianBlur(values * valid, (0, 0), BLUR) / np.maximum(weights, 1e-3)
    return Shown(values, valid, np.asarray(smooth, np.float32), np.asarray(weights > MOSTLY))


def _motion(before: Shown, after: Shown) -> tuple[float, float, float]:
    """The shift that explains most of the change (least squares; outliers weigh little), and the
    logarithm of the mean change."""
    known = before.known & after.known
    inner = (known[1:-1, 1:-1] & known[1:-1, 2:] & known[1:-1, :-2] & known[2:, 1:-1]
             & known[:-2, 1:-1])
    old = before.smooth
    change = (after.smooth - old)[1:-1, 1:-1][inner]
    right = ((old[1:-1, 2:] - old[1:-1, :-2]) / 2)[inner]
    down = ((old[2:, 1:-1] - old[:-2, 1:-1]) / 2)[inner]
    both = before.valid & after.valid
    if not change.size or not both.any():
        return 0.0, 0.0, math.log(LEAST)
    size = np.abs(change)
    weights = 1 / (1 + (size / (size.mean() + LEAST)) ** 2)
    slopes = np.stack([right, down])
    normal = (weights * slopes) @ slopes.T + LEAST * np.eye(2)
    x, y = -np.linalg.solve(normal, (weights * slopes) @ change)
    much = float(np.abs(after.values - before.values)[both].mean())
    return float(x), float(y), math.log(LEAST + much)


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
    covers, and the correlation of both, each part of a motion by itself."""
    begin, end = rgb[:, BEGIN, None], rgb[:, END, None]
    overlap = (np.minimum(end, aux[:, END] - shift)
               - np.maximum(begin, aux[:, BEGIN] - shift)).clip(0)
    covered = overlap.sum(axis=1)
    whole = covered > 0.9 * (end - begin)[:, 0]
    if whole.sum() < 2 * ENOUGH // 3:
        return 0, np.zeros(3)
    theirs = (overlap[whole] / covered[whole, None]) @ aux[:, SEEN]
    ours = rgb[whole, SEEN]
    ours, theirs = ours - ours.mean(axis=0), theirs - theirs.mean(axis=0)
    sizes = np.sqrt((ours ** 2).sum(axis=0) * (theirs ** 2).sum(axis=0))
    return int(whole.sum()), (ours * theirs).sum(axis=0) / np.maximum(sizes, 1e-12)


def _log_likelihood(count: int, correlations: Array) -> float:
    """Of motions that agree so well, up to a constant: independent parts, Gaussian noise."""
    good = np.clip(correlations, 0, 0.99)
    return float(-count / 2 * np.log(1 - good ** 2).sum())

"""What two sensors of different spectra have in common: where an image changes, not how.

Leaves are dark in colour and bright in near infrared, and depth has no brightness at all. But their
outlines lie in the same places. So images are compared by the size of their gradients, relative to
what is usual around: a weak edge in shadow counts as much as a strong one in the sun.
"""
from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ssma_core.modalities.depth import fill_holes
from ssma_core.pictures import resize_nearest
from ssma_core.registration.sizes import Size

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]

_NARROW = 8  # pixels
_SMOOTH = 1.0  # pixels, before the gradient
_AROUND = (41, 41)  # pixels in which a gradient is usual
_FLAT = 0.25  # of the image's mean: gradients below it are no edges
_REACH = 7  # pixels across, of a gradient
_MOST = 3.0  # times what is usual


def brightness(image: Array) -> Floats:
    """One channel of float32 for an image of any sensor, H×W or H×W×3, in a scale of its own. Maps
    of many bits by their logarithm: a ratio of depths is an edge, near and far. NaN where a sensor
    of one channel measured nothing, but for narrow holes: depth has them along its edges."""
    if image.ndim == 3:
        return cv2.cvtColor(image, cv2.COLOR_BGR2GRAY).astype(np.float32)
    filled = fill_holes(image, _NARROW).astype(np.float32)
    known = filled > 0
    values = filled if image.dtype == np.uint8 else np.log(np.where(known, filled, 1))
    return np.where(known, values, np.float32(np.nan))


def resized(values: Floats, size: Size) -> Floats:
    """Brightness at (width, height). What is unknown does not mix with what is known."""
    if (values.shape[1], values.shape[0]) == size:
        return values
    if np.isnan(values).any():
        return resize_nearest(values, size)
    shrinks = values.shape[1] >= size[0] and values.shape[0] >= size[1]
    return cv2.resize(values, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def structure(values: Floats) -> Floats:
    """Gradients' sizes relative to those around, H×W float32, with a mean of 0. Exactly 0 where
    values, or their neighbours, are NaN: nothing is known there.

    values: H×W float32, as from `brightness`.
    """
    known = np.isfinite(values)
    filled = np.where(known, values, np.float32(0))
    smooth = cv2.GaussianBlur(filled, (0, 0), _SMOOTH)
    size = cv2.magnitude(cv2.Scharr(smooth, cv2.CV_32F, 1, 0), cv2.Scharr(smooth, cv2.CV_32F, 0, 1))
    known = cv2.erode(known.view(np.uint8), np.ones((_REACH, _REACH), np.uint8))
    size *= known
    usual = cv2.blur(size, _AROUND) / np.maximum(cv2.blur(known.astype(np.float32), _AROUND),
                                                 np.float32(1e-3))
    usual += np.float32(_FLAT * float(size.mean()) + 1e-9)
    found = np.minimum(size / usual, np.float32(_MOST))
    return (found - found.sum() / max(1, int(known.sum()))) * known


def spectrum(rgb: Floats, aux: Floats) -> npt.NDArray[np.complex64]:
    """The cross spectrum of two structures of one size, for `shifts`; spectra of several pairs can
    be added. Both structures fade out to the edges."""
    window = cv2.createHanningWindow(rgb.shape[::-1], cv2.CV_32F)
    ours, theirs = window * rgb, window * aux
    power = float(np.linalg.norm(ours)) * float(np.linalg.norm(theirs))
    cross = np.fft.rfft2(ours) * np.conj(np.fft.rfft2(theirs))
    return (cross / max(power, 1e-9)).astype(np.complex64)


def shifts(spectrum: Array, size: Size) -> Floats:
    """The correlation of two structures by the shift of the second one down and to the right,
    modulo its size (width, height)."""
    return np.fft.irfft2(spectrum, size[::-1]).astype(np.float32)


def best_shift(found: Floats, farthest: int | None = None) -> tuple[float, tuple[int, int]]:
    """The largest correlation of `shifts`, and its shift to the right and down, in pixels.

    farthest: pixels in each direction; None: any shift.
    """
    found = around(found, min(found.shape) // 2 - 1 if farthest is None else farthest)
    row, column = np.unravel_index(int(found.argmax()), found.shape)
    return float(found.max()), (int(column) - found.shape[1] // 2, int(row) - found.shape[0] // 2)


def around(found: Floats, farthest: int) -> Floats:
    """The correlations of shifts up to so many pixels in each direction, no shift in the middle."""
    side = 2 * farthest + 1
    return np.roll(found, (farthest, farthest), (0, 1))[:side, :side]

"""The homography between two cameras, found in pairs of their images.

From coarse to fine: at a small size every shift is tried, at several scales and rotations, over all
pairs together; then Gauss-Newton steps raise the correlation of all pairs' structure, at growing
sizes: first a shift, rotation, scale and shear, then the whole homography. Evangelidis and
Psarakis, "Parametric Image Alignment Using Enhanced Correlation Coefficient Maximization", IEEE
PAMI 30 (2008), do so for one pair.
"""
from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from ssma_core.errors import SsmaError
from ssma_core.registration.homography import check_homography, corners, moved, resizing, scaled
from ssma_core.registration.sizes import Size
from ssma_core.registration.structure import (
    best_shift,
    brightness,
    resized,
    shifts,
    spectrum,
    structure,
)

Array = npt.NDArray[Any]
Pair = tuple[Array, Array]

LEAST_PAIRS = 3
_COARSE, _FINER = 160, (320, 640, 960)  # widths of the colour image
_FINE, _FARTHEST_SHIFT = 640, 0.06  # a width, and a share of it: for shifts only
_SCALES = tuple(1.1 ** step for step in range(-5, 6))
_ROTATIONS = tuple(np.radians((-6, -3, 0, 3, 6)))
_TRIED = 4  # of these, the best are refined
_PARTS = 4  # of the recording, which must agree
MOST_SPREAD = 6.0  # pixels by which they may differ, for a colour image of 960 columns
_LEAST_CORRELATION = 0.05  # of structure: that of unlike images is below 0.02
_STEPS, _STILL = 20, 0.02  # pixels by which a last step moves a corner
_LARGEST_STEP = 4.0  # pixels
STEPS = (1 + _PARTS) * (1 + len(_FINER))  # of `find`, for a colour image of 960 columns or more


@dataclass(frozen=True)
class Found:
    """matrix: 3×3, pixels of the second image to those of the colour image. correlation: of the
    structure of all pairs, 0…1. spread: median over parts of the recording, in pixels of the colour
    image, by which a corner is elsewhere by that part alone."""

    matrix: Array
    correlation: float
    spread: float


class _Level(NamedTuple):
    """Pairs of structures of one size: colour's, and the second image's in colour's view by
    `matrix`. resize: from the colour image's pixels to theirs. Both 3×3."""

    pairs: list[Pair]
    resize: Array
    matrix: Array


def find(pairs: Sequence[Pair], progress: Callable[[], object] = bool, *,
         only_shift: bool = False) -> Found:
    """Finds the homography.

    pairs: colour images, H×W×3 uint8 BGR, and the second sensor's, H×W of any type or H×W×3 uint8;
      all of one size each. only_shift: it is a shift, as what remains in depth that is registered
      already; of up to 6 % of the width. progress: called after each of `STEPS` steps, or fewer.
    Raises SsmaError, with figures, where the images have too little in common, parts of the
    recording disagree, or the homography cannot be of two cameras that look the same way.
    """
    if len(pairs) < LEAST_PAIRS:
        raise SsmaError(f"a homography is found in at least {LEAST_PAIRS} pairs, got {len(pairs)}")
    colour_size, aux_size = ((image.shape[1], image.shape[0]) for image in pairs[0])
    find_in = _found_shift if only_shift else _found
    matrix, agreement = find_in(pairs, progress)
    # Each from the beginning: what is wrong, each part gets wrong in another way.
    parts = [find_in(pairs[i::_PARTS], progress)[0] for i in range(min(_PARTS, len(pairs)))]
    spread = _spread(parts, matrix, aux_size)
    _check(matrix, agreement, spread, aux_size, colour_size)
    return Found(matrix, agreement, spread)


def _found(pairs: Sequence[Pair], progress: Callable[[], object]) -> tuple[Array, float]:
    """The homography, and the correlation that is reached with it."""
    colour_size, aux_size = ((image.shape[1], image.shape[0]) for image in pairs[0])
    level = _level(pairs, _COARSE, resizing(aux_size, colour_size))
    tried = [_refined(level, begin, freedom=(2, 6, 8)) for begin in _coarse(level)]
    matrix, agreement = max(tried, key=lambda each: each[1])
    progress()
    for width in sorted({min(width, colour_size[0]) for width in _FINER}):
        matrix, agreement = _refined(_level(pairs, width, matrix), np.eye(3), freedom=(6, 8))
        progress()
    return matrix, agreement


def _found_shift(pairs: Sequence[Pair], progress: Callable[[], object]) -> tuple[Array, float]:
    """Likewise, of a shift only. Depth has outlines at a fine size, and hardly any at a coarse."""
    colour_size, aux_size = ((image.shape[1], image.shape[0]) for image in pairs[0])
    level = _level(pairs, _FINE, resizing(aux_size, colour_size))
    height, width = level.pairs[0][0].shape
    total = sum(spectrum(rgb, aux) for rgb, aux in level.pairs)
    _, (right, down) = best_shift(shifts(np.asarray(total), (width, height)),
                                  round(_FARTHEST_SHIFT * width))
    progress()
    return _refined(level, _shift(right, down), freedom=(2,))


def _shift(right: float, down: float) -> Array:
    return np.array([[1, 0, right], [0, 1, down], [0, 0, 1.0]])


def _check(matrix: Array, agreement: float, spread: float, aux_size: Size, colour_size: Size
           ) -> None:
    if agreement < _LEAST_CORRELATION:
        raise SsmaError(f"the two sensors' images have too little in common (a correlation of "
                        f"{agreement:.3f}; at least {_LEAST_CORRELATION:g} is needed): record a "
                        "scene with outlines, in daylight, while the robot moves")
    most = MOST_SPREAD * colour_size[0] / _FINER[-1]
    if not spread <= most:
        raise SsmaError(f"parts of the recording disagree by {spread:.1f} pixels about the image's "
                        f"corners (at most {most:.1f}): record more, with outlines all over the "
                        "image, and all at about one distance")
    check_homography(matrix, aux_size, colour_size)


def _level(pairs: Sequence[Pair], width: int, matrix: Array) -> _Level:
    """At a width of the colour image, with the second one as it is seen by what is known so far:
    so a pixel's surroundings are the same in both."""
    colour, aux = ((image.shape[1], image.shape[0]) for image in pairs[0])
    shrinks = min(1.0, width / colour[0])
    # To the same scale before the warp, which only interpolates.
    grows = shrinks * abs(np.linalg.det(matrix[:2, :2])) ** 0.5
    size, before = ((max(8, round(sides[0] * by)), max(8, round(sides[1] * by)))
                    for sides, by in ((colour, shrinks), (aux, grows)))
    resize = resizing(colour, size)
    warp = resize @ matrix @ np.linalg.inv(resizing(aux, before))

    def seen(image: Array) -> Array:
        return cv2.warpPerspective(resized(brightness(image), before), warp, size,
                                   borderMode=cv2.BORDER_CONSTANT, borderValue=float("nan"))

    return _Level([(structure(resized(brightness(rgb), size)), structure(seen(other)))
                   for rgb, other in pairs], resize, matrix)


def _coarse(level: _Level) -> list[Array]:
    """The best of all shifts, at the best of some scales and rotations: what to begin with."""
    height, width = level.pairs[0][0].shape
    centre = np.array([[1, 0, (width - 1) / 2], [0, 1, (height - 1) / 2], [0, 0, 1.0]])
    tried = []
    for scale, angle in itertools.product(_SCALES, _ROTATIONS):
        across, along = scale * np.cos(angle), scale * np.sin(angle)
        turned = np.array([[across, -along, 0], [along, across, 0], [0, 0, 1.0]])
        trial = centre @ turned @ np.linalg.inv(centre)
        total = sum(spectrum(rgb, cv2.warpPerspective(aux, trial, (width, height)))
                    for rgb, aux in level.pairs)
        agreement, (right, down) = best_shift(shifts(np.asarray(total), (width, height)))
        tried.append((agreement, _shift(right, down) @ trial))
    tried.sort(key=lambda each: each[0], reverse=True)
    return [matrix for _, matrix in tried[:_TRIED]]


def _refined(level: _Level, begin: Array, freedom: Sequence[int]) -> tuple[Array, float]:
    """Raises the mean correlation of the level's pairs. Returns the homography, in full pixels, and
    what is reached.

    begin: what is changed about the level's matrix at first, in the level's pixels. freedom: one
      after the other: 2 for a shift, 6 for an affine change, 8 for a homography.
    """
    inverse = np.linalg.inv(begin)
    for parameters in freedom:
        inverse, agreement = _climbed(level.pairs, inverse, parameters)
    found = np.linalg.inv(level.resize) @ np.linalg.inv(inverse) @ level.resize @ level.matrix
    return scaled(found), agreement


def _climbed(pairs: Sequence[Pair], inverse: Array, parameters: int) -> tuple[Array, float]:
    """Gauss-Newton steps, as long as they lead up. inverse: from colour to the second image."""
    height, width = pairs[0][0].shape
    # Parameters in units of half the width, so that they are about equally large.
    unit = np.array([[width / 2, 0, (width - 1) / 2], [0, width / 2, (height - 1) / 2], [0, 0, 1]])
    places, ends = _places(width, height, unit), corners((width, height))
    best, agreed, step = inverse, -np.inf, np.zeros(parameters)
    for _ in range(_STEPS):
        agreement, normal, slope = _sums(pairs, inverse, places, parameters, 2 / width)
        if agreement > agreed:
            best, agreed = inverse, agreement
            step = np.linalg.lstsq(normal, slope, rcond=1e-9)[0] / max(agreement, 0.1)
        else:  # it went too far
            step /= 4
        change = unit @ _change(step) @ np.linalg.inv(unit)
        farthest = float(np.linalg.norm(moved(change, ends) - ends, axis=1).max())
        if farthest > _LARGEST_STEP:
            step *= _LARGEST_STEP / farthest
            change = unit @ _change(step) @ np.linalg.inv(unit)
        if farthest < _STILL:
            break
        inverse = scaled(best @ change)
    return best, agreed


def _places(width: int, height: int, unit: Array) -> tuple[Array, Array]:
    """Of each pixel x and y in the unit, H×W float32 each."""
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    return (((x - unit[0, 2]) / unit[0, 0]).astype(np.float32),
            ((y - unit[1, 2]) / unit[1, 1]).astype(np.float32))


def _sums(pairs: Sequence[Pair], inverse: Array, places: tuple[Array, Array], parameters: int,
          pixel: float) -> tuple[float, Array, Array]:
    """The mean correlation under a homography from colour to the second image, and the normal
    equations of the change before it that would raise it. pixel: its side in the places' unit."""
    normal, slope, agreements = np.zeros((parameters, parameters)), np.zeros(parameters), []
    x, y = places
    for rgb, aux in pairs:
        seen = cv2.warpPerspective(aux, inverse, rgb.shape[::-1],
                                   flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
        both = (seen != 0) & (rgb != 0)
        ours, theirs = _normed(rgb * both), _normed(seen * both)
        agreements.append(float((ours * theirs).sum()))
        scale = np.float32(1 / max(float(np.linalg.norm(seen * both)), 1e-9) / pixel)
        right, down = (cv2.Sobel(seen, cv2.CV_32F, *order, ksize=3, scale=1 / 8) * both * scale
                       for order in ((1, 0), (0, 1)))
        inner = right * x + down * y
        slopes = [right, down, right * x, right * y, down * x, down * y, -inner * x, -inner * y]
        columns = np.stack(slopes[:parameters]).reshape(parameters, -1)
        normal += columns @ columns.T
        slope += columns @ (ours - theirs).ravel()
    return float(np.mean(agreements)), normal, slope


def _normed(values: Array) -> Array:
    return values / max(float(np.linalg.norm(values)), 1e-9)


def _change(step: Array) -> Array:
    """The homography near to none, 3×3, of 2, 6 or 8 parameters."""
    right, down, a, b, c, d, e, f = np.pad(step, (0, 8 - len(step)))
    return np.array([[1 + a, b, right], [c, 1 + d, down], [e, f, 1.0]])


def _spread(parts: Sequence[Array], matrix: Array, aux_size: Size) -> float:
    """Median over the parts of the farthest that one has a corner from where all have it."""
    ends = corners(aux_size)
    return float(np.median([np.linalg.norm(moved(part, ends) - moved(matrix, ends), axis=1).max()
                            for part in parts]))

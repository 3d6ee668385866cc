"""Random augmentation of a frame, as in the paper: the same geometry for all its images, and light
for the colour image only.

Own code on purpose: the whole geometry is one warp, so that every pixel is interpolated once, with
the right interpolation for each kind of image, and the protocol is the original's.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from ssma_core.errors import SsmaError
from ssma_core.pictures import Image

Matrix = npt.NDArray[np.float64]
Range = tuple[float, float]


@dataclass(frozen=True)
class Augmentation:
    """The ranges of the random changes. Each change happens with `probability`, by a value drawn
    uniformly from its range. Pixels that move outside the frame are lost; pixels that come from
    outside are black, and void in the label. A frame is mirrored with probability 0.5.

    Raises SsmaError when a value is outside its limits.

    rotation: greatest angle in both directions, in degrees, 0–180.
    skew: least and greatest shear in both directions, in columns per row, 0–1.
    scale: least and greatest magnification, 0.1–10.
    crop: least and greatest share of each side that is cut out and resized to the frame, 0.1–1.
    vignetting: least and greatest standard deviation of the Gaussian by which brightness falls from
      the middle to the edges, as a share of the image's width, 0.05–10.
    contrast: least and greatest factor for a colour value's distance from 128, 0–10.
    brightness: greatest value that is added to or subtracted from a colour value, 0–255.
    displacement: how far at most every image but the first is moved against it, in pixels in both
      directions, 0–50: two cameras are never quite registered.
    """

    probability: float
    rotation: float
    skew: Range
    scale: Range
    crop: Range
    vignetting: Range
    contrast: Range
    brightness: float
    displacement: float = 0.0

    def __post_init__(self) -> None:
        for name, low, high in (("skew", 0, 1), ("scale", 0.1, 10), ("crop", 0.1, 1),
                                ("vignetting", 0.05, 10), ("contrast", 0, 10)):
            least, greatest = getattr(self, name)
            if not low <= least <= greatest <= high:
                raise SsmaError(f"augmentation: {name} must be [least, greatest], both {low} to "
                                f"{high}, got {[least, greatest]}")
        for name, high in (("probability", 1), ("rotation", 180), ("brightness", 255),
                           ("displacement", 50)):
            if not 0 <= getattr(self, name) <= high:
                raise SsmaError(f"augmentation: {name} must be 0 to {high}, got "
                                f"{getattr(self, name)}")


def augment(images: Sequence[Image], label: Image, ranges: Augmentation,
            rng: np.random.Generator, *, colour: int | None,
            void_id: int) -> tuple[list[Image], Image]:
    """Changes a frame at random; returns new images and label of the same size.

    images: H×W×3 uint8 each; label: H×W uint8. colour: index of the colour image, or None.
    The inputs are not changed. The geometry does not depend on the number of images.
    """
    height, width = label.shape
    matrix = _geometry(width, height, ranges, rng)

    def warp(picture: Image, interpolation: int, border: int,
             moved: tuple[float, float] = (0.0, 0.0)) -> Image:
        result = cv2.warpAffine(
            picture, matrix + np.outer(moved, (0, 0, 1)), (width, height), flags=interpolation,
            borderMode=cv2.BORDER_CONSTANT, borderValue=(border,) * 3)
        return np.asarray(result, np.uint8)

    def displacement(index: int) -> tuple[float, float]:
        far = ranges.displacement if index > 0 else 0.0
        return _draw_signed(0, far, ranges, rng), _draw_signed(0, far, ranges, rng)

    # Only light may be interpolated: between two colours of a jet map is the colour of another
    # depth.
    changed = [warp(_change_light(image, ranges, rng), cv2.INTER_LINEAR, 0) if i == colour
               else warp(image, cv2.INTER_NEAREST, 0, displacement(i))
               for i, image in enumerate(images)]
    return changed, warp(label, cv2.INTER_NEAREST, void_id)


def _geometry(width: int, height: int, ranges: Augmentation, rng: np.random.Generator) -> Matrix:
    """A 2×3 matrix from a pixel's position in the frame to its position in the result."""
    angle = np.deg2rad(_draw_signed(0, ranges.rotation, ranges, rng))
    skew = _draw_signed(*ranges.skew, ranges, rng)
    scale = _draw(*ranges.scale, 1, ranges, rng) / _draw(*ranges.crop, 1, ranges, rng)
    mirror = -1.0 if rng.uniform() < 0.5 else 1.0
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = scale * rotation @ np.array([[mirror, skew], [0, 1]])
    # The frame's point that moves to the middle of the result is drawn such that, without rotation,
    # no more of the outside becomes visible than the scale requires.
    size = np.array([width, height])
    seen = size / 2 + rng.uniform(-0.5, 0.5, 2) * size * (1 - 1 / scale)
    centre = (size - 1) / 2
    return np.column_stack([linear, centre - linear @ (seen - 0.5)])


def _change_light(image: Image, ranges: Augmentation, rng: np.random.Generator) -> Image:
    contrast = _draw(*ranges.contrast, 1, ranges, rng)
    brightness = _draw_signed(0, ranges.brightness, ranges, rng)
    values = (np.arange(256) - 128) * contrast + 128 + brightness
    image = np.clip(values, 0, 255).astype(np.uint8)[image]
    deviation = _draw(*ranges.vignetting, np.inf, ranges, rng)
    return image if np.isinf(deviation) else _vignette(image, deviation)


def _vignette(image: Image, deviation: float) -> Image:
    height, width = image.shape[:2]
    fall_x, fall_y = (np.exp(-0.5 * ((np.arange(n) - (n - 1) / 2) / (deviation * width)) ** 2)
                      for n in (width, height))
    brightness = np.outer(fall_y, fall_x).astype(np.float32)
    return np.asarray(image * brightness[..., None], np.uint8)


def _draw(least: float, greatest: float, unchanged: float, ranges: Augmentation,
           rng: np.random.Generator) -> float:
    # Always two draws: the next changes must not depend on whether this one happens.
    happens, value = rng.uniform() < ranges.probability, rng.uniform(least, greatest)
    return float(value) if happens else unchanged


def _draw_signed(least: float, greatest: float, ranges: Augmentation,
                rng: np.random.Generator) -> float:
    sign = 1 if rng.uniform() < 0.5 else -1
    return sign * _draw(least, greatest, 0, ranges, rng)

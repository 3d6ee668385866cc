"""Random changes of a frame, as the paper's: one geometry for all its images, light for the colour
image alone.

Written with OpenCV alone: the whole geometry is one matrix, so that every pixel is interpolated
once, with an interpolation of its own for each kind of image.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from ssma_core.errors import SsmaError

Image = npt.NDArray[np.uint8]
Matrix = npt.NDArray[np.float64]
Range = tuple[float, float]


@dataclass(frozen=True)
class Augmentation:
    """How far a frame is changed. Each change happens with `probability`, and then by a value drawn
    evenly from its range; what comes to lie outside the frame is lost, what was outside is black,
    and void in the label. A frame is mirrored in half of the cases.

    rotation: greatest angle either way, in degrees.
    skew: least and greatest shear either way, in columns a row.
    scale: least and greatest magnification.
    crop: least and greatest share of each side that is cut out and enlarged to the frame.
    vignetting: least and greatest standard deviation of the Gaussian by which brightness falls from
      the middle to the edges, as a share of the image's width.
    contrast: least and greatest factor of a colour value's distance from 128.
    brightness: greatest value added to or taken from a colour value, 0–255.
    """

    probability: float
    rotation: float
    skew: Range
    scale: Range
    crop: Range
    vignetting: Range
    contrast: Range
    brightness: float

    def __post_init__(self) -> None:
        for name, low, high in (("skew", 0, 1), ("scale", 0.1, 10), ("crop", 0.1, 1),
                                ("vignetting", 0.05, 10), ("contrast", 0, 10)):
            least, greatest = getattr(self, name)
            if not low <= least <= greatest <= high:
                raise SsmaError(f"augmentation: {name} must be [least, greatest], both {low} to "
                                f"{high}, got {[least, greatest]}")
        for name, high in (("probability", 1), ("rotation", 180), ("brightness", 255)):
            if not 0 <= getattr(self, name) <= high:
                raise SsmaError(f"augmentation: {name} must be 0 to {high}, got "
                                f"{getattr(self, name)}")


def augment(images: Sequence[Image], label: Image, ranges: Augmentation,
            rng: np.random.Generator, *, colour: int | None,
            void_id: int) -> tuple[list[Image], Image]:
    """A frame changed at random, at the size it had.

    images: H×W×3 uint8 each; label: H×W uint8. colour: which of the images is light, if any is.
    The inputs stay as they are. The geometry is the same whatever images there are.
    """
    height, width = label.shape
    matrix = _geometry(width, height, ranges, rng)

    def warped(picture: Image, interpolation: int, border: int) -> Image:
        result = cv2.warpAffine(picture, matrix, (width, height), flags=interpolation,
                                borderMode=cv2.BORDER_CONSTANT, borderValue=(border,) * 3)
        return np.asarray(result, np.uint8)

    # Only colours of light can be mixed: between two colours of a jet map lies a third depth.
    changed = [warped(_relit(image, ranges, rng), cv2.INTER_LINEAR, 0) if i == colour
               else warped(image, cv2.INTER_NEAREST, 0) for i, image in enumerate(images)]
    return changed, warped(label, cv2.INTER_NEAREST, void_id)


def _geometry(width: int, height: int, ranges: Augmentation, rng: np.random.Generator) -> Matrix:
    """2×3, from a pixel of the frame to its place in the result."""
    angle = np.deg2rad(_either_way(0, ranges.rotation, ranges, rng))
    skew = _either_way(*ranges.skew, ranges, rng)
    scale = _drawn(*ranges.scale, 1, ranges, rng) / _drawn(*ranges.crop, 1, ranges, rng)
    mirror = -1.0 if rng.uniform() < 0.5 else 1.0
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = scale * rotation @ np.array([[mirror, skew], [0, 1]])
    # The middle of the result shows a place drawn so that, seen upright, no more of the
    # surroundings comes in than the scale asks for.
    size = np.array([width, height])
    seen = size / 2 + rng.uniform(-0.5, 0.5, 2) * size * (1 - 1 / scale)
    centre = (size - 1) / 2
    return np.column_stack([linear, centre - linear @ (seen - 0.5)])


def _relit(image: Image, ranges: Augmentation, rng: np.random.Generator) -> Image:
    contrast = _drawn(*ranges.contrast, 1, ranges, rng)
    brightness = _either_way(0, ranges.brightness, ranges, rng)
    values = (np.arange(256) - 128) * contrast + 128 + brightness
    image = np.clip(values, 0, 255).astype(np.uint8)[image]
    deviation = _drawn(*ranges.vignetting, np.inf, ranges, rng)
    return image if np.isinf(deviation) else _vignetted(image, deviation)


def _vignetted(image: Image, deviation: float) -> Image:
    height, width = image.shape[:2]
    fall_x, fall_y = (np.exp(-0.5 * ((np.arange(n) - (n - 1) / 2) / (deviation * width)) ** 2)
                      for n in (width, height))
    brightness = np.outer(fall_y, fall_x).astype(np.float32)
    return np.asarray(image * brightness[..., None], np.uint8)


def _drawn(least: float, greatest: float, unchanged: float, ranges: Augmentation,
           rng: np.random.Generator) -> float:
    # Always two draws: whether one change happens must not decide what the next ones are.
    happens, value = rng.uniform() < ranges.probability, rng.uniform(least, greatest)
    return float(value) if happens else unchanged


def _either_way(least: float, greatest: float, ranges: Augmentation,
                rng: np.random.Generator) -> float:
    sign = 1 if rng.uniform() < 0.5 else -1
    return sign * _drawn(least, greatest, 0, ranges, rng)

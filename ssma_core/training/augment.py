"""Random changes of a frame: one geometry for all its images, light for the colour image alone."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from ssma_core.errors import SsmaError

Image = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Augmentation:
    """How far a frame is changed; each value is drawn evenly from its range.

    scale: least and greatest magnification; above 1 a part of the frame is cut out, below 1 what
      lies outside the frame is black, and void in the label.
    contrast: least and greatest factor of a colour value's distance from 128.
    brightness: greatest value added to or taken from a colour value, 0–255.
    A frame is mirrored in half of the cases.
    """

    scale: tuple[float, float]
    contrast: tuple[float, float]
    brightness: float

    def __post_init__(self) -> None:
        for name in ("scale", "contrast"):
            least, greatest = getattr(self, name)
            if not 0 < least <= greatest:
                raise SsmaError(f"augmentation: {name} must be [least, greatest], both above 0, "
                                f"got {[least, greatest]}")
        if not 0 <= self.brightness <= 255:
            raise SsmaError(f"augmentation: brightness must be 0 to 255, got {self.brightness}")


def augment(images: Sequence[Image], label: Image, void_id: int, ranges: Augmentation,
            rng: np.random.Generator) -> tuple[list[Image], Image]:
    """A frame changed at random, at the size it had.

    images: H×W×3 uint8, the colour image first; label: H×W uint8. The inputs stay as they are.
    """
    height, width = label.shape
    matrix = _geometry(width, height, ranges, rng)

    def warped(picture: Image, interpolation: int, border: int) -> Image:
        result = cv2.warpAffine(picture, matrix, (width, height), flags=interpolation,
                                borderMode=cv2.BORDER_CONSTANT, borderValue=(border,) * 3)
        return np.asarray(result, np.uint8)

    # Only colours of light can be mixed: between two colours of a jet map lies a third depth.
    colour = _relit(warped(images[0], cv2.INTER_LINEAR, 0), ranges, rng)
    others = [warped(image, cv2.INTER_NEAREST, 0) for image in images[1:]]
    return [colour, *others], warped(label, cv2.INTER_NEAREST, void_id)


def _geometry(width: int, height: int, ranges: Augmentation,
              rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """2×3, from a pixel of the frame to its place in the result."""
    scale = rng.uniform(*ranges.scale)
    right, down = rng.uniform(size=2) * (width - scale * width, height - scale * height)
    matrix = np.array([[scale, 0, right], [0, scale, down]])
    if rng.uniform() < 0.5:
        matrix[0] = -scale, 0, width - 1 - right
    return matrix


def _relit(image: Image, ranges: Augmentation, rng: np.random.Generator) -> Image:
    contrast = rng.uniform(*ranges.contrast)
    brightness = rng.uniform(-ranges.brightness, ranges.brightness)
    values = (np.arange(256) - 128) * contrast + 128 + brightness
    table = np.clip(values, 0, 255).astype(np.uint8)
    return table[image]

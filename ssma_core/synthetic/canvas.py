"""The picture before the sensors: colour, near infrared, distance and class of each pixel, and how
billboards are drawn into it."""
from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from ssma_core.synthetic.things.sprites import Sprite

VOID, TRAIL, GRASS, VEGETATION, SKY, OBSTACLE = range(6)
SKY_DISTANCE = 1e4  # metres
# The least height, and root of the area, of an obstacle that a person recognizes, as a share of the
# width.
RECOGNIZABLE = 12 / 768


@dataclass(frozen=True)
class Canvas:
    """colour: H×W×4 uint8 (blue, green, red, near infrared). distance: H×W float32, metres along
    the optical axis. label: H×W uint8."""

    colour: npt.NDArray[np.uint8]
    distance: npt.NDArray[np.float32]
    label: npt.NDArray[np.uint8]


def blank(width: int, height: int) -> Canvas:
    return Canvas(np.zeros((height, width, 4), np.uint8),
                  np.full((height, width), SKY_DISTANCE, np.float32),
                  np.full((height, width), SKY, np.uint8))


def put(canvas: Canvas, sprite: Sprite, foot: tuple[float, float], *, pixels_per_metre: float,
        distance: float, shade: float, mirrored: bool) -> None:
    """Draws a billboard with its foot at (column, row), where it is nearer than the canvas.

    distance: metres. shade: brightness factor.
    Far twigs in front of the sky become void; so do obstacles that are too small to distinguish
    from a stump or a shadow. No one could label such pixels.
    """
    height, width = canvas.label.shape
    wide, tall = sprite.width * pixels_per_metre, sprite.height * pixels_per_metre
    left, top = foot[0] - wide / 2, foot[1] - tall
    x0, x1 = max(int(left), 0), min(math.ceil(left + wide), width)
    y0, y1 = max(int(top), 0), min(math.ceil(foot[1]), height)
    if x1 - x0 < 2 or y1 - y0 < 3:
        return
    found = _crop(sprite, (x0 - left) / wide, (x1 - left) / wide, (y0 - top) / tall,
                  (y1 - top) / tall, columns=x1 - x0, rows=y1 - y0, mirrored=mirrored)
    if found is None:
        return
    colour, shape = found
    here = np.s_[y0:y1, x0:x1]
    opacity, relief = cv2.split(shape)
    before = np.float32(distance) - relief
    behind = canvas.distance[here]
    opacity = cv2.copyTo(opacity, cv2.compare(before, behind, cv2.CMP_LT))
    solid = cv2.compare(opacity, 0.5, cv2.CMP_GT)
    colour = cv2.convertScaleAbs(colour, alpha=shade)
    canvas.colour[here] = cv2.blendLinear(colour, canvas.colour[here], opacity, 1 - opacity)
    label = canvas.label[here]
    if distance > 14:
        label[(opacity > 0.3) & (opacity <= 0.5) & (label == SKY)] = VOID
    # cv2's masked copies are several times faster than NumPy's. Also the faintest leaves get their
    # distance, so that fog covers them.
    touched = cv2.compare(opacity, 0.15, cv2.CMP_GT)
    canvas.distance[here] = cv2.copyTo(before, touched, behind)
    size = min(tall, math.sqrt(wide * tall))
    recognizable = sprite.label != OBSTACLE or size > RECOGNIZABLE * width
    number = sprite.label if recognizable else VOID
    canvas.label[here] = cv2.copyTo(np.full_like(solid, number), solid, label)


def _crop(sprite: Sprite, u0: float, u1: float, v0: float, v1: float, *, columns: int, rows: int,
          mirrored: bool) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]] | None:
    """The part u0…u1, v0…v1 (0–1) of a sprite at columns×rows pixels, from the level that fits."""
    if mirrored:
        u0, u1 = 1 - u1, 1 - u0
    finest = sprite.levels[0].colour.shape[1] * (u1 - u0) / columns
    level = sprite.levels[min(int(math.log2(max(finest, 1)) + 0.4), len(sprite.levels) - 1)]
    high, wide = level.colour.shape[:2]
    a, b = math.floor(u0 * wide), math.ceil(u1 * wide)
    c, d = math.floor(v0 * high), math.ceil(v1 * high)
    a, c, b, d = max(a, 0), max(c, 0), min(b, wide), min(d, high)
    if b <= a or d <= c:
        return None
    colour = cv2.resize(level.colour[c:d, a:b], (columns, rows), interpolation=cv2.INTER_LINEAR)
    shape = cv2.resize(level.shape[c:d, a:b], (columns, rows), interpolation=cv2.INTER_LINEAR)
    if mirrored:
        return cv2.flip(colour, 1), cv2.flip(shape, 1)
    return colour, shape

"""Sprites: things painted once a drive out of many small stamps, and shown as upright billboards.

A thing is a heap of small polygons ("stamps": leaves, blades, flakes of bark). Each stamp has a
colour, a near-infrared reflectance and a depth relief of its own; they are drawn back to front into
one plane of stamp numbers, from which colour, relief and outline are looked up.
"""
from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Level:
    """One resolution of a sprite. colour: h×w×4 uint8 (blue, green, red, near infrared).
    shape: h×w×2 float32 (opacity 0–1, relief in metres toward the camera)."""

    colour: npt.NDArray[np.uint8]
    shape: npt.NDArray[np.float32]


@dataclass(frozen=True)
class Sprite:
    """width, height: metres; the sprite's foot is the middle of its lower edge.
    levels: the finest first, each half the size of the one before. label: class number."""

    width: float
    height: float
    label: int
    levels: tuple[Level, ...]


@dataclass(frozen=True)
class Stamps:
    """n convex polygons in metres. points: n×k×2 (right, up). colour: n×4 (blue, green, red, near
    infrared, 0–255). relief: n, metres toward the camera."""

    points: Floats
    colour: Floats
    relief: Floats


@dataclass(frozen=True)
class Sun:
    """direction: toward the sun as (right, up, toward the camera), length 1.
    direct, ambient: strengths; for a white surface facing the sun they add up to about 1."""

    direction: tuple[float, float, float]
    direct: float
    ambient: float

    def shade(self, normals: Floats, glow: float = 0.0) -> Floats:
        """Brightness of surfaces (n×3 normals). glow: share of light from behind that leaves let
        through."""
        facing = normals @ np.asarray(self.direction)
        lit = np.maximum(facing, 0) + glow * np.maximum(-facing, 0)
        return self.ambient * (0.7 + 0.3 * normals[:, 1]) + self.direct * lit


def join(*heaps: Stamps) -> Stamps:
    """Heaps one over the other, the last in front. Polygons get as many corners as the richest."""
    corners = max(h.points.shape[1] for h in heaps)
    padded = [np.pad(h.points, ((0, 0), (0, corners - h.points.shape[1]), (0, 0)), mode="edge")
              for h in heaps]
    return Stamps(np.concatenate(padded), np.concatenate([h.colour for h in heaps]),
                  np.concatenate([h.relief for h in heaps]))


def far_to_near(heap: Stamps) -> Stamps:
    order = np.argsort(heap.relief, kind="stable")
    return Stamps(heap.points[order], heap.colour[order], heap.relief[order])


def ovals(centres: Floats, length: Floats, width: Floats, angle: Floats) -> Floats:
    """n×6×2 pointed ovals. centres: n×2; length, width in the centres' unit; angle in radians."""
    along = np.array([-0.5, -0.2, 0.25, 0.5, 0.25, -0.2])
    across = np.array([0.0, 0.5, 0.4, 0.0, -0.4, -0.5])
    x, y = length[:, None] * along, width[:, None] * across
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
    turned = np.stack([x * cos - y * sin, x * sin + y * cos], axis=2)
    return centres[:, None] + turned


def paint(heap: Stamps, width: float, height: float, pixels_per_metre: float,
          label: int) -> Sprite:
    """Draws the stamps in their order into a sprite of width×height metres."""
    columns = max(round(width * pixels_per_metre), 4)
    rows = max(round(height * pixels_per_metre), 4)
    numbers = np.zeros((rows, columns), np.int32)
    scale = np.array([columns / width, -rows / height])
    corners = (heap.points * scale + [columns / 2, rows]) * 16
    for number, polygon in enumerate(corners.astype(np.int32), start=1):
        cv2.fillConvexPoly(numbers, polygon, number, shift=4)
    numbers = _trimmed(numbers)
    width, height = width * numbers.shape[1] / columns, height * numbers.shape[0] / rows
    mean = heap.colour.mean(axis=0)  # hidden behind the outline: what bleeds into its edge
    colour = np.concatenate([mean[None], heap.colour]).clip(1, 255).astype(np.uint8)[numbers]
    relief = np.concatenate([[0], heap.relief]).astype(np.float32)[numbers]
    shape = np.stack([(numbers > 0).astype(np.float32), relief], axis=2)
    return Sprite(width, height, label, _halved(colour, shape))


def _trimmed(numbers: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """Without empty rows above, and without columns empty on both sides alike: the foot stays in
    the middle."""
    top = int(np.argmax(numbers.any(axis=1)))
    used = np.asarray(numbers.any(axis=0))
    margin = int(np.argmax(used | used[::-1]))
    return numbers[top:, margin:numbers.shape[1] - margin]


def _halved(colour: npt.NDArray[np.uint8],
            shape: npt.NDArray[np.float32]) -> tuple[Level, ...]:
    levels = [Level(colour, shape)]
    while min(colour.shape[:2]) >= 8:
        size = (colour.shape[1] // 2, colour.shape[0] // 2)
        colour = cv2.resize(colour, size, interpolation=cv2.INTER_AREA)
        shape = cv2.resize(shape, size, interpolation=cv2.INTER_AREA)
        levels.append(Level(colour, shape))
    return tuple(levels)

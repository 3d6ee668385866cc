"""Sprites: things that are painted once per drive and shown as upright billboards.

A thing consists of many small polygons (leaves, blades, flakes of bark). Each polygon has its own
colour, near-infrared reflectance and depth relief. They are drawn back to front into one plane of
polygon numbers, from which colour, relief and outline are looked up.
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
    levels: the finest first, each half the size of the previous one. label: class id."""

    width: float
    height: float
    label: int
    levels: tuple[Level, ...]


@dataclass(frozen=True)
class Polygons:
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
        """Brightness of surfaces (n×3 normals). glow: share of the light from behind that passes
        through leaves."""
        facing = normals @ np.asarray(self.direction)
        lit = np.maximum(facing, 0) + glow * np.maximum(-facing, 0)
        return self.ambient * (0.7 + 0.3 * normals[:, 1]) + self.direct * lit


def join(*sets: Polygons) -> Polygons:
    """All polygons in one, the last in front. All get as many corners as the one with most."""
    corners = max(s.points.shape[1] for s in sets)
    padded = [np.pad(s.points, ((0, 0), (0, corners - s.points.shape[1]), (0, 0)), mode="edge")
              for s in sets]
    return Polygons(np.concatenate(padded), np.concatenate([s.colour for s in sets]),
                    np.concatenate([s.relief for s in sets]))


def far_to_near(polygons: Polygons) -> Polygons:
    """Sorts polygons by relief, the farthest first."""
    order = np.argsort(polygons.relief, kind="stable")
    return Polygons(polygons.points[order], polygons.colour[order], polygons.relief[order])


def ovals(centres: Floats, length: Floats, width: Floats, angle: Floats) -> Floats:
    """n×6×2 pointed ovals. centres: n×2; length, width in the centres' unit; angle in radians."""
    along = np.array([-0.5, -0.2, 0.25, 0.5, 0.25, -0.2])
    across = np.array([0.0, 0.5, 0.4, 0.0, -0.4, -0.5])
    x, y = length[:, None] * along, width[:, None] * across
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
    turned = np.stack([x * cos - y * sin, x * sin + y * cos], axis=2)
    return centres[:, None] + turned


def paint(polygons: Polygons, width: float, height: float, pixels_per_metre: float,
          label: int) -> Sprite:
    """Draws the polygons in their order into a sprite of width×height metres. label: class id."""
    columns = max(round(width * pixels_per_metre), 4)
    rows = max(round(height * pixels_per_metre), 4)
    numbers = np.zeros((rows, columns), np.int32)
    scale = np.array([columns / width, -rows / height])
    corners = (polygons.points * scale + [columns / 2, rows]) * 16
    for number, polygon in enumerate(corners.astype(np.int32), start=1):
        cv2.fillConvexPoly(numbers, polygon, number, shift=4)
    numbers = _trimmed(numbers)
    width, height = width * numbers.shape[1] / columns, height * numbers.shape[0] / rows
    mean = polygons.colour.mean(axis=0)  # outside the outline: the colour that blends into its edge
    colour = np.concatenate([mean[None], polygons.colour]).clip(1, 255).astype(np.uint8)[numbers]
    relief = np.concatenate([[0], polygons.relief]).astype(np.float32)[numbers]
    shape = np.stack([(numbers > 0).astype(np.float32), relief], axis=2)
    return Sprite(width, height, label, _halved(colour, shape))


def _trimmed(numbers: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """Removes the empty rows at the top, and empty columns, the same number on both sides, so that
    the foot stays in the middle."""
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

"""The ground: its textures in world coordinates, and how the camera sees it."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

from ssma_core.synthetic import noise
from ssma_core.synthetic.camera import Pose
from ssma_core.synthetic.canvas import GRASS
from ssma_core.synthetic.noise import Plane
from ssma_core.synthetic.things.palette import Palette
from ssma_core.synthetic.things.sprites import ovals
from ssma_core.synthetic.world import Trail, World

TILE = 10.24  # side of a fine texture in metres; then it repeats
MACRO = 81.92  # side of the coarse texture in metres
FARTHEST = 160.0  # metres; beyond this is the backdrop


@dataclass(frozen=True)
class Textures:
    """grass, trail: fine textures, n×n×4 uint8 (blue, green, red, near infrared), each level half
    the size of the one before. macro: n×n×4 uint8: brightness, dryness, ragged edge, bareness."""

    grass: tuple[npt.NDArray[np.uint8], ...]
    trail: tuple[npt.NDArray[np.uint8], ...]
    macro: npt.NDArray[np.uint8]
    dry_over_grass: npt.NDArray[np.float32]


def textures(rng: np.random.Generator, palette: Palette, pixels: int) -> Textures:
    """pixels: side of the fine textures, a power of two."""
    macro = np.stack([noise.tile(rng, 512, 4, 64), noise.tile(rng, 512, 8, 128, 0.6),
                      noise.tile(rng, 512, 64, 512, 0.65), noise.tile(rng, 512, 16, 256, 0.7)], 2)
    return Textures(_levels(_grass(rng, palette, pixels)), _levels(_trail(rng, palette, pixels)),
                    (macro * 255).astype(np.uint8),
                    np.divide(palette.dry_grass, palette.grass).astype(np.float32))


def _levels(texture: Plane) -> tuple[npt.NDArray[np.uint8], ...]:
    levels = [np.clip(texture, 0, 255).astype(np.uint8)]
    while levels[-1].shape[0] > 16:
        half = levels[-1].shape[0] // 2
        levels.append(cv2.resize(levels[-1], (half, half), interpolation=cv2.INTER_AREA))
    return tuple(levels)


def strew(rng: np.random.Generator, texture: Plane, n: int, *, length: tuple[float, float],
          slim: float, materials: npt.NDArray[np.floating], spread: float,
          tile: float = TILE) -> None:
    """Lays n ovals (metres) on a tile; two rolls let them cross its border."""
    size = texture.shape[0]
    for _ in range(2):
        long = rng.uniform(*length, n // 2) * size / tile
        shapes = ovals(rng.uniform(0, size, (n // 2, 2)), np.maximum(long, 1.2),
                       np.maximum(long * slim, 1.0), rng.uniform(0, np.pi, n // 2))
        tones = materials[rng.integers(len(materials), size=n // 2)]
        tones = tones * rng.lognormal(0, spread, (n // 2, 1))
        for shape, tone in zip((shapes * 16).astype(np.int32), tones.tolist()):
            cv2.fillConvexPoly(texture, shape, tone, shift=4)
        texture[:] = np.roll(texture, (size // 2, size // 2), (0, 1))


def _grass(rng: np.random.Generator, palette: Palette, size: int) -> Plane:
    lumps = noise.tile(rng, size, 16, size, 0.75)[..., None]
    base = np.array(palette.grass, np.float32) * (0.35 + 0.75 * lumps)
    blades = np.array([np.multiply(palette.grass, 1.0), np.multiply(palette.grass, 1.25),
                       np.multiply(palette.grass, 0.6), palette.dry_grass])
    strew(rng, base, 14000, length=(0.03, 0.12), slim=0.16, materials=blades, spread=0.25)
    strew(rng, base, int(2200 * palette.litter_cover), length=(0.04, 0.09), slim=0.6,
          materials=np.array(palette.litter), spread=0.2)
    return base * (0.8 + 0.4 * noise.tile(rng, size, 8, 64)[..., None])


def _trail(rng: np.random.Generator, palette: Palette, size: int) -> Plane:
    lumps = noise.tile(rng, size, 16, size, 0.85)[..., None]
    gravelly = noise.tile(rng, size, 4, 64)[..., None] * rng.uniform(0.2, 1)
    base = (np.array(palette.soil, np.float32) * (1 - gravelly)
            + np.array(palette.gravel, np.float32) * gravelly)
    base = base * (0.68 + 0.5 * lumps)
    stones = np.array([np.multiply(palette.gravel, s) for s in (0.55, 0.8, 1.05, 1.2)])
    strew(rng, base, int(rng.uniform(1500, 6500)), length=(0.012, 0.05), slim=0.75,
          materials=stones, spread=0.15)
    strew(rng, base, int(1900 * palette.litter_cover), length=(0.04, 0.1), slim=0.6,
          materials=np.array(palette.litter), spread=0.2)
    return base.astype(np.float32)


def distances(world: World, pose: Pose) -> Plane:
    """H×W float32: the distance (camera z, metres) of the ground at each pixel, inf above it.

    The ground is followed outward along coarse columns; ground behind a rise is hidden. Between the
    samples the inverse distance is interpolated linearly, which is exact for flat ground.
    """
    step = 8
    columns = np.arange(step / 2 - 0.5, pose.width, step)
    ahead = np.geomspace(pose.nearest, FARTHEST, 150)
    right = np.outer(ahead, (columns - pose.middle) / pose.focal)
    sin, cos = np.sin(pose.yaw), np.cos(pose.yaw)
    x = pose.x + ahead[:, None] * sin + right * cos
    z = pose.z + ahead[:, None] * cos - right * sin
    drop = pose.y - world.relief.height(x, z)
    rows = pose.horizon + pose.tilt * (columns - pose.middle) + pose.focal * drop / ahead[:, None]
    rows = np.minimum.accumulate(rows, axis=0)[::-1]
    inverse = 1 / ahead[::-1]
    wanted = np.arange(pose.height)
    coarse = np.stack([np.interp(wanted, rows[:, i], inverse, left=0.0)
                       for i in range(len(columns))], axis=1).astype(np.float32)
    smooth = cv2.resize(coarse, (pose.width, pose.height), interpolation=cv2.INTER_LINEAR)
    smooth[smooth < 1 / FARTHEST] = 0
    with np.errstate(divide="ignore"):
        return 1 / smooth


class Ground:
    """Paints the ground of one world."""

    def __init__(self, rng: np.random.Generator, palette: Palette, world: World,
                 pixels: int) -> None:
        self.world = world
        self.beside = GRASS  # class of what is not the trail
        self.textures = textures(rng, palette, pixels)
        self.rut = float(rng.uniform(0.0, 0.35))
        self.grassy_middle = float(rng.choice((0.0, 0.25, 0.6)))
        self.grass_height = float(rng.uniform(0.05, 0.14))

    def look(self, pose: Pose, light_at: Callable[[Plane, Plane], Plane]) -> tuple[
            npt.NDArray[np.uint8], Plane, npt.NDArray[np.bool_], int]:
        """light_at: (x, z) in metres -> light on the ground there, 0–1.

        Returns colour h×W×4 uint8, distance h×W float32, on the trail h×W bool, first row: all from
        the first row that shows ground down to the last row of the picture."""
        ahead = distances(self.world, pose)
        top = int(np.argmax(np.isfinite(ahead).any(axis=1)))
        ahead = ahead[top:]
        reach = np.minimum(ahead, FARTHEST)
        right = reach * ((np.arange(pose.width, dtype=np.float32) - pose.middle) / pose.focal)
        sin, cos = np.float32(np.sin(pose.yaw)), np.float32(np.cos(pose.yaw))
        x = np.float32(pose.x) + reach * sin + right * cos
        z = np.float32(pose.z) + reach * cos - right * sin
        aside = _aside(self.world.trail, x, z, pose.z)
        macro = sample(self.textures.macro, x, z, MACRO)
        inside = self._inside(aside, macro)
        colour = self._colour(x, z, aside, inside, macro=macro, pose=pose, top=top)
        light = light_at(x, z)
        colour = cv2.multiply(colour, cv2.merge([light] * 4), dtype=cv2.CV_8U)
        on_trail = inside > 0
        blades = self.grass_height * (0.4 + macro[..., 3] * np.float32(1.2 / 255))
        lift = np.where(on_trail, np.float32(0), blades / np.float32(pose.above))
        return colour, ahead * (1 - lift), on_trail, top

    def _inside(self, aside: Plane, macro: npt.NDArray[np.uint8]) -> Plane:
        """Metres inside the trail's ragged edge, negative outside."""
        ragged = macro[..., 2] * np.float32(0.4 / 255) + macro[..., 1] * np.float32(0.7 / 255)
        return np.float32(self.world.trail.width / 2 - 0.52) + ragged - np.abs(aside)

    def _colour(self, x: Plane, z: Plane, aside: Plane, inside: Plane,
                *, macro: npt.NDArray[np.uint8], pose: Pose, top: int) -> npt.NDArray[np.uint8]:
        grass = _by_distance(self.textures.grass, x, z, pose, top)
        trail = _by_distance(self.textures.trail, aside, z, pose, top)
        bright = 0.68 + macro[..., 0] * np.float32(0.5 / 255)
        dry = np.clip(macro[..., 1] * np.float32(1.8 / 255) - 0.45, 0, 1)
        dry = np.maximum(dry, noise.smoothstep(-0.9, -0.05, inside) * 0.6)
        tint = [bright * (1 + dry * (r - 1)) for r in self.textures.dry_over_grass]
        grass = cv2.multiply(grass, cv2.merge(tint), dtype=cv2.CV_8U)
        wheel = np.exp(-((np.abs(aside) - np.float32(0.42)) * 5) ** 2)
        worn = 1 - np.float32(self.rut) * wheel * (0.5 + macro[..., 3] * np.float32(0.8 / 255))
        trail = cv2.multiply(trail, cv2.merge([worn * (0.75 + 0.33 * bright)] * 4), dtype=cv2.CV_8U)
        patchy = macro[..., 3] * np.float32(1 / 255) - 0.5
        share = noise.smoothstep(-0.12, 0.12, inside + patchy * 0.3)
        share *= 1 - np.float32(self.grassy_middle) * np.exp(-(aside * 5) ** 2) * (0.5 + patchy)
        return cv2.blendLinear(trail, grass, share, 1 - share)


def _aside(trail: Trail, x: Plane, z: Plane, start: float) -> Plane:
    """As Trail.aside, for many pixels, from a table along the trail."""
    step, first = 0.2, start - FARTHEST * 0.6
    table_z = first + step * np.arange(int(FARTHEST * 2 / step))
    slope = trail.slope(table_z)
    table = np.stack([trail.centre(table_z), 1 / np.sqrt(1 + slope ** 2)], 1).astype(np.float32)
    at = (z - np.float32(first)) * np.float32(1 / step)
    found = cv2.remap(table[None], at, np.zeros_like(at), cv2.INTER_LINEAR,
                      borderMode=cv2.BORDER_REPLICATE)
    return (x - found[..., 0]) * found[..., 1]


def sample(texture: npt.NDArray[np.uint8], x: Plane, z: Plane, metres: float
           ) -> npt.NDArray[np.uint8]:
    size = texture.shape[0]
    u, v = x * np.float32(size / metres), z * np.float32(size / metres)
    u -= np.floor(u * np.float32(1 / size)) * size
    v -= np.floor(v * np.float32(1 / size)) * size
    return cv2.remap(texture, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)


def _by_distance(levels: tuple[npt.NDArray[np.uint8], ...], x: Plane, z: Plane, pose: Pose,
                 top: int) -> npt.NDArray[np.uint8]:
    """Samples each band of rows from the level whose texels are about the size of its pixels."""
    rows = np.maximum(np.arange(top, pose.height) - pose.horizon, 0.5)
    ahead = np.minimum(pose.focal * pose.above / rows, FARTHEST)
    pixel = ahead / pose.focal * np.sqrt(np.maximum(ahead / pose.above, 1)) * 0.7
    level = np.log2(np.maximum(pixel * levels[0].shape[0] / TILE, 1)).round().astype(int)
    level = np.minimum(level, len(levels) - 1)
    found = np.empty((*x.shape, 4), np.uint8)
    borders = np.flatnonzero(np.diff(level, prepend=-1, append=-1))
    for first, last in pairwise(borders):
        found[first:last] = sample(levels[level[first]], x[first:last], z[first:last], TILE)
    return found

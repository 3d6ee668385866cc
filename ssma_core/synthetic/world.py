"""An endless world along a winding trail: the path, the relief, and the things with their places.

World axes in metres: x to the right, y up, z ahead; the trail always leads ahead. Everything is
drawn from the seed for one piece of trail at a time, so that the world is made when it is needed.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ssma_core.synthetic.things.sprites import Floats

PIECE = 8.0  # metres of trail whose things are placed together
SIDE = 34.0  # metres to each side of the trail where things are placed


@dataclass(frozen=True)
class Thing:
    """A billboard in the world. kind: its sprites; variant: one of them. shade: brightness factor.
    speed: m/s along the trail, for people."""

    kind: str
    variant: int
    x: float
    z: float
    scale: float
    shade: float
    mirrored: bool
    speed: float = 0.0


class Trail:
    """The middle line x = centre(z), a sum of three waves, and the trail's width in metres."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.length = rng.uniform((60, 32, 15), (95, 48, 22))
        steepest = rng.uniform((0.1, 0.05, 0.01), (0.3, 0.2, 0.07))  # dx/dz of each wave
        self.sway = steepest * self.length / (2 * np.pi)
        self.phase = rng.uniform(0, 2 * np.pi, 3)
        self.width = float(rng.uniform(1.5, 3.2))

    def centre(self, z: Floats) -> Floats:
        angle = 2 * np.pi * np.asarray(z)[..., None] / self.length + self.phase
        return (self.sway * np.sin(angle)).sum(axis=-1)

    def slope(self, z: Floats) -> Floats:
        angle = 2 * np.pi * np.asarray(z)[..., None] / self.length + self.phase
        return (self.sway * 2 * np.pi / self.length * np.cos(angle)).sum(axis=-1)

    def aside(self, x: Floats, z: Floats) -> Floats:
        """Metres to the right of the middle line, to first order."""
        return (x - self.centre(z)) / np.sqrt(1 + self.slope(z) ** 2)


class Relief:
    """Height of the ground in metres: level across the trail, rolling beside it."""

    def __init__(self, rng: np.random.Generator, trail: Trail) -> None:
        self.trail = trail
        self.waves = rng.uniform((14, 8, 4.5), (30, 16, 7))
        self.tall = rng.uniform((0.1, 0.05, 0.02), (0.45, 0.16, 0.06))
        self.heading = rng.uniform(-np.pi, np.pi, 3)
        self.phase = rng.uniform(0, 2 * np.pi, 3)
        self.bank = rng.uniform(-0.05, 0.16, 2)  # rise in metres a metre, left and right
        self.climb = rng.uniform(0.1, 0.5), rng.uniform(45, 90), rng.uniform(0, 2 * np.pi)

    def height(self, x: Floats, z: Floats) -> Floats:
        aside = self.trail.aside(x, z)
        off = np.clip((np.abs(aside) - self.trail.width / 2) / 3.0, 0, 1)
        along = (np.sin(self.heading) * np.asarray(x)[..., None]
                 + np.cos(self.heading) * np.asarray(z)[..., None])
        waves = (self.tall * np.sin(2 * np.pi * along / self.waves + self.phase)).sum(axis=-1)
        rise = np.where(aside < 0, self.bank[0], self.bank[1]) * np.clip(np.abs(aside) - 1.5, 0, 14)
        tall, length, phase = self.climb
        return (tall * np.sin(2 * np.pi * np.asarray(z) / length + phase) + rise
                + waves * (0.12 + 0.88 * off))


class World:
    """Places things along the trail, piece by piece. counts: kind -> number of its variants."""

    def __init__(self, seed: int, counts: dict[str, int]) -> None:
        rng = np.random.default_rng([seed, 1])
        self.seed, self.counts = seed, counts
        self.trail = Trail(rng)
        self.relief = Relief(rng, self.trail)
        self.trees = rng.uniform(0.45, 1.2)
        self.bushes = rng.uniform(0.5, 1.6)
        self.grass = rng.uniform(0.6, 1.2)
        self.clearing = rng.uniform(1.5, 13.0)  # metres from the trail to the first trees
        self.obstacles = rng.uniform(0.5, 1.6)
        self.things: Callable[[int], list[Thing]] = lru_cache(64)(self._place_things)

    def _place_things(self, piece: int) -> list[Thing]:
        """Everything at piece·PIECE ≤ z < (piece + 1)·PIECE."""
        rng = np.random.default_rng([self.seed, 2, piece + 1000])
        edge = self.trail.width / 2
        far = SIDE - edge
        wide_open = self.clearing * rng.uniform(0.5, 1.3)
        scattered = (  # kind, mean number, nearest and reach in metres, crowding
            ("tree", 15 * self.trees, edge + wide_open, far, 1.5),
            ("bush", 9 * self.bushes, edge + 0.5 * wide_open + 0.5, far * 0.6, 1.6),
            ("weed", 9 * self.grass, edge + 0.25, 6.0, 1.6),
            ("tuft", 64 * self.grass, edge - 0.05, 1.3, 1.0),
            ("tuft", 60 * self.grass, edge + 0.3, 6.0, 1.2),
            ("rock", 1.3 * self.obstacles, edge + 0.1, 5.0, 1.4),
            ("log", 0.6 * self.obstacles, edge + 1.1, 4.0, 1.5),
            ("post", 0.5 * self.obstacles, edge + 0.15, 1.5, 1.5),
            ("sign", 0.18 * self.obstacles, edge + 0.9, 2.0, 1.0),
            ("fence", 0.25 * self.obstacles, edge + 1.3, 2.5, 1.2),
            ("bench", 0.15 * self.obstacles, edge + 1.0, 1.5, 1.0),
            ("barrel", 0.22 * self.obstacles, edge + 0.4, 2.5, 1.3),
            ("pile", 0.18 * self.obstacles, edge + 1.6, 4.0, 1.2))
        things = [thing for kind, mean, nearest, reach, crowding in scattered
                  for thing in self._scatter(rng, piece, kind, mean, nearest=nearest, reach=reach,
                                             crowding=crowding)]
        return things + self._people(rng, piece)

    def _scatter(self, rng: np.random.Generator, piece: int, kind: str, mean: float, *,
                 nearest: float, reach: float, crowding: float) -> list[Thing]:
        """A random number of things, `mean` on average, at nearest … nearest + reach metres from
        the middle line. The greater crowding, the more of them are close to it."""
        n = int(rng.poisson(mean))
        z = (piece + rng.random(n)) * PIECE
        aside = (nearest + reach * rng.random(n) ** crowding) * rng.choice((-1, 1), n)
        x = self.trail.centre(z) + aside * np.sqrt(1 + self.trail.slope(z) ** 2)
        variants = rng.integers(self.counts[kind], size=n)
        scale, shade = rng.uniform(0.65, 1.25, n), rng.uniform(0.8, 1.15, n)
        mirrored = rng.random(n) < 0.5
        return [Thing(kind, int(v), float(x_), float(z_), float(s), float(b), bool(m))
                for v, x_, z_, s, b, m in zip(variants, x, z, scale, shade, mirrored)]

    def _people(self, rng: np.random.Generator, piece: int) -> list[Thing]:
        people = self._scatter(rng, piece, "person", 0.4 * self.obstacles, nearest=0.8,
                               reach=self.trail.width / 2, crowding=1.0)
        return [Thing(p.kind, p.variant, p.x, p.z, 0.92 + 0.12 * rng.random(), p.shade, p.mirrored,
                      float(rng.choice((-0.9, 0.0, 0.8)))) for p in people]

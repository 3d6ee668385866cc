"""Things that people put beside a trail: posts, signs, fences, benches, barrels, stacked logs."""
from __future__ import annotations

import numpy as np

from ssma_core.synthetic.things.obstacles import cut_end
from ssma_core.synthetic.things.palette import Material, Palette
from ssma_core.synthetic.things.plants import Rng, limb
from ssma_core.synthetic.things.sprites import Polygons, Sun, join

# Colours that a wood does not have, except the dark green. In the near infrared, dyes have any
# brightness.
PAINTS: tuple[Material, ...] = ((58, 84, 62, 80), (178, 184, 188, 130), (44, 56, 176, 150),
                                (164, 96, 40, 70), (40, 158, 214, 175), (36, 104, 216, 120))


def post(rng: Rng, sun: Sun, palette: Palette, height: float) -> Polygons:
    """A post of raw wood, or painted: green ones are hard to tell from leaves."""
    paints = (palette.bark[1], *PAINTS)
    radius = rng.uniform(0.07, 0.14)
    stem = limb(rng, sun, paints[int(rng.integers(len(paints)))], np.zeros(3),
                np.array([rng.normal(0, 0.03), height, 0]), thick=radius, thin=radius * 0.95)
    band = limb(rng, sun, (60, 70, 190, 160), np.array([0, height * 0.8, 0.01]),
                np.array([0, height * 0.88, 0.01]), thick=radius * 1.05, thin=radius * 1.05)
    return join(stem, band) if rng.random() < 0.4 else stem


def panel(rng: Rng, sun: Sun, material: Material, centre: tuple[float, float], *, wide: float,
          tall: float, toward: float) -> Polygons:
    """A flat, weathered board facing the trail. centre: (right, up); metres."""
    columns, rows = 24, 14
    x = centre[0] + np.linspace(-0.5, 0.5, columns + 1) * wide
    y = centre[1] + np.linspace(-0.5, 0.5, rows + 1) * tall
    left, low = np.meshgrid(x[:-1], y[:-1])
    right, high = np.meshgrid(x[1:], y[1:])
    points = np.stack([np.stack(c, -1).reshape(-1, 2) for c in
                       ((left, low), (right, low), (right, high), (left, high))], axis=1)
    stain = rng.lognormal(0, 0.06, (rows, columns)) * rng.lognormal(0, 0.07, (rows, 1))
    bright = stain.reshape(-1, 1) * sun.shade(np.array([[0.0, 0.1, 1.0]]))
    return Polygons(points, np.multiply(material, bright), np.full(rows * columns, toward))


def sign(rng: Rng, sun: Sun, palette: Palette, height: float) -> Polygons:
    """A board on two legs under a small roof, with a sheet and its lines of text."""
    wood = palette.bark[int(rng.integers(2))]
    legs = [limb(rng, sun, wood, np.array([x, 0, 0]), np.array([x, height, 0]), thick=0.05,
                 thin=0.05) for x in (-0.5, 0.5)]
    middle = height * 0.7
    board = panel(rng, sun, (66, 92, 104, 110), (0, middle), wide=1.1, tall=height * 0.42,
                  toward=0.06)
    sheet = panel(rng, sun, (186, 196, 198, 150), (rng.uniform(-0.1, 0.1), middle), wide=0.8,
                  tall=height * 0.3, toward=0.065)
    lines = [panel(rng, sun, (96, 104, 100, 110), (rng.uniform(-0.08, 0.0), middle + y * height),
                   wide=rng.uniform(0.3, 0.6), tall=0.025, toward=0.07)
             for y in (-0.1, -0.05, 0.0, 0.05)]
    picture = panel(rng, sun, palette.leaves[0], (0.15, middle + 0.08 * height), wide=0.3,
                    tall=0.12, toward=0.072)
    roof = panel(rng, sun, (48, 54, 60, 85), (0, height * 0.97), wide=1.35, tall=0.1, toward=0.15)
    return join(*legs, board, sheet, *lines, picture, roof)


def fence(rng: Rng, sun: Sun, palette: Palette, height: float) -> Polygons:
    """Two metres of posts and rails, of raw, weathered or painted wood."""
    kinds = (palette.bark[0], (132, 142, 148, 125), *PAINTS[1:3])
    wood = kinds[int(rng.integers(len(kinds)))]
    thick = rng.uniform(0.06, 0.09)
    posts = [limb(rng, sun, wood, np.array([x, 0, 0]), np.array([x, height, 0]), thick=thick,
                  thin=thick) for x in (-0.95, 0.0, 0.95)]
    rails = [limb(rng, sun, wood, np.array([-1.1, y * height, 0.06]),
                  np.array([1.1, (y + rng.normal(0, 0.02)) * height, 0.06]), thick=thick,
                  thin=thick * 0.9) for y in (0.42, 0.85)]
    return join(*posts, *rails)


def bench(rng: Rng, sun: Sun, palette: Palette, wide: float) -> Polygons:
    """Seat and back of boards on two blocks."""
    kinds: tuple[Material, ...] = ((132, 142, 148, 125), (58, 108, 158, 140), PAINTS[0], PAINTS[2])
    wood = kinds[int(rng.integers(len(kinds)))]
    block: Material = (112, 116, 118, 105)
    blocks = [panel(rng, sun, block, (x * wide, 0.22), wide=0.16, tall=0.44, toward=0.0)
              for x in (-0.36, 0.36)]
    boards = [panel(rng, sun, tuple(np.multiply(wood, tone)), (0, y), wide=wide, tall=0.13,
                    toward=toward)
              for y, toward, tone in ((0.62, 0.0, 0.9), (0.78, 0.0, 1.0), (0.92, 0.0, 0.95),
                                      (0.45, 0.3, 1.2))]
    return join(*blocks, *boards)


def barrel(rng: Rng, sun: Sun, palette: Palette, height: float) -> Polygons:
    """A bin or a barrel, painted, with a darker lid."""
    paint = (*PAINTS, palette.bark[2])[int(rng.integers(len(PAINTS) + 1))]
    radius = height * rng.uniform(0.26, 0.4)
    body = limb(rng, sun, paint, np.zeros(3), np.array([0, height, 0]), thick=radius,
                thin=radius, rough=0.03)
    lid = limb(rng, sun, tuple(np.multiply(paint, 0.6)), np.array([0, height * 0.93, 0.02]),
               np.array([0, height, 0.02]), thick=radius * 1.07, thin=radius * 1.07, rough=0.03)
    return join(body, lid)


def pile(rng: Rng, sun: Sun, palette: Palette, height: float) -> Polygons:
    """Felled stems stacked, their cut ends toward the trail."""
    bark = palette.bark[int(rng.integers(len(palette.bark)))]
    radius = rng.uniform(0.11, 0.17)
    ends = []
    for layer in range(max(int(height / (1.75 * radius)), 2)):
        half = 1.1 - layer * radius * rng.uniform(0.9, 1.3)
        for x in np.arange(-half, half, 2.05 * radius) + rng.uniform(0, radius):
            centre = np.array([x, radius * (1 + 1.75 * layer)]) + rng.normal(0, 0.015, 2)
            ends.append(cut_end(sun, bark, centre, (radius * rng.uniform(0.85, 1.08),) * 2,
                                toward=rng.uniform(0, 0.12), bright=rng.uniform(0.6, 1.05)))
    return join(*ends)

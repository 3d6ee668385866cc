"""What stands along the trails of robots: hedges, tall herbage, walls, buildings, cars, lamps."""
from __future__ import annotations

import numpy as np

from ssma_core.synthetic import scene
from ssma_core.synthetic.canvas import OBSTACLE, VEGETATION
from ssma_core.synthetic.things.furniture import PAINTS, panel
from ssma_core.synthetic.things.obstacles import cut_end
from ssma_core.synthetic.things.palette import Material, Palette
from ssma_core.synthetic.things.plants import Rng, bush, limb, tuft
from ssma_core.synthetic.things.sprites import Floats, Polygons, Sprite, Sun, join, paint

PLASTER: tuple[Material, ...] = (
    (176, 188, 194, 150), (150, 176, 196, 150), (128, 132, 134, 110), (84, 96, 146, 120),
    (196, 200, 202, 170), (96, 104, 112, 90), (70, 70, 72, 60))
GLASS: Material = (88, 78, 68, 52)
LACQUER: tuple[Material, ...] = (*PAINTS, (60, 58, 56, 50), (150, 150, 148, 120),
                                 (206, 206, 204, 170))


def atlas(rng: Rng, colours: Palette, sun: Sun, focal: float) -> dict[str, list[Sprite]]:
    """The forest's sprites and these."""
    def leaf() -> Material:
        return colours.leaves[int(rng.integers(len(colours.leaves)))]

    found = scene.atlas(rng, colours, sun, focal)
    found["hedge"] = [paint(bush(rng, sun, leaf(), t, 1.6), 2.6, 1.1 * t, focal / 3, VEGETATION)
                      for t in rng.uniform(1.0, 2.2, 2)]
    found["herbage"] = [paint(herbage(rng, sun, colours, t), 2.4, 1.1 * t, focal / 2.2, VEGETATION)
                        for t in rng.uniform(0.7, 1.7, 3)]
    found["shrubs"] = found["bush"]
    found["wall"] = [paint(wall(rng, sun, t), 3.0, t, focal / 4, OBSTACLE)
                     for t in (rng.uniform(0.6, 1.4), rng.uniform(2.4, 6))]
    found["building"] = [paint(building(rng, sun, w), w + 1.2, 1.3 * w + 4, focal / 12, OBSTACLE)
                         for w in rng.uniform(7, 15, 2)]
    found["car"] = [paint(car(rng, sun, seen), 4.6, 2.1, focal / 4, OBSTACLE)
                    for seen in ("side", "front")]
    found["lamp"] = [paint(lamp(rng, sun, t), 1.6, t + 0.2, focal / 4, OBSTACLE)
                     for t in rng.uniform(2.5, 5, 2)]
    return found


def herbage(rng: Rng, sun: Sun, colours: Palette, tall: float) -> Polygons:
    """Nettles, reed and tall grass in seed: stalks as high as a man's chest, leaves between."""
    leaves = bush(rng, sun, tuple(np.multiply(colours.grass, 0.8)), 0.75 * tall, 1.5)
    blades = tuft(rng, sun, colours.grass, colours.dry_grass, tall, wide=1.7, blades=420)
    return join(leaves, blades)


def wall(rng: Rng, sun: Sun, tall: float) -> Polygons:
    """Plaster, concrete or brick, three metres of it."""
    tone = PLASTER[int(rng.integers(len(PLASTER)))]
    body = panel(rng, sun, tone, (0, tall / 2), wide=3.0, tall=tall, toward=0.0)
    foot = panel(rng, sun, tuple(np.multiply(tone, 0.7)), (0, 0.12), wide=3.0, tall=0.24,
                 toward=0.02)
    return join(body, foot)


def building(rng: Rng, sun: Sun, wide: float) -> Polygons:
    """A front of one to four floors with windows, under a flat or a pitched roof."""
    tone = PLASTER[int(rng.integers(len(PLASTER)))]
    floors, high = int(rng.integers(1, 5)), float(rng.uniform(2.6, 3.4))
    tall = floors * high + 0.4
    parts = [panel(rng, sun, tone, (0, tall / 2), wide=wide, tall=tall, toward=0.0)]
    pane = (rng.uniform(0.7, 2.0), rng.uniform(1.0, 1.9))
    across = np.arange(-wide / 2 + 1.2, wide / 2 - 1.0, pane[0] + rng.uniform(0.5, 1.6))
    for floor in range(floors):
        for x in across:
            glass = tuple(np.multiply(GLASS, rng.uniform(0.6, 1.9)))
            parts.append(panel(rng, sun, (190, 190, 188, 150), (x, high * (floor + 0.55)),
                               wide=pane[0] + 0.16, tall=pane[1] + 0.16, toward=0.03))
            parts.append(panel(rng, sun, glass, (x, high * (floor + 0.55)), wide=pane[0],
                               tall=pane[1], toward=0.04))
    door = LACQUER[int(rng.integers(len(LACQUER)))]
    parts.append(panel(rng, sun, door, (rng.uniform(-0.3, 0.3) * wide, 1.05), wide=1.1, tall=2.1,
                       toward=0.06))
    return join(*parts, _roof(rng, sun, wide, tall))


def _roof(rng: Rng, sun: Sun, wide: float, tall: float) -> Polygons:
    material: Material = ((56, 70, 140, 120), (60, 62, 66, 70))[int(rng.integers(2))]
    rise, eaves = float(rng.choice((0.35, rng.uniform(1.2, 3.0)))), wide / 2 + 0.4
    rows = np.linspace(0, 1, 13)
    reach = eaves * (1 - rows * (0.75 if rise > 1 else 0.0))
    corners = np.stack([np.stack([side * r, tall + rise * y]) for side, r, y in (
        (-1, reach[:-1], rows[:-1]), (1, reach[:-1], rows[:-1]),
        (1, reach[1:], rows[1:]), (-1, reach[1:], rows[1:]))])
    bright = rng.lognormal(0, 0.06, (12, 1)) * sun.shade(np.array([[0.0, 0.7, 0.7]]))
    return Polygons(corners.transpose(2, 0, 1), np.multiply(material, bright), np.full(12, 0.3))


def car(rng: Rng, sun: Sun, seen: str) -> Polygons:
    """A parked car or van, from its side or from ahead."""
    paint_ = LACQUER[int(rng.integers(len(LACQUER)))]
    long, tall = (4.2, rng.uniform(1.4, 1.9)) if seen == "side" else (1.8, rng.uniform(1.4, 1.9))
    waist, half = 0.55 * tall, long / 2
    slope = rng.uniform(0.1, 0.3) if seen == "side" else 0.12
    cabin = np.array([[-0.86 * half, waist], [0.62 * half, waist], [(0.62 - slope) * half, tall],
                      [(slope - 0.86) * half, tall]])
    body = _strips(rng, sun, paint_, np.array([[-half, 0.22], [half, 0.22], [0.98 * half, waist],
                                               [-half, waist]]), 0.5)
    top = _strips(rng, sun, paint_, cabin, 0.3)
    middle = cabin.mean(axis=0)
    panes = _strips(rng, sun, GLASS, (cabin - middle) * [0.88, 0.76] + middle, 0.34)
    radius, spread = (0.33, 0.64 * half) if seen == "side" else (0.28, 0.82 * half)
    wheels = [cut_end(sun, (36, 36, 36, 40), np.array([x, radius]),
                      (radius if seen == "side" else 0.11, radius), toward=0.52, bright=0.35)
              for x in (-spread, spread)]
    lights = [panel(rng, sun, (190, 205, 215, 170), (x * half, 0.85 * waist), wide=0.22, tall=0.14,
                    toward=0.55) for x in (-0.88, 0.88)]
    return join(top, panes, body, *wheels, *lights)


def _strips(rng: Rng, sun: Sun, material: Material, corners: Floats, toward: float) -> Polygons:
    """A four-cornered sheet (lower left, lower right, upper right, upper left) in level strips,
    brighter toward the sky."""
    t = np.linspace(0, 1, 9)[:, None]
    left = corners[0] + t * (corners[3] - corners[0])
    right = corners[1] + t * (corners[2] - corners[1])
    points = np.stack([left[:-1], right[:-1], right[1:], left[1:]], axis=1)
    normals = np.stack([np.zeros(8), np.linspace(-0.3, 0.8, 8), np.full(8, 0.6)], axis=1)
    bright = sun.shade(normals) * rng.lognormal(0, 0.04, 8)
    return Polygons(points, np.multiply(material, bright[:, None]), np.full(8, toward))


def lamp(rng: Rng, sun: Sun, tall: float) -> Polygons:
    """A lamp post, or a pole that leans a little."""
    tones: tuple[Material, ...] = ((74, 76, 78, 70), (130, 134, 136, 112), (48, 66, 84, 92))
    tone, radius = tones[int(rng.integers(3))], rng.uniform(0.05, 0.11)
    top = np.array([rng.normal(0, 0.04) * tall, tall, 0.0])
    pole = limb(rng, sun, tone, np.zeros(3), top, thick=radius, thin=0.7 * radius, rough=0.05)
    if rng.random() < 0.4:
        return pole
    end = top + np.array([rng.uniform(0.3, 0.6), 0.05, 0])
    head = limb(rng, sun, (170, 176, 178, 140), top, end,
                thick=0.09, thin=0.07, rough=0.05)
    return join(pole, head)

"""The world of one drive, its painted sprites, and how it is drawn from a pose."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from ssma_core.synthetic.annotation import annotated
from ssma_core.synthetic.backdrop import Backdrop
from ssma_core.synthetic.camera import Pose
from ssma_core.synthetic.canvas import GRASS, OBSTACLE, TRAIL, VEGETATION, Canvas, put
from ssma_core.synthetic.ground import Ground
from ssma_core.synthetic.shade import Shade
from ssma_core.synthetic.things import furniture, obstacles, palette, plants
from ssma_core.synthetic.things.palette import Palette
from ssma_core.synthetic.things.sprites import Floats, Polygons, Sprite, Sun, paint
from ssma_core.synthetic.weather import Weather
from ssma_core.synthetic.world import PIECE, SIDE, Thing, World

# Each kind is drawn up to this distance in metres; small things disappear in the texture sooner.
SEEN = {"tree": 80.0, "bush": 50.0, "weed": 18.0, "tuft": 9.0, "rock": 60.0, "post": 70.0,
        "sign": 70.0, "log": 60.0, "person": 70.0, "fence": 70.0, "bench": 60.0, "barrel": 60.0,
        "pile": 70.0, "hedge": 60.0, "herbage": 40.0, "shrubs": 50.0, "wall": 80.0,
        "building": 80.0, "car": 70.0, "lamp": 70.0}
NEAREST = 0.9


def atlas(rng: np.random.Generator, colours: Palette, sun: Sun, focal: float
          ) -> dict[str, list[Sprite]]:
    """Sprites by kind, with the resolution that a camera of this focal length (pixels) can show."""
    def pick(materials: tuple[palette.Material, ...]) -> palette.Material:
        return materials[int(rng.integers(len(materials)))]

    painted: dict[str, list[Sprite]] = {"tree": [_tree(rng, colours, sun, focal) for _ in range(8)]}
    painted["bush"] = []
    for _ in range(5):
        tall = rng.uniform(0.9, 2.2)
        wide = tall * rng.uniform(0.9, 1.8)
        polygons = plants.bush(rng, sun, pick(colours.leaves), tall, wide)
        painted["bush"].append(paint(polygons, wide * 1.5, tall * 1.25, focal / 4, VEGETATION))
    painted["weed"] = []
    for _ in range(3):
        tall = rng.uniform(0.35, 0.7)
        polygons = plants.bush(rng, sun, pick(colours.leaves), tall, tall * 1.5)
        painted["weed"].append(paint(polygons, tall * 2.2, tall * 1.25, focal / 2.5, VEGETATION))
    painted["tuft"] = [
        paint(plants.tuft(rng, sun, colours.grass, colours.dry_grass, t, wide=3 * t, blades=150),
              3.4 * t, t * 1.05, focal / 1.8, GRASS) for t in rng.uniform(0.12, 0.34, 6)]
    return painted | _obstacles(rng, colours, sun, focal)


def _tree(rng: np.random.Generator, colours: Palette, sun: Sun, focal: float) -> Sprite:
    tall = rng.uniform(7, 14)
    bark = colours.bark[int(rng.integers(len(colours.bark)))]
    leaves = colours.leaves[int(rng.integers(len(colours.leaves)))]
    kind = rng.random()
    if kind < 0.25:
        polygons, wide = plants.conifer(rng, sun, colours.conifer, bark, tall), 0.5
    elif kind < 0.25 + 0.75 * colours.bare:
        polygons, wide = plants.bare(rng, sun, leaves, bark, tall), 0.9
    else:
        polygons, wide = plants.deciduous(rng, sun, leaves, bark, tall), 0.85
    return paint(polygons, wide * tall, 1.02 * tall, focal / 7, VEGETATION)


def _obstacles(rng: np.random.Generator, colours: Palette, sun: Sun, focal: float
               ) -> dict[str, list[Sprite]]:
    def painted(make: Callable[..., Polygons], n: int, sizes: tuple[float, float],
                box: Callable[[float], tuple[float, float]]) -> list[Sprite]:
        return [paint(make(rng, sun, colours, size), *box(size), focal / 3, OBSTACLE)
                for size in rng.uniform(*sizes, n)]

    people = [paint(obstacles.person(rng, sun, t), 0.75, 1.02 * t, focal / 3, OBSTACLE)
              for t in rng.uniform(1.6, 1.9, 4)]
    return {
        "rock": painted(obstacles.rock, 5, (0.4, 1.6), lambda w: (1.8 * w, 0.9 * w)),
        "log": painted(obstacles.log, 3, (1.8, 4.0), lambda w: (w + 0.3, 1.1)),
        "post": painted(furniture.post, 3, (0.8, 1.5), lambda t: (0.5, t + 0.05)),
        "sign": painted(furniture.sign, 2, (1.5, 2.0), lambda t: (1.7, 1.2 * t)),
        "fence": painted(furniture.fence, 2, (0.9, 1.2), lambda t: (2.4, t + 0.1)),
        "bench": painted(furniture.bench, 1, (1.4, 1.9), lambda w: (w + 0.2, 1.05)),
        "barrel": painted(furniture.barrel, 2, (0.7, 1.1), lambda t: (t, t + 0.05)),
        "pile": painted(furniture.pile, 2, (0.7, 1.4), lambda t: (2.6, t + 0.3)),
        "person": people}


@dataclass(frozen=True)
class Makers:
    """What makes the parts of a scene; as they stand, those of the forest."""

    palette: Callable[[np.random.Generator], Palette] = palette.draw
    atlas: Callable[[np.random.Generator, Palette, Sun, float], dict[str, list[Sprite]]] = atlas
    world: Callable[[int, dict[str, int]], World] = World
    ground: Callable[[np.random.Generator, Palette, World, int], Ground] = Ground
    shade: Callable[[World, dict[str, list[Sprite]], Weather], Shade] = Shade


class Scene:
    """A world under one weather, for cameras of one focal length (pixels)."""

    def __init__(self, seed: int, weather: Weather, focal: float,
                 make: Makers = Makers()) -> None:
        rng = np.random.default_rng([seed, 3])
        colours = make.palette(rng)
        self.atlas = make.atlas(rng, colours, weather.sun, focal)
        self.world = make.world(seed, {kind: len(painted) for kind, painted in self.atlas.items()})
        pixels = int(2 ** np.ceil(np.log2(np.clip(focal * 2, 128, 1024))))
        self.ground = make.ground(rng, colours, self.world, pixels)
        self.shade = make.shade(self.world, self.atlas, weather)
        self.backdrop = Backdrop(rng, weather, self.atlas["tree"], focal)
        self._listed = lru_cache(64)(self._list)
        self.full_light = weather.ambient + 0.75 * weather.direct

    def draw(self, pose: Pose, time: float) -> Canvas:
        """The picture from a pose, `time` seconds after the start, before the sensors."""
        self.shade.move_to(pose.z)
        canvas = self.backdrop.behind(pose)
        colour, distance, on_trail, top = self.ground.look(pose, self.shade)
        seen = np.isfinite(distance)
        colour = cv2.convertScaleAbs(colour, alpha=self.full_light)
        below = seen.astype(np.float32)
        canvas.colour[top:] = cv2.blendLinear(colour, canvas.colour[top:], below, 1 - below)
        np.copyto(canvas.distance[top:], distance, where=seen)
        label = np.where(on_trail, TRAIL, self.ground.beside).astype(np.uint8)
        np.copyto(canvas.label[top:], label, where=seen)
        self._put_things(canvas, pose, time)
        return annotated(canvas)

    def _put_things(self, canvas: Canvas, pose: Pose, time: float) -> None:
        """Draws all billboards in view, the farthest first."""
        things, x, z, ahead, right = self._in_view(pose, time)
        height = self.world.relief.height(x, z)
        for i in np.argsort(-ahead, kind="stable").tolist():
            thing, scale = things[i], pose.focal / float(ahead[i])
            column = pose.middle + float(right[i]) * scale
            row = pose.horizon + pose.tilt * (column - pose.middle) + scale * (
                pose.y - float(height[i]) + 0.02)
            lit = 0.45 + 0.55 * self.shade.at(float(x[i]), float(z[i]))
            stride = bool(thing.speed) and int(2 * time) % 2 == 1
            put(canvas, self.atlas[thing.kind][thing.variant], (column, row),
                pixels_per_metre=scale * thing.scale, distance=float(ahead[i]),
                shade=thing.shade * lit, mirrored=thing.mirrored != stride)

    def _in_view(self, pose: Pose, time: float) -> tuple[
            list[Thing], Floats, Floats, Floats, Floats]:
        """Things in view; their positions (x, z); how far ahead and to the right they are. Metres.
        """
        first = int((pose.z - SIDE) // PIECE)
        pieces = [self._listed(piece)
                  for piece in range(first, int((pose.z + max(SEEN.values())) // PIECE) + 1)]
        things = [thing for piece, _ in pieces for thing in piece]
        x, z, seen, margin, speed = np.concatenate([table for _, table in pieces]).T
        there = z + speed * time
        x = x + self.world.trail.centre(there) - self.world.trail.centre(z)
        sin, cos = np.sin(pose.yaw), np.cos(pose.yaw)
        ahead = (x - pose.x) * sin + (there - pose.z) * cos
        right = (x - pose.x) * cos - (there - pose.z) * sin
        kept = np.flatnonzero((ahead > NEAREST) & (ahead < seen)
                              & (np.abs(right) < ahead * pose.middle / pose.focal + margin))
        return [things[i] for i in kept], x[kept], there[kept], ahead[kept], right[kept]

    def _list(self, piece: int) -> tuple[list[Thing], Floats]:
        """A piece's things, and a table n×5 with x, z, the distance to which it is drawn, half its
        width, its speed."""
        things = self.world.things(piece)
        rows = [(t.x, t.z, SEEN[t.kind], 0.5 * self.atlas[t.kind][t.variant].width * t.scale,
                 t.speed) for t in things]
        return things, np.array(rows).reshape(-1, 5)

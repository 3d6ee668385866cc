"""One drive's world, its sprites painted, and how it is drawn from a pose."""
from __future__ import annotations

import numpy as np

from ssma_core.datasets.forest import obstacles, palette, plants
from ssma_core.datasets.forest.backdrop import Backdrop
from ssma_core.datasets.forest.camera import FPS, Pose
from ssma_core.datasets.forest.canvas import GRASS, OBSTACLE, TRAIL, VEGETATION, Canvas, put
from ssma_core.datasets.forest.ground import Ground
from ssma_core.datasets.forest.palette import Palette
from ssma_core.datasets.forest.shade import Shade
from ssma_core.datasets.forest.sprites import Sprite, Sun, paint
from ssma_core.datasets.forest.weather import Weather
from ssma_core.datasets.forest.world import PIECE, SIDE, World

# Metres within which each kind is drawn; smaller things vanish in the texture sooner.
SEEN = {"tree": 100.0, "bush": 60.0, "weed": 20.0, "tuft": 9.5, "rock": 60.0, "post": 70.0,
        "sign": 70.0, "log": 60.0, "person": 70.0}
NEAREST = 0.9


def atlas(rng: np.random.Generator, colours: Palette, sun: Sun, focal: float
          ) -> dict[str, list[Sprite]]:
    """Sprites by kind, as sharp as a camera of this focal length (pixels) can show them."""
    def pick(materials: tuple[palette.Material, ...]) -> palette.Material:
        return materials[int(rng.integers(len(materials)))]

    painted: dict[str, list[Sprite]] = {"tree": [_tree(rng, colours, sun, focal) for _ in range(8)]}
    painted["bush"] = []
    for _ in range(5):
        tall = rng.uniform(0.9, 2.2)
        wide = tall * rng.uniform(0.9, 1.8)
        heap = plants.bush(rng, sun, pick(colours.leaves), tall, wide)
        painted["bush"].append(paint(heap, wide * 1.5, tall * 1.25, focal / 4, VEGETATION))
    painted["weed"] = []
    for _ in range(3):
        tall = rng.uniform(0.35, 0.7)
        heap = plants.bush(rng, sun, pick(colours.leaves), tall, tall * 1.5)
        painted["weed"].append(paint(heap, tall * 2.2, tall * 1.25, focal / 2.5, VEGETATION))
    painted["tuft"] = [
        paint(plants.tuft(rng, sun, colours.grass, colours.dry_grass, t, 3 * t, 150),
              3.4 * t, t * 1.05, focal / 1.8, GRASS) for t in rng.uniform(0.12, 0.34, 6)]
    return painted | _obstacles(rng, colours, sun, focal)


def _tree(rng: np.random.Generator, colours: Palette, sun: Sun, focal: float) -> Sprite:
    tall = rng.uniform(7, 14)
    bark = colours.bark[int(rng.integers(len(colours.bark)))]
    leaves = colours.leaves[int(rng.integers(len(colours.leaves)))]
    kind = rng.random()
    if kind < 0.25:
        heap, wide = plants.conifer(rng, sun, colours.conifer, bark, tall), 0.5
    elif kind < 0.25 + 0.75 * colours.bare:
        heap, wide = plants.bare(rng, sun, leaves, bark, tall), 0.9
    else:
        heap, wide = plants.deciduous(rng, sun, leaves, bark, tall), 0.85
    return paint(heap, wide * tall, 1.02 * tall, focal / 7, VEGETATION)


def _obstacles(rng: np.random.Generator, colours: Palette, sun: Sun, focal: float
               ) -> dict[str, list[Sprite]]:
    sharp = focal / 3
    return {
        "rock": [paint(obstacles.rock(rng, sun, colours, w), 1.8 * w, 0.9 * w, sharp, OBSTACLE)
                 for w in rng.uniform(0.3, 1.1, 4)],
        "post": [paint(obstacles.post(rng, sun, colours, t), 0.4, t + 0.05, sharp, OBSTACLE)
                 for t in rng.uniform(0.8, 1.4, 3)],
        "sign": [paint(obstacles.sign(rng, sun, colours, t), 1.7, 1.2 * t, sharp, OBSTACLE)
                 for t in rng.uniform(1.5, 2.0, 2)],
        "log": [paint(obstacles.log(rng, sun, colours, t), t + 0.3, 0.9, sharp, OBSTACLE)
                for t in rng.uniform(1.5, 3.2, 2)],
        "person": [paint(obstacles.person(rng, sun, t), 0.75, 1.02 * t, sharp, OBSTACLE)
                   for t in rng.uniform(1.6, 1.9, 4)]}


class Scene:
    """A world under one weather, for cameras of one focal length (pixels)."""

    def __init__(self, seed: int, weather: Weather, focal: float) -> None:
        rng = np.random.default_rng([seed, 3])
        colours = palette.draw(rng)
        self.atlas = atlas(rng, colours, weather.sun, focal)
        self.world = World(seed, {kind: len(sprites) for kind, sprites in self.atlas.items()})
        pixels = int(2 ** np.ceil(np.log2(np.clip(focal * 2, 128, 1024))))
        self.ground = Ground(rng, colours, self.world, pixels)
        self.shade = Shade(self.world, self.atlas, weather)
        self.backdrop = Backdrop(rng, weather, self.atlas["tree"], focal)
        self.full_light = weather.ambient + 0.75 * weather.direct

    def draw(self, pose: Pose, index: int) -> Canvas:
        """The picture of frame `index` from a pose, before any sensor."""
        self.shade.move_to(pose.z)
        canvas = self.backdrop.behind(pose)
        colour, distance, on_trail, top = self.ground.look(pose, self.shade)
        seen = np.isfinite(distance)
        colour = np.minimum(colour * np.float32(self.full_light), 255).astype(np.uint8)
        np.copyto(canvas.colour[top:], colour, where=seen[..., None])
        np.copyto(canvas.distance[top:], distance, where=seen)
        np.copyto(canvas.label[top:], np.where(on_trail, TRAIL, GRASS).astype(np.uint8), where=seen)
        self._put_things(canvas, pose, index)
        return canvas

    def _put_things(self, canvas: Canvas, pose: Pose, index: int) -> None:
        """All billboards in view, the farthest first."""
        sin, cos = np.sin(pose.yaw), np.cos(pose.yaw)
        widest = pose.middle / pose.focal
        visible = []
        first = int((pose.z - SIDE) // PIECE)
        for piece in range(first, int((pose.z + max(SEEN.values())) // PIECE) + 1):
            nearest_z = piece * PIECE - pose.z
            for thing in self.world.things(piece):
                if nearest_z > 1.6 * SEEN[thing.kind]:
                    continue
                z = thing.z + thing.speed * index / FPS
                x = thing.x + (float(self.world.trail.centre(np.float64(z)))
                               - float(self.world.trail.centre(np.float64(thing.z)))
                               if thing.speed else 0.0)
                dx, dz = x - pose.x, z - pose.z
                ahead, right = dx * sin + dz * cos, dx * cos - dz * sin
                margin = 0.5 * self.atlas[thing.kind][thing.variant].width * thing.scale
                if NEAREST < ahead < SEEN[thing.kind] and abs(right) < ahead * widest + margin:
                    visible.append((ahead, right, x, z, thing))
        if not visible:
            return
        visible.sort(key=lambda v: -v[0])
        heights = self.world.relief.height(np.array([v[2] for v in visible]),
                                           np.array([v[3] for v in visible]))
        for (ahead, right, x, z, thing), ground in zip(visible, heights):
            scale = pose.focal / ahead
            column = pose.middle + right * scale
            row = pose.horizon + pose.tilt * right * scale + (pose.y - ground + 0.02) * scale
            lit = 0.45 + 0.55 * self.shade.at(x, z)
            stride = bool(thing.speed) and (index // 5) % 2 == 1
            put(canvas, self.atlas[thing.kind][thing.variant], (column, row), scale * thing.scale,
                ahead, thing.shade * lit, thing.mirrored != stride)

"""The world, the ground and the light of one place, in the forest's terms."""
from __future__ import annotations

from collections.abc import Callable
from functools import partial

import cv2
import numpy as np
import numpy.typing as npt

from ssma_core.synthetic import noise
from ssma_core.synthetic.camera import Pose
from ssma_core.synthetic.canvas import GRASS, VOID
from ssma_core.synthetic.ground import Ground, sample, strew
from ssma_core.synthetic.robots import things
from ssma_core.synthetic.robots.surroundings import Surroundings, coloured
from ssma_core.synthetic.scene import Makers
from ssma_core.synthetic.shade import CELL, Shade
from ssma_core.synthetic.things.palette import Palette
from ssma_core.synthetic.things.sprites import Sprite
from ssma_core.synthetic.weather import Weather
from ssma_core.synthetic.world import PIECE, Thing, World

Plane = npt.NDArray[np.float32]
DETAIL, DETAIL_SEEN = 2.56, 5.0  # metres: before the fine texture repeats, as far as it is seen
SPACING = {"hedge": 0.7, "herbage": 0.55, "wall": 0.5, "shrubs": 1.0}  # metres along the trail


class Place(World):
    """A world with what its surroundings add."""

    def __init__(self, place: Surroundings, seed: int, counts: dict[str, int]) -> None:
        super().__init__(seed, counts)
        self.place = place
        self.trail.width = place.width
        self.trees, self.bushes, self.clearing = place.trees, place.bushes, place.clearing
        self.grass = place.tufts

    def _place_things(self, piece: int) -> list[Thing]:
        rng = np.random.default_rng([self.seed, 7, piece + 1000])
        edge, place = self.trail.width / 2, self.place
        found = super()._place_things(piece)
        built = (("building", 0.35, edge + 7, 16.0), ("car", 0.3, edge + 1.5, 6.0),
                 ("lamp", 0.3, edge + 0.4, 2.5))
        for kind, share, nearest, reach in built:
            found += self._scatter(rng, piece, kind, share * place.built, nearest=nearest,
                                   reach=reach, crowding=1.0)
        for _ in range(int(rng.poisson(place.crowd))):
            found += self._people(rng, piece)
        for row in place.rows:
            if rng.random() < row.share:
                found += self._row(rng, piece, row.kind, row.side * (edge + row.aside))
        return found

    def _row(self, rng: np.random.Generator, piece: int, kind: str, aside: float) -> list[Thing]:
        """Close enough to hide the gaps; the row's far side is set off by what it is wide."""
        variant, wild = int(np.random.default_rng([self.seed, 8]).integers(self.counts[kind])), 0.0
        wide = 1.5 if kind == "wall" else 0.7
        z = piece * PIECE + np.arange(0, PIECE, SPACING[kind])
        if kind != "wall":
            wild, z = 0.3, z + rng.uniform(-0.2, 0.2, len(z))
        off = aside + np.sign(aside) * (wide + wild * rng.random(len(z)))
        x = self.trail.centre(z) + off * np.sqrt(1 + self.trail.slope(z) ** 2)
        return [Thing(kind, variant if kind == "wall" else int(rng.integers(self.counts[kind])),
                      float(a), float(b), float(1 + wild * rng.uniform(-1, 1)),
                      float(1 + 0.4 * wild * rng.uniform(-1, 1)), bool(rng.random() < 2 * wild))
                for a, b in zip(x, z)]


class PlaceGround(Ground):
    """A ground whose trail may be sharply edged, and may have grass between the wheels."""

    def __init__(self, place: Surroundings, rng: np.random.Generator, palette: Palette,
                 world: World, pixels: int) -> None:
        super().__init__(rng, palette, world, pixels)
        self.place = place
        self.beside = VOID if place.beside == "floor" else GRASS
        if place.strip or place.trail in ("asphalt", "snow"):
            self.grassy_middle = 0.0
        if place.trail == "asphalt":
            self.rut = 0.0
        self.detail = _detail(rng)

    def _colour(self, x: Plane, z: Plane, aside: Plane, inside: Plane, *,
                macro: npt.NDArray[np.uint8], pose: Pose, top: int) -> npt.NDArray[np.uint8]:
        """With grains and chips that a camera close to the ground sees."""
        colour = super()._colour(x, z, aside, inside, macro=macro, pose=pose, top=top)
        near = int(pose.horizon + pose.focal * pose.above / DETAIL_SEEN) - top
        if near < len(colour):
            near = max(near, 0)
            fine = sample(self.detail, x[near:], z[near:], DETAIL)
            colour[near:] = cv2.multiply(colour[near:], cv2.merge([fine] * 4), scale=1 / 128)
        return colour

    def _inside(self, aside: Plane, macro: npt.NDArray[np.uint8]) -> Plane:
        ragged = macro[..., 2] * np.float32(0.4 / 255) + macro[..., 1] * np.float32(0.7 / 255)
        ragged = (ragged - np.float32(0.52)) * np.float32(self.place.ragged)
        away = np.abs(aside)
        inside = np.float32(self.world.trail.width / 2) + ragged - away
        if not self.place.strip:
            return inside
        return np.minimum(inside, away - np.float32(self.place.strip) + 0.6 * ragged)


def _detail(rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """n×n uint8, periodic, a factor on the ground's colour; 128 is 1."""
    size = 1024
    texture = 1 + np.float32(rng.uniform(0.4, 0.9)) * (
        noise.tile(rng, size, 64, size, 0.95) - np.float32(0.5))
    strew(rng, texture, int(rng.uniform(500, 4000)), tile=DETAIL, length=(0.006, 0.035),
          slim=float(rng.uniform(0.3, 0.9)), materials=rng.uniform(0.5, 1.5, (6, 1)), spread=0.1)
    blurred = cv2.GaussianBlur(texture, (0, 0), 0.8)
    return np.clip(128 * blurred / blurred.mean(), 0, 255).astype(np.uint8)


class Dappled(Shade):
    """Shade that crowns overhead break into spots of light."""

    def __init__(self, place: Surroundings, world: World, atlas: dict[str, list[Sprite]],
                 weather: Weather) -> None:
        super().__init__(world, atlas, weather)
        rng = np.random.default_rng([world.seed, 9])
        cells = int(rng.choice((32, 64)))
        canopy = noise.tile(rng, 512, cells, 512, 0.6)
        low = float(rng.uniform(0.4, 0.6))
        sunny = min(weather.direct / 0.5, 1.0)
        self.canopy = 1 - np.float32(place.dapples * sunny) * noise.smoothstep(
            low - 0.08, low + 0.08, 1 - canopy)

    def move_to(self, z: float) -> None:
        before = self.piece
        super().move_to(z)
        if self.piece == before:
            return
        rows, columns = self.light.shape
        down = (np.arange(rows) + round(self.first / CELL)) % 512
        across = (np.arange(columns) + round(self.left / CELL)) % 512
        spots = np.ascontiguousarray(self.canopy[np.ix_(down, across)])
        self.light = cv2.multiply(self.light, spots, dtype=cv2.CV_8U)


def makers(place: Surroundings) -> Makers:
    """What a scene of this place is made by."""
    shade: Callable[..., Shade] = partial(Dappled, place) if place.dapples else Shade
    return Makers(palette=partial(coloured, place=place), atlas=things.atlas,
                  world=partial(Place, place), ground=partial(PlaceGround, place), shade=shade)

"""Where sunlight reaches the ground: a map, seen from above, of the shadows of things."""
from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from ssma_core.synthetic.things.sprites import Sprite
from ssma_core.synthetic.weather import Weather
from ssma_core.synthetic.world import PIECE, World

CELL = 0.1  # metres per texel
AHEAD, ACROSS = 56.0, 44.0  # length and width of the map in metres
CASTING = {"tree", "bush", "post", "sign", "log", "person", "rock", "fence", "bench", "barrel",
           "pile", "hedge", "herbage", "shrubs", "wall", "building", "car", "lamp"}


class Shade:
    """The light map around the robot, drawn again for every piece of trail."""

    def __init__(self, world: World, atlas: dict[str, list[Sprite]], weather: Weather) -> None:
        self.world, self.atlas, self.weather = world, atlas, weather
        self.piece = -10**6
        self.left = self.first = 0.0
        self.light = np.ones((1, 1), np.uint8)

    def move_to(self, z: float) -> None:
        """Draws the map for a robot at z (metres), if the current map is of another piece."""
        piece = int(z // PIECE)
        if piece == self.piece:
            return
        self.piece, self.first = piece, (piece - 1) * PIECE
        centre = float(self.world.trail.centre(np.float64(self.first + AHEAD / 2)))
        self.left = np.floor((centre - ACROSS / 2) / CELL) * CELL
        cast = np.zeros((int(AHEAD / CELL), int(ACROSS / CELL)), np.float32)
        dim = np.zeros_like(cast)
        for number in range(piece - 5, piece + int(AHEAD // PIECE) + 4):
            for thing in self.world.things(number):
                if thing.kind in CASTING and not thing.speed:
                    sprite = self.atlas[thing.kind][thing.variant]
                    self._cast(cast, sprite, thing.x, thing.z, thing.scale)
                    self._dim(dim, sprite, thing.x, thing.z, thing.scale)
        soft = max(self.weather.soft / CELL, 0.5)
        cast = cv2.GaussianBlur(cast, (0, 0), soft)
        dim = cv2.GaussianBlur(dim, (0, 0), 4)
        light = (1 - self.weather.shadow * np.minimum(cast, 1)) * (1 - 0.45 * np.minimum(dim, 1))
        self.light = (light * 255).astype(np.uint8)

    def __call__(self, x: npt.NDArray[np.float32], z: npt.NDArray[np.float32]
                 ) -> npt.NDArray[np.float32]:
        """Light on the ground at (x, z), metres: h×w float32, 0–1."""
        u = (x - np.float32(self.left)) / np.float32(CELL)
        v = (z - np.float32(self.first)) / np.float32(CELL)
        found = cv2.remap(self.light, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT,
                          borderValue=int(255 * (1 - 0.4 * self.weather.shadow)))
        return found * np.float32(1 / 255)

    def at(self, x: float, z: float) -> float:
        """Light at one place, 0–1."""
        rows, columns = self.light.shape
        row = min(max(int((z - self.first) / CELL), 0), rows - 1)
        column = min(max(int((x - self.left) / CELL), 0), columns - 1)
        return float(self.light[row, column]) / 255

    def _cast(self, into: npt.NDArray[np.float32], sprite: Sprite, x: float, z: float,
              scale: float) -> None:
        """Projects a silhouette onto the ground, away from the sun."""
        level = sprite.levels[min(3, len(sprite.levels) - 1)].shape[..., 0]
        rows, columns = level.shape
        stretch = min(1 / np.tan(max(self.weather.elevation, 0.15)), 5.0)
        away = -np.array([np.sin(self.weather.azimuth), np.cos(self.weather.azimuth)]) * stretch
        side = np.array([np.cos(self.weather.azimuth), -np.sin(self.weather.azimuth)])
        across = side * sprite.width * scale / columns / CELL
        along = -away * sprite.height * scale / rows / CELL
        foot = np.array([(x - self.left) / CELL, (z - self.first) / CELL])
        origin = foot - across * columns / 2 - along * rows
        corners = origin + np.array([[0, 0], across * columns, along * rows,
                                     across * columns + along * rows])
        low = np.maximum(np.floor(corners.min(axis=0)), 0).astype(int)
        high = np.minimum(np.ceil(corners.max(axis=0)) + 1, into.shape[::-1]).astype(int)
        if (high - low < 1).any():
            return
        origin = origin - low
        matrix = np.array([[across[0], along[0], origin[0]], [across[1], along[1], origin[1]]])
        size = (int(high[0] - low[0]), int(high[1] - low[1]))
        part = into[low[1]:high[1], low[0]:high[0]]
        np.maximum(part, cv2.warpAffine(level, matrix, size, flags=cv2.INTER_LINEAR), out=part)

    def _dim(self, into: npt.NDArray[np.float32], sprite: Sprite, x: float, z: float,
             scale: float) -> None:
        """Darkens the ground near a thing, where less of the sky is visible."""
        radius = 0.3 * sprite.width * scale
        cv2.circle(into, (int((x - self.left) / CELL), int((z - self.first) / CELL)),
                   int(np.clip(radius / CELL, 1, 20)), 1.0, -1)

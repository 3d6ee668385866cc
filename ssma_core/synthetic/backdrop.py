"""Everything that is too far away to approach: the sky with sun and clouds, and the far edge of the
wood."""
from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from ssma_core.synthetic import noise
from ssma_core.synthetic.camera import Pose
from ssma_core.synthetic.canvas import SKY, SKY_DISTANCE, VEGETATION, Canvas, blank, put
from ssma_core.synthetic.ground import FARTHEST
from ssma_core.synthetic.things.sprites import Sprite
from ssma_core.synthetic.weather import Weather

REACH = 2.3  # radians to each side
RISE, DIP = 1.25, 0.2  # tangents of the highest and the lowest elevation


class Backdrop:
    """A panorama on a cylinder around the robot."""

    def __init__(self, rng: np.random.Generator, weather: Weather, far_trees: list[Sprite],
                 focal: float) -> None:
        self.focal = focal
        width, height = int(2 * REACH * focal), int((RISE + DIP) * focal)
        self.canvas = blank(width, height)
        self.canvas.colour[:] = _sky(rng, weather, width, height)
        level = int(RISE * focal)
        tall = rng.uniform(0.05, 0.14)  # tangent of the treetops' elevation
        swell = noise.tile(rng, 512, 4, 64)[0]
        for away in np.sort(rng.uniform(0.35, 1.0, 420))[::-1]:
            column = rng.uniform(0, width)
            sprite = far_trees[int(rng.integers(len(far_trees)))]
            grown = tall * (0.5 + swell[int(column / width * 511)]) * rng.uniform(0.6, 1.15)
            foot = level + (0.035 + 0.03 * (1 - away)) * focal
            put(self.canvas, sprite, (column, foot), distance=FARTHEST * (0.6 + away),
                pixels_per_metre=grown * focal / sprite.height * (1.5 - away),
                shade=rng.uniform(0.6, 1.0), mirrored=bool(rng.integers(2)))
        self.canvas.label[level + int(0.03 * focal):] = VEGETATION
        self.canvas.distance[level + int(0.03 * focal):] = FARTHEST

    def behind(self, pose: Pose) -> Canvas:
        """The part of the panorama that this camera sees, at the size of the whole picture."""
        u = np.arange(pose.width, dtype=np.float32) - np.float32(pose.middle)
        azimuth = np.arctan2(u, np.float32(pose.focal))
        across = (azimuth + np.float32(pose.yaw + REACH)) * np.float32(self.focal)
        horizon = np.float32(pose.horizon) + np.float32(pose.tilt) * u
        rows = np.arange(pose.height, dtype=np.float32)[:, None]
        down = (rows - horizon) * np.cos(azimuth) + np.float32(RISE * self.focal)
        across = np.broadcast_to(across, down.shape).astype(np.float32)
        edge = cv2.BORDER_REPLICATE
        colour = cv2.remap(self.canvas.colour, across, down, cv2.INTER_LINEAR, borderMode=edge)
        label = cv2.remap(self.canvas.label, across, down, cv2.INTER_NEAREST, borderMode=edge)
        distance = np.where(label == SKY, np.float32(SKY_DISTANCE), np.float32(FARTHEST * 1.2))
        return Canvas(colour, distance, label)


def _tone(colour: Sequence[float]) -> np.ndarray:
    return np.array(colour, np.float32)


def _sky(rng: np.random.Generator, weather: Weather, width: int, height: int
         ) -> np.ndarray:
    """height×width×4 uint8: brighter and paler toward the horizon and the sun, clouds in
    perspective."""
    focal = width / (2 * REACH)
    azimuth = (np.arange(width, dtype=np.float32) / focal - REACH)[None]
    rise = np.maximum(RISE - np.arange(height, dtype=np.float32) / focal, 0.0)[:, None]
    pale = np.exp(-rise * 3.0)[..., None]
    zenith = _tone([205, 150, 95]) * np.float32(rng.uniform(0.85, 1.1))
    sky = zenith * (1 - pale) + _tone([232, 222, 208]) * pale
    cover, relief = _clouds(rng, weather.cloud, azimuth, rise)
    grey = _tone([228, 226, 224]) * (0.62 + 0.42 * relief[..., None])
    sky = sky * (1 - cover[..., None]) + grey * cover[..., None]
    elevation = np.arctan(rise)
    apart = (azimuth - np.float32(weather.azimuth)) ** 2 * np.cos(elevation) ** 2 + (
        elevation - np.float32(weather.elevation)) ** 2
    halo = (0.9 * np.exp(-apart * 5) + 4.0 * np.exp(-apart * 900)) * (0.3 + weather.direct)
    sky = sky * (0.8 + 0.25 * weather.direct) + halo[..., None] * _tone([190, 215, 225])
    if weather.name == "dusk":
        glow = np.exp(-rise * 4) * (0.4 + 0.6 * np.exp(-(azimuth - weather.azimuth) ** 2))
        sky = sky * 0.8 + glow[..., None] * _tone([20, 90, 150])
    if weather.name == "fog":
        sky = sky * 0.15 + _tone(weather.haze_colour) * 0.87
    infrared = 0.33 * sky[..., :1] + 60 * cover[..., None] + 90 * np.minimum(halo, 1.5)[..., None]
    return np.clip(np.concatenate([sky, infrared], axis=2), 0, 255).astype(np.uint8)


def _clouds(rng: np.random.Generator, cover: float, azimuth: np.ndarray, rise: np.ndarray
            ) -> tuple[np.ndarray, np.ndarray]:
    """Opacity and brightness of clouds on a level ceiling, both 0–1."""
    texture = np.stack([noise.tile(rng, 512, 4, 256, 0.55), noise.tile(rng, 512, 4, 256, 0.6)], 2)
    ceiling = 110 / (rise + 0.13)
    u = np.mod(np.sin(azimuth) * ceiling, 512).astype(np.float32)
    v = np.mod(np.cos(azimuth) * ceiling, 512).astype(np.float32)
    found = cv2.remap(texture, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    low = 1.05 - cover
    opacity = noise.smoothstep(low - 0.18, low + 0.18, found[..., 0])
    return opacity, np.clip(1.25 - 0.75 * found[..., 0] + 0.4 * (found[..., 1] - 0.5), 0, 1)

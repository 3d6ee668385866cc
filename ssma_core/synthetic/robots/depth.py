"""The depth camera: what comes back, how far away it seems, and where nothing comes back."""
from __future__ import annotations

from collections.abc import Callable
from statistics import NormalDist
from typing import TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from ssma_core.synthetic import noise
from ssma_core.synthetic.canvas import SKY, Canvas
from ssma_core.synthetic.robots import lidar, stereo
from ssma_core.synthetic.robots.mounting import View
from ssma_core.synthetic.robots.rig import FARTHEST_REACH, DepthCamera
from ssma_core.synthetic.sensors import BANK
from ssma_core.synthetic.weather import Weather

Plane = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Value = TypeVar("Value", np.uint8, np.uint16)
IN_FOG = {"stereo": (8, 18), "active stereo": (4, 8), "time of flight": (2, 5),
          "lidar": (12, 30), "dense": (12, 30)}  # metres, least and greatest reach


class Ranger:
    """One depth camera during one drive."""

    def __init__(self, rng: np.random.Generator, camera: DepthCamera, view: View,
                 weather: Weather) -> None:
        self.rng, self.camera, self.view, self.weather = rng, camera, view, weather
        self.width, self.height = view.size
        fog = rng.uniform(*IN_FOG[camera.kind])
        self.reach = min(camera.reach, fog if weather.name == "fog" else FARTHEST_REACH)
        self.error = self._bank(0.9)
        self.holes = self._bank(float(rng.uniform(0.5, 1.4)))
        self.holes += np.float32(0.7) * (cv2.resize(
            noise.tile(rng, 256, 4, 64), self.holes.shape[::-1]) - np.float32(0.5)) * 2
        self.holes /= self.holes.std()
        self.scan = (lidar.scan(camera, view.elevation, view.azimuth)
                     if camera.kind == "lidar" else None)
        self._measured: Callable[[Canvas, Plane], tuple[Plane, Mask]] = {
            "stereo": self._stereo, "active stereo": self._stereo,
            "time of flight": self._time_of_flight, "lidar": self._lidar,
            "dense": self._dense}[camera.kind]

    def _bank(self, grain: float) -> Plane:
        """Noise of standard deviation 1, larger than a picture. grain: pixels of 768."""
        bank = self.rng.normal(0, 1, (self.height + BANK, self.width + BANK)).astype(np.float32)
        bank = cv2.GaussianBlur(bank, (0, 0), max(grain * self.width / 768, 0.3))
        return bank / bank.std()

    def look(self, scene: Canvas, bloom: Plane | None) -> npt.NDArray[np.uint16]:
        """H×W millimetres, 0 where nothing comes back."""
        dx, dy = (int(v) for v in self.rng.integers(0, BANK, 2))
        here = np.s_[dy:dy + self.height, dx:dx + self.width]
        measured, lost = self._measured(scene, self.error[here])
        measured = measured * np.float32(self.camera.scale) + np.float32(self.camera.offset)
        lost |= (measured > self.reach) | (measured < self.camera.least) | (scene.label == SKY)
        lost |= self.holes[here] > _quantile(1 - self.camera.speckle)
        if bloom is not None:
            lost |= bloom > 1.9
        measured[lost] = 0
        if self.scan is not None:
            measured = self.scan.kept(measured)
        return shifted((measured * 1000).astype(np.uint16), self.camera.shift)

    def _stereo(self, scene: Canvas, error: Plane) -> tuple[Plane, Mask]:
        camera = self.camera
        unit = np.float32(self.view.focal * camera.baseline)
        disparity = unit / np.clip(scene.distance, 0.05, 500)
        side = int(camera.bleed * self.width) | 1
        disparity = cv2.dilate(disparity, np.ones((side, side), np.uint8))
        lost = stereo.hidden(disparity, camera.other_eye)
        disparity += error * np.float32(camera.noise * self.width / 768)
        steps = np.float32(camera.steps * 768 / self.width)
        disparity = np.round(disparity * steps) / steps
        if camera.kind == "active stereo":
            lost |= self._outshone(scene)
        else:
            lost |= stereo.featureless(scene.colour[..., 1], camera.smooth, self.width)
        return unit / np.maximum(disparity, np.float32(1e-3)), lost

    def _time_of_flight(self, scene: Canvas, error: Plane) -> tuple[Plane, Mask]:
        """Where the scene jumps, a pixel gets light of both, and lies somewhere between."""
        box = np.ones((3, 3), np.uint8)
        z = np.minimum(scene.distance, np.float32(3 * self.reach))
        near, far = cv2.erode(z, box), cv2.dilate(z, box)
        share = np.clip(error * np.float32(0.3) + np.float32(0.4), 0, 1)
        flying = far - near > 0.1 * z + 0.1
        measured = np.where(flying, near + (far - near) * share, z)
        measured *= 1 + error * np.float32(self.camera.noise)
        bright = np.clip(scene.colour[..., 3] * np.float32(1 / 110), 0.1, 1.3)
        lost = measured > np.float32(self.reach) * np.sqrt(bright)
        return measured, lost | self._outshone(scene)

    def _lidar(self, scene: Canvas, error: Plane) -> tuple[Plane, Mask]:
        z = np.minimum(scene.distance, np.float32(200))
        measured = z * (1 + error * np.float32(self.camera.noise))
        return measured, scene.colour[..., 3] < 9  # wet black returns nothing

    def _dense(self, scene: Canvas, error: Plane) -> tuple[Plane, Mask]:
        z = np.minimum(scene.distance, np.float32(200))
        measured = z * (1 + error * np.float32(self.camera.noise))
        return measured, np.zeros(z.shape, np.bool_)

    def _outshone(self, scene: Canvas) -> Mask:
        """Where the sun is brighter than the camera's own light, the more so farther away."""
        sun = np.float32(0.9 * self.weather.direct)
        bright = cv2.GaussianBlur(scene.colour[..., 2], (0, 0), 2 * self.width / 768 + 0.3)
        strength = sun * bright * np.float32(1 / 255) * np.sqrt(
            np.minimum(scene.distance, 10) * np.float32(1 / 3))
        return np.asarray(strength > 0.42)


def _quantile(share: float) -> float:
    return NormalDist().inv_cdf(min(max(share, 1e-6), 1 - 1e-6))


def shifted(picture: npt.NDArray[Value], shift: tuple[float, float]) -> npt.NDArray[Value]:
    """Moved (right, down) by shares of the width; 0 where nothing moves in."""
    dx, dy = (round(s * picture.shape[1]) for s in shift)
    if not dx and not dy:
        return picture
    move = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
    return np.asarray(cv2.warpAffine(picture, move, picture.shape[::-1],
                                     flags=cv2.INTER_NEAREST), picture.dtype)

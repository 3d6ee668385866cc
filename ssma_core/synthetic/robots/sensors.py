"""The cameras of a robot, each with the faults of its rig."""
from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt

from ssma_core.synthetic.camera import Pose
from ssma_core.synthetic.canvas import SKY_DISTANCE, Canvas
from ssma_core.synthetic.robots.depth import Ranger, shifted
from ssma_core.synthetic.robots.mounting import View
from ssma_core.synthetic.robots.rig import ColourFaults, InfraredFaults, Rig
from ssma_core.synthetic.sensors import BANK, Picture, Plane, Sensors
from ssma_core.synthetic.weather import Weather

NOISIEST = 16.0  # grey levels
METERED = 100.0  # grey level that automatic exposure aims for


class RobotSensors(Sensors):
    """Weather and lens as in the plain forest; exposure, noise and what follows as in the rig."""

    def __init__(self, rng: np.random.Generator, weather: Weather, rig: Rig, view: View) -> None:
        colour, (blue, green, red) = rig.colour, weather.cast
        balance = colour.balance
        super().__init__(rng, replace(
            weather, gain=weather.gain * colour.exposure,
            noise=min(weather.noise * colour.noise, NOISIEST),
            cast=(blue * balance[0], green * balance[1], red * balance[2])), *view.size)
        self.rig, self.infrared_gain = rig, min(weather.gain ** 0.5, 1.0)
        self.tone = _power(colour.gamma)
        self.mix = _saturation(colour.saturation)
        self.infrared_tone = _power(rig.infrared.gamma, rig.infrared.black)
        self.infrared_shade = _vignette(rig.infrared, view.size)
        self.ranger = Ranger(rng, rig.depth, view, weather)

    def look(self, scene: Canvas, pose: Pose) -> tuple[
            Picture, Picture, npt.NDArray[np.uint16]]:
        bloom, haze = self._bloom(scene, pose), self._haze(scene)
        metered = _metered(scene.colour[..., 1], haze, self.weather.haze_colour[1])
        gain = self.vignette * np.float32(
            self.weather.gain * metered * self.rng.normal(1, 0.04))
        dx, dy = (int(v) for v in self.rng.integers(0, BANK, 2))
        grain = self.grain[dy:dy + self.height, dx:dx + self.width]
        moved = replace(scene, colour=self._moved(scene.colour))
        rgb = _developed(self._colour(moved, haze, gain, bloom, grain), self.tone, self.mix,
                         self.rig.colour)
        infrared = self._near_infrared(scene, haze, bloom, grain=grain)
        return rgb, infrared, self.ranger.look(scene, bloom)

    def _moved(self, colour: Picture) -> Picture:
        """The light gathered while the camera turns: mostly sideways, more in some frames."""
        length = int(self.rig.colour.blur * self.width * self.rng.uniform(0, 1))
        angle = self.rng.normal(0, 0.5)
        if length < 2:
            return colour
        kernel = np.zeros((length | 1, length | 1), np.float32)
        middle, reach = length // 2, np.array([np.cos(angle), np.sin(angle)]) * length / 2
        start, end = (np.rint(middle + s * reach).astype(int) for s in (-1, 1))
        cv2.line(kernel, start.tolist(), end.tolist(), 1.0)
        return cv2.filter2D(colour, -1, kernel / kernel.sum())

    def _near_infrared(self, scene: Canvas, haze: Plane, bloom: Plane | None,
                       *, grain: npt.NDArray[np.int16]) -> Picture:
        faults = self.rig.infrared
        haze = cv2.pow(haze, 0.4)
        plane = scene.colour[..., 3] * haze + (1 - haze) * np.float32(95)
        if self.weather.name != "fog":
            plane[scene.distance > SKY_DISTANCE / 2] *= np.float32(faults.sky)
        metered = _metered(scene.colour[..., 3], haze, 95)
        if bloom is not None:
            plane += bloom * np.float32(60)
        plane *= self.infrared_shade
        picture = cv2.convertScaleAbs(plane, alpha=(
            1.35 * faults.gain * self.infrared_gain * metered))
        picture = cv2.LUT(cv2.GaussianBlur(picture, (0, 0), self.blur * 1.2), self.infrared_tone)
        picture = cv2.add(picture, np.ascontiguousarray(grain[..., 3]), dtype=cv2.CV_8U)
        return self._placed(picture, faults)

    def _placed(self, picture: Picture, faults: InfraredFaults) -> Picture:
        """Beside the colour picture, and without what the camera does not cover."""
        picture = shifted(picture, faults.shift)
        if faults.turn:
            box = cv2.boxPoints(((self.width / 2, self.height / 2), (self.width, self.height),
                                 float(np.degrees(faults.turn))))
            seen = cv2.fillConvexPoly(np.zeros_like(picture), box.astype(np.int32), 255)
            picture = cv2.bitwise_and(picture, seen)
        if self.rng.random() < faults.missing:
            blank_part(picture, float(self.rng.uniform(0.3, 0.6)), int(self.rng.integers(4)))
        return picture


def blank_part(picture: Picture, share: float, side: int) -> None:
    """Sets a share of the picture to 0, from one of its four sides (0–3)."""
    part = np.rot90(picture, side)
    part[:round(share * part.shape[0])] = 0


def _developed(picture: Picture, tone: Picture, mix: npt.NDArray[np.float32],
               faults: ColourFaults) -> Picture:
    picture = cv2.transform(cv2.LUT(picture, tone), mix)
    coded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, faults.quality])[1]
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)


def _metered(band: Picture, haze: Plane, veil: float) -> float:
    """The factor of an automatic exposure that goes about half of the way. veil: grey level of
    the haze; haze: share of the light that comes through it."""
    through = haze[::8, ::8]
    mean = float((band[::8, ::8] * through + (1 - through) * veil).mean())
    return float(np.clip(METERED / max(mean, 1.0), 0.3, 5.0) ** 0.6)


def _power(gamma: float, black: float = 0.0) -> Picture:
    """A tone curve of 256 grey levels."""
    x = np.linspace(0, 1, 256) ** gamma
    return np.clip(black + (255 - black) * x, 0, 255).astype(np.uint8)


def _saturation(saturation: float) -> npt.NDArray[np.float32]:
    """3×3, to be applied to (blue, green, red); grey by ITU-R BT.601."""
    grey = np.tile([0.114, 0.587, 0.299], (3, 1))
    return (saturation * np.eye(3) + (1 - saturation) * grey).astype(np.float32)


def _vignette(faults: InfraredFaults, size: tuple[int, int]) -> Plane:
    y, x = np.mgrid[-1:1:size[1] * 1j, -1:1:size[0] * 1j]
    return (1 - faults.vignette * (x * x + 0.5 * y * y) / 1.5).astype(np.float32)

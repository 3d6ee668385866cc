"""How the sensors see a scene: a colour camera, a near-infrared camera and a depth camera."""
from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from ssma_core.synthetic import noise
from ssma_core.synthetic.camera import FOCAL, Pose
from ssma_core.synthetic.canvas import SKY, SKY_DISTANCE, Canvas
from ssma_core.synthetic.noise import Plane
from ssma_core.synthetic.weather import Weather

Picture = npt.NDArray[np.uint8]
DEPTH_RANGE = {"fog": (12, 18), "glare": (18, 26)}  # metres, least and greatest; elsewhere 32
BANK = 96  # the noise is this many pixels larger than a picture, and is shifted for each frame


class Sensors:
    """The three cameras of one robot, with their errors, for one drive."""

    def __init__(self, rng: np.random.Generator, weather: Weather, width: int, height: int) -> None:
        self.weather, self.rng = weather, rng
        self.width, self.height = width, height
        grain = rng.normal(0, weather.noise, (height + BANK, width + BANK, 4))
        coarse = cv2.GaussianBlur(grain, (0, 0), 0.8) * 1.2
        self.grain = (0.6 * grain + coarse).astype(np.int16)
        self.range_noise = cv2.GaussianBlur(
            rng.normal(0, 2.2, (height + BANK, width + BANK)).astype(np.float32), (0, 0), 1.2)
        self.blobs = noise.tile(rng, 1024, 32, 512, 0.75)
        y, x = np.mgrid[-1:1:height * 1j, -1:1:width * 1j].astype(np.float32)
        self.vignette = (1 - rng.uniform(0.12, 0.38) * (x * x + 0.5 * y * y)).astype(np.float32)
        self.curve = _curve(weather, float(rng.uniform(0.9, 1.25)))
        self.blur = float(rng.uniform(0.45, 0.8)) * width / 768
        self.grease = _grease(rng, weather, width, height)
        self.streak = bool(rng.random() < 0.35)
        self.ghost = float(rng.uniform(-0.9, -0.4))
        self.depth_range = float(rng.uniform(*DEPTH_RANGE.get(weather.name, (32, 32))))

    def look(self, scene: Canvas, pose: Pose) -> tuple[
            Picture, Picture, npt.NDArray[np.uint16]]:
        """Returns colour H×W×3 uint8 BGR, near infrared H×W uint8, depth H×W uint16 millimetres."""
        bloom = self._bloom(scene, pose)
        haze = self._haze(scene)
        gain = self.vignette * np.float32(self.weather.gain * self.rng.normal(1, 0.015))
        dx, dy = (int(v) for v in self.rng.integers(0, BANK, 2))
        grain = self.grain[dy:dy + self.height, dx:dx + self.width]
        rgb = self._colour(scene, haze, gain, bloom, grain)
        infrared = self._infrared(scene, haze, bloom, grain)
        return rgb, infrared, self._depth(scene, bloom, dx, dy)

    def _haze(self, scene: Canvas) -> Plane:
        """Share of the light that passes through the air; the sky contains its haze already."""
        distance = np.where(scene.distance > SKY_DISTANCE / 2, np.float32(0), scene.distance)
        return cv2.exp(distance * np.float32(-self.weather.haze))

    def _colour(self, scene: Canvas, haze: Plane, gain: Plane, bloom: Plane | None,
                grain: npt.NDArray[np.int16]) -> Picture:
        through = haze * gain
        veil = gain - through
        planes = []
        for channel in range(3):
            plane = scene.colour[..., channel] * through
            plane += veil * np.float32(self.weather.haze_colour[channel])
            if bloom is not None:
                plane *= np.float32(0.85)
                plane += bloom * np.float32((195, 228, 250)[channel])
            planes.append(plane)
        picture = cv2.LUT(cv2.merge([cv2.convertScaleAbs(p) for p in planes]), self.curve)
        picture = cv2.GaussianBlur(picture, (0, 0), self.blur)
        if self.grease is not None:
            smeared = cv2.GaussianBlur(cv2.resize(picture, None, fx=0.25, fy=0.25), (0, 0), 3.2)
            smeared = cv2.resize(smeared, (self.width, self.height))
            smeared = cv2.convertScaleAbs(smeared, alpha=0.85, beta=24)
            picture = cv2.blendLinear(smeared, picture, self.grease, 1 - self.grease)
        return cv2.add(picture, np.ascontiguousarray(grain[..., :3]), dtype=cv2.CV_8U)

    def _infrared(self, scene: Canvas, haze: Plane, bloom: Plane | None,
                  grain: npt.NDArray[np.int16]) -> Picture:
        """Longer waves: less haze, less dusk, less of the sun's bloom."""
        haze = cv2.pow(haze, 0.4)
        gain = self.vignette * np.float32(min(self.weather.gain ** 0.5, 1.0))
        plane = (scene.colour[..., 3] * haze + (1 - haze) * np.float32(95)) * gain
        if bloom is not None:
            plane += bloom * np.float32(60)
        picture = cv2.GaussianBlur(cv2.convertScaleAbs(plane, alpha=1.35), (0, 0), self.blur * 1.2)
        return cv2.add(picture, np.ascontiguousarray(grain[..., 3]), dtype=cv2.CV_8U)

    def _depth(self, scene: Canvas, bloom: Plane | None, dx: int, dy: int
               ) -> npt.NDArray[np.uint16]:
        """Stereo-like: the error grows with the square of the distance. No return at depth edges,
        in dark or shining blobs, beyond the range, in the sky and in the sun's bloom."""
        wobble = self.range_noise[dy:dy + self.height, dx:dx + self.width]
        z = np.minimum(scene.distance, np.float32(60))
        measured = z + z * z * wobble * np.float32(0.0016) + wobble * np.float32(0.004)
        base = np.float32(self.width * FOCAL * 0.12 * 24)  # 12 cm apart, 1/24 pixel of disparity
        measured = base / np.round(base / np.maximum(measured, 0.3))
        lost = (measured > self.depth_range) | (scene.distance > 2 * self.depth_range)
        lost |= scene.label == SKY  # also twigs in front of it: too fine for stereo matching
        jump = cv2.dilate(z, np.ones((3, 3), np.uint8)) - z
        lost |= jump > 0.16 * z + 0.25
        dark = cv2.GaussianBlur(scene.colour[..., 1], (0, 0), 2) < 26
        lost |= self._blobs(dx) > np.where(dark, np.float32(0.62), np.float32(0.93))
        if bloom is not None:
            lost |= bloom > 1.9
        return np.where(lost, np.float32(0), measured * 1000 + 0.5).astype(np.uint16)

    def _blobs(self, shift: int) -> Plane:
        return cv2.resize(self.blobs[shift:shift + 256, :512], (self.width, self.height))

    def _bloom(self, scene: Canvas, pose: Pose) -> Plane | None:
        """Light scattered in the lens, H×W float32, about 1 where all is white; None if none."""
        if not self.weather.glare:
            return None
        apart = self.weather.azimuth - pose.yaw
        column = pose.middle + pose.focal * np.tan(apart)
        row = pose.horizon - pose.focal * np.tan(self.weather.elevation) / np.cos(apart)
        x0, y0 = int(np.clip(column, 6, self.width - 7)), int(np.clip(row, 6, self.height - 7))
        free = float((scene.distance[y0 - 6:y0 + 7, x0 - 6:x0 + 7] > SKY_DISTANCE / 2).mean())
        strength = np.float32(self.weather.glare * (0.5 + 0.5 * free))
        quarter = 4
        v, u = np.mgrid[0:self.height:quarter, 0:self.width:quarter].astype(np.float32)
        unit = np.float32(self.width)
        away = ((u - column) ** 2 + (v - row) ** 2) / unit ** 2
        light = strength * (0.55 / (0.6 + 4 * away) + 0.8 * np.exp(-away * 40)
                            + np.exp(-away * 600))
        if self.streak:
            light += 1.6 * strength * np.exp(-((u - column) / (0.009 * unit)) ** 2) * (v > row)
        gx, gy = (pose.middle + self.ghost * (column - pose.middle),
                  self.height / 2 + self.ghost * (row - self.height / 2))
        ghost = ((u - gx) ** 2 + (v - gy) ** 2) / (0.045 * unit) ** 2
        light += 0.22 * strength * np.exp(-ghost ** 3)
        return cv2.resize(light.astype(np.float32), (self.width, self.height))


def _curve(weather: Weather, contrast: float) -> Picture:
    """The camera's tone curve with the weather's colour cast: 256×1×3 uint8."""
    x = np.linspace(0, 1, 256)[:, None] * np.array(weather.cast)
    bent = 1 - np.exp(-2.1 * x ** contrast)
    return np.clip(bent / (1 - np.exp(-2.1)) * 255, 0, 255).astype(np.uint8)[:, None]


def _grease(rng: np.random.Generator, weather: Weather, width: int, height: int) -> Plane | None:
    """Opacity of smears and drops on the lens, H×W float32, 0–1; None for a clean lens."""
    if not weather.grease:
        return None
    smears = noise.tile(rng, 256, 2, 32, 0.5)
    wiped = cv2.GaussianBlur(smears, (0, 0), 6, sigmaY=0.8)
    turn = cv2.getRotationMatrix2D((128, 128), rng.uniform(0, 180), 1)
    wiped = cv2.warpAffine(wiped, turn, (256, 256), borderMode=cv2.BORDER_WRAP)
    mask = noise.smoothstep(0.75 - weather.grease, 1.0 - weather.grease, wiped) * np.float32(0.85)
    mask = cv2.resize(mask, (width, height))
    for _ in range(int(rng.integers(4, 16))):
        centre = (int(rng.uniform(0, width)), int(rng.uniform(0, height)))
        radius = int(rng.uniform(0.006, 0.03) * width)
        cv2.circle(mask, centre, radius, float(rng.uniform(0.6, 0.95)), -1)
    return cv2.GaussianBlur(mask, (0, 0), width / 350)

"""What a tilted camera with a lens sees of a level pinhole camera's picture, and where it drives.

The scene is drawn by a level camera large enough to hold the view. One fixed map then turns and
bends its picture; the robot's sway moves the level camera, as it does in the plain forest.
"""
from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt

from ssma_core.synthetic import camera
from ssma_core.synthetic.camera import Pose
from ssma_core.synthetic.canvas import SKY_DISTANCE, Canvas
from ssma_core.synthetic.robots.rig import Mounting
from ssma_core.synthetic.world import World

Plane = npt.NDArray[np.float32]
LARGEST = 1.7  # pixels of the level picture, as a multiple of the picture's own
TOUCHING = 0.05  # metres, the least distance that is told
LEAST_AHEAD = 0.25  # of a ray one unit along the optical axis: no wider view can be drawn level


class View:
    """The fixed geometry of one camera. focal: pixels at the picture's middle.
    elevation, azimuth: H×W float32, radians, of each pixel's ray seen from the robot."""

    def __init__(self, mounting: Mounting, size: tuple[int, int]) -> None:
        self.mounting, self.size = mounting, size
        width, height = size
        self.focal = width / 2 / np.tan(mounting.across / 2)
        right, down, ahead = _rays(mounting, size, self.focal)
        self.elevation = np.arctan2(-down, np.hypot(right, ahead)).astype(np.float32)
        self.azimuth = np.arctan2(right, ahead).astype(np.float32)
        right, down = right / ahead, down / ahead
        self.along = (1 / ahead).astype(np.float32)  # optical axis / level distance
        half, self.top, self.bottom = np.abs(right).max(), down.min(), down.max()
        area = 2 * half * (self.bottom - self.top) * self.focal ** 2
        self.level_focal = float(self.focal * min(1.0, np.sqrt(LARGEST * width * height / area)))
        self.level_size = (int(2 * half * self.level_focal / 8 + 1.5) * 8,
                           int((self.bottom - self.top) * self.level_focal) + 3)
        column = (right * self.level_focal + (self.level_size[0] - 1) / 2).astype(np.float32)
        row = ((down - self.top) * self.level_focal + 1).astype(np.float32)
        self._smooth = cv2.convertMaps(column, row, cv2.CV_16SC2)
        self._nearest = cv2.convertMaps(column, row, cv2.CV_16SC2, nninterpolation=True)

    def pose(self, world: World, time: float, phase: float) -> Pose:
        """The level camera `time` seconds into the drive."""
        swayed = camera.pose(world, time, self.size, phase)
        mounting, relief = self.mounting, world.relief
        pitch = (swayed.horizon - 0.44 * self.size[1]) / swayed.focal
        bob = swayed.y - float(relief.height(np.float64(swayed.x), np.float64(swayed.z)))
        x, z = swayed.x + mounting.aside, swayed.z
        ground = float(relief.height(np.float64(x), np.float64(z)))
        focal, (width, height) = self.level_focal, self.level_size
        return replace(swayed, x=x, y=ground + bob - camera.HEIGHT + mounting.height,
                       yaw=swayed.yaw + mounting.heading, focal=focal, middle=(width - 1) / 2,
                       horizon=1 + focal * (pitch - self.top), width=width, height=height,
                       above=mounting.height,
                       nearest=min(camera.NEAREST, 0.5 * mounting.height / max(self.bottom, 0.5)))

    def pinhole(self, level: Pose) -> Pose:
        """About the camera itself, for where the sun is in its picture."""
        width, height = self.size
        sway = (level.horizon - 1) / level.focal + self.top
        return replace(level, focal=self.focal, middle=(width - 1) / 2, width=width, height=height,
                       horizon=(height - 1) / 2 + self.focal * (sway - np.tan(self.mounting.pitch)))

    def look(self, level: Canvas) -> Canvas:
        """The camera's picture; its distances are along its own optical axis."""
        edge = cv2.BORDER_REPLICATE
        colour = cv2.remap(level.colour, *self._smooth, cv2.INTER_LINEAR, borderMode=edge)
        distance = cv2.remap(level.distance, *self._nearest, cv2.INTER_NEAREST, borderMode=edge)
        label = cv2.remap(level.label, *self._nearest, cv2.INTER_NEAREST, borderMode=edge)
        sky = distance > SKY_DISTANCE / 2
        # A crown may reach past the camera.
        distance = np.maximum(distance * self.along, np.float32(TOUCHING))
        return Canvas(colour, np.where(sky, np.float32(SKY_DISTANCE), distance), label)


def _rays(mounting: Mounting, size: tuple[int, int], focal: float) -> tuple[
        npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Each pixel's ray (right, down, ahead), seen from the level robot, one unit along the
    optical axis. The displacement by the lens grows with the cube of the distance to the middle.
    """
    width, height = size
    v, u = np.mgrid[0:height, 0:width].astype(np.float64)
    x, y = (u - (width - 1) / 2) / focal, (v - (height - 1) / 2) / focal
    corner = (width ** 2 + height ** 2) / (2 * focal) ** 2
    bend = 1 + mounting.distortion * (x * x + y * y) / corner
    x, y = x * bend, y * bend
    cos, sin = np.cos(mounting.roll), np.sin(mounting.roll)
    x, y = cos * x - sin * y, sin * x + cos * y
    cos, sin = np.cos(mounting.pitch), np.sin(mounting.pitch)
    return x, y * cos + sin, np.maximum(cos - y * sin, LEAST_AHEAD)

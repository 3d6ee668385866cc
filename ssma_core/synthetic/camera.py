"""The robot's camera: its pose, and how the world is projected to its pixels."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ssma_core.synthetic.world import World

HEIGHT = 1.05  # metres above the ground
FOCAL = 0.56  # focal length as a share of the picture's width: 83 degrees across
SPEED = 1.0  # metres a second
NEAREST = 0.7  # metres ahead, where the ground begins to be drawn


@dataclass(frozen=True)
class Pose:
    """A pinhole camera. x, y, z: metres; yaw: radians, positive to the right.
    focal, middle: pixels; horizon: the row of level rays at the middle column (pitch moves it);
    tilt: rows the horizon falls per column (roll). above: metres above the ground.
    nearest: metres ahead, where the ground begins to be drawn."""

    x: float
    y: float
    z: float
    yaw: float
    focal: float
    middle: float
    horizon: float
    tilt: float
    width: int
    height: int
    above: float = HEIGHT
    nearest: float = NEAREST


def pose(world: World, time: float, size: tuple[int, int], phase: float) -> Pose:
    """The pose `time` seconds after the start of a drive along the trail, with the sway and pitch
    of a robot. size: (width, height). phase: of the sway, radians."""
    width, height = size
    z = 4.0 + SPEED * time
    trail = world.trail
    aside = 0.22 * np.sin(0.19 * time + phase) + 0.05 * np.sin(0.9 * time + 2 * phase)
    x = float(trail.centre(np.float64(z))) + aside
    yaw = np.arctan(float(trail.slope(np.float64(z + 1.5)))) + 0.04 * np.sin(0.5 * time + phase)
    ground = float(world.relief.height(np.float64(x), np.float64(z)))
    ahead = float(world.relief.height(np.float64(x + 2 * np.tan(yaw)), np.float64(z + 2.0)))
    focal = FOCAL * width
    pitch = (0.35 * (ahead - ground) / 2 + 0.012 * np.sin(2.3 * time + phase)
             + 0.006 * np.sin(7.1 * time))
    roll = 0.014 * np.sin(1.3 * time + 3 * phase) + 0.006 * np.sin(5.7 * time)
    bob = 0.012 * float(np.sin(6.1 * time + phase))
    return Pose(x, ground + HEIGHT + bob, z, float(yaw), focal, (width - 1) / 2,
                0.44 * height + focal * float(pitch), float(roll), width, height)

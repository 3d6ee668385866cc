"""The pictures of one drive of the preset "robots"."""
from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ssma_core.synthetic import weather as weathers
from ssma_core.synthetic.robots.mounting import View
from ssma_core.synthetic.robots.places import makers
from ssma_core.synthetic.robots.rig import Rig, rig_of
from ssma_core.synthetic.robots.sensors import RobotSensors
from ssma_core.synthetic.robots.surroundings import Surroundings, surroundings_of
from ssma_core.synthetic.scene import Scene

Look = tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8], npt.NDArray[np.uint16],
             npt.NDArray[np.uint8]]
SHARPEST = 0.75  # focal length that sprites and textures are painted for, a share of the width
CLEARANCE = 0.9  # metres that the camera keeps from a row along the trail


def looks(seed: int, weather: str, size: tuple[int, int], times: Iterable[float]
          ) -> Iterator[Look]:
    """colour, near infrared, depth and label of each time, seconds since the drive began."""
    rng = np.random.default_rng([seed, 4])
    drawn = weathers.draw(rng, weather)
    phase = float(rng.uniform(0, 2 * np.pi))
    place, rig = surroundings_of(seed), rig_of(seed, size[0] / size[1])
    view = View(replace(rig.mounting, aside=_kept_clear(rig, place)), size)
    scene = Scene(seed, drawn, min(view.level_focal, SHARPEST * size[0]), makers(place))
    sensors = RobotSensors(rng, drawn, rig, view)
    for time in times:
        level = view.pose(scene.world, time, phase)
        canvas = view.look(scene.draw(level, time))
        yield *sensors.look(canvas, view.pinhole(level)), canvas.label


def _kept_clear(rig: Rig, place: Surroundings) -> float:
    """How far beside the trail's middle the camera goes, without driving in a hedge."""
    low, high = -place.width / 2 - 2.5, place.width / 2 + 2.5
    for row in place.rows:
        nearest = place.width / 2 + row.aside - CLEARANCE
        low, high = (max(low, -nearest), high) if row.side < 0 else (low, min(high, nearest))
    return float(np.clip(rig.mounting.aside, min(low, 0), max(high, 0)))

"""Drives through a synthetic forest: colour, near infrared, depth and labels of one scene.

Every drive has its own world, made from its seed: a winding trail, a season, a weather. All
channels come from the same geometry; then each sensor adds its own errors.
"""
from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ssma_core.datasets.prepare.classes import FREIBURG_FOREST_5, VOID
from ssma_core.errors import SsmaError
from ssma_core.synthetic import weather as weathers
from ssma_core.synthetic.camera import FOCAL, pose
from ssma_core.synthetic.robots.looks import Look, looks
from ssma_core.synthetic.scene import Scene
from ssma_core.synthetic.sensors import Sensors

# The classes of Freiburg Forest.
CLASS_NAMES = tuple(each.name for each in (VOID, *FREIBURG_FOREST_5))
CLASS_COLOURS = tuple(each.colour for each in (VOID, *FREIBURG_FOREST_5))
WEATHERS = weathers.WEATHERS
FPS = 10.0  # default frames per second of a drive
VERSION = 3  # increased whenever the same seed makes other pictures than before
FOREST, ROBOTS = "forest", "robots"
PRESETS = {FOREST: VERSION, ROBOTS: 1}  # the version of each


@dataclass(frozen=True)
class SyntheticFrame:
    """rgb: H×W×3 uint8 BGR. near_infrared: H×W uint8. depth: H×W uint16, millimetres along the
    optical axis, 0 = no return. label: H×W uint8, indices of CLASS_NAMES.
    weather: one of WEATHERS. stamp: seconds since the drive began."""

    rgb: npt.NDArray[np.uint8]
    near_infrared: npt.NDArray[np.uint8]
    depth: npt.NDArray[np.uint16]
    label: npt.NDArray[np.uint8]
    weather: str
    stamp: float


def drive(seed: int, frames: int, size: tuple[int, int] = (768, 384),
          weather: str | None = None, fps: float = FPS,
          *, preset: str = FOREST) -> Iterator[SyntheticFrame]:
    """The frames of one drive at about 1 m/s. The same arguments give the same arrays.

    seed: 0 or more. frames: 1 or more. size: (width, height), even, at least 64. weather: one of
    WEATHERS; None: the seed chooses. fps: frames per second, above 0; with fewer, the frames are
    farther apart along the trail.
    preset: one of PRESETS; "forest" has one robot, "robots" another one in every drive.
    Raises SsmaError for anything else, before the first frame.
    """
    check_drive(seed, frames, size, weather, fps, preset=preset)
    name, times = weather or weather_of(seed), [index / fps for index in range(frames)]
    look = looks if preset == ROBOTS else _looks
    return (SyntheticFrame(*seen, name, time)
            for seen, time in zip(look(seed, name, size, times), times))


def weather_of(seed: int) -> str:
    """The weather of a drive with this seed if none is given."""
    return str(np.random.default_rng([seed, 0]).choice(WEATHERS, p=weathers.SHARES))


def _looks(seed: int, name: str, size: tuple[int, int], times: Iterable[float]
           ) -> Iterator[Look]:
    rng = np.random.default_rng([seed, 4])
    weather = weathers.draw(rng, name)
    phase = float(rng.uniform(0, 2 * np.pi))
    scene = Scene(seed, weather, FOCAL * size[0])
    sensors = Sensors(rng, weather, *size)
    for time in times:
        view = pose(scene.world, time, size, phase)
        canvas = scene.draw(view, time)
        yield *sensors.look(canvas, view), canvas.label


def check_drive(seed: int, frames: int, size: tuple[int, int], weather: str | None,
                fps: float, *, preset: str = FOREST) -> None:
    """Raises SsmaError unless `drive` takes these arguments."""
    if seed < 0:
        raise SsmaError(f"the seed must be 0 or more, got {seed}")
    if frames < 1:
        raise SsmaError(f"a drive needs at least one frame, got {frames}")
    if not 0 < fps < np.inf:
        raise SsmaError(f"frames a second must be above 0, got {fps}")
    if any(side < 64 or side % 2 for side in size):
        raise SsmaError(f"a picture's sides must be even and at least 64, got {size[0]}x{size[1]}")
    if weather is not None and weather not in WEATHERS:
        raise SsmaError(f"unknown weather {weather!r}; known: {', '.join(WEATHERS)}")
    if preset not in PRESETS:
        raise SsmaError(f"unknown preset {preset!r}; known: {', '.join(PRESETS)}")

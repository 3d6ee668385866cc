"""The demo's bags: images of a colour camera and a second sensor, and the ground truth."""
from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from ssma_core import SsmaError
from ssma_core.bags import image_messages, rosbag2
from ssma_core.files import read_colour, read_sensor
from ssma_core.synthetic import forest

RGB, AUX, LABEL = "/camera/color/image_raw", "/camera/second/image_raw", "/truth/label"
START_NS = 1_760_000_000 * 10**9
DELAY_NS = 5_000_000  # from a frame's stamp to its recording: exposure and transport
JITTER_NS = 6e6  # standard deviation of the second sensor's stamps, which has no trigger
FOREST_SEED = 5000  # training and validation drives have much lower seeds
FOREST_HZ = 10.0
ROAD_HZ = 4.0


class RecordedFrame(NamedTuple):
    """rgb: H×W×3 uint8 BGR. aux: H×W uint16. label: H×W uint8 class ids."""

    rgb: npt.NDArray[np.uint8]
    aux: npt.NDArray[np.uint16]
    label: npt.NDArray[np.uint8]


def write_forest(path: Path, frames: int, seed: int = FOREST_SEED) -> None:
    """Writes a bag of a synthetic drive, with depth in millimetres."""
    drive = forest.drive(seed, frames)
    _write(path, (RecordedFrame(f.rgb, f.depth, f.label) for f in drive), frames, FOREST_HZ)


def write_road(path: Path, frames: int, folder: Path) -> None:
    """Writes a bag of the first drive of the road data set, with disparity; at most `frames`
    frames. folder: of the data set. Raises SsmaError when it has no frames."""
    names = sorted(p.stem for p in (folder / "rgb").glob("1_*.jpg"))[:frames]
    if not names:
        raise SsmaError(f"{folder / 'rgb'} has no frames 1_*.jpg")
    drive = (RecordedFrame(read_colour(folder / "rgb" / f"{name}.jpg"),
                           read_sensor(folder / "disparity" / f"{name}.png"),
                           read_sensor(folder / "label" / f"{name}.png")) for name in names)
    _write(path, drive, len(names), ROAD_HZ)


def read(path: Path) -> Iterator[tuple[int, RecordedFrame]]:
    """Reads the frames of such a bag, each with the stamp of its colour image in nanoseconds."""
    streams = zip(*(rosbag2.messages(path, [topic]) for topic in (RGB, AUX, LABEL)))
    for rgb, *others in streams:
        colour = image_messages.checked(rosbag2.decode(rgb), "rgb", RGB)
        aux, label = (image_messages.checked(rosbag2.decode(m), "aux", m.topic).array()
                      for m in others)
        yield colour.stamp_ns, RecordedFrame(colour.array(), aux, label)


def _write(path: Path, frames: Iterable[RecordedFrame], count: int, rate_hz: float) -> None:
    shown = tqdm(frames, total=count, desc=f"writing {path}", unit="frame", disable=None)
    rosbag2.write(path, _messages(shown, rate_hz))


def _messages(frames: Iterable[RecordedFrame], rate_hz: float) -> Iterator[rosbag2.Recorded]:
    jitter = np.random.default_rng(0)
    for index, frame in enumerate(frames):
        stamp = START_NS + round(index * 1e9 / rate_hz)
        aux_stamp = stamp + round(jitter.normal(0, JITTER_NS))
        yield from sorted([
            rosbag2.image(RGB, stamp + DELAY_NS, stamp, frame.rgb, "bgr8"),
            rosbag2.image(AUX, aux_stamp + DELAY_NS, aux_stamp, frame.aux, "16UC1"),
            rosbag2.image(LABEL, stamp + DELAY_NS, stamp, frame.label, "mono8"),
        ], key=lambda message: message.time_ns)

"""Frames of two sensors for the tests of `ssma predict`: as folders of pictures, and as a bag."""
from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import cv2
import numpy as np
import numpy.typing as npt
from conftest import ROOT, half_as_large

from ssma_core import Segmenter
from ssma_core.bags import rosbag2
from ssma_core.cli import main

MODEL = ROOT / "models/tiny_forest.onnx"  # colour and depth; labels colour alone, too
RGB, AUX = "/rgb", "/depth"
START = 1_700_000_000 * 10**9
HALF = half_as_large((96, 48))
STEP, LATE = 10**8, 3_000_000  # nanoseconds: between frames, and from a stamp to its recording


def frame(number: int, size: tuple[int, int] = (96, 48)) -> tuple[npt.NDArray[Any], ...]:
    """Colour and depth, (width, height)."""
    random = np.random.default_rng(number)
    shape = (size[1], size[0])
    return (random.integers(0, 256, (*shape, 3), np.uint8),
            random.integers(500, 9000, shape).astype(np.uint16))


def write_drive(folder: Path, stems: list[str]) -> None:
    """The folders rgb and depth."""
    for number, stem in enumerate(stems):
        for name, picture in zip(("rgb", "depth"), frame(number)):
            (folder / name).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(folder / name / f"{stem}.png"), picture)


def recorded(frames: int) -> Iterator[rosbag2.Recorded]:
    """Depth is stamped 2 ms after colour."""
    for number in range(frames):
        stamp = START + number * STEP
        rgb, depth = frame(number)
        yield rosbag2.image(RGB, stamp + LATE, stamp, rgb, "bgr8", frame_id="/camera_link")
        yield rosbag2.image(AUX, stamp + 2 * LATE, stamp + 2_000_000, depth, "16UC1")


@cache
def segmenter() -> Segmenter:
    return Segmenter(MODEL)


def predict(*arguments: object) -> int:
    """The exit status of the command. The model is opened once for all tests that
    give nothing beside it: that takes longer than they do."""
    def opened(model: Path, **more: Path | None) -> Segmenter:
        return Segmenter(model, **more) if any(more.values()) else segmenter()

    with patch("ssma_core.commands.predict.Segmenter", opened):
        return main(["predict", "--model", str(MODEL), *map(str, arguments)])


def written(folder: Path) -> set[str]:
    """The files below a folder that are not hidden."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")
            if path.is_file() and not path.name.startswith(".")}

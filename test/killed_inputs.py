"""What the programs read that killed.py kills."""
from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from conftest import SMALL_SPEC, save_untrained, small_run, write_configuration, write_easy_frames
from killed import AUX, LABEL, PROGRAMS, RGB, ssma
from published import synthia

from ssma_core import rosbag2

OF_BAGS = {"evaluate", "predict", "predict --into", "predict --video"}
OF_LABELS = {"export-labels", "export-labels cvat", "import-labels"}


def inputs(folder: Path, programs: Iterable[str]) -> Path:
    """Makes what the programs read."""
    wanted = set(programs)
    if "prepare" in wanted:
        synthia(folder / "synthia", 40, (64, 128))
    if wanted & OF_LABELS:
        _labels(folder)
    if wanted & {"train", "export int8"}:
        write_easy_frames(folder / "frames")
    if "train" in wanted:
        values = small_run(folder / "frames") | {"validate_every": 5, "checkpoint_every": 2}
        for stage in values["stages"]:
            stage["steps"] = 8
        write_configuration(folder, values)
    if wanted & {"export", "export int8", "build-engine", *OF_BAGS}:
        save_untrained(folder / "tiny.safetensors", SMALL_SPEC)
        ssma("export", "--model", folder / "tiny.safetensors", "--output", folder / "tiny.onnx")
    if wanted & {"extract", "register", *OF_BAGS}:
        _bag(folder / "bag")
    return folder


def _bag(path: Path, frames: int = 12) -> None:
    """Depth has the outlines of the colour images."""
    random = np.random.default_rng(0)

    def recorded() -> Iterator[rosbag2.Recorded]:
        for number in range(frames):
            scene, stamp = _patches(random, 200), number * 10**8 + 10**18
            noise = random.integers(0, 50, (*scene.shape, 3), np.uint8)
            for topic, pixels, encoding in ((RGB, scene[..., None] + noise, "bgr8"),
                                            (AUX, scene * np.uint16(40), "16UC1"),
                                            (LABEL, scene % 3, "mono8")):
                yield rosbag2.image(topic, stamp, stamp, pixels, encoding)

    rosbag2.write(path, recorded())


def _patches(random: np.random.Generator, values: int) -> npt.NDArray[np.uint8]:
    """96×128, of 48 patches."""
    return np.kron(random.integers(0, values, (6, 8), np.uint8), np.ones((16, 16), np.uint8))


def _labels(folder: Path) -> None:
    """Of a data folder, and as CVAT's zip."""
    random = np.random.default_rng(0)
    (folder / "classes.yaml").write_text("class_names: [void, ground, sky]\n"
                                         "class_colours: [[0, 0, 0], [9, 9, 9], [0, 0, 9]]\n")
    for number in range(40):
        label = _patches(random, 3)
        for kind, picture in ("rgb", 80 * label), ("label", label):
            path = folder / "data" / "drive" / kind / f"{number:06d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), picture)
    PROGRAMS["export-labels cvat"](folder, folder)

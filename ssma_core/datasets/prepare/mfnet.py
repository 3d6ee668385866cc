"""The multispectral street scenes of MFNet (Ha et al., IROS 2017): colour and thermal in the four
channels of one picture, by day and by night. haqishen/MFNet-pytorch reads them."""
from __future__ import annotations

from pathlib import Path

import numpy as np

from ssma_core.datasets.prepare.data_set import (
    Array,
    DataSet,
    ListedPath,
    PublishedFrame,
    Second,
    Split,
    label_ids,
    listed_paths,
)
from ssma_core.datasets.prepare.field_classes import MFNET_9
from ssma_core.errors import SsmaError
from ssma_core.files import read_sensor

LAYOUT = """\
the package ir_seg_dataset, unpacked (1569 frames, 640x480):
  images/00001D.png      8 bits; red, green, blue and, as its fourth channel, thermal
  labels/00001D.png      8 bits, the class
  train.txt, val.txt, test.txt   names without suffix; they end in D by day and in N by night
The test frames become two lists, test_day.txt and test_night.txt."""

LABELS = {number: each.name for number, each in enumerate(MFNET_9)}
# What the package's own make_flip.py makes: frames mirrored for training, which does that itself.
MIRRORED = "_flip"


def frames(root: Path, second: str) -> dict[Split, list[PublishedFrame]]:
    train, validation, test = (
        [listed for listed in listed_paths(root / f"{split}.txt")
         if not listed.path.endswith(MIRRORED)] for split in ("train", "val", "test"))
    strange = next((each for each in test if each.path[-1] not in "DN"), None)
    if strange is not None:
        raise SsmaError(f"{strange.where}: the frame {strange.path!r} ends neither in D, for day, "
                        "nor in N, for night: get the list again, as it was published")
    return {"train": _frames(root, train), "validation": _frames(root, validation),
            "test_day": _frames(root, [each for each in test if each.path[-1] == "D"]),
            "test_night": _frames(root, [each for each in test if each.path[-1] == "N"])}


def _frames(root: Path, listed: list[ListedPath]) -> list[PublishedFrame]:
    both = root / "images"
    return [PublishedFrame(each.path, both / f"{each.path}.png", both / f"{each.path}.png",
                           root / "labels" / f"{each.path}.png") for each in listed]


def thermal(frame: PublishedFrame) -> Array:
    """H×W uint8, as the camera's own gain control scaled it: no temperature."""
    written = read_sensor(frame.second)
    if written.ndim != 3 or written.shape[2] != 4 or written.dtype != np.uint8:
        raise SsmaError(f"{frame.second} must have four channels of 8 bits, the last of which is "
                        f"thermal, got shape {written.shape} of {written.dtype}: is it the file "
                        "that was published, and did no program save it again?")
    return written[..., 3]


MFNET = DataSet(
    "MFNet's multispectral street scenes", LAYOUT, {9: MFNET_9}, LABELS,
    (Second("thermal", "grey", thermal, 255.0),),
    frames, label_ids, {"train": 784, "validation": 392, "test_day": 205, "test_night": 188})

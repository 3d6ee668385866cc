"""SYNTHIA-RAND-CITYSCAPES (Ros et al., CVPR 2016). Its README.txt describes layout and ids."""
from __future__ import annotations

from pathlib import Path

import numpy as np

from ssma_core.datasets.prepare.classes import STREET_11, VOID
from ssma_core.datasets.prepare.data_set import (
    Array,
    DataSet,
    PublishedFrame,
    Second,
    Split,
    frame_names,
)
from ssma_core.errors import SsmaError
from ssma_core.files import read_sensor

LAYOUT = """\
the package SYNTHIA-RAND-CITYSCAPES, unpacked (9400 frames, 1280x760):
  RGB/0000000.png
  Depth/0000000.png      16 bits, centimetres
  GT/LABELS/0000000.png  16 bits, the class in the red channel
No split is published: every tenth frame, by its number, is kept for validation."""

LABELS = dict(enumerate((
    VOID.name, "sky", "building", "road", "sidewalk", "fence", "vegetation", "pole", "car",
    "traffic sign", "pedestrian", "bicycle", "motorcycle", "parking slot", "road work",
    "traffic light", "terrain", "rider", "truck", "bus", "train", "wall", "lane marking")))

# Millimetres. The original's scale is not published. This one resolves the near half of a street;
# all that is farther, sky included, has the colour of the far end.
FARTHEST = 50_000.0
EVERY = 10


def frames(root: Path, second: str) -> dict[Split, list[PublishedFrame]]:
    rgb, depth, label = kinds = root / "RGB", root / "Depth", root / "GT" / "LABELS"
    found = [PublishedFrame(name, rgb / f"{name}.png", depth / f"{name}.png", label / f"{name}.png")
             for name in frame_names(*((kind, ".png") for kind in kinds))
             if name.isdecimal()]  # others' tools leave 0000003_labelTrainIds.png in LABELS
    # By the number in the name: by its place among the files, one frame that was not downloaded
    # would move the frames after it to the other split.
    return {"train": [each for each in found if int(each.name) % EVERY],
            "validation": [each for each in found if int(each.name) % EVERY == 0]}


def depth(frame: PublishedFrame) -> Array:
    """Metres, H×W float32. All channels of the file are equal."""
    written = read_sensor(frame.second)
    if written.dtype != np.uint16:
        raise SsmaError(f"{frame.second} is no depth image of Synthia: it must have 16 bits, got "
                        f"{written.dtype}")
    centimetres = written if written.ndim == 2 else written[..., 0]
    return centimetres.astype(np.float32) / 100


def read_ids(frame: PublishedFrame) -> Array:
    """The class of each pixel: the file's first channel, red; the second numbers the instances."""
    written = read_sensor(frame.label)
    if written.ndim != 3 or written.dtype != np.uint16:
        raise SsmaError(f"{frame.label} is no label image of Synthia: it must have three channels "
                        f"of 16 bits, got shape {written.shape} of {written.dtype}; GT/LABELS "
                        "has them, GT/COLOR has not")
    return written[..., 2]


SYNTHIA = DataSet(
    "SYNTHIA-RAND-CITYSCAPES", LAYOUT, {11: STREET_11}, LABELS,
    (Second("depth", "jet", depth, FARTHEST),),
    frames, read_ids, {"train": 8460, "validation": 940})

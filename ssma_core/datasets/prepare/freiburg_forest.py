"""Freiburg Forest (Valada et al., ISER 2016). Its readme and issue 17 of DeepSceneSeg/AdapNet-pp
describe layout and colours."""
from __future__ import annotations

from pathlib import Path

import numpy as np

from ssma_core.datasets.prepare.classes import FREIBURG_FOREST_5, VOID
from ssma_core.datasets.prepare.data_set import (
    IS_IT_WHOLE,
    Array,
    DataSet,
    PublishedFrame,
    Second,
    Split,
    folder,
)
from ssma_core.errors import SsmaError
from ssma_core.files import read_colour

LAYOUT = """\
the package freiburg_forest_annotated, unpacked; partners share their name up to the first "_":
  train/rgb/b1-09517_Clipped.jpg
  train/GT_color/b1-09517_mask.png
  train/depth_color/b1-09517….png, train/evi_color/b1-09517….png
  test/…                      the same; the 136 frames that are used for validation"""

# Other files, such as Thumbs.db of a file viewer, belong to no frame.
PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")


def _packed(red: int, green: int, blue: int) -> int:
    return red << 16 | green << 8 | blue


# The readme has no colour for void; two public loaders of the data set use white.
LABELS = {
    _packed(255, 255, 255): VOID.name, _packed(170, 170, 170): "trail",
    _packed(0, 255, 0): "grass", _packed(102, 102, 51): "vegetation", _packed(0, 60, 0): "tree",
    _packed(0, 120, 255): "sky", _packed(0, 0, 0): "obstacle",
}


def frames(root: Path, second: str) -> dict[Split, list[PublishedFrame]]:
    return {"train": _split(root, "train", second), "validation": _split(root, "test", second)}


def _split(root: Path, split: str, second: str) -> list[PublishedFrame]:
    rgb, label, other = kinds = [root / split / kind
                                 for kind in ("rgb", "GT_color", f"{second}_color")]
    found = {kind: _by_name(kind) for kind in kinds}
    # Not the frames with nothing but a second image: the readme says that a frame was taken out of
    # the test images, and does not say whether out of all folders.
    return [PublishedFrame(f"{split}/{name}", found[rgb].get(name, rgb / f"{name}….jpg"),
                  found[other].get(name, other / f"{name}….png"),
                  found[label].get(name, label / f"{name}….png"))
            for name in sorted(found[rgb].keys() | found[label].keys())]


def _by_name(place: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted(folder(place).iterdir()):
        if path.suffix.lower() not in PICTURES or path.name.startswith("."):
            continue
        name = path.stem.split("_")[0]
        if name in found:
            raise SsmaError(f"{found[name]} and {path} belong to the same frame: remove one")
        found[name] = path
    if not found:
        raise SsmaError(f"there is no picture in {place}: {IS_IT_WHOLE}")
    return found


def encoded(frame: PublishedFrame) -> Array:
    """The published colour picture, H×W×3 uint8 BGR: the original's networks saw it like this."""
    return read_colour(frame.second)


def read_ids(frame: PublishedFrame) -> Array:
    """The label's colours, as 0xRRGGBB."""
    blue, green, red = np.moveaxis(read_colour(frame.label).astype(np.int64), 2, 0)
    return red << 16 | green << 8 | blue


def colour_name(packed: int) -> str:
    return f"colour (red, green, blue) = {(packed >> 16, packed >> 8 & 255, packed & 255)}"


FREIBURG_FOREST = DataSet(
    "Freiburg Forest", LAYOUT, {5: FREIBURG_FOREST_5}, LABELS,
    (Second("depth", "image", encoded), Second("evi", "image", encoded)),
    frames, read_ids, {"train": 230, "validation": 136}, colour_name)

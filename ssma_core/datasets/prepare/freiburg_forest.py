"""Freiburg Forest (Valada et al., ISER 2016). Layout and colours are described in the readme that
comes with it, and in issue 17 of DeepSceneSeg/AdapNet-pp."""
from __future__ import annotations

from pathlib import Path

import numpy as np

from ssma_core.datasets.prepare.classes import FREIBURG_FOREST_5, VOID
from ssma_core.datasets.prepare.data_set import Array, DataSet, Frame, Second, Split, files
from ssma_core.errors import SsmaError
from ssma_core.files import read_colour

LAYOUT = """\
the package freiburg_forest_annotated, unpacked; partners share their name up to the first "_":
  train/rgb/b1-09517_Clipped.jpg
  train/GT_color/b1-09517_mask.png
  train/depth_color/b1-09517….png, train/evi_color/b1-09517….png
  test/…                      the same; the 136 frames that are used for validation"""


def _packed(red: int, green: int, blue: int) -> int:
    return red << 16 | green << 8 | blue


# The readme has no colour for void; two public loaders of the data set take white for it.
LABELS = {
    _packed(255, 255, 255): VOID.name, _packed(170, 170, 170): "trail",
    _packed(0, 255, 0): "grass", _packed(102, 102, 51): "vegetation", _packed(0, 60, 0): "tree",
    _packed(0, 120, 255): "sky", _packed(0, 0, 0): "obstacle",
}


def frames(root: Path, second: str) -> dict[Split, list[Frame]]:
    return {"train": _split(root, "train", second), "validation": _split(root, "test", second)}


def _split(root: Path, split: str, second: str) -> list[Frame]:
    labels, colours, seconds = (_by_name(root / split / kind)
                                for kind in ("GT_color", "rgb", f"{second}_color"))
    return [Frame(f"{split}/{name}", colours.get(name, root / split / "rgb" / f"{name}*"),
                  seconds.get(name, root / split / f"{second}_color" / f"{name}*"), label)
            for name, label in labels.items()]


def _by_name(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in files(folder, "[!.]*.*"):
        name = path.stem.split("_")[0]
        if name in found:
            raise SsmaError(f"{found[name]} and {path} belong to the same frame: remove one")
        found[name] = path
    return found


def encoded(frame: Frame) -> Array:
    """The published colour picture, H×W×3 uint8 BGR: it is what the original's networks saw."""
    return read_colour(frame.second)


def read_ids(path: Path) -> Array:
    """The label's colours, as 0xRRGGBB."""
    blue, green, red = np.moveaxis(read_colour(path).astype(np.int64), 2, 0)
    return red << 16 | green << 8 | blue


def colour_name(packed: int) -> str:
    return f"colour (red, green, blue) = {(packed >> 16, packed >> 8 & 255, packed & 255)}"


FREIBURG_FOREST = DataSet(
    "Freiburg Forest", LAYOUT, {5: FREIBURG_FOREST_5}, LABELS,
    (Second("depth", "image", encoded), Second("evi", "image", encoded)),
    frames, read_ids, {"train": 230, "validation": 136}, colour_name)

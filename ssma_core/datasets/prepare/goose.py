"""GOOSE (Mortimer et al., ICRA 2024), the labelled images of its car. goose-dataset.de describes
the layout, FraunhoferIOSB/goose_dataset the names of the files."""
from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from ssma_core.datasets.prepare.classes import VOID
from ssma_core.datasets.prepare.data_set import (
    Array,
    DataSet,
    PublishedFrame,
    Second,
    Split,
    frame_names,
    label_ids,
    lines,
)
from ssma_core.datasets.prepare.field_classes import GOOSE_63, GOOSE_FOREST
from ssma_core.errors import SsmaError
from ssma_core.files import read_sensor

LAYOUT = """\
the packages goose_2d_train and goose_2d_val, unpacked into one folder:
  goose_label_mapping.csv
  images/{train,val}/SCENARIO/SCENARIO__0018_1677754323813048729_windshield_vis.png
  images/{train,val}/SCENARIO/SCENARIO__0018_1677754323813048729_windshield_nir.png
  labels/{train,val}/SCENARIO/SCENARIO__0018_1677754323813048729_labelids.png
The test split has no public labels. GOOSE-Ex, of other robots, has no such pairs."""

LABELS = dict(enumerate(("undefined", *(each.name for each in GOOSE_63))))


def frames(root: Path, second: str) -> dict[Split, list[PublishedFrame]]:
    _check_mapping(root / "goose_label_mapping.csv")
    return {"train": _split(root, "train"), "validation": _split(root, "val")}


def _split(root: Path, split: str) -> list[PublishedFrame]:
    images, labels = root / "images" / split, root / "labels" / split
    kinds = ((images, "_windshield_vis.png"), (images, "_windshield_nir.png"),
             (labels, "_labelids.png"))
    return [PublishedFrame(f"{split}/{name}",
                           *(place / f"{name}{ending}" for place, ending in kinds))
            for name in frame_names(*kinds, within="*/")]


def _check_mapping(path: Path) -> None:
    """Raises SsmaError unless the ids have the names that are known here: challenges with this data
    set number their own classes, in files of the same name."""
    rows = csv.DictReader(lines(path).values())
    try:
        named = {int(row["label_key"]): row["class_name"] for row in rows}
    except (KeyError, TypeError, ValueError) as error:
        raise SsmaError(f"{path} is no label mapping of GOOSE, which has the columns class_name "
                        f"and label_key, a number: {error!r}") from error
    if named != LABELS:
        number = min(id for id in named.keys() | LABELS.keys() if named.get(id) != LABELS.get(id))
        raise SsmaError(f"{path}: label_key {number} is {named.get(number, 'not there')}, but was "
                        f"{LABELS.get(number, 'not there')} when GOOSE was published: take the "
                        "file and the labels of the original packages")


def near_infrared(frame: PublishedFrame) -> Array:
    """H×W uint8."""
    written = read_sensor(frame.second)
    if written.dtype != np.uint8:
        raise SsmaError(f"{frame.second} must have 8 bits, got {written.dtype}: is it the file "
                        "that was published?")
    return written if written.ndim == 2 else written[..., 0]


GOOSE = DataSet(
    "GOOSE", LAYOUT, {63: GOOSE_63, 5: GOOSE_FOREST}, LABELS | {0: VOID.name},
    (Second("nir", "grey", near_infrared, 255.0), Second("ndvi", "ndvi", near_infrared),
     Second("evi", "evi", near_infrared)),
    frames, label_ids, {"validation": 962})

"""labelme's JSON: one file for each picture, with polygons, rectangles, circles and masks."""
from __future__ import annotations

import base64
import json
import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from ssma_core.datasets.annotations.classes import NOT_DRAWN, Classes
from ssma_core.datasets.annotations.frames import Labelled
from ssma_core.datasets.annotations.mask import Mask, Paint, of_regions
from ssma_core.datasets.annotations.regions.polygons import (
    as_points,
    fill,
    fill_circle,
    outlines,
    simplified,
)
from ssma_core.datasets.annotations.source import known_fields
from ssma_core.errors import SsmaError, naming
from ssma_core.image_files.decode import decode
from ssma_core.pictures import Image
from ssma_core.plain import shown

_VERSION = "5.0.0"  # the oldest with these fields


@dataclass(frozen=True)
class _File:
    imagePath: str
    imageWidth: int
    imageHeight: int
    shapes: list  # of the dictionaries of _Shape


@dataclass(frozen=True)
class _Shape:
    label: str
    points: list  # of [x, y]
    shape_type: str | None = None
    mask: str | None = None


def mask(values: Any, name: str, where: str) -> Mask:
    """A file's mask; shapes lie upon each other in the file's order, as labelme_export_json draws
    them. name: of the file. Raises SsmaError where it is not labelme's, and for points and lines,
    which have no area."""
    file = known_fields(_File, values, where)
    regions = []
    for index, each in enumerate(file.shapes):
        place = f"shapes[{index}]"
        shape = known_fields(_Shape, each, f"{where}: {place}")
        regions.append((shape.label, partial(_paint, shape, place)))
    picture = PurePosixPath(name).parent / file.imagePath.replace("\\", "/")
    return of_regions(str(picture), where,
                      (file.imageWidth, file.imageHeight) if regions else None, regions)


def _paint(shape: _Shape, place: str, label: Image, number: int) -> None:
    with naming(place):
        _shape(shape)(label, number)


def _shape(shape: _Shape) -> Paint:
    kind = shape.shape_type or "polygon"
    if kind in ("polygon", "oriented_rectangle"):
        return partial(fill, as_points(shape.points))
    if kind not in ("rectangle", "circle", "mask"):
        raise SsmaError(f"a {shown(kind)} has no area: draw a polygon, a rectangle, a circle or a "
                        "mask, or remove it")
    if len(shape.points) != 2:
        raise SsmaError(f"a {kind} must have two points, not {len(shape.points)}")
    (x0, y0), (x1, y1), _ = as_points([*shape.points, shape.points[0]]).tolist()
    if kind == "rectangle":
        return partial(fill, np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]]))
    if kind == "circle":
        return partial(fill_circle, (x0, y0), math.hypot(x1 - x0, y1 - y0))
    return partial(_patch, shape.mask, round(x0), round(y0))


def _patch(png: str | None, x: int, y: int, label: Image, number: int) -> None:
    """A small picture whose upper left pixel is the label's (x, y)."""
    try:
        patch = decode(memoryview(base64.b64decode(png or "", validate=True)))[1]
    except ValueError as error:
        raise SsmaError("its mask is no picture in base64") from error
    if patch.ndim != 2:
        raise SsmaError("its mask has more than one channel")
    top, left = max(y, 0), max(x, 0)
    inside = label[top:max(y + patch.shape[0], 0), left:max(x + patch.shape[1], 0)]
    covers = patch[top - y:, left - x:][:inside.shape[0], :inside.shape[1]] != 0
    inside[covers] = number


def write(folder: Path, labelled: Iterable[Labelled], classes: Classes,
          tolerance: float = 0) -> None:
    """<drive>/<stem>.json for each frame, which names the picture where it is; and labels.txt.

    tolerance: how far, in pixels, an outline may lie beside that of the label; with 0, the corners
      of pixels are its points, and `mask` reads the same label again."""
    for frame, label in labelled:
        place = folder / frame.drive
        place.mkdir(exist_ok=True)
        shapes = [{"label": classes.class_names[outline.number], "shape_type": "polygon",
                   "points": simplified(outline.points, tolerance).tolist(), "group_id": None,
                   "description": "", "flags": {}}
                  for outline in outlines(label, classes.void_id)]
        # The folder has another name in the end, and the same parent.
        picture = os.path.relpath(frame.picture.absolute(), place.absolute())
        values = {"version": _VERSION, "flags": {}, "shapes": shapes,
                  "imagePath": Path(picture).as_posix(), "imageData": None,
                  "imageHeight": label.shape[0], "imageWidth": label.shape[1]}
        (place / f"{frame.stem}.json").write_text(json.dumps(values), encoding="utf-8")
    names = [NOT_DRAWN[2], NOT_DRAWN[1], *classes.class_names]
    (folder / "labels.txt").write_text("".join(f"{name}\n" for name in names), encoding="utf-8")

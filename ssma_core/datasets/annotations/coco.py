"""COCO's instances JSON: polygons, and run lengths as a list or as text."""
from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np

from ssma_core.datasets.annotations.classes import Classes
from ssma_core.datasets.annotations.frames import Labelled
from ssma_core.datasets.annotations.mask import Mask, of_regions
from ssma_core.datasets.annotations.regions import runs
from ssma_core.datasets.annotations.regions.polygons import as_points, fill
from ssma_core.datasets.annotations.source import known_fields
from ssma_core.errors import SsmaError
from ssma_core.pictures import Image
from ssma_core.plain import shown


@dataclass(frozen=True)
class _Picture:
    id: int
    file_name: str
    width: int
    height: int


@dataclass(frozen=True)
class _Category:
    id: int
    name: str


Numbered = TypeVar("Numbered", _Picture, _Category)


@dataclass(frozen=True)
class _Annotation:
    image_id: int
    category_id: int


def masks(values: Any, where: str) -> Iterator[Mask]:
    """The pictures' masks; annotations lie upon each other in the file's order. Raises SsmaError
    where the file is not COCO's."""
    pictures = _by_id(_Picture, values, "images", where)
    regions = _regions(values, _by_id(_Category, values, "categories", where), where)
    for picture in pictures.values():
        of_picture = regions.pop(picture.id, [])
        size = (picture.width, picture.height)
        yield of_regions(picture.file_name, f"{where}: {shown(picture.file_name)}",
                         size if of_picture else None,
                         [(name, partial(_paint, segmentation, size))
                          for name, segmentation in of_picture])
    if regions:
        raise SsmaError(f"{where} has annotations of the image {shown(next(iter(regions)))}, which "
                        "is not among its images: export it again")


def _by_id(kind: type[Numbered], values: Any, name: str, where: str) -> dict[int, Numbered]:
    found: dict[int, Numbered] = {}
    for index, each in enumerate(_list(values, name, where)):
        one = known_fields(kind, each, f"{where}: {name}[{index}]")
        if found.setdefault(one.id, one) is not one:
            raise SsmaError(f"{where}: two of its {name} have the id {shown(one.id)}")
    return found


def _regions(values: Any, categories: Mapping[int, _Category],
             where: str) -> dict[int, list[tuple[str, Any]]]:
    """By the picture's id: each region's class and its segmentation."""
    found: dict[int, list[tuple[str, Any]]] = defaultdict(list)
    for index, each in enumerate(_list(values, "annotations", where)):
        place = f"{where}: annotations[{index}]"
        annotation = known_fields(_Annotation, each, place)
        if annotation.category_id not in categories:
            raise SsmaError(f"{place} is of the category {shown(annotation.category_id)}, which is "
                            "not among the categories")
        if not each.get("segmentation"):
            raise SsmaError(f"{place} has no segmentation: it is a box, a caption or key points; "
                            "draw polygons or masks, or remove it")
        found[annotation.image_id].append((categories[annotation.category_id].name,
                                           each["segmentation"]))
    return found


def _list(values: dict[str, Any], name: str, where: str) -> list[Any]:
    if not isinstance(values.get(name), list):
        raise SsmaError(f"{where} is not COCO's: it has no list of {name}")
    return list(values[name])


def _paint(segmentation: Any, size: tuple[int, int], label: Image, number: int) -> None:
    if isinstance(segmentation, dict):
        if segmentation.get("size") != [size[1], size[0]]:
            raise SsmaError(f"a region has the size {shown(segmentation.get('size'))}, and its "
                            f"picture {shown([size[1], size[0]])} (height, width)")
        label[runs.decoded(segmentation.get("counts"), size)] = number
    elif isinstance(segmentation, list):
        for polygon in segmentation:
            fill(as_points(polygon), label, number)
    else:
        raise SsmaError(f"{shown(segmentation)} is neither polygons nor run lengths")


def write(path: Path, labelled: Iterable[Labelled], classes: Classes) -> None:
    """The labels as run lengths, one annotation for each class of a frame. Pictures are named
    <drive>/rgb/<file>; categories have the ids of the classes, and void has none."""
    categories = [{"id": number, "name": name} for number, name in enumerate(classes.class_names)
                  if number != classes.void_id]
    pictures: list[dict[str, Any]] = []
    annotations = 0
    with path.open("w", encoding="utf-8") as file:
        file.write(f'{{"categories": {json.dumps(categories)},\n"annotations": [')
        for number, (frame, label) in enumerate(labelled, 1):
            height, width = label.shape
            pictures.append({"id": number, "width": width, "height": height,
                             "file_name": f"{frame.drive}/rgb/{frame.picture.name}"})
            for each in _annotations(label, classes.void_id):
                annotations += 1
                whole = {"id": annotations, "image_id": number, **each}
                file.write(f"{',' * (annotations > 1)}\n{json.dumps(whole)}")
        file.write(f'],\n"images": {json.dumps(pictures)}}}\n')


def _annotations(label: Image, void_id: int) -> Iterator[dict[str, Any]]:
    height, width = label.shape
    for number in np.unique(label).tolist():
        if number != void_id:
            mask = label == number
            yield {"category_id": number, "iscrowd": 0, "area": int(mask.sum()),
                   "bbox": list(cv2.boundingRect(mask.astype(np.uint8))),
                   "segmentation": {"size": [height, width], "counts": runs.encoded(mask)}}



"""Label Studio's JSON: tasks with predictions out, and annotations back, as brush strokes (RLE);
polygons are read, too."""
from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import quoteattr

import numpy as np

from ssma_core.datasets.annotations.classes import Classes
from ssma_core.datasets.annotations.frames import Labelled
from ssma_core.datasets.annotations.mask import Mask, in_words, of_regions
from ssma_core.datasets.annotations.regions import brush
from ssma_core.datasets.annotations.regions.polygons import as_points, fill
from ssma_core.datasets.annotations.source import known_fields
from ssma_core.errors import SsmaError
from ssma_core.pictures import Image
from ssma_core.plain import shown

_UPLOADED = re.compile(r"^[0-9a-f]{8}-")  # what an upload puts before the file's name
# What says something of the whole picture, or of two regions, and has no area.
_SAID = ("choices", "taxonomy", "textarea", "rating", "number", "pairwise", "relation")


@dataclass(frozen=True)
class _Region:
    """value: the region's rle or points, and under the name of its type its labels."""

    id: str
    type: str
    original_width: int
    original_height: int
    value: dict
    image_rotation: float = 0


def masks(tasks: list[Any], where: str) -> Iterator[Mask]:
    """The tasks' masks; regions lie upon each other in the file's order. Raises SsmaError where the
    file is not Label Studio's JSON, for a task with two annotations, and for regions that are
    neither brush strokes nor polygons."""
    for index, task in enumerate(tasks):
        if not (isinstance(task, dict) and isinstance(task.get("annotations"), list)):
            raise SsmaError(f"{where}: entry {index} has no annotations: export the project "
                            "as JSON, not as JSON-MIN")
        place = f"{where}: task {shown(task.get('id', index))}"
        if not all(isinstance(each, dict) for each in task["annotations"]):
            raise SsmaError(f"{place}: its annotations are numbers or text: export the project "
                            "as JSON")
        finished = [each for each in task["annotations"] if not each.get("was_cancelled")]
        if len(finished) > 1:
            raise SsmaError(f"{place} has {len(finished)} annotations of one picture: keep one, "
                            "and delete the others")
        yield _mask(task.get("data"), finished[0].get("result") if finished else [], place)


def _mask(data: Any, results: Any, where: str) -> Mask:
    if not isinstance(results, list):
        raise SsmaError(f"{where}: its result is no list")
    found = [known_fields(_Region, each, f"{where}: result[{index}]")
             for index, each in enumerate(results)
             if not (isinstance(each, dict) and each.get("type") in _SAID)]
    # A tag <Labels> makes two of a region: of the type "brush", and "labels".
    named = {region.id for region in found if region.type in region.value}
    found = [region for region in found if region.type in region.value or region.id not in named]
    size = (found[0].original_width, found[0].original_height) if found else None
    regions = [(_name(region, where), partial(_paint, region, size or (0, 0))) for region in found]
    return of_regions(_picture(data, where), where, size, regions)


def _name(region: _Region, where: str) -> str:
    """Of the region's class. Raises SsmaError for a region that cannot be drawn."""
    if not {"rle", "points"} & region.value.keys():
        raise SsmaError(f"{where} has a region of the type {shown(region.type)}: only brush "
                        "strokes and polygons are read; draw it with one of these")
    if region.image_rotation:
        raise SsmaError(f"{where} was drawn on a picture that was turned: turn it back in the "
                        "tool, and draw it again")
    names = region.value.get(region.type)
    if not isinstance(names, list) or len(names) != 1 or not isinstance(names[0], str):
        raise SsmaError(f"{where} has a region with the labels {shown(names)}: give it one")
    return names[0]


def _paint(region: _Region, size: tuple[int, int], label: Image, number: int) -> None:
    if (region.original_width, region.original_height) != size:
        raise SsmaError(f"its regions are for pictures of the sizes {in_words(size)} and "
                        f"{in_words((region.original_width, region.original_height))}")
    if "rle" in region.value:
        label[brush.decoded(region.value["rle"], size)] = number
    else:  # in percent of the sides
        fill(as_points(region.value["points"]) * np.array(size) / 100, label, number)


def _picture(data: Any, where: str) -> str:
    """The picture's path, from its address in the task."""
    addresses = [each for each in data.values() if isinstance(each, str)] if isinstance(
        data, dict) else []
    if isinstance(data, dict) and isinstance(data.get("image"), str):
        addresses = [data["image"]]
    if len(addresses) != 1:
        raise SsmaError(f"{where}: its data do not name one picture, as \"image\"")
    try:
        address = urlsplit(addresses[0])
        (local,) = parse_qs(address.query).get("d", [""])[:1]
    except ValueError as error:
        raise SsmaError(f"{where}: {shown(addresses[0])} is no address of a picture") from error
    path = PurePosixPath(local or unquote(address.path))
    if "upload" in path.parts and not local:  # into a folder with the project's number
        return _UPLOADED.sub("", path.name)
    return str(path)


def write(folder: Path, labelled: Iterable[Labelled], classes: Classes) -> None:
    """tasks.json, with the labels as predictions, and labels.xml, the labelling interface. Pictures
    are local files below the folder that holds the data folder."""
    separator = "["
    with (folder / "tasks.json").open("w", encoding="utf-8") as file:
        for frame, label in labelled:
            file.write(f"{separator}\n{json.dumps(_task(frame.picture, label, classes))}")
            separator = ","
        file.write("\n]\n")
    (folder / "labels.xml").write_text(_interface(classes), encoding="utf-8")


def _task(picture: Path, label: Image, classes: Classes) -> dict[str, Any]:
    height, width = label.shape
    result = [{"id": classes.class_names[number], "type": "brushlabels", "from_name": "label",
               "to_name": "image", "original_width": width, "original_height": height,
               "image_rotation": 0, "value": {
                   "format": "rle", "rle": brush.encoded(label == number),
                   "brushlabels": [classes.class_names[number]]}}
              for number in np.unique(label).tolist() if number != classes.void_id]
    # <data folder>/<drive>/rgb/<file>
    local = PurePosixPath(*Path(os.path.abspath(picture)).parts[-4:])
    return {"data": {"image": f"/data/local-files/?d={quote(str(local))}"},
            "predictions": [{"model_version": "ssma", "result": result}]}


def _interface(classes: Classes) -> str:
    labels = [f"    <Label value={quoteattr(name)} background=\"#{bytes(colour).hex()}\"/>\n"
              for number, (name, colour) in enumerate(zip(classes.class_names,
                                                          classes.class_colours))
              if number != classes.void_id]
    return ('<View>\n  <Image name="image" value="$image"/>\n'
            f'  <BrushLabels name="label" toName="image">\n{"".join(labels)}'
            "  </BrushLabels>\n</View>\n")

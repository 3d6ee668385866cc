"""An annotation tool's export becomes the labels of a data folder: all of it, or nothing."""
from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from ssma_core.datasets.annotations import coco, coloured, label_studio, labelme
from ssma_core.datasets.annotations.classes import Classes
from ssma_core.datasets.annotations.frames import (
    Frame,
    by_their_stem,
    drive_in,
    frames,
    meant,
    picture_size,
)
from ssma_core.datasets.annotations.mask import Drawn, Mask, in_words
from ssma_core.datasets.annotations.source import Source, opened
from ssma_core.datasets.folders import by_stem
from ssma_core.disk.partial import cannot_write, partial_folder
from ssma_core.errors import SsmaError, naming
from ssma_core.files import encoded, make_folder, own_folder
from ssma_core.pictures import Image

_MOST_NAMED = 8


class Imported(NamedTuple):
    """written: frames that have a label from the export now. replaced: how many of them had one
    before. by_name: those of them whose masks name no drive, and went by their name alone. without:
    frames of the data folder for which the export has no mask, or one in which nothing is drawn.
    share: of each class in the labels that were written; sums to 1."""

    written: list[Frame]
    replaced: int
    by_name: list[Frame]
    without: list[Frame]
    share: tuple[float, ...]


class _Staged(NamedTuple):
    """A label that is not in its place yet. drive: that its mask names. pixels: of each class."""

    file: Path
    drive: str | None
    pixels: npt.NDArray[np.int64]


def import_labels(export: Path, data: Path, classes: Classes) -> Imported:
    """Writes <data>/<drive>/label/<stem>.png, H×W uint8 class ids, for every mask of the export; a
    label that is there is replaced.

    export: of CVAT (Segmentation mask 1.1), Label Studio (JSON), labelme or COCO, or PNG masks with
      or without a labelmap.txt: a file, a folder or a zip. Its content shows which it is.
    Raises SsmaError, and writes nothing, where the export is none of these or damaged, has no mask,
    names what is no class, has two masks for a frame, one of another size than the picture, or one
    of a frame that `data` does not have.
    """
    known = frames(data)
    with own_folder(data), opened(export) as source, partial_folder(data / "labels") as staging:
        staged = _stage(source, known, classes, staging)
        if not staged:
            raise SsmaError(f"{export} has no mask in which anything is drawn: is it the whole "
                            "export, and was the work saved in the tool?")
        replaced = _replaced(list(staged))
        for frame, each in staged.items():
            make_folder(frame.label.parent)
            _move(each.file, frame.label)
    pixels = np.sum([each.pixels for each in staged.values()], axis=0)
    return Imported(list(staged), replaced,
                    [frame for frame, each in staged.items() if each.drive is None],
                    [frame for frame in known if frame not in staged],
                    tuple((pixels / pixels.sum()).tolist()))


def masks(source: Source, classes: Classes) -> Iterator[Mask]:
    """The masks of an export of any kind. Raises SsmaError where it is of none."""
    has_labelmap = any(PurePosixPath(name).name == coloured.LABELMAP for name in source.names)
    if not has_labelmap and (files := source.ending(".json")):
        for name in files:
            yield from _of_json(source, name)
    elif has_labelmap or source.ending(".png"):
        yield from coloured.masks(source, classes)
    else:
        raise SsmaError(f"{source.path} is no export that is read: it has neither JSON nor PNG "
                        "files; give CVAT's zip, Label Studio's JSON, labelme's or COCO's, or PNG "
                        "masks")


def _of_json(source: Source, name: str) -> Iterator[Mask]:
    values, where = source.json(name), source.where(name)
    if isinstance(values, list):
        yield from label_studio.masks(values, where)
    elif isinstance(values, dict) and "shapes" in values:
        yield labelme.mask(values, name, where)
    elif isinstance(values, dict) and "images" in values:
        yield from coco.masks(values, where)
    else:
        raise SsmaError(f"{where} is no export of Label Studio (a list of tasks), labelme (with "
                        "shapes) or COCO (with images): leave it out")


def _stage(source: Source, known: list[Frame], classes: Classes,
           staging: Path) -> dict[Frame, _Staged]:
    """Writes every label in which something is drawn into `staging`. Raises SsmaError as
    `import_labels` does, for what means no class after all of the export was read."""
    staged: dict[Frame, _Staged] = {}
    unknown, first_with = Counter[str](), dict[str, str]()
    for frame, drive, mask in _matched(masks(source, classes), known, source.path):
        label, missed = _drawn(mask, frame, classes)
        unknown += missed
        for what in missed:
            first_with.setdefault(what, mask.where)
        pixels = np.bincount(label.ravel(), minlength=len(classes.class_names))
        if pixels[classes.void_id] < label.size:
            staged[frame] = _Staged(staging / f"{len(staged)}.png", drive, pixels)
            _write(staged[frame].file, label)
    if unknown:
        named = [f"{what}: {count}, first in {first_with[what]}"
                 for what, count in unknown.most_common(_MOST_NAMED)]
        more = f"; and {len(unknown) - len(named)} more" if len(unknown) > len(named) else ""
        raise SsmaError(f"{source.path} has what is no class: {'; '.join(named)}{more}. Say with "
                        "--map THEIRS=OURS what it means, or with --ignore that it is void; the "
                        f"classes are {', '.join(classes.class_names)}")
    return staged


def _write(file: Path, label: Image) -> None:
    try:
        file.write_bytes(encoded(file, label))
    except OSError as error:
        raise cannot_write(file.parent, error) from error


def _move(file: Path, place: Path) -> None:
    try:
        os.replace(file, place)
    except OSError as error:
        raise cannot_write(place, error) from error


def _matched(found: Iterator[Mask], known: Sequence[Frame],
             export: Path) -> Iterator[tuple[Frame, str | None, Mask]]:
    """The masks in which something may be drawn, with their frames and the drives that they name.
    Raises SsmaError for two of one frame, and at the end for those of no frame."""
    stems, places = by_their_stem(known), dict[Frame, str]()
    drives = {frame.drive for frame in known}
    strange: list[str] = []
    for mask in tqdm(found, desc="masks", unit="mask", disable=None):
        drive = drive_in(mask.picture, drives)
        frame = meant(mask.picture, drive, stems)
        if frame is None:
            strange.append(f"{mask.picture[-200:]!r}")
        elif frame in places:
            raise SsmaError(f"{places[frame]} and {mask.where} are both a mask of "
                            f"{frame.picture}: keep one")
        else:
            places[frame] = mask.where
            if mask.size is not None:
                yield frame, drive, mask
    if strange:
        few = ", ".join(sorted(drives)[:_MOST_NAMED]) + ", …" * (len(drives) > _MOST_NAMED)
        raise SsmaError(f"{export} has {len(strange)} masks of pictures that are not in --data, "
                        f"first of all {', '.join(strange[:3])}: is it the folder whose pictures "
                        "were annotated? The folder that a picture is in must have the name of its "
                        f"drive, here {few}")


def _drawn(mask: Mask, frame: Frame, classes: Classes) -> Drawn:
    size = picture_size(frame.picture)
    if mask.size and mask.size != size:
        raise SsmaError(f"{mask.where} is {in_words(mask.size)}, but {frame.picture} is "
                        f"{in_words(size)} (width x height): a mask must have its picture's size")
    with naming(mask.where):
        return mask.draw(classes)


def _replaced(written: Sequence[Frame]) -> int:
    """How many of the frames have a label already. Raises SsmaError for one that would stay beside
    the new one."""
    there = {folder: by_stem(folder) for folder in {frame.label.parent for frame in written}
             if folder.is_dir()}
    old = [there.get(frame.label.parent, {}).get(frame.stem) for frame in written]
    for frame, path in zip(written, old):
        if path not in (None, frame.label):
            raise SsmaError(f"{path} is a label of the frame already, and {frame.label} would be "
                            "another: remove it")
    return len(old) - old.count(None)

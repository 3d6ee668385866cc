"""The labels of a data folder, or those that a model predicted for it, as an annotation tool
imports them: all of them, or nothing."""
from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from ssma_core.datasets.annotations import coco, cvat, label_studio, labelme, palette
from ssma_core.datasets.annotations.classes import Classes
from ssma_core.datasets.annotations.frames import Frame, Labelled, frames, picture_size
from ssma_core.datasets.folders import PREDICTED, by_stem
from ssma_core.datasets.samples import read_label
from ssma_core.disk.partial import cannot_write, partial_folder
from ssma_core.errors import SsmaError
from ssma_core.files import atomic_write, check_new, read_json
from ssma_core.modalities import width_x_height
from ssma_core.pictures import regrouped

# Writes a file, or fills an empty folder.
Write = Callable[[Path, Iterable[Labelled], Classes], None]
FILES: dict[str, tuple[str, Write]] = {"cvat": (".zip", cvat.write), "coco": (".json", coco.write)}
FOLDERS: dict[str, Write] = {"label-studio": label_studio.write, "labelme": labelme.write,
                             "palette": palette.write}


class ExportedLabels(NamedTuple):
    """How many frames have a label, and the classes of the labels that became void, since they are
    none of those that were asked for."""

    frames: int
    left_out: tuple[str, ...]


def export_labels(data: Path, labels: Path, classes: Classes, kind: str, output: Path, *,
                  tolerance: float = 0) -> ExportedLabels:
    """Writes the labels for a tool. Frames without one are left out.

    data: as `ssma extract` writes it. labels: the same folder, or one with <drive>/label/<stem>.*.
    Ids are those of `classes`; where `ssma predict` made the labels, its model's, which are matched
    by name.
    kind: a key of FILES or FOLDERS; output: such a file or folder that is not there yet.
    tolerance: for labelme only, see `labelme.write`.
    Raises SsmaError where there is no label, one does not fit its picture or the classes, or
    `output` cannot be written.
    """
    found = list(_labelled_files(data, labels))
    if not found:
        raise SsmaError(f"{labels} has no label of a frame of {data}: there must be files "
                        "<drive>/label/<stem>.png, as `ssma predict` writes them")
    drives = {frame.drive for frame, _ in found}
    ids = {drive: _ids(labels / drive / PREDICTED, classes) for drive in drives}
    labelled = _read(found, classes, ids)
    if kind in FILES:
        suffix, write = FILES[kind]
        if output.suffix.lower() != suffix:
            raise SsmaError(f"cannot write {output}: {kind} is one file; name it {suffix}")
        check_new(output)
        with atomic_write(output) as temporary:
            write(temporary, labelled, classes)
    else:
        if output.exists():
            raise SsmaError(f"{output} is there already: remove it, or give another folder")
        write = FOLDERS[kind] if kind != "labelme" else partial(labelme.write, tolerance=tolerance)
        _fill_folder(output, write, labelled, classes)
    return ExportedLabels(len(found), tuple(dict.fromkeys(
        name for names in ids.values() for name in names if name not in classes.class_names)))


def _ids(made: Path, classes: Classes) -> tuple[str, ...]:
    """The names of the classes of a drive's labels, by id. Raises SsmaError where none of them is
    one of `classes`."""
    if not made.exists():
        return classes.class_names
    found = read_json(made)
    names = found.get("classes") if isinstance(found, dict) else None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise SsmaError(f"{made} does not say of which classes the labels are: remove the folder, "
                        "and make it again with `ssma predict`")
    void = classes.class_names[classes.void_id]
    if not {*names} & {*classes.class_names} - {void}:
        raise SsmaError(f"the labels beside {made} are of the classes {', '.join(names)}, and "
                        f"none of them is one of {', '.join(classes.class_names)}")
    return tuple(names)


def _fill_folder(output: Path, write: Write, labelled: Iterable[Labelled],
                 classes: Classes) -> None:
    with partial_folder(output) as temporary:
        try:
            write(temporary, labelled, classes)
            os.replace(temporary, output)
        except OSError as error:
            raise cannot_write(output, error) from error


def _labelled_files(data: Path, labels: Path) -> Iterator[tuple[Frame, Path]]:
    """The frames that have a label, and its file."""
    known = frames(data)
    folders = {drive: labels / drive / "label" for drive in {frame.drive for frame in known}}
    there = {drive: by_stem(folder) for drive, folder in folders.items() if folder.is_dir()}
    for frame in known:
        if frame.stem in there.get(frame.drive, {}):
            yield frame, there[frame.drive][frame.stem]


def _read(found: list[tuple[Frame, Path]], classes: Classes,
          ids: Mapping[str, tuple[str, ...]]) -> Iterator[Labelled]:
    ours = {name: i for i, name in enumerate(classes.class_names)}
    for frame, path in tqdm(found, desc="frames", unit="frame", disable=None):
        names = ids[frame.drive]
        label = read_label(path, len(names))
        label = regrouped(label, [ours.get(name, classes.void_id) for name in names])
        width, height = picture_size(frame.picture)
        if label.shape != (height, width):
            raise SsmaError(f"{path} is {width_x_height(label)}, but {frame.picture} is "
                            f"{width}x{height} (width x height)")
        yield Labelled(frame, label)

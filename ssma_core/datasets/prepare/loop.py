"""The loop that prepares any of the data sets: the labels first, so that errors in the download
appear within minutes; then the second modality, which takes hours for some data sets."""
from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from ssma_core import processes
from ssma_core.datasets.file_list import as_listed, write_list
from ssma_core.datasets.prepare.classes import VOID, Classes, numbers
from ssma_core.datasets.prepare.data_set import (
    IS_IT_WHOLE,
    Array,
    DataSet,
    PublishedFrame,
    Second,
    Split,
)
from ssma_core.errors import SsmaError
from ssma_core.files import own_folder, read_colour, read_sensor, write_picture, write_text
from ssma_core.image_files import decode as image_files
from ssma_core.image_files import png
from ssma_core.modalities import encode, width_x_height
from ssma_core.pictures import resize_nearest
from ssma_core.processes import Outcome, ProcessEnded, TaskFunction


@dataclass(frozen=True)
class Prepared:
    """frames: how many each split has. share: of each class, void first, in all labels; sums to 1.
    new: of how many frames this run encoded the second modality; the others were there."""

    frames: dict[Split, int]
    share: tuple[float, ...]
    new: int


def prepare(data_set: DataSet, root: Path, output: Path, classes: Classes, second: Second,
            *, workers: int) -> Prepared:
    """Writes below `output`, with `workers` processes:

      model.yaml           class_names, class_colours and modalities, for a training's YAML
      label/….png          H×W uint8 class numbers, 0 for void
      rgb/….png            the colour images, only where they are no files in the data set
      <second>/….png       H×W×3 uint8 BGR, encoded
      train.txt, validation.txt   list files; last, so that a list names only files that exist

    Files that exist are not made again. Raises SsmaError for errors in the data set, and where
    `output` holds another preparation or another process writes into it.
    """
    splits = data_set.frames(root.absolute(), second.name)
    frames = [frame for split in splits.values() for frame in split]
    _check_files(frames)
    rows = {split: [(_rgb(output, data_set, each), _path(output, second.name, each),
                     _path(output, "label", each))
                    for each in members] for split, members in splits.items()}
    _check_rows(rows, root, output)
    with own_folder(output):
        _claim(output, _model_yaml(data_set, classes, second), ("label", "rgb", second.name))
        missing = [replace(each, rgb=_rgb(output, data_set, each)) for each in frames
                   if not _path(output, second.name, each).exists()]
        try:
            labelled = _in_processes(partial(_label, output, data_set, classes), frames, workers,
                                     "labels")
            _in_processes(partial(_second, output, second), missing, workers, second.name)
            for split, listed in rows.items():
                write_list(output / f"{split}.txt", listed)
        except OSError as error:
            raise SsmaError(f"cannot write under {output}: {error.strerror}; give a folder that "
                            "can be written, on a disk with room") from error
    counts = np.sum(labelled, axis=0)
    return Prepared({split: len(members) for split, members in splits.items()},
                    tuple((counts / counts.sum()).tolist()), len(missing))


def _path(output: Path, kind: str, frame: PublishedFrame) -> Path:
    # Not with_suffix: a name may have dots in it.
    return output / kind / f"{frame.name}.png"


def _rgb(output: Path, data_set: DataSet, frame: PublishedFrame) -> Path:
    return frame.rgb if data_set.read_rgb is None else _path(output, "rgb", frame)


def _check_files(frames: Sequence[PublishedFrame]) -> None:
    missing = [str(path) for frame in frames for path in frame.files if not path.is_file()]
    if missing:
        raise SsmaError(f"{len(missing)} files are missing, first of all {', '.join(missing[:3])}: "
                        f"{IS_IT_WHOLE}")


def _check_rows(rows: Mapping[Split, Sequence[tuple[Path, Path, Path]]], root: Path,
                output: Path) -> None:
    """Raises SsmaError for paths that a list file cannot hold: the lists are written last."""
    folder = output.resolve()
    for split, listed in rows.items():
        if not listed:
            raise SsmaError(f"{root} has no frame for {split}: {IS_IT_WHOLE}")
        for row in listed:
            for file in row:
                as_listed(file, folder)


def _model_yaml(data_set: DataSet, classes: Classes, second: Second) -> str:
    every = (VOID, *classes)
    modality = second.of_model()
    facts: dict[str, Any] = {"name": modality.name, "encoding": modality.encoding}
    if modality.range is not None:
        facts |= {"range": modality.range, "fill": modality.fill}
    return (f"# {data_set.title} with {len(classes)} classes, as `ssma prepare` made it: for the "
            "model section of a training's YAML.\n"
            f"class_names: {json.dumps([each.name for each in every])}\n"
            f"class_colours: {json.dumps([each.colour for each in every])}\n"
            "modalities:\n"
            '  - {"name": "rgb", "encoding": "image"}\n'
            f"  - {json.dumps(facts)}\n")


def _claim(output: Path, model_yaml: str, kinds: tuple[str, ...]) -> None:
    """Uses the empty folder, or the one that an earlier run of the same command left. Removes the
    files in the folders `kinds` that the run was writing when it was killed."""
    described = output / "model.yaml"
    try:
        if described.exists():
            if described.read_text(encoding="utf-8") != model_yaml:
                raise SsmaError(f"{output} was prepared for another data set, other classes or "
                                "another second modality: give another --output, or remove it")
            for half in (path for kind in kinds for path in (output / kind).rglob(".*.png")):
                half.unlink()
    except OSError as error:
        raise SsmaError(f"cannot write under {output}: {error.strerror}; give a folder that can be "
                        "written") from error
    write_text(described, model_yaml)


def _label(output: Path, data_set: DataSet, classes: Classes, frame: PublishedFrame,
           done: Callable[[], Any]) -> npt.NDArray[np.int64]:
    """Writes the frame's label unless it is there. Returns its pixels of each class, void first."""
    path = _path(output, "label", frame)
    _write_rgb(output, data_set, frame)
    if path.exists():
        label = read_sensor(path)
    else:
        table = numbers(classes, data_set.labels)
        ids = data_set.read_ids(frame)
        rgb = read_colour(_rgb(output, data_set, frame))
        label = _sized(_classes_of(ids, table, data_set, frame), frame, frame.label, rgb)
        # only the header is read now; the rest may be read hours later
        size = _png_size(frame.second)
        if size:
            _check_view(size, frame, frame.second, rgb)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_picture(path, label)
    done()
    return np.bincount(label.ravel(), minlength=len(classes) + 1)


def _write_rgb(output: Path, data_set: DataSet, frame: PublishedFrame) -> None:
    """Writes the colour image unless it is there, or a file of the data set."""
    path = _rgb(output, data_set, frame)
    if data_set.read_rgb is not None and not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_picture(path, data_set.read_rgb(frame))


def _classes_of(ids: Array, table: Mapping[int, int], data_set: DataSet,
                frame: PublishedFrame) -> npt.NDArray[np.uint8]:
    known = np.array(sorted(table))
    place = np.minimum(np.searchsorted(known, ids), len(known) - 1)
    unknown = ids[known[place] != ids]
    if unknown.size:
        raise SsmaError(f"{frame.label} has {data_set.id_name(int(unknown[0]))} at {unknown.size} "
                        f"pixels, which {data_set.title} does not have: is this the label file "
                        "that was published, and did no program save it again?")
    return np.array([table[each] for each in known], np.uint8)[place]


def _second(output: Path, second: Second, frame: PublishedFrame, done: Callable[[], Any]) -> None:
    """Writes the frame's encoded second modality."""
    array = second.read(frame)
    modality = second.of_frame(frame, (array.shape[1], array.shape[0]))
    rgb = read_colour(frame.rgb)
    image = encode(modality, _sized(array, frame, frame.second, rgb), rgb)
    path = _path(output, second.name, frame)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_picture(path, image)
    done()


def _sized(array: Array, frame: PublishedFrame, path: Path, rgb: Array) -> Array:
    """The array, which is from `path`, at the colour image's size, by nearest neighbour: some data
    sets publish the same view in several sizes. Raises SsmaError where it is another view."""
    _check_view((array.shape[1], array.shape[0]), frame, path, rgb)
    return resize_nearest(array, (rgb.shape[1], rgb.shape[0]))


def _check_view(size: tuple[int, int], frame: PublishedFrame, path: Path, rgb: Array) -> None:
    """Raises SsmaError where an image of that (width, height) cannot have the colour image's view.
    """
    width, height = size
    if abs(width * rgb.shape[0] / (height * rgb.shape[1]) - 1) > 0.02:
        raise SsmaError(f"{path} is {width}x{height}, but {frame.rgb} is {width_x_height(rgb)} "
                        "(width x height): that is not the same view")


def _png_size(path: Path) -> tuple[int, int] | None:
    """(width, height) from a PNG's header; None where the file is no PNG."""
    try:
        with path.open("rb") as file:
            start = file.read(png.HEADER_BYTES)
        if not start.startswith(png.MAGIC):
            return None
        found = image_files.header(memoryview(start))
    except OSError as error:
        raise SsmaError(f"cannot read {path}: {error.strerror}") from error
    except SsmaError as error:
        raise SsmaError(f"cannot read {path}: {error}") from error
    return found.width, found.height


def _in_processes(work: TaskFunction[PublishedFrame, Outcome], frames: Sequence[PublishedFrame],
                  workers: int, title: str) -> list[Outcome]:
    """Each frame's result, with a progress bar."""
    with tqdm(desc=title, total=len(frames), unit="frame") as bar:
        if min(workers, len(frames)) <= 1:
            return [work(frame, bar.update) for frame in frames]
        try:
            return processes.each(partial(_with_one_thread, work), frames, workers, bar.update)
        except ProcessEnded as error:
            raise SsmaError(f"{error}: give fewer --workers; the same command goes on where it "
                            "stopped") from error


def _with_one_thread(work: TaskFunction[PublishedFrame, Outcome], frame: PublishedFrame,
                     step: Callable[[], Any]) -> Outcome:
    cv2.setNumThreads(1)
    return work(frame, step)

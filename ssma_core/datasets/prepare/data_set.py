"""What the loop needs to know about a public data set, and what the data sets' modules share."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ssma_core.datasets.prepare.classes import Classes
from ssma_core.errors import SsmaError
from ssma_core.files import read_ids, read_sensor
from ssma_core.spec import Camera, Encoding, Modality

Array = npt.NDArray[Any]
Split = Literal["train", "validation", "test", "test_day", "test_night"]

# Every hole is filled, as in the original: no image is this wide.
ALL_HOLES = 10_000

IS_IT_WHOLE = ("is the download complete, and unpacked with the layout that this command's --help "
               "shows?")


@dataclass(frozen=True)
class PublishedFrame:
    """The published files of one frame.

    name: of its prepared files, without suffix; may contain folders.
    camera: the depth camera's calibration, where there is one and it is needed.
    """

    name: str
    rgb: Path
    second: Path
    label: Path
    camera: Path | None = None

    def __post_init__(self) -> None:
        place = PurePath(self.name)
        if place.is_absolute() or ".." in place.parts:
            raise SsmaError(f"the frame {self.name!r} would be written outside the output folder: "
                            "its name must be a path below it")

    @property
    def files(self) -> tuple[Path, ...]:
        needed = (self.rgb, self.second, self.label)
        return needed if self.camera is None else (*needed, self.camera)


@dataclass(frozen=True)
class Second:
    """A second modality that a data set can be prepared with.

    read: the frame's array: H×W, depth in metres (0 for none), or disparity, near infrared or
      thermal in the sensor's unit; or the image already encoded, H×W×3 uint8 BGR.
    range, fill: as in a Modality.
    camera: for "hha", the camera of the frame, whose depth image has the given (width, height).
    """

    name: str
    encoding: Encoding
    read: Callable[[PublishedFrame], Array]
    range: float | None = None
    fill: int = 0
    camera: Callable[[PublishedFrame, tuple[int, int]], Camera] | None = None

    def of_frame(self, frame: PublishedFrame, size: tuple[int, int]) -> Modality:
        """The modality that encodes a frame's array of the given (width, height)."""
        camera = self.camera(frame, size) if self.camera else None
        return Modality(self.name, self.encoding, self.range, self.fill, camera)

    def of_model(self) -> Modality:
        """The modality in a model's spec. HHA needs a camera, and each frame has its own camera; so
        for the model it is an image that is already encoded."""
        if self.encoding == "hha":
            return Modality(self.name, "image")
        return Modality(self.name, self.encoding, self.range, self.fill)


@dataclass(frozen=True)
class DataSet:
    """A public data set.

    layout: the published folders, as text of several lines.
    classes: number of classes → the classes; the first entry is the default.
    labels: published id → the data set's label. Other ids are an error.
    seconds: the first is the default.
    frames: (the data set's root, the second's name) → each split's frames, also those that lack a
      file: the loop reports it. Raises SsmaError where the layout is another one.
    read_ids: H×W integers, published ids.
    read_rgb: H×W×3 uint8 BGR, where the colour images are no files that a list could name; they are
      then written beside the labels. None: the lists name the published files.
    published: how many frames each split has, where that is known.
    id_name: the name of an id that is not in `labels`, for errors.
    """

    title: str
    layout: str
    classes: Mapping[int, Classes]
    labels: Mapping[int, str]
    seconds: tuple[Second, ...]
    frames: Callable[[Path, str], dict[Split, list[PublishedFrame]]]
    read_ids: Callable[[PublishedFrame], Array]
    published: Mapping[Split, int] = field(default_factory=dict)
    id_name: Callable[[int], str] = "id {}".format
    read_rgb: Callable[[PublishedFrame], Array] | None = None

    def second(self, name: str) -> Second:
        return next(each for each in self.seconds if each.name == name)


def label_ids(frame: PublishedFrame) -> Array:
    """The numbers in the frame's label file, H×W."""
    return read_ids(frame.label)


def folder(path: Path) -> Path:
    """The same path. Raises SsmaError unless it is a folder."""
    if not path.is_dir():
        raise SsmaError(f"there is no folder {path}: give the data set's top folder as --root, "
                        "with the layout that this command's --help shows")
    return path


def frame_names(*kinds: tuple[Path, str], within: str = "") -> list[str]:
    """The names of all frames of which any folder has a file, sorted. With one kind of file alone,
    a frame whose file of that kind is lost would be left out without an error.

    kinds: a folder, and the part of its files' names after the frame's name.
    within: "*/" where the files are in subfolders; the names then contain these.
    Raises SsmaError where there is no frame.
    """
    # A file that begins with a dot is no frame's: macOS leaves a "._NAME" beside a file.
    found = {file.relative_to(place).as_posix().removesuffix(ending)
             for place, ending in kinds for file in place.glob(f"{within}[!.]*{ending}")}
    if not found:
        place, ending = kinds[0]
        raise SsmaError(f"no file under {folder(place)} has a name that ends in {ending}: "
                        f"{IS_IT_WHOLE}")
    return sorted(found)


def lines(path: Path) -> dict[int, str]:
    """A text file's lines that are not empty, by their numbers from 1, without the blanks around
    them. Raises SsmaError where there is no file, or no such line in it."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise SsmaError(f"cannot read {path} ({error}); this command's --help says where it comes "
                        "from") from error
    found = {number: line.strip() for number, line in enumerate(text.splitlines(), 1)
             if line.strip()}
    if not found:
        raise SsmaError(f"{path} is empty; this command's --help says where it comes from")
    return found


@dataclass(frozen=True)
class ListedPath:
    """A path from a list of the data set. where: the list and the line, for errors."""

    path: str
    where: str


def listed_paths(path: Path) -> list[ListedPath]:
    """The lines of a list, each a relative path that stays in its folder.

    Frames get their names from such paths, and the prepared files get theirs from the frames'.
    Raises SsmaError, naming the line, for an absolute path and for one with ".." in it; and as
    `lines` does.
    """
    found = [ListedPath(line, f"{path}, line {number}") for number, line in lines(path).items()]
    for listed in found:
        inside = PurePath(listed.path)
        if inside.is_absolute() or ".." in inside.parts or "\0" in listed.path:
            raise SsmaError(f"{listed.where}: {listed.path!r} leads out of the data set's folder: "
                            "get the list again, as it was published")
    return found


def matrix(path: Path, size: int) -> list[float]:
    """The numbers of a text file, row by row. Raises SsmaError unless it is size×size numbers."""
    try:
        values = [float(word) for line in lines(path).values() for word in line.split()]
    except ValueError as error:
        raise SsmaError(f"{path} is no camera matrix: {error}") from error
    if len(values) != size * size:
        raise SsmaError(f"{path} is no camera matrix: it must have {size}x{size} numbers, got "
                        f"{len(values)}")
    return values


def sixteen_bits(path: Path) -> npt.NDArray[np.uint16]:
    """A depth or disparity file as it was written, H×W. Raises SsmaError unless it is one channel
    of 16 bits: a viewer that saved it again may have left 8."""
    written = read_sensor(path)
    if written.ndim != 2 or written.dtype != np.uint16:
        raise SsmaError(f"{path} must have one channel of 16 bits, got shape {written.shape} of "
                        f"{written.dtype}: is it the file that was published?")
    return written

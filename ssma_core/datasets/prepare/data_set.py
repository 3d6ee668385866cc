"""What the loop has to know of a public data set, and what its modules share."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ssma_core.datasets.prepare.classes import Classes
from ssma_core.errors import SsmaError
from ssma_core.files import read_sensor
from ssma_core.spec import Camera, Modality

Array = npt.NDArray[Any]
Split = Literal["train", "validation"]

# Every hole is filled, as the original does it: no image is as wide.
ALL_HOLES = 10_000

IS_IT_WHOLE = ("is the download complete, and unpacked with the layout that this command's --help "
               "shows?")


@dataclass(frozen=True)
class PublishedFrame:
    """The published files of one frame.

    name: what its prepared files are called, without suffix; may have folders in it.
    camera: the depth camera's calibration, where there is one and it is asked for.
    """

    name: str
    rgb: Path
    second: Path
    label: Path
    camera: Path | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        needed = (self.rgb, self.second, self.label)
        return needed if self.camera is None else (*needed, self.camera)


@dataclass(frozen=True)
class Second:
    """A second modality that a data set can be prepared with.

    read: the frame's array: H×W, depth in metres (0 for none) or disparity in pixels; or the image
      already encoded, H×W×3 uint8 BGR.
    range, fill: as in a Modality.
    camera: for "hha", the camera of the frame, whose depth image has the given (width, height).
    """

    name: str
    encoding: Literal["image", "jet", "hha"]
    read: Callable[[PublishedFrame], Array]
    range: float | None = None
    fill: int = 0
    camera: Callable[[PublishedFrame, tuple[int, int]], Camera] | None = None

    def of_frame(self, frame: PublishedFrame, size: tuple[int, int]) -> Modality:
        """What encodes a frame's array of the given (width, height)."""
        camera = self.camera(frame, size) if self.camera else None
        return Modality(self.name, self.encoding, self.range, self.fill, camera)

    def of_model(self) -> Modality:
        """What a model's spec says. HHA needs a camera, and every frame was taken by its own, so
        that to the model it is an image that came encoded."""
        if self.encoding == "hha":
            return Modality(self.name, "image")
        return Modality(self.name, self.encoding, self.range, self.fill)


@dataclass(frozen=True)
class DataSet:
    """A public data set.

    layout: the folders it is published in, in words and lines.
    classes: how many classes → which; the first are what is prepared when nobody says.
    labels: published id → what the data set calls it. Other ids are an error.
    seconds: the first is what is prepared when nobody says.
    frames: (the data set's root, the second's name) → each split's frames, those too that lack a
      file, whichever it is: the loop names it. Raises SsmaError where there is no such layout.
    read_ids: a label file → H×W integers, published ids.
    published: how many frames each split has, where that is known.
    id_name: how an error calls an id that is not in `labels`.
    """

    title: str
    layout: str
    classes: Mapping[int, Classes]
    labels: Mapping[int, str]
    seconds: tuple[Second, ...]
    frames: Callable[[Path, str], dict[Split, list[PublishedFrame]]]
    read_ids: Callable[[Path], Array]
    published: Mapping[Split, int] = field(default_factory=dict)
    id_name: Callable[[int], str] = "id {}".format

    def second(self, name: str) -> Second:
        return next(each for each in self.seconds if each.name == name)


def folder(path: Path) -> Path:
    """The same path. Raises SsmaError unless it is a folder."""
    if not path.is_dir():
        raise SsmaError(f"there is no folder {path}: give the data set's top folder as --root, "
                        "with the layout that this command's --help shows")
    return path


def frame_names(*kinds: tuple[Path, str], within: str = "") -> list[str]:
    """The names of all frames that any of the folders has a file of, sorted. Listed by one kind of
    file alone, a frame would be gone without a word where it is that file that was lost.

    kinds: a folder, and what follows the frame's name in its files' names.
    within: "*/" where the files lie in folders of that folder; they are then in the names.
    Raises SsmaError where there is none.
    """
    # What begins with a dot is no frame's: macOS leaves a "._NAME" beside a file.
    found = {file.relative_to(place).as_posix().removesuffix(ending)
             for place, ending in kinds for file in place.glob(f"{within}[!.]*{ending}")}
    if not found:
        place, ending = kinds[0]
        raise SsmaError(f"no file under {folder(place)} has a name that ends in {ending}: "
                        f"{IS_IT_WHOLE}")
    return sorted(found)


def lines(path: Path) -> dict[int, str]:
    """A text file's lines that are not empty, by their numbers from 1, without the blanks around
    them. Raises SsmaError where there is no such line, or no file."""
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

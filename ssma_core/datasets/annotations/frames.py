"""The frames of a data folder, and which of them an annotation tool's picture is."""
from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Mapping, Sequence, Set
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from ssma_core.datasets.folders import by_stem
from ssma_core.errors import SsmaError
from ssma_core.image_files.decode import header
from ssma_core.pictures import Image
from ssma_core.plain import shown

PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".ppm", ".pgm")
# Folders of pictures and masks, ours and the tools', that say nothing of the drive.
NO_DRIVES = ("rgb", "label", "labels", "images", "masks", "default", "segmentationclass", "..")


class Frame(NamedTuple):
    """A colour picture, DATA/<drive>/rgb/<stem>.*, and where its label belongs."""

    drive: str
    stem: str
    picture: Path
    label: Path

    @property
    def name(self) -> str:
        return f"{self.drive}/{self.stem}"


class Labelled(NamedTuple):
    """A frame and its label, H×W uint8, class ids; of the picture's size."""

    frame: Frame
    label: Image


def frames(data: Path) -> list[Frame]:
    """Every frame of the folder, sorted, at least one. Raises SsmaError where it has none."""
    drives = sorted(folder for folder in data.iterdir() if not folder.name.startswith(".")
                    and (folder / "rgb").is_dir()) if data.is_dir() else []
    found = [Frame(drive.name, stem, picture, drive / "label" / f"{stem}.png")
             for drive in drives for stem, picture in by_stem(drive / "rgb").items()]
    if not found:
        raise SsmaError(f"{data} holds no frames: the folders in it, one for each drive, must have "
                        "the folder rgb with pictures, as `ssma extract` writes them")
    return found


def by_their_stem(known: Sequence[Frame]) -> Mapping[str, list[Frame]]:
    found: dict[str, list[Frame]] = defaultdict(list)
    for frame in known:
        found[frame.stem].append(frame)
    return found


def drive_in(name: str, drives: Set[str]) -> str | None:
    """The drive that the path of an export's picture names: the last of its folders that is not one
    of NO_DRIVES; where all are, the last that is one of `drives`. None where there is none."""
    folders = _path(name).parts[-2::-1]
    return next((part for part in folders if part.casefold() not in NO_DRIVES),
                next((part for part in folders if part in drives), None))


def meant(name: str, drive: str | None, known: Mapping[str, list[Frame]]) -> Frame | None:
    """The frame whose picture has this name or path in an export, with or without suffix; None
    where there is none.

    drive: that it is of, as `drive_in` says; None leaves it to the stem alone. known: as
      `by_their_stem`. Raises SsmaError where it could be one of several.
    """
    path = _path(name)
    stem = path.stem if path.suffix.lower() in PICTURES else path.name
    found = [frame for frame in known.get(stem, ()) if drive in (None, frame.drive)]
    if len(found) > 1:
        names = ", ".join(frame.name for frame in found[:5])
        raise SsmaError(f"{shown(name)} could be each of {names}: give the drive's folder in the "
                        "picture's name")
    return found[0] if found else None


def _path(name: str) -> PurePosixPath:
    return PurePosixPath(posixpath.normpath(name.replace("\\", "/").lstrip("/")))


def picture_size(path: Path) -> tuple[int, int]:
    """(width, height) in pixels. Raises SsmaError when the file cannot be read or is no picture."""
    try:
        found = header(memoryview(path.read_bytes()))
    except OSError as error:
        raise SsmaError(f"cannot read {path}: {error.strerror}") from error
    except SsmaError as error:
        raise SsmaError(f"cannot read {path}: {error}") from error
    return found.width, found.height

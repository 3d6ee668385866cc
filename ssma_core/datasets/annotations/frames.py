"""The frames of a data folder, and which of them an annotation tool's picture is."""
from __future__ import annotations

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


def meant(name: str, known: Mapping[str, list[Frame]], all_drives: Set[str]) -> Frame | None:
    """The frame whose picture has this name or path in an export, with or without suffix; None
    where there is none. Where the path has the name of a drive, it is that drive's.

    known: as `by_their_stem`. all_drives: the names of their drives. Raises SsmaError where it
    could be one of several.
    """
    path = PurePosixPath(name.replace("\\", "/"))
    stem = path.stem if path.suffix.lower() in PICTURES else path.name
    drives = all_drives & set(path.parts[:-1])
    found = [frame for frame in known.get(stem, ()) if not drives or frame.drive in drives]
    if len(found) > 1:
        names = ", ".join(frame.name for frame in found[:5])
        raise SsmaError(f"{shown(name)} could be each of {names}: give the drive's folder in the "
                        "picture's name")
    return found[0] if found else None


def picture_size(path: Path) -> tuple[int, int]:
    """(width, height) in pixels. Raises SsmaError when the file cannot be read or is no picture."""
    try:
        found = header(memoryview(path.read_bytes()))
    except OSError as error:
        raise SsmaError(f"cannot read {path}: {error.strerror}") from error
    except SsmaError as error:
        raise SsmaError(f"cannot read {path}: {error}") from error
    return found.width, found.height

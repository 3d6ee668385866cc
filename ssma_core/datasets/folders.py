"""A data set as folders of pictures: partners have the same name in neighbouring folders."""
from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePath

from ssma_core.datasets.samples import Folded, Pictures
from ssma_core.errors import SsmaError
from ssma_core.files import read_json


@dataclass(frozen=True)
class Folders(Folded):
    """The frames below `root`, sorted by name.

    root: a folder; a relative path starts at the current folder.
    rgb: pattern of the colour images, such as "drive_*/rgb/*" or "rgb/2_*".
    aux, label: names of the folders, beside the colour images' own, that hold the partners: files
      of the same stem and any suffix.
    A frame's drive is the folder that holds its rgb, aux and label folders, as a path relative to
    the root. Its condition is the weather, where that folder is a drive of the synthetic forest.
    """

    root: str
    rgb: str
    aux: str
    label: str

    def every(self) -> Sequence[Pictures]:
        """Raises SsmaError for a pattern without a folder, where no file matches or a folder cannot
        be read, and for a frame without its partner."""
        try:
            return self._every()
        except (OSError, ValueError, NotImplementedError) as error:  # ValueError: of a pattern
            raise SsmaError(f"cannot list {self.rgb!r} below {self.root}: {error}") from error

    def _every(self) -> Sequence[Pictures]:
        root = Path(self.root)
        found, weathers = cache(by_stem), cache(_weathers)

        def partner(frame: Path, name: str) -> Path:
            folder = frame.parent.parent / name
            if frame.stem not in found(folder):
                raise SsmaError(f"{frame} has no partner: there is no {folder / frame.stem}.*")
            return found(folder)[frame.stem]

        def sample(frame: Path) -> Pictures:
            drive = frame.parent.parent
            return Pictures(frame, partner(frame, self.aux), partner(frame, self.label),
                            drive.relative_to(root).as_posix(), weathers(drive).get(frame.stem))

        return [sample(frame) for frame in self._colour_images(root)]

    def _colour_images(self, root: Path) -> list[Path]:
        if PurePath(self.rgb).is_absolute() or len(PurePath(self.rgb).parts) < 2:
            raise SsmaError("the pattern rgb must name folder and files below the root, such as "
                            f"'rgb/*', got {self.rgb!r}")
        found = sorted(path for path in root.glob(self.rgb)
                       if path.is_file() and not path.name.startswith("."))
        if not found:
            raise SsmaError(f"no file matches {self.rgb!r} below {root.absolute()}; check root and "
                            "rgb in the data section")
        return found


def by_stem(folder: Path) -> dict[str, Path]:
    """The files in a folder by their stem, sorted; hidden files are left out. Raises SsmaError
    where there is no folder, or two files have one stem."""
    if not folder.is_dir():
        raise SsmaError(f"there is no folder {folder}; check the data section")
    paths: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.stem in paths:
            raise SsmaError(f"{paths[path.stem]} and {path} could both be the frame's partner; "
                            "remove one")
        paths[path.stem] = path
    return paths


def places(pictures: Sequence[Path]) -> list[tuple[str, str]]:
    """Drive and stem of each picture. A drive is the folder that holds the pictures' folder, where
    all of these have one name, such as rgb; otherwise the pictures' folder itself. It is named by
    its path below the folder that holds all drives."""
    folders = [Path(os.path.abspath(picture)).parent for picture in pictures]
    if len({folder.name for folder in folders}) == 1:
        folders = [folder.parent for folder in folders]
    common = Path(os.path.commonpath(folders))
    return [(common.name if folder == common else folder.relative_to(common).as_posix(),
             picture.stem) for folder, picture in zip(folders, pictures)]


def _weathers(drive: Path) -> dict[str, str]:
    """The weather by the frame's stem, as `ssma synthesize` wrote it; empty for other folders."""
    try:
        weathers = read_json(drive / "drive.json")["weather"]
    except (SsmaError, LookupError, TypeError):
        return {}
    if not isinstance(weathers, list):
        return {}
    return {f"{index:06d}": str(weather) for index, weather in enumerate(weathers)}

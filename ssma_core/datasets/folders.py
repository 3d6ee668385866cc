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

PREDICTED = "predict.json"  # in a drive whose labels `ssma predict` made: whose, of which classes


@dataclass(frozen=True)
class Folders(Folded):
    """The frames below `root`, sorted by name.

    root: a folder; a relative path starts at the current folder.
    rgb: pattern of the colour images, such as "drive_*/rgb/*" or "rgb/2_*".
    aux, label: names of the folders, beside the colour images' own, that hold the partners: files
      of the same stem and any suffix. Frames that have no label are left out.
    A frame's drive is the folder that holds its rgb, aux and label folders, as a path relative to
    the root. Its condition is the weather, where that folder is a drive of the synthetic forest.
    """

    root: str
    rgb: str
    aux: str
    label: str

    def every(self) -> Sequence[Pictures]:
        """Raises SsmaError for a pattern without a folder, where no file matches, none has a label
        or a folder cannot be read, and for a labelled frame without its partner."""
        try:
            return self._every()
        except (OSError, ValueError, NotImplementedError) as error:  # ValueError: of a pattern
            raise SsmaError(f"cannot list {self.rgb!r} below {self.root}: {error}") from error

    def without_label(self) -> int:
        return len(self._colour_images(Path(self.root))) - len(self.every())

    def _every(self) -> Sequence[Pictures]:
        root = Path(self.root)
        found, weathers = cache(by_stem), cache(_weathers)

        def partner(frame: Path) -> Path:
            folder = _beside(frame, self.aux)
            if frame.stem not in found(folder):
                raise SsmaError(f"{frame} has no partner: there is no {folder / frame.stem}.*")
            return found(folder)[frame.stem]

        def label(frame: Path) -> Path | None:
            folder = _beside(frame, self.label)
            return found(folder).get(frame.stem) if folder.is_dir() else None

        def sample(frame: Path, its: Path) -> Pictures:
            drive = frame.parent.parent
            return Pictures(frame, partner(frame), its, drive.relative_to(root).as_posix(),
                            weathers(drive).get(frame.stem))

        frames = self._colour_images(root)
        samples = [sample(frame, its) for frame in frames if (its := label(frame))]
        if not samples:
            raise SsmaError(f"none of the {len(frames)} frames {self.rgb!r} below "
                            f"{root.absolute()} has a label: there is no file of a frame's name in "
                            f"{_beside(frames[0], self.label)}")
        return samples

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


def _beside(frame: Path, name: str) -> Path:
    """The folder of that name beside the frame's own."""
    return frame.parent.parent / name


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

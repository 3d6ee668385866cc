"""A data set as folders of pictures: partners have the same name in neighbouring folders."""
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePath

import numpy as np
import numpy.typing as npt

from ssma_core.errors import SsmaError
from ssma_core.files import read_colour, read_sensor
from ssma_core.metrics import check_ids
from ssma_core.modalities import width_x_height

Array = npt.NDArray[np.generic]


@dataclass(frozen=True)
class Sample:
    """The files of one frame. drive: the folder, seen from the data set's root, that holds the
    frame's rgb, aux and label folders; "." where that is the root itself."""

    rgb: Path
    aux: Path
    label: Path
    drive: str


def samples(root: str | Path, rgb: str, aux: str, label: str) -> list[Sample]:
    """The frames below `root`, sorted by name.

    rgb: pattern of the colour images, such as "drive_*/rgb/*" or "rgb/2_*".
    aux, label: names of the folders, beside the colour images' own, that hold the partners: files
      of the same stem and any suffix.
    Raises SsmaError for a pattern without a folder, when nothing matches, and for a frame without
    its partner.
    """
    root = Path(root)
    if PurePath(rgb).is_absolute() or len(PurePath(rgb).parts) < 2:
        raise SsmaError(f"the pattern rgb must name folder and files below the root, such as "
                        f"'rgb/*', got {rgb!r}")
    found = sorted(p for p in root.glob(rgb) if p.is_file() and not p.name.startswith("."))
    if not found:
        raise SsmaError(f"no file matches {rgb!r} below {root.absolute()}; check root and rgb in "
                        "the data section")
    partners: dict[Path, dict[str, Path]] = {}

    def partner(frame: Path, name: str) -> Path:
        folder = frame.parent.parent / name
        if folder not in partners:
            partners[folder] = _by_stem(folder)
        if frame.stem not in partners[folder]:
            raise SsmaError(f"{frame} has no partner: there is no {folder / frame.stem}.*")
        return partners[folder][frame.stem]

    return [Sample(frame, partner(frame, aux), partner(frame, label),
                   frame.parent.parent.relative_to(root).as_posix()) for frame in found]


def read(sample: Sample, classes: int) -> tuple[Array, Array, npt.NDArray[np.uint8]]:
    """The frame's arrays at camera size: colour H×W×3 uint8 BGR, the second sensor's array as it
    was written, and the label H×W uint8 of ids below `classes`.

    Raises SsmaError naming the file that cannot be read, differs in size, or is no label image.
    """
    rgb = read_colour(sample.rgb)
    aux = read_sensor(sample.aux)
    label = read_sensor(sample.label)
    for path, array in ((sample.aux, aux), (sample.label, label)):
        if array.shape[:2] != rgb.shape[:2]:
            raise SsmaError(f"{path} is {width_x_height(array)}, but {sample.rgb} is "
                            f"{width_x_height(rgb)} (width x height)")
    if label.ndim != 2 or label.dtype != np.uint8:
        raise SsmaError(f"{sample.label} is no label image: it must have one channel of 8 bits, "
                        f"got shape {label.shape} of {label.dtype}")
    label = label.astype(np.uint8, copy=False)
    check_ids(label, classes, str(sample.label))
    return rgb, aux, label


def _by_stem(folder: Path) -> dict[str, Path]:
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

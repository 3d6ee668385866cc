"""A frame's files: colour for people, the second sensor without any loss."""
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from ssma_core.datasets.folders import by_stem
from ssma_core.extraction.drives import COLOUR
from ssma_core.extraction.frames import Frame
from ssma_core.files import atomic_write, encoded, make_folder

Files = dict[str, tuple[str, bytes]]  # by their folder: suffix and content

# Faster than any compression, and no larger than the bag: noisy metres hardly become smaller.
_AS_IT_IS = (cv2.IMWRITE_TIFF_COMPRESSION, 1)


@dataclass(frozen=True)
class Colour:
    """How colour is written. quality: of JPEGs, 1 to 100; images that were recorded as JPEG keep
    their bytes, whatever it is."""

    format: Literal["jpg", "png"] = "jpg"
    quality: int = 95


def there(folder: Path, name: str) -> frozenset[int]:
    """The stamps of the frames that a drive's folder holds whole. name: the second sensor's."""
    colour, second = (set(by_stem(folder / each)) if (folder / each).is_dir() else set()
                      for each in (COLOUR, name))
    return frozenset(int(stem) for stem in colour & second if stem.isdecimal())


def files(frame: Frame, name: str, colour: Colour) -> Files:
    """Both pictures of a frame. What was recorded as a file that can be kept is not made anew.
    Raises SsmaError where an image cannot be read."""
    return {name: _second_file(frame), COLOUR: _colour_file(frame, colour)}


def write(folder: Path, stem: str, made: Files) -> None:
    """Writes both pictures into a drive's folder, colour last: a colour picture has its partner.
    Raises SsmaError where one cannot be written."""
    for below, (suffix, data) in made.items():
        make_folder(folder / below)
        with atomic_write(folder / below / f"{stem}{suffix}") as temporary:
            temporary.write_bytes(data)


def _colour_file(frame: Frame, colour: Colour) -> tuple[str, bytes]:
    kept = frame.colour_file()
    if kept and kept[0] == f".{colour.format}":
        return kept
    quality = (cv2.IMWRITE_JPEG_QUALITY, colour.quality) if colour.format == "jpg" else ()
    return f".{colour.format}", encoded(f"p.{colour.format}", frame.rgb, quality)


def _second_file(frame: Frame) -> tuple[str, bytes]:
    kept = frame.second_file()
    if kept:
        return kept
    if frame.aux.dtype == np.float32:
        return ".tiff", encoded("p.tiff", frame.aux, _AS_IT_IS)
    return ".png", encoded("p.png", frame.aux)

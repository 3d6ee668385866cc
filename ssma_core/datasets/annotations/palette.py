"""Plain masks: PNG files with a palette, whose numbers are the class ids, and a labelmap.txt."""
from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from ssma_core.datasets.annotations.classes import Classes, Colour
from ssma_core.datasets.annotations.coloured import LABELMAP, labelmap_text
from ssma_core.datasets.annotations.frames import Labelled
from ssma_core.image_files.png import MAGIC
from ssma_core.pictures import Image


def write(folder: Path, labelled: Iterable[Labelled], classes: Classes) -> None:
    """<drive>/<stem>.png for each frame. Raises SsmaError where two classes have one colour."""
    colours = classes.distinct_colours()
    for frame, label in labelled:
        place = folder / frame.drive
        place.mkdir(exist_ok=True)
        (place / f"{frame.stem}.png").write_bytes(png(label, colours))
    named = dict(zip(classes.class_names, colours))
    (folder / LABELMAP).write_text(labelmap_text(named), encoding="utf-8")


def png(label: Image, colours: tuple[Colour, ...]) -> bytes:
    """A PNG file with a palette, which OpenCV does not write. label: H×W uint8, places in it."""
    height, width = label.shape
    # Each row begins with its filter: 0, none.
    rows = np.pad(label, ((0, 0), (1, 0))).tobytes()
    parts = ((b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
             (b"PLTE", np.array(colours, np.uint8).tobytes()),
             (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return MAGIC + b"".join(struct.pack(">I", len(data)) + kind + data
                            + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts)

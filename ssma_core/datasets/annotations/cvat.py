"""CVAT's "Segmentation mask 1.1", a zip in the layout of Pascal VOC, with the pictures."""
from __future__ import annotations

import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from ssma_core.datasets.annotations.classes import NOT_DRAWN, Classes, Colour
from ssma_core.datasets.annotations.coloured import LABELMAP, MASKS, labelmap_text
from ssma_core.datasets.annotations.frames import Labelled
from ssma_core.errors import SsmaError
from ssma_core.files import encoded
from ssma_core.pictures import Image, in_colours

_BLACK: Colour = (0, 0, 0)  # of what belongs to no class, in class and object masks


def write(path: Path, labelled: Iterable[Labelled], classes: Classes) -> None:
    """Frames are named <drive>/<stem>. Void is CVAT's background, in black.

    Raises SsmaError where another class is black, or two classes have one colour."""
    names, colours = list(classes.class_names), list(classes.distinct_colours())
    names[classes.void_id], colours[classes.void_id] = NOT_DRAWN[0], _BLACK
    if colours.count(_BLACK) > 1:
        black = next(name for name, colour in zip(classes.class_names, classes.class_colours)
                     if colour == _BLACK)
        raise SsmaError(f"the class {black!r} is black, as the background is in CVAT: give "
                        "--classes a YAML with another colour")
    frames = []
    with zipfile.ZipFile(path, "w") as archive:
        for frame, label in labelled:
            frames.append(frame.name)
            archive.write(frame.picture, f"JPEGImages/{frame.name}{frame.picture.suffix}")
            for folder, picture in ((MASKS, in_colours(label, colours)),
                                    ("SegmentationObject", _objects(label, classes.void_id))):
                archive.writestr(f"{folder}/{frame.name}.png", encoded("mask.png", picture))
        # Background first: its number is 0 there.
        order = sorted(range(len(names)), key=lambda number: number != classes.void_id)
        archive.writestr(LABELMAP, labelmap_text({names[i]: colours[i] for i in order}))
        archive.writestr("ImageSets/Segmentation/default.txt",
                         "".join(f"{name}\n" for name in frames))


def _objects(label: Image, void_id: int) -> Image:
    """Each class of a frame is one object: CVAT makes one mask of it. They are numbered from 1, in
    Pascal VOC's colours."""
    numbers = np.zeros(256, np.uint8)
    drawn = np.unique(label)
    drawn = drawn[drawn != void_id]
    numbers[drawn] = np.arange(1, len(drawn) + 1)
    return in_colours(numbers[label], [_voc_colour(number) for number in range(len(drawn) + 1)])


def _voc_colour(number: int) -> Colour:
    """The number's bits in turns to red, green and blue, the lowest to the highest bit (VOCcolormap
    of the VOC development kit)."""
    colour = [0, 0, 0]
    for bit in range(8):
        colour[bit % 3] |= (number >> bit & 1) << (7 - bit // 3)
    return colour[0], colour[1], colour[2]

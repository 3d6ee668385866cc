"""Masks as PNG files of colours, a palette or numbers, with a labelmap.txt: CVAT's "Segmentation
mask 1.1", Pascal VOC, and plain ones."""
from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ssma_core.datasets.annotations.classes import Classes, Colour
from ssma_core.datasets.annotations.mask import Drawn, Mask
from ssma_core.datasets.annotations.source import Source
from ssma_core.errors import SsmaError
from ssma_core.image_files.decode import decode, header
from ssma_core.plain import shown

LABELMAP = "labelmap.txt"
MASKS = "SegmentationClass"
_OTHERS = ("SegmentationObject", "JPEGImages")
_MOST_VALUES = 1000  # of a mask


class Labelmap(NamedTuple):
    """names: of the numbers in a mask, in their order. by_colour: (red, green, blue) → name."""

    names: tuple[str, ...]
    by_colour: Mapping[Colour, str]


def masks(source: Source, classes: Classes) -> Iterator[Mask]:
    """The masks, in the names' order. Without a labelmap, numbers and colours are those of the
    classes. Raises SsmaError for a labelmap that is none, and for a file that is no picture."""
    labelmap = _labelmap(source, classes)
    every = [name for name in source.ending(".png")
             if not set(_OTHERS) & set(PurePosixPath(name).parts)]
    named = [name for name in every if MASKS in PurePosixPath(name).parts] or every
    for name in named:
        data, where = memoryview(source.read(name)), source.where(name)
        try:
            found = header(data)
        except SsmaError as error:
            raise SsmaError(f"cannot read {where}: {error}") from error
        yield Mask(name, where, (found.width, found.height), partial(_drawn, data, labelmap))


def _drawn(data: memoryview, labelmap: Labelmap, classes: Classes) -> Drawn:
    _, pixels = decode(data)
    if pixels.dtype not in (np.uint8, np.uint16) or (pixels.ndim == 3 and pixels.itemsize > 1):
        raise SsmaError(f"its values are {pixels.dtype}: a mask has colours of 8 bits, or numbers")
    if pixels.ndim == 3:
        blue, green, red = (pixels[..., channel].astype(np.int32) for channel in range(3))
        packed = red << 16 | green << 8 | blue
    else:
        packed = pixels.astype(np.int32)
    flat = packed.ravel()
    # Runs of equal pixels: there are far fewer of them.
    begins = np.flatnonzero(np.diff(flat, prepend=-1))
    lengths = np.diff(begins, append=flat.size)
    values, places = np.unique(flat[begins], return_inverse=True)
    if len(values) > _MOST_VALUES:
        raise SsmaError(f"it has {len(values):,} colours or numbers, and is no mask")
    ids, unknown = _ids(values.tolist(), np.bincount(places, lengths), labelmap, classes,
                        pixels.ndim == 3)
    return Drawn(np.repeat(ids[places], lengths).reshape(packed.shape), unknown)


def _ids(values: list[int], counts: npt.NDArray[Any], labelmap: Labelmap, classes: Classes,
         is_colour: bool) -> tuple[npt.NDArray[np.uint8], Counter[str]]:
    """The class id of each value, and what means no class."""
    ids, unknown = np.zeros(len(values), np.uint8), Counter[str]()
    for index, value in enumerate(values):
        key, name = _named(value, labelmap, is_colour)
        number = classes.meanings.get(key, None if name is None else classes.id_of(name))
        if number is None:
            kind = "the colour" if is_colour else "the id"
            what = f"{kind} {key}" if name is None else f"the class {name[:80]!r}, {kind} {key}"
            unknown[f"{what} (pixels)"] += int(counts[index])
        else:
            ids[index] = number
    return ids, unknown


def _named(value: int, labelmap: Labelmap, is_colour: bool) -> tuple[str, str | None]:
    """A pixel's value as --map and --ignore name it; and the name that the labelmap gives it."""
    if is_colour:
        colour = (value >> 16, value >> 8 & 255, value & 255)
        return ",".join(map(str, colour)), labelmap.by_colour.get(colour)
    return str(value), labelmap.names[value] if value < len(labelmap.names) else None


def _labelmap(source: Source, classes: Classes) -> Labelmap:
    names = [name for name in source.names if PurePosixPath(name).name == LABELMAP]
    if len(names) > 1:
        raise SsmaError(f"{source.path} has several of {LABELMAP}: {shown(names)}; import "
                        "one export after the other")
    if names:
        return _read_labelmap(source.read(names[0]), source.where(names[0]))
    colours = classes.distinct_colours()
    return Labelmap(classes.class_names, dict(zip(colours, classes.class_names)))


def _read_labelmap(data: bytes, where: str) -> Labelmap:
    """Lines of name:red,green,blue:parts:actions, as CVAT writes them; the last two may be left
    out, and so may the colour. A line that begins with "#" says nothing."""
    try:
        lines = data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise SsmaError(f"{where} is not UTF-8: save it as such") from error
    names: list[str] = []
    by_colour: dict[Colour, str] = {}
    for line in lines:
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, _, rest = (part.strip() for part in line.partition(":"))
        names.append(name)
        if not (text := rest.partition(":")[0].strip()):
            continue
        colour = _colour(text)
        if not name or colour is None:
            raise SsmaError(f"{where}: the line {shown(line)} must be NAME:RED,GREEN,BLUE::, with "
                            "0 to 255 each")
        if by_colour.setdefault(colour, name) != name:
            raise SsmaError(f"{where}: {shown(by_colour[colour])} and {shown(name)} have the same "
                            f"colour, {text}: the masks cannot tell them apart; give one another "
                            "colour in the tool, and export again")
    return Labelmap(tuple(names), by_colour)


def _colour(text: str) -> Colour | None:
    parts = [part.strip() for part in text.split(",")]
    values = [int(part) for part in parts if part.isascii() and part.isdecimal() and len(part) < 4]
    if len(parts) != 3 or len(values) != 3 or max(values) > 255:
        return None
    return values[0], values[1], values[2]


def labelmap_text(names: Mapping[str, Colour]) -> str:
    lines = [f"{name}:{','.join(map(str, colour))}::\n" for name, colour in names.items()]
    return "# label:color_rgb:parts:actions\n" + "".join(lines)

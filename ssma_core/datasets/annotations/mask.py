"""A frame's mask as it comes back from an annotation tool."""
from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from typing import NamedTuple

import numpy as np

from ssma_core.datasets.annotations.classes import Classes
from ssma_core.pictures import Image
from ssma_core.plain import shown

# Sets a region's pixels of a label (H×W uint8) to a class id.
Paint = Callable[[Image, int], None]


class Drawn(NamedTuple):
    """label: H×W uint8, class ids. unknown: what means no class, as text → how often."""

    label: Image
    unknown: Counter[str]


class Mask(NamedTuple):
    """picture: the name or path that the tool has for the frame's picture. where: the mask, for
    errors. size: (width, height) in pixels; None where nothing is drawn. draw: to be called when
    the size has been found right; raises SsmaError where a part of the mask is no such thing."""

    picture: str
    where: str
    size: tuple[int, int] | None
    draw: Callable[[Classes], Drawn]


def of_regions(picture: str, where: str, size: tuple[int, int] | None,
               regions: Iterable[tuple[str, Paint]]) -> Mask:
    """The mask of regions, each with the name of its class; a later one lies upon the earlier ones,
    and what none covers is void."""
    return Mask(picture, where, size, partial(_drawn, size or (0, 0), regions))


def _drawn(size: tuple[int, int], regions: Iterable[tuple[str, Paint]], classes: Classes) -> Drawn:
    width, height = size
    label = np.full((height, width), classes.void_id, np.uint8)
    unknown: Counter[str] = Counter()
    for name, paint in regions:
        number = classes.id_of(name)
        if number is None:
            unknown[f"the class {name[:80]!r} (regions)"] += 1
        else:
            paint(label, number)
    return Drawn(label, unknown)


def in_words(size: tuple[int, int]) -> str:
    return f"{shown(size[0])}x{shown(size[1])}"

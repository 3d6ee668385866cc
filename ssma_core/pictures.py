"""Pictures for people: labels in colours, overlays, contact sheets."""
from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ssma_core.errors import SsmaError
from ssma_core.spec import ModelSpec

Array = npt.NDArray[Any]
Image = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.integer]
_BAND, _SQUARE = 28, 16  # pixels: a line of text, a colour in the legend
_FONT, _FONT_SIZE = cv2.FONT_HERSHEY_SIMPLEX, 0.5


def check_ids(labels: npt.NDArray[np.integer], classes: int, what: str) -> None:
    """Raises SsmaError naming the first id in `labels` that is none of 0…classes−1."""
    wrong = labels[(labels < 0) | (labels >= classes)]
    if wrong.size:
        raise SsmaError(f"{what} has the id {int(wrong[0])}, but there are only {classes} classes "
                        f"(0 to {classes - 1}); an id that means 'not labelled' is named by ignore "
                        "in the configuration's data, or by --ignore of evaluate_bag")


def voided(labels: Labels, ignore: Sequence[int], void_id: int) -> Labels:
    """The labels with void in place of the ids that are ignored; the same array without any."""
    return np.where(np.isin(labels, ignore), void_id, labels) if ignore else labels


def regrouped(labels: Image, ids: Sequence[int]) -> Image:
    """The labels with ids[i] in place of the id i, uint8; ids: see `ssma_core.spec.Grouped`. The
    labels must be below len(ids)."""
    table = np.zeros(256, np.uint8)
    table[:len(ids)] = ids
    return cv2.LUT(labels, table)


def colourize(labels: Image, spec: ModelSpec) -> Image:
    """Class ids (H×W uint8) in the spec's class colours, H×W×3 uint8 BGR. Unknown ids are black."""
    return in_colours(labels, spec.class_colours)


def in_colours(labels: Image, colours: Sequence[tuple[int, int, int]]) -> Image:
    """As `colourize`. colours: of the ids from 0 on, (red, green, blue)."""
    palette = np.zeros((256, 3), np.uint8)
    palette[:len(colours)] = np.array(colours, np.uint8)[:, ::-1]
    return palette[labels]


def resize_nearest(values: Array, size: tuple[int, int]) -> Array:
    """H×W of anything that cannot be mixed, such as class ids or depths, at (width, height): each
    pixel is the one at its centre, see `nearest_places`. At that size already, the same array."""
    if (values.shape[1], values.shape[0]) == size:
        return values
    columns, rows = (nearest_places(*sides) for sides in zip(values.shape[1::-1], size))
    if len(rows) < len(values):  # that way there is less to move
        return values[rows].take(columns, axis=1)
    return values.take(columns, axis=1)[rows]


@lru_cache(maxsize=64)
def nearest_places(before: int, after: int) -> npt.NDArray[np.intp]:
    """Which of `before` pixels lies at the centre of each of `after`, intp[after].

    OpenCV's INTER_NEAREST takes the pixel at the corner, which moves edges by up to half an input
    pixel. Where a centre lies between two pixels, as for half the size, the lower and the higher
    one are taken in turns, so that the mean edge stays where it is.
    """
    pixels = np.arange(after)
    places, rest = np.divmod((2 * pixels + 1) * before, 2 * after)
    places -= (rest == 0) & (pixels % 2 == 0)
    places.flags.writeable = False  # it is shared
    return places


def overlay(rgb: Image, labels: Image, spec: ModelSpec, opacity: float = 0.5) -> Image:
    """Blends the class colours over the colour image (H×W×3 uint8 BGR); returns the same shape.

    labels: H×W uint8 class ids. opacity: of the class colours, 0–1."""
    return cv2.addWeighted(rgb, 1 - opacity, colourize(labels, spec), opacity, 0)


def contact_sheet(rows: Sequence[Sequence[Image]], titles: Sequence[str], width: int = 1600,
                  row_titles: Sequence[str] = ()) -> Image:
    """Draws pictures in a grid under column titles, to look at many frames at once.

    rows: each has as many pictures (H×W×3 uint8 BGR, or H×W uint8) as there are titles.
    width: of the whole sheet, in pixels. Every picture is resized to its column's width.
    row_titles: a line above each row, or none at all. Of a long title the end is kept.
    Returns H×W×3 uint8 BGR.
    """
    gap = 4
    column = (width - gap * (len(titles) + 1)) // len(titles)
    strips = [_title_band(titles, column, gap)]
    for i, row in enumerate(rows):
        if row_titles:
            strips.append(_title_band([row_titles[i]], strips[0].shape[1] - 2 * gap, gap))
        cells = [_fit(picture, column) for picture in row]
        height = max(cell.shape[0] for cell in cells)
        strip = np.full((height + gap, strips[0].shape[1], 3), 255, np.uint8)
        for place, cell in enumerate(cells):
            left = gap + place * (column + gap)
            strip[:cell.shape[0], left:left + column] = cell
        strips.append(strip)
    return np.vstack(strips)


def legend(spec: ModelSpec, width: int) -> Image:
    """Draws the class names beside their colours, `width` pixels wide, in as many lines as needed.
    Returns H×W×3 uint8 BGR."""
    bands: list[Image] = []
    left = width  # column of the next class; at first there is no room, so a new line begins
    for name, colour in zip(spec.class_names, spec.class_colours):
        needed = _SQUARE + 28 + _text_width(name)
        if left + needed > width:
            bands.append(np.full((_BAND, width, 3), 255, np.uint8))
            left = 4
        top = (_BAND - _SQUARE) // 2
        bands[-1][top:top + _SQUARE, left:left + _SQUARE] = colour[::-1]
        _write(bands[-1], name, left + _SQUARE + 6)
        left += needed
    return np.vstack(bands)


def _title_band(titles: Sequence[str], column: int, gap: int) -> Image:
    band = np.full((_BAND, gap + len(titles) * (column + gap), 3), 255, np.uint8)
    for i, title in enumerate(titles):
        _write(band, _end_of(title, column), gap + i * (column + gap))
    return band


def _end_of(text: str, width: int) -> str:
    """The longest end of the text that fits into `width` pixels."""
    cut = next((i for i in range(len(text)) if _text_width(text[i:]) <= width), len(text))
    return text[cut:]


def _write(band: Image, text: str, left: int) -> None:
    cv2.putText(band, text, (left, _BAND - 9), _FONT, _FONT_SIZE, (0, 0, 0), 1, cv2.LINE_AA)


def _text_width(text: str) -> int:
    return int(cv2.getTextSize(text, _FONT, _FONT_SIZE, 1)[0][0])


def _fit(picture: Image, width: int) -> Image:
    if picture.ndim == 2:
        picture = cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR)
    height = max(1, round(picture.shape[0] * width / picture.shape[1]))
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)

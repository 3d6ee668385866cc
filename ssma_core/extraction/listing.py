"""What an extraction says of its frames: frames.csv, and sheet.png to look at."""
from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ssma_core.datasets.folders import by_stem
from ssma_core.errors import SsmaError
from ssma_core.extraction.choice import Chosen
from ssma_core.extraction.drives import COLOUR
from ssma_core.extraction.scores import Candidate
from ssma_core.files import read_colour, read_sensor, write_picture, write_text
from ssma_core.modalities.scale import for_people
from ssma_core.pictures import contact_sheet, resize_nearest

SHEET_FRAMES = 24  # two in each row
SHEET_COLUMN = 400  # pixels: of a picture on it
LARGEST_CSV = 256 << 20  # bytes


class Row(NamedTuple):
    """A line of frames.csv. stamp: of the colour image, in nanoseconds. chosen: yes or no."""

    drive: str
    stamp: str
    chosen: str
    why_not: str = ""
    sharpness: str = ""
    novelty: str = ""
    uncertainty: str = ""
    disagreement: str = ""


def rows_of(candidates: Sequence[Candidate], chosen: Chosen) -> list[Row]:
    """A row for each candidate, with its scores."""
    places = set(chosen.places)
    return [Row(each.drive, str(each.stamp_ns), "yes" if i in places else "no",
                "" if i in places else each.flaw or "others are worth more",
                *map(_number, (each.sharpness, novelty, each.uncertainty, each.disagreement)))
            for i, (each, novelty) in enumerate(zip(candidates, chosen.novelty.tolist()))]


def read_rows(path: Path) -> list[Row]:
    """The rows of a frames.csv; none where there is no such file. Raises SsmaError for another
    file."""
    if not path.exists():
        return []
    try:
        if path.stat().st_size > LARGEST_CSV:
            raise ValueError("it is too large")
        text = io.StringIO(path.read_text(encoding="utf-8"))
        header, *rows = csv.reader(text, strict=True)
        if tuple(header) != Row._fields:
            raise ValueError(f"its columns are not {', '.join(Row._fields)}")
        return [Row(*row) for row in rows]
    except (OSError, ValueError, TypeError, csv.Error) as error:
        raise SsmaError(f"{path} is not of ssma extract ({error}): remove it, or give another "
                        "--output") from error


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """Sorted by drive and stamp."""
    in_order = sorted(rows, key=lambda row: (row.drive, row.stamp.zfill(20)))
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([Row._fields, *in_order])
    write_text(path, text.getvalue())


def write_sheet(path: Path, frames: Sequence[tuple[Path, str]], name: str) -> None:
    """Some of the frames (drive's folder, stem), evenly taken: colour beside the second sensor."""
    places = np.linspace(0, len(frames) - 1, min(len(frames), SHEET_FRAMES)).round().astype(int)
    shown = [frames[place] for place in dict.fromkeys(places.tolist())]
    found = cache(by_stem)
    cells, titles = [], []
    for left in range(0, len(shown), 2):
        beside = shown[left:left + 2]
        pictures = [picture for folder, stem in beside for picture in (
            read_colour(found(folder / COLOUR)[stem]),
            _small(read_sensor(found(folder / name)[stem]), name))]
        blanks = [np.full((1, 1, 3), 255, np.uint8)] * (4 - len(pictures))
        cells.append([*pictures, *blanks])
        titles.append("  |  ".join(f"{folder.name} {int(stem) / 1e9:.2f}"
                                   for folder, stem in beside))
    write_picture(path, contact_sheet(cells, ["colour", name] * 2, 4 * SHEET_COLUMN, titles))


def _small(array: npt.NDArray[Any], name: str) -> npt.NDArray[np.uint8]:
    if array.ndim == 2:  # before colours could mix
        height = max(1, round(array.shape[0] * SHEET_COLUMN / array.shape[1]))
        array = resize_nearest(array, (SHEET_COLUMN, height))
    return for_people(array, "jet" if name == "depth" else "grey")


def _number(value: float | None) -> str:
    return "" if value is None or np.isnan(value) else f"{value:.4f}"

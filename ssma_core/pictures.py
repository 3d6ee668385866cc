"""Pictures for people: labels in colours, overlays, contact sheets."""
from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from ssma_core.spec import ModelSpec

Image = npt.NDArray[np.uint8]


def colourize(labels: Image, spec: ModelSpec) -> Image:
    """H×W class ids in the spec's class colours, H×W×3 uint8 BGR; unknown ids are black."""
    palette = np.zeros((256, 3), np.uint8)
    palette[:spec.classes] = np.array(spec.class_colours, np.uint8)[:, ::-1]
    return palette[labels]


def overlay(rgb: Image, labels: Image, spec: ModelSpec, opacity: float = 0.5) -> Image:
    """The colour image (H×W×3 uint8 BGR) with the class colours laid over it, same shape."""
    return cv2.addWeighted(rgb, 1 - opacity, colourize(labels, spec), opacity, 0)


def contact_sheet(rows: Sequence[Sequence[Image]], titles: Sequence[str],
                  width: int = 1600) -> Image:
    """Pictures in a grid under column titles, for a look at many frames at once.

    rows: each as many H×W×3 uint8 BGR (or H×W uint8) pictures as there are titles.
    width: of the whole sheet in pixels. Every picture is shrunk to its column's width.
    """
    gap, band = 4, 28
    column = (width - gap * (len(titles) + 1)) // len(titles)
    strips = [_title_band(titles, column, gap, band)]
    for row in rows:
        cells = [_fit(picture, column) for picture in row]
        height = max(cell.shape[0] for cell in cells)
        strip = np.full((height + gap, strips[0].shape[1], 3), 255, np.uint8)
        for i, cell in enumerate(cells):
            left = gap + i * (column + gap)
            strip[:cell.shape[0], left:left + column] = cell
        strips.append(strip)
    return np.vstack(strips)


def _title_band(titles: Sequence[str], column: int, gap: int, height: int) -> Image:
    band = np.full((height, gap + len(titles) * (column + gap), 3), 255, np.uint8)
    for i, title in enumerate(titles):
        cv2.putText(band, title, (gap + i * (column + gap), height - 9),
                    cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
    return band


def _fit(picture: Image, width: int) -> Image:
    if picture.ndim == 2:
        picture = cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR)
    height = max(1, round(picture.shape[0] * width / picture.shape[1]))
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)

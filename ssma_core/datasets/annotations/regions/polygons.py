"""Polygons and masks, both ways without a changed pixel.

Coordinates are those of the tools: (0, 0) is the corner of the first pixel, whose centre is at
(0.5, 0.5). A pixel belongs to a polygon where its centre does.
"""
from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from ssma_core.errors import SsmaError
from ssma_core.pictures import Image

Points = npt.NDArray[np.float64]
_FARTHEST = 1e6  # pixels
_MOST_CROSSINGS = 20_000_000  # of edges and rows of pixels; 1000 times as many as a fine outline


def as_points(values: Any) -> Points:
    """x, y of at least three points, N×2, from [[x, y], …] or [x, y, x, y, …]. Raises SsmaError
    where it is anything else."""
    try:
        points = np.array(values, np.float64)
        points = points.reshape(-1, 2) if points.ndim == 1 else points
    except (ValueError, TypeError, OverflowError):
        points = np.empty(0)
    if points.ndim != 2 or points.shape[1] != 2 or len(points) < 3:
        raise SsmaError("a polygon must be a list of at least three points")
    if not (np.abs(points) < _FARTHEST).all():
        raise SsmaError("a polygon has a point that is no number, or is far from any picture")
    return points


def fill(points: Points, label: Image, number: int) -> None:
    """Sets the pixels of the label (H×W) whose centres are inside the polygon: from where a row of
    centres crosses its outline an odd number of times. Raises SsmaError for an outline that crosses
    the picture's rows millions of times."""
    top, bottom = _span(points[:, 1], label.shape[0])
    left, right = _span(points[:, 0], label.shape[1])
    if bottom <= top or right <= left:
        return
    rows, x = _crossings(points, top, bottom)
    columns = np.clip(np.ceil(x - 0.5), left, right).astype(np.int64) - left
    # One column more: for crossings to the right of the last pixel.
    width = right - left + 1
    counts = np.bincount((rows - top) * width + columns, minlength=(bottom - top) * width)
    inside = np.cumsum(counts.reshape(-1, width), axis=1)[:, :-1] % 2 == 1
    label[top:bottom, left:right][inside] = number


def _span(values: Points, side: int) -> tuple[int, int]:
    """The first pixel whose centre can be within the values, and the one behind the last."""
    ends = np.clip(np.ceil(np.array([values.min(), values.max()]) - 0.5), 0, side)
    return int(ends[0]), int(ends[1])


def _crossings(points: Points, top: int, bottom: int) -> tuple[npt.NDArray[np.int64], Points]:
    """Row and x of every place where an edge crosses the centres of the rows top…bottom−1."""
    ends = np.roll(points, -1, axis=0)
    rows = np.clip(np.ceil(np.stack([points[:, 1], ends[:, 1]]) - 0.5), top, bottom)
    first, behind = np.sort(rows.astype(np.int64), axis=0)
    counts = behind - first
    total = int(counts.sum())
    if total > _MOST_CROSSINGS:
        raise SsmaError(f"a polygon's outline crosses the rows of pixels {total:,} times")
    edge = np.repeat(np.arange(len(points)), counts)
    row = np.arange(total) - np.repeat(np.cumsum(counts) - counts, counts) + first[edge]
    (x0, y0), (x1, y1) = points[edge].T, ends[edge].T
    return row, x0 + (row + 0.5 - y0) * (x1 - x0) / (y1 - y0)


def fill_circle(centre: tuple[float, float], radius: float, label: Image, number: int) -> None:
    """Sets the pixels of the label whose centres are inside the circle."""
    height, width = label.shape
    x, y = np.arange(width) + 0.5 - centre[0], np.arange(height) + 0.5 - centre[1]
    label[y[:, None] ** 2 + x[None, :] ** 2 <= radius**2] = number


class Outline(NamedTuple):
    """A patch of one class. points: N×2 int, corners of pixels, without its holes. area: in pixels,
    its holes included."""

    number: int
    points: npt.NDArray[np.int32]
    area: float


def outlines(label: Image, void_id: int) -> list[Outline]:
    """The outlines of a label's patches (4-connected), such that `fill` with one after the other,
    on void, gives the label again: a patch in a hole of another one is smaller, and comes later.
    Patches of void are among them where they could lie in such a hole."""
    found = [outline for number in np.unique(label)
             for outline in _of_class(label == number, int(number), number == void_id)]
    return sorted(found, key=lambda outline: -outline.area)


def _of_class(mask: npt.NDArray[np.bool_], number: int, is_void: bool) -> list[Outline]:
    count, patches, facts, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8),
                                                                connectivity=4)
    height, width = mask.shape
    found = []
    for patch in range(1, count):
        x, y, w, h = (int(each) for each in facts[patch, :4])
        if is_void and (x == 0 or y == 0 or x + w == width or y + h == height):
            continue
        points = _outline(patches[y:y + h, x:x + w] == patch) + np.array([x, y], np.int32)
        found.append(Outline(number, points, cv2.contourArea(points)))
    return found


def _outline(patch: npt.NDArray[np.bool_]) -> npt.NDArray[np.int32]:
    """The corners of pixels around a patch. Of each pixel four are made; the contour through the
    centres of those at the border has one for each corner that the outline passes."""
    fours = np.repeat(np.repeat(patch.astype(np.uint8), 2, axis=0), 2, axis=1)
    contours, _ = cv2.findContours(fours, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    (contour,) = contours
    points = (contour[:, 0] + 1) // 2
    points = points[(points != np.roll(points, 1, axis=0)).any(axis=1)]
    before, after = np.roll(points, 1, axis=0), np.roll(points, -1, axis=0)
    is_corner = ((before != points) & (points != after)).sum(axis=1) == 0
    return np.ascontiguousarray(points[is_corner], np.int32)


def simplified(points: npt.NDArray[np.int32], tolerance: float) -> npt.NDArray[np.int32]:
    """The outline with fewer points, nowhere farther than `tolerance` pixels from it (Douglas and
    Peucker); the outline itself where less than three would be left."""
    fewer = cv2.approxPolyDP(points[:, None], tolerance, True)[:, 0]
    return fewer if len(fewer) >= 3 else points

"""Depth of its own camera, as the colour camera would have measured it.

Every measurement becomes a point, and lands on a pixel. Of those that land on one pixel, the
nearest stays. Neighbours that land two pixels apart leave a gap, through which the background would
be seen: the pixel between them gets the farther depth of the two. Where one of the two is no
measurement, nothing is filled: what the sensor did not answer stays without an answer.
"""
from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from ssma_core.errors import SsmaError
from ssma_core.modalities.depth import measured
from ssma_core.registration.cameras import CalibratedCamera, Transform, check_apart
from ssma_core.registration.sizes import Size, begin, check_sizes

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]
Places = npt.NDArray[np.int32]

MEASURED, NO_RETURN, HOLE = 0, 1, 2
_ROWS = 64  # at once: what a core's cache holds
_BEYOND = np.float32(1e8)  # as good as infinity, in millimetres and in metres
_MOST_MILLIMETRES = 65535.0  # in uint16
_AS_FINE = 0.75  # of colour's focal length: the gaps that this leaves are closed
_WIDEST = 4  # the ideal camera's image, in sides of the colour image


class _Grid(NamedTuple):
    """The pixels on which points land: of an ideal camera in the place of the colour camera, which
    are hardly finer than the depth image's, so that gaps are few.

    matrix: 3×3. places: which of them each colour pixel shows, as for cv2.remap; None where they
      are the colour image's own.
    """

    matrix: Array
    size: Size
    places: Array | None


class _Projection(NamedTuple):
    """A point at distance z is seen at (x, y) of the grid: (x w, y w, w) = slopes z + unit offset.
    Its distance from the grid's camera is w.

    slopes: 3×H×W float32. offset: 3 float32, for metres.
    """

    slopes: Floats
    offset: Floats


@dataclass(frozen=True)
class DepthRegistration:
    """Depth that is measured from another place than colour's.

    colour, depth: the cameras. transform: the depth camera as seen from the colour camera.
    file: where it was read, for errors.
    Raises SsmaError for cameras that are more than 10 m apart.
    """

    colour: CalibratedCamera
    depth: CalibratedCamera
    transform: Transform
    file: str | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        check_apart(self.transform)

    @property
    def colour_size(self) -> Size:
        return self.colour.size

    @property
    def aux_size(self) -> Size:
        return self.depth.size

    def aligned(self, aux: Array, colour_size: Size | None = None, beyond: float = 0.0) -> Array:
        """The depth image in the colour camera's view: of each colour pixel the distance along the
        colour camera's axis. 0 where nothing was measured, of floats `beyond`; `answers` says why.

        aux: H×W uint16 millimetres or float metres (0, NaN and infinity: no return); the result has
          its type. colour_size: (width, height) of the colour image, to be checked.
        Raises SsmaError when a size or the type is another one.
        """
        seen = self._seen(self._distances(aux, colour_size), _units_a_metre(aux))
        if aux.dtype == np.uint16:
            _, known = cv2.threshold(seen, _MOST_MILLIMETRES, 0, cv2.THRESH_TOZERO_INV)
            return cv2.add(known, 0.0, dtype=cv2.CV_16U)  # rounds
        _, known = cv2.threshold(seen, float(_BEYOND / 2), 0, cv2.THRESH_TOZERO_INV)
        if beyond:
            known[known == 0] = beyond
        return known.astype(aux.dtype, copy=False)

    def answers(self, aux: Array) -> npt.NDArray[np.uint8]:
        """Why each pixel of `aligned` is as it is, H×W: MEASURED; NO_RETURN: a ray of the depth
        camera went there, and nothing came back (it is taken to go on to infinity); HOLE: no ray
        went there, it is beyond the depth camera's view or hidden from it.

        aux: as of `aligned`, and errors too.
        """
        distances = self._distances(aux)
        seen = self._seen(np.where(measured(distances), distances, _BEYOND), _units_a_metre(aux))
        return np.select([seen < _BEYOND / 2, seen < np.inf], [MEASURED, NO_RETURN], HOLE
                         ).astype(np.uint8)

    def _distances(self, aux: Array, colour_size: Size | None = None) -> Floats:
        check_sizes(self, aux, colour_size)
        if aux.ndim != 2 or (aux.dtype != np.uint16 and aux.dtype.kind != "f"):
            raise SsmaError(f"{begin(self)}only depth can be projected, HxW of uint16 millimetres "
                            f"or float metres, got shape {aux.shape} of {aux.dtype}")
        return aux.astype(np.float32, copy=False)

    def _seen(self, distances: Floats, units_a_metre: float) -> Floats:
        """What the colour camera sees of these, in their unit; infinity where it sees nothing."""
        width, height = self._grid.size
        stride = width + 2  # around the grid is a border for what lands beside it
        inside = (height + 2) * stride
        # What lands nowhere is kept apart: on one place each would wait for the one before.
        nowhere = inside + 2 * stride + np.arange(distances.shape[1], dtype=np.int32)
        nearest = np.full(nowhere[-1] + 1, np.inf, np.float32)
        slopes, offset = self._projection
        for top in range(0, len(distances), _ROWS):
            rows = slice(top, top + _ROWS + 1)  # the last one again, for the gap below it
            far, places = _landed(distances[rows], slopes[:, rows], units_a_metre * offset,
                                  self._grid.size, nowhere)
            with np.errstate(invalid="ignore"):  # of what lands nowhere
                np.minimum.at(nearest, places.astype(np.intp), far)
                for between, farther in _gaps(places, far, distances.shape[1], stride):
                    np.minimum.at(nearest, between.astype(np.intp), farther)
        seen = nearest[:inside].reshape(height + 2, stride)[1:-1, 1:-1]
        if self._grid.places is None:
            return seen
        return cv2.remap(seen, self._grid.places, None, cv2.INTER_NEAREST,
                         borderMode=cv2.BORDER_CONSTANT, borderValue=float("inf"))

    @cached_property
    def _projection(self) -> _Projection:
        rays, seen_from = self.depth.rays(), self.transform.matrix
        points = np.concatenate([rays, np.ones((*rays.shape[:2], 1))], axis=2)
        shift = np.array([[1, 0, 1.5], [0, 1, 1.5], [0, 0, 1]])  # the border, and to round
        matrix = shift @ self._grid.matrix
        slopes = points @ (matrix @ seen_from[:3, :3]).T
        return _Projection(np.ascontiguousarray(slopes.transpose(2, 0, 1), np.float32),
                           (matrix @ seen_from[:3, 3]).astype(np.float32))

    @cached_property
    def _grid(self) -> _Grid:
        colour = self.colour
        coarser = [ours / theirs if ours < _AS_FINE * theirs else 1.0 for ours, theirs in
                   ((self.depth.fx, colour.fx), (self.depth.fy, colour.fy))]
        if colour.is_pinhole and coarser == [1, 1]:
            return _Grid(colour.matrix, colour.size, None)
        rays = colour.rays()
        focal = coarser * np.array([colour.fx, colour.fy])
        low, high = (edge(rays.reshape(-1, 2), axis=0) for edge in (np.nanmin, np.nanmax))
        size = tuple(math.ceil(side) + 1 for side in (high - low) * focal)
        if any(side > _WIDEST * most for side, most in zip(size, colour.size)):
            raise SsmaError(f"the colour camera's lens is too wide: without its distortion the "
                            f"image has {size[0]}x{size[1]} pixels; register rectified images")
        # The centre of the first pixel is a little beyond the first ray.
        at = np.nan_to_num((rays - low) * focal, nan=-1).astype(np.float32)
        places, _ = cv2.convertMaps(np.rint(at[..., 0]), np.rint(at[..., 1]), cv2.CV_16SC2,
                                    nninterpolation=True)
        matrix = np.array([[focal[0], 0, -low[0] * focal[0]], [0, focal[1], -low[1] * focal[1]],
                           [0, 0, 1]])
        return _Grid(matrix, (size[0], size[1]), places)


def _units_a_metre(aux: Array) -> float:
    return 1000.0 if aux.dtype == np.uint16 else 1.0


def _landed(distances: Floats, slopes: Floats, offset: Floats, size: Size, nowhere: Places
            ) -> tuple[Floats, Places]:
    """Of each measurement its distance from the grid's camera, and the flat index, with the border,
    of the pixel on which it lands; `nowhere`, by its column, for what lands on none."""
    x, y, far = (slope * distances for slope in slopes)
    far += offset[2]
    with np.errstate(all="ignore"):  # of what is no measurement
        scale = 1 / far
        x += offset[0]
        x *= scale
        y += offset[1]
        y *= scale
        column, row = x.astype(np.int32), y.astype(np.int32)
    # Negative numbers are large ones without a sign.
    lands = column.view(np.uint32) < size[0] + 2
    lands &= row.view(np.uint32) < size[1] + 2
    lands &= distances > 0
    lands &= far > 0
    row *= size[0] + 2
    row += column
    return far.ravel(), np.where(lands, row, nowhere).ravel()


def _gaps(places: Places, far: Floats, row: int, stride: int) -> Iterator[tuple[Places, Floats]]:
    """The pixels between neighbours that landed two pixels apart, with the farther distance of the
    two. Neighbours farther apart are of two surfaces.

    row: how many pixels a row of the depth image has. stride: of the grid.
    """
    for next_one, step, across in ((1, 1, stride), (row, stride, 1)):
        here, there = places[:-next_one], places[next_one:]
        apart = there - here
        gap = apart == 2 * step
        gap |= np.abs(apart - step) == across
        found = np.flatnonzero(gap)
        yield here[found] + step, np.maximum(far[found], far[found + next_one])

"""A second camera without depth: near infrared or thermal, which fits colour at one distance."""
from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt

from ssma_core.errors import SsmaError
from ssma_core.image_files.header import check_megapixels
from ssma_core.registration.cameras import CalibratedCamera, Transform, check_apart
from ssma_core.registration.sizes import Size, as_text, check_sizes

Array = npt.NDArray[Any]
Row = tuple[float, float, float]

FARTHEST_CORNER = 0.5  # of the colour image's diagonal
TOLERANCE = 3.0  # pixels that one surface may be displaced by
_FITS = 1.0  # pixel by which lenses may keep a homography from fitting
_OUTSIDE = -9  # a column that no image has, with all its neighbours
_GRID = 12  # points along each side of the image that a homography is fitted to


@dataclass(frozen=True)
class HomographyRegistration:
    """How the pixels of two cameras belong together, for what is at one distance.

    matrix: 3×3, rows from above: a pixel (x, y, 1) of the second image to one of the colour image.
      Pixel centres have whole coordinates.
    aux_size, colour_size: (width, height) of both.
    interpolation: "linear" for images; "nearest" for depth, disparity, and what must not be mixed.
    spread: pixels of the colour image by which parts of the recording disagree about the corners.
    near, far: metres between which what is seen is displaced by at most `TOLERANCE` pixels. far is
      None where that has no end.
    file: where it was read, for errors.
    spread and near are None where that is not known. Raises SsmaError for a matrix that cannot be
    of two cameras which look the same way.
    """

    matrix: tuple[Row, Row, Row]
    aux_size: Size
    colour_size: Size
    interpolation: Literal["linear", "nearest"] = "linear"
    spread: float | None = None
    near: float | None = None
    far: float | None = None
    file: str | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        for size in (self.aux_size, self.colour_size):
            if min(size) < 1:
                raise SsmaError(f"an image has at least one pixel, got {as_text(size)}")
            check_megapixels("an image", *size)
        check_homography(np.array(self.matrix), self.aux_size, self.colour_size)

    def aligned(self, aux: Array, colour_size: Size | None = None, beyond: float = 0.0) -> Array:
        """The second image in the colour camera's view: H×W or H×W×3 of the same type. 0 where the
        second camera sees nothing; of floats `beyond`.

        aux: H×W or H×W×3, uint8, uint16 or float. colour_size: (width, height) of the colour image,
          to be checked. Raises SsmaError when a size is another one.
        """
        check_sizes(self, aux, colour_size)
        how = cv2.INTER_LINEAR if self.interpolation == "linear" else cv2.INTER_NEAREST
        found = cv2.remap(aux, *self._maps, how, borderMode=cv2.BORDER_CONSTANT, borderValue=0)
        if beyond and aux.dtype.kind == "f":  # not by remap: a NaN beside a pixel would spread
            found[self._maps[0][..., 0] == _OUTSIDE] = beyond
        return found

    @cached_property
    def _maps(self) -> tuple[Array, Array | None]:
        """As cv2.remap takes them fastest. A pixel that is partly outside is whole: half of a value
        is another value."""
        width, height = self.colour_size
        pixels = np.stack(np.meshgrid(np.arange(width, dtype=np.float64), np.arange(height)), 2)
        at = moved(np.linalg.inv(np.array(self.matrix)), pixels.reshape(-1, 2))
        at = at.reshape(height, width, 2)
        last = np.array(self.aux_size) - 1
        inside = ((at >= -0.5) & (at <= last + 0.5)).all(axis=2, keepdims=True)
        at = np.where(inside, at.clip(0, last), _OUTSIDE).astype(np.float32)
        nearest = self.interpolation == "nearest"
        if nearest:
            at = np.rint(at)
        first, second = cv2.convertMaps(at[..., 0], at[..., 1], cv2.CV_16SC2,
                                        nninterpolation=nearest)
        return first, None if nearest else second


def check_homography(matrix: Array, aux_size: Size, colour_size: Size) -> None:
    """Raises SsmaError, with the figures, for a matrix that is singular, mirrors or folds the
    image, or moves a corner by more than half of the colour image's diagonal, beyond the difference
    in size."""
    if not np.isfinite(matrix).all() or abs(np.linalg.det(matrix)) < 1e-12:
        raise SsmaError(f"the homography is singular: {_text(matrix)}")
    before = corners(aux_size)
    weights = matrix[2] @ np.concatenate([before, np.ones((4, 1))], axis=1).T
    if weights.min() * weights.max() <= 0:
        raise SsmaError("the homography folds the image: a part of it would be behind the camera: "
                        + _text(matrix))
    after = moved(matrix, before)
    if not cv2.contourArea(after.astype(np.float32), oriented=True) > 0 or not cv2.isContourConvex(
            after.astype(np.float32)):
        raise SsmaError(f"the homography mirrors or folds the image: {_text(matrix)}")
    diagonal = math.hypot(*colour_size)
    farthest = float(np.linalg.norm(after - corners(colour_size), axis=1).max())
    if farthest > FARTHEST_CORNER * diagonal:
        raise SsmaError(f"the homography moves a corner of the image by {farthest:.0f} pixels, of "
                        f"a diagonal of {diagonal:.0f}: the two cameras would not look the same "
                        f"way: {_text(matrix)}")


def at_distance(colour: CalibratedCamera, aux: CalibratedCamera, transform: Transform,
                distance: float) -> Array:
    """The homography, 3×3, for what is at a distance in metres along the second camera's axis: from
    its pixels to the colour camera's.

    For a plane n·X = d, H = K (R + t nᵀ / d) K'⁻¹ (Hartley and Zisserman, Multiple View Geometry,
    result 13.1); here n is the axis. Raises SsmaError where the lenses' distortion keeps any
    homography from fitting, and for a distance that is none.
    """
    check_apart(transform)
    if not 0 < distance < math.inf:
        raise SsmaError(f"a working distance is a number of metres above 0, got {distance:g}")
    seen_from = transform.matrix
    plane = seen_from[:3, :3] + np.outer(seen_from[:3, 3], (0, 0, 1)) / distance
    if colour.is_pinhole and aux.is_pinhole:
        return scaled(colour.matrix @ plane @ np.linalg.inv(aux.matrix))
    rays = aux.rays()
    rows, columns = (np.linspace(0, side - 1, _GRID).astype(int) for side in rays.shape[:2])
    pixels = np.stack(np.meshgrid(columns, rows), 2).reshape(-1, 2).astype(np.float64)
    seen = colour.pixels(moved(plane, rays[np.ix_(rows, columns)].reshape(-1, 2)))
    known = np.isfinite(seen).all(axis=1)
    matrix, _ = cv2.findHomography(pixels[known], seen[known])
    off = float(np.abs(moved(matrix, pixels) - seen)[known].max())
    if off > _FITS or not known.all():
        raise SsmaError(f"no homography fits: the lenses' distortion leaves {off:.1f} pixels; "
                        "record rectified images (image_proc), and register these")
    return scaled(matrix)


def holds_between(parallax: float, distance: float) -> tuple[float, float | None]:
    """The distances in metres, near and far, between which surfaces are displaced by at most
    TOLERANCE pixels; far is None where that has no end.

    parallax: focal length in pixels · baseline in metres: what is at z is displaced by
      parallax · |1/z − 1/distance|.
    """
    least = 1 / distance - TOLERANCE / parallax if parallax else 0.0
    near = 1 / (1 / distance + TOLERANCE / parallax) if parallax else 0.0
    return near, 1 / least if least > 0 else None


def moved(matrix: Array, points: Array) -> Array:
    """N×2 points by a homography."""
    found = np.concatenate([points, np.ones((len(points), 1))], axis=1) @ matrix.T
    with np.errstate(divide="ignore", invalid="ignore"):
        return found[:, :2] / found[:, 2:]


def corners(size: Size) -> Array:
    """The centres of an image's four corner pixels, clockwise, 4×2."""
    right, bottom = size[0] - 1.0, size[1] - 1.0
    return np.array([[0, 0], [right, 0], [right, bottom], [0, bottom]])


def scaled(matrix: Array) -> Array:
    """The same homography with 1 at its end."""
    return np.asarray(matrix / matrix[2, 2])


def resizing(before: Size, after: Size) -> Array:
    """The homography of a resize that keeps pixel centres, as every resize here does."""
    across, down = after[0] / before[0], after[1] / before[1]
    return np.array([[across, 0, (across - 1) / 2], [0, down, (down - 1) / 2], [0, 0, 1.0]])


def _text(matrix: Array) -> str:
    return str([[float(f"{value:.4g}") for value in row] for row in matrix])

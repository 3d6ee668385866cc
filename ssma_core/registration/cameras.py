"""What is known of the two cameras: lens, size, and where one is mounted as seen from the other."""
from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ssma_core.errors import SsmaError
from ssma_core.image_files.header import check_megapixels
from ssma_core.spec import Camera

Array = npt.NDArray[Any]

# How many coefficients: none; k1 k2 p1 p2; k3 (plumb_bob); k4 k5 k6 (rational_polynomial).
DISTORTIONS = (0, 4, 5, 8)
FARTHEST_APART = 10.0  # metres: cameras of one robot
_UNIT = 0.01  # a quaternion's length may differ from 1 by rounding
_EXACT = 0.5  # pixels: where the lens model has an inverse, it is at least so good
_ITERATIONS = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 50, 1e-6)


@dataclass(frozen=True)
class CalibratedCamera(Camera):
    """A pinhole camera behind a lens, as a CameraInfo describes it.

    distortion: the coefficients of OpenCV's model, in its order (k1, k2, p1, p2, k3, k4, k5, k6):
      ROS's plumb_bob and rational_polynomial. Empty: none, as in rectified images.
    Raises SsmaError when they are not 0, 4, 5 or 8, or the size is none of an image.
    """

    distortion: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        check_megapixels("a camera's image", *self.size)
        if len(self.distortion) not in DISTORTIONS:
            raise SsmaError("a lens has 0, 4, 5 or 8 coefficients of distortion (plumb_bob, "
                            f"rational_polynomial), got {len(self.distortion)}")

    @property
    def matrix(self) -> npt.NDArray[np.float64]:
        """K, 3×3."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1.0]])

    @property
    def is_pinhole(self) -> bool:
        return not any(self.distortion)

    def rays(self) -> npt.NDArray[np.float64]:
        """For each pixel (x, y) of the point at distance 1 that it sees: H×W×2. NaN where the
        lens model has no inverse, as in the corners of a wide lens."""
        width, height = self.size
        pixels = np.stack(np.meshgrid(np.arange(width, dtype=np.float64), np.arange(height)), 2)
        if self.is_pinhole:
            return np.asarray((pixels - (self.cx, self.cy)) / (self.fx, self.fy), np.float64)
        flat = pixels.reshape(-1, 1, 2)
        found = _undistorted(flat, self.matrix, np.array(self.distortion))
        off = np.abs(self.pixels(found.reshape(-1, 2)) - flat[:, 0]).max(axis=1)
        found[~(off < _EXACT)] = np.nan
        return found.reshape(height, width, 2)

    def pixels(self, rays: Array) -> npt.NDArray[np.float64]:
        """Where points (x, y, 1) are seen, N×2 to N×2: the inverse of `rays`."""
        points = np.concatenate([rays, np.ones((len(rays), 1))], axis=1)
        still = np.zeros(3)
        seen, _ = cv2.projectPoints(points, still, still, self.matrix, np.array(self.distortion))
        return seen.reshape(-1, 2)


@dataclass(frozen=True)
class Transform:
    """The second camera as seen from the colour camera: of tf, the transform from the colour
    camera's optical frame (parent) to the second one's (child).

    translation: x, y, z in metres. rotation: a quaternion x, y, z, w.
    Raises SsmaError when the quaternion is none of a rotation.
    """

    translation: tuple[float, float, float]
    rotation: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 1.0)

    def __post_init__(self) -> None:
        length = math.hypot(*self.rotation)
        if not abs(length - 1) < _UNIT:
            raise SsmaError("a rotation is a quaternion (x, y, z, w) of length 1, got "
                            f"{list(self.rotation)} of length {length:.3g}")
    @property
    def baseline(self) -> float:
        """How many metres the two cameras are apart."""
        return math.hypot(*self.translation)

    @property
    def matrix(self) -> npt.NDArray[np.float64]:
        """4×4: a point's coordinates in the second camera's frame to those in colour's."""
        x, y, z, w = np.array(self.rotation) / math.hypot(*self.rotation)
        found = np.eye(4)
        found[:3, :3] = [[1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
                         [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
                         [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)]]
        found[:3, 3] = self.translation
        return found

    @classmethod
    def from_matrix(cls, matrix: Array) -> Transform:
        """matrix: 4×4, a rotation and a translation."""
        axis = cv2.Rodrigues(np.asarray(matrix[:3, :3], np.float64))[0].ravel()
        angle = float(np.linalg.norm(axis))
        x, y, z = (float(a) for a in axis * (math.sin(angle / 2) / angle if angle else 0.0))
        return cls((float(matrix[0, 3]), float(matrix[1, 3]), float(matrix[2, 3])),
                   (x, y, z, math.cos(angle / 2)))


def _undistorted(pixels: Array, matrix: Array, distortion: Array) -> npt.NDArray[np.float64]:
    if hasattr(cv2, "undistortPointsIter"):  # until OpenCV 5
        found = cv2.undistortPointsIter(pixels, matrix, distortion, None, None, _ITERATIONS)
    else:
        found = cv2.undistortPoints(pixels, matrix, distortion, criteria=_ITERATIONS)
    return np.asarray(found, np.float64)


def check_apart(transform: Transform) -> None:
    """Raises SsmaError where two cameras are farther apart than those of one robot."""
    if not transform.baseline <= FARTHEST_APART:
        raise SsmaError(f"the two cameras would be {transform.baseline:.4g} m apart, more than "
                        f"{FARTHEST_APART:g}: translations are in metres")

"""HHA: depth as disparity, height above the ground and angle with gravity.

Gupta, Girshick, Arbeláez and Malik, "Learning Rich Features from RGB-D Images for Object Detection
and Segmentation", ECCV 2014; gravity as in Gupta, Arbeláez and Malik, "Perceptual Organization and
Recognition of Indoor Scenes from RGB-D Images", CVPR 2013. Numbers that are not in the papers are
from the authors' code; Depth2HHA-python has the same.
"""
from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ssma_core.modalities.depth import in_metres, measured
from ssma_core.spec import Camera

Float32 = npt.NDArray[np.float32]

# For the drawn angles, a plane is fitted to 7×7 pixels around each pixel.
DRAWN_RADIUS = 3
# Gravity is estimated at a quarter of the size, from planes through 5×5 pixels of that size. The
# original uses 21×21 pixels at full size, but a few thousand planes are enough.
GRAVITY_SCALE, GRAVITY_RADIUS = 4, 2
# In each round: normals at most so many degrees from vertical or horizontal are used.
GRAVITY_ROUNDS = (45,) * 5 + (15,) * 5
# Disparity is 310 / metres; nearer than 1 m counts as 1 m.
DISPARITY, NEAREST = 310, 1
# If the lowest point is less than 0.9 m below the camera, it is not the floor, and the camera is
# assumed to be 1.3 m above the floor.
FLOOR_BELOW, ASSUMED_HEIGHT = 0.9, 1.3
# Angles are drawn as 38 + degrees; a pixel without a normal is drawn as 180 degrees.
ANGLE_OFFSET, NO_NORMAL = 38, 180
# Metres. Distances are clipped to these limits, or their products would overflow.
NEAR_LIMIT, FAR_LIMIT = 1e-3, 1e4
# Rows processed at a time: their sums stay in the processor's cache, which is three times as fast.
STRIP = 32


def in_hha(depth: npt.NDArray[Any], camera: Camera) -> npt.NDArray[np.uint8]:
    """Encodes depth as HHA, H×W×3 uint8, with the channel order of the authors' files read by
    OpenCV.

    depth: H×W, integer millimetres or float metres. Pixels without a measurement become black.
    camera: is scaled from camera.size to this image's size.
    channel 0: 38 + the degrees between the surface's normal, away from the camera, and gravity:
      38 is floor, 128 wall, 218 ceiling or unknown;
    channel 1: centimetres above the lowest point, up to 255;
    channel 2: disparity, 310 / metres, up to 255.
    """
    known = measured(depth)
    metres = np.where(known, np.clip(in_metres(depth), NEAR_LIMIT, FAR_LIMIT), 0).astype(np.float32)
    camera = _scaled(camera, depth.shape)
    down = _gravity(metres, camera)
    lowest = _below(metres, camera, down).max()
    floor = lowest if lowest > FLOOR_BELOW else ASSUMED_HEIGHT
    strips = [_hha_rows(metres, slice(top, top + STRIP), camera, down, floor)
              for top in range(0, len(metres), STRIP)]
    return np.concatenate(strips)


def _hha_rows(metres: Float32, rows: slice, camera: Camera, down: Float32,
              floor: float) -> npt.NDArray[np.uint8]:
    """These rows of the HHA image. floor: metres below the camera."""
    first = max(rows.start - DRAWN_RADIUS, 0)
    wider, inner = slice(first, rows.stop + DRAWN_RADIUS), slice(rows.start - first, None)
    normals = _normals(*_inverse(metres[wider]), _cropped(camera, first), DRAWN_RADIUS)
    metres = metres[rows]
    normals = normals[:, inner][:, :len(metres)]
    degrees = np.degrees(np.arccos(np.clip(np.tensordot(down, normals, 1), -1, 1)))
    height = floor - _below(metres, _cropped(camera, rows.start), down)
    channels = (np.nan_to_num(degrees, nan=NO_NORMAL) + ANGLE_OFFSET,
                100 * height, DISPARITY / np.maximum(metres, NEAREST))
    image = cv2.merge([np.clip(np.rint(c), 0, 255).astype(np.uint8) for c in channels])
    return cv2.bitwise_and(image, image, mask=(metres > 0).view(np.uint8))


def _scaled(camera: Camera, shape: tuple[int, ...]) -> Camera:
    """The camera for the image resized to this shape. The middle of pixel 0 is at 0."""
    x, y = shape[1] / camera.size[0], shape[0] / camera.size[1]
    return Camera(camera.fx * x, camera.fy * y, (camera.cx + 0.5) * x - 0.5,
                  (camera.cy + 0.5) * y - 0.5, (shape[1], shape[0]))


def _cropped(camera: Camera, first_row: int) -> Camera:
    return replace(camera, cy=camera.cy - first_row)


def _rays(camera: Camera, shape: tuple[int, ...]) -> tuple[Float32, Float32]:
    """x/z of every column (1×W) and y/z of every row (H×1)."""
    columns, rows = np.arange(shape[1])[None], np.arange(shape[0])[:, None]
    return (((columns - camera.cx) / camera.fx).astype(np.float32),
            ((rows - camera.cy) / camera.fy).astype(np.float32))


def _below(metres: Float32, camera: Camera, down: Float32) -> Float32:
    """Metres of every point below the camera, H×W. down: unit vector of gravity."""
    across, along = _rays(camera, metres.shape)
    return metres * (across * down[0] + (along * down[1] + down[2]))


def _inverse(metres: Float32) -> tuple[Float32, Float32]:
    """Returns (1 where there is a measurement, else 0; 1 / metres there, else 0), both H×W."""
    known = metres > 0
    return known.astype(np.float32), np.divide(1, metres, out=np.zeros_like(metres), where=known)


def _normals(weight: Float32, inverse: Float32, camera: Camera, radius: int) -> Float32:
    """Unit normals, 3×H×W, away from the camera; NaN where no three pixels span a plane.

    On a plane n·(x, y, z) = 1 the inverse depth is n·(x/z, y/z, 1): affine in the pixel's position.
    So the plane is a linear regression in the window around the pixel, and its sums are box
    filters.
    weight: H×W, 0…1, the measured share of a pixel; inverse: H×W, 1 / metres times the weight.
    """
    one = np.ones(2 * radius + 1, np.float32)
    ramp = np.arange(-radius, radius + 1, dtype=np.float32)

    def total(image: Float32, across: Float32, along: Float32) -> Float32:
        return cv2.sepFilter2D(image, cv2.CV_32F, across, along, borderType=cv2.BORDER_CONSTANT)

    s, x, y = total(weight, one, one), total(weight, ramp, one), total(weight, one, ramp)
    xx, yy = total(weight, ramp**2, one), total(weight, one, ramp**2)
    xy = total(weight, ramp, ramp)
    q, qx, qy = total(inverse, one, one), total(inverse, ramp, one), total(inverse, one, ramp)
    # Cramer's rule for [[xx, xy, x], [xy, yy, y], [x, y, s]] (a, b, c) = (qx, qy, q), times the
    # determinant, which is positive.
    ab, ac, bc = x * y - xy * s, xy * y - x * yy, x * xy - xx * y
    aa = yy * s - y * y
    a = aa * qx + ab * qy + ac * q
    b = ab * qx + (xx * s - x * x) * qy + bc * q
    c = ac * qx + bc * qy + (xx * yy - xy * xy) * q
    across, along = _rays(camera, weight.shape)
    a, b = a * np.float32(camera.fx), b * np.float32(camera.fy)
    normals = np.stack([a, b, c - a * across - b * along])
    length = np.copysign(np.sqrt((normals * normals).sum(0)), c)
    # For a mask the determinant is an integer; it is zero if the mask's pixels lie on a line.
    length[xx * aa + xy * ab + x * ac < 0.5] = np.nan
    return normals / length


def _gravity(metres: Float32, camera: Camera) -> Float32:
    """The unit vector that is perpendicular to most floors and parallel to most walls.

    It is found in rounds. The first round starts at the camera's own down, which also decides when
    the scene does not.
    """
    size = tuple(max(side // GRAVITY_SCALE, 1) for side in camera.size)
    weight, inverse = (cv2.resize(image, size, interpolation=cv2.INTER_AREA)
                       for image in _inverse(metres))
    small = _scaled(camera, weight.shape)
    normals = _normals(weight, inverse, small, GRAVITY_RADIUS).reshape(3, -1)
    normals = normals[:, ~np.isnan(normals[0])]
    down = np.array([0, 1, 0], np.float32)
    for degrees in GRAVITY_ROUNDS:
        cosine = np.abs(down @ normals)
        floors = normals[:, cosine > np.cos(np.radians(degrees))]
        walls = normals[:, cosine < np.sin(np.radians(degrees))]
        # With one wall only, any direction in its plane fits: a small weight keeps the last one.
        before = 1e-3 * (1 + normals.shape[1]) * np.outer(down, down)
        best = np.linalg.eigh(walls @ walls.T - floors @ floors.T - before)[1][:, 0]
        down = (best if best @ down > 0 else -best).astype(np.float32)
    return down

"""Depth, colour and labels as an organized point cloud: a point for every pixel, in their order."""
from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ssma_core import SsmaError, in_metres, measured

# rgb is three bytes packed in a float32, as in PCL. The fourth byte is 0: 255 would make NaN of
# bright reds, and readers that skip NaNs would skip these points.
FIELDS = {"x": ("<f4", 0), "y": ("<f4", 4), "z": ("<f4", 8), "rgb": ("<f4", 12),
          "label": ("u1", 16), "confidence": ("u1", 17)}
POINT_BYTES = 20  # so that every point's floats lie at multiples of four

STRIP = 64  # rows at a time: intermediate results stay in the cache


def cloud(  # noqa: PLR0917
        depth: npt.NDArray[Any], rgb: npt.NDArray[np.uint8] | None, labels: npt.NDArray[np.uint8],
        confidence: npt.NDArray[np.uint8], camera_info: Any, header: Any) -> Any:
    """A sensor_msgs/PointCloud2 of H×W points: x (right), y (down), z (forward) in metres, rgb,
    label and confidence. Where depth is invalid x, y and z are NaN.

    depth: H×W, uint16 millimetres or float metres; 0, NaN, infinity and below 0 are invalid.
    rgb: H×W×3 BGR; None leaves the points black. labels, confidence: H×W uint8.
    camera_info: of the image to which all are registered, in any of the camera's resolutions. Its
      P, of rectified images, is used, or K where P is 0.
    Raises SsmaError for a camera that is not calibrated or has another aspect ratio, and for arrays
    whose sizes differ.
    """
    size = depth.shape
    for name, other in (("labels", labels), ("confidence", confidence), ("colours", rgb)):
        if other is not None and other.shape[:2] != size:
            raise SsmaError(f"points need {name} for every pixel of the depth image: it is "
                            f"{_text(size)}, they are {_text(other.shape)}")
    fx, fy, cx, cy = _pinhole(camera_info, size)
    across = ((np.arange(size[1]) - cx) / fx).astype(np.float32)
    down = ((np.arange(size[0]) - cy) / fy).astype(np.float32)[:, None]
    message = _message(size, header)
    points = np.frombuffer(message.data, np.float32).reshape(*size, -1)
    for first in range(0, size[0], STRIP):
        rows = slice(first, first + STRIP)
        z = _metres(depth[rows])
        nothing = np.zeros(z.shape, np.uint8)
        colours = [nothing] * 3 if rgb is None else [rgb[rows]]
        # Merging whole planes is several times faster than writing field by field.
        cv2.merge([z * across, z * down[rows], z, _as_float(*colours, nothing),
                   _as_float(labels[rows], confidence[rows], nothing, nothing)], points[rows])
    return message


def wrong_calibration(camera_info: Any) -> str:
    """What cannot be right in a CameraInfo, in words; "" where nothing is. All 0, of a camera that
    is not calibrated, is right."""
    wrong = [name.upper() for name in ("k", "p")
             if not np.isfinite(getattr(camera_info, name)).all()]
    return f"{' and '.join(wrong)} of its CameraInfo hold NaN or infinity" if wrong else ""


def _as_float(*planes: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Four channels of bytes as one of float32 that has their bits."""
    return cv2.merge(planes).view(np.float32)[..., 0]


def _metres(depth: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    if depth.dtype != np.uint16 and not np.issubdtype(depth.dtype, np.floating):
        raise SsmaError(f"points need depth as uint16 millimetres or float metres, not "
                        f"{depth.dtype}")
    found = in_metres(depth)
    z = found.astype(np.float32, copy=found is depth)
    z[~measured(z)] = np.nan
    return z


def _pinhole(info: Any, size: tuple[int, ...]) -> tuple[float, float, float, float]:
    """fx, fy, cx, cy in pixels of an image of that size (height, width)."""
    if wrong := wrong_calibration(info):
        raise SsmaError(f"points need a calibrated camera, but {wrong}")
    p, k = info.p, info.k
    fx, cx, fy, cy = (p[0], p[2], p[5], p[6]) if p[0] > 0 else (k[0], k[2], k[4], k[5])
    if min(fx, fy) <= 0:
        raise SsmaError("points need a calibrated camera, but its CameraInfo has no focal length")
    roi = info.roi
    width, height = roi.width or info.width, roi.height or info.height
    if abs(size[0] * width - size[1] * height) >= width:  # a whole row, where it was scaled
        raise SsmaError(f"the CameraInfo is of {width}x{height} pixels, the images are of "
                        f"{_text(size)}: it must be that of the camera which they are registered "
                        "to, and not of a cropped image")
    across, down = size[1] / width, size[0] / height
    # The centres of pixels have integer coordinates: the image begins half a pixel before 0.
    return (fx * across, fy * down, (cx - roi.x_offset + 0.5) * across - 0.5,
            (cy - roi.y_offset + 0.5) * down - 0.5)


def _message(size: tuple[int, ...], header: Any) -> Any:
    """A PointCloud2 with memory for all its points, filled with 0."""
    from sensor_msgs.msg import PointCloud2, PointField

    kinds = {"u1": PointField.UINT8, "<f4": PointField.FLOAT32}
    fields = [PointField(name=name, offset=offset, datatype=kinds[kind], count=1)
              for name, (kind, offset) in FIELDS.items()]
    message = PointCloud2(
        header=header, height=size[0], width=size[1], fields=fields, is_bigendian=False,
        point_step=POINT_BYTES, row_step=POINT_BYTES * size[1], is_dense=False)
    data = message.data  # filled in place: since Jazzy, an assignment copies
    data.append(0)
    data *= size[0] * size[1] * POINT_BYTES
    return message


def _text(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}x{shape[0]}"

"""CameraInfo: size, lens and rectification of the images beside it."""
from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ssma_core.bags import rosbag2
from ssma_core.errors import SsmaError
from ssma_core.plain import from_plain
from ssma_core.registration.cameras import DISTORTIONS, CalibratedCamera

CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
_TRANSPORTS = ("compressed", "compressedDepth")
_LENSES = ("plumb_bob", "rational_polynomial", "")


class Calibration(NamedTuple):
    """camera: of the images of a topic. turned: 3×3, from the camera's frame to that of its
    rectified images; identity for images as the camera made them."""

    camera: CalibratedCamera
    turned: npt.NDArray[np.float64]


def info_topic(image_topic: str) -> str:
    """Where a driver publishes the CameraInfo of a topic's images: beside them."""
    path = PurePosixPath(image_topic)
    return str((path.parent if path.name in _TRANSPORTS else path).parent / "camera_info")


def first(bag: Path, info: str) -> rosbag2.Recorded:
    """The first CameraInfo of a topic. Raises SsmaError where there is none, or the topic has
    another type."""
    recorded = next(rosbag2.messages(bag, [info], (CAMERA_INFO,)), None)
    if recorded is None:
        raise SsmaError(f"{bag}: there is no message on {info}")
    return recorded


def calibration(bag: Path, image_topic: str, info: str, size: tuple[int, int]) -> Calibration:
    """The camera of a topic's images, by the first message on the topic `info`.

    size: (width, height) of the images. Images whose topic has "rect" in its name, after the last
    slash, are rectified: P holds for them, without distortion, and R; K and D for all others.
    Raises SsmaError where the bag has no such message, and for one that cannot be of these images.
    """
    recorded = first(bag, info)
    path = PurePosixPath(image_topic)
    name = path.parent.name if path.name in _TRANSPORTS else path.name
    with rosbag2.about(recorded):
        return _calibration(rosbag2.decode(recorded), size, info, is_rectified="rect" in name)


def _calibration(message: Any, size: tuple[int, int], info: str, *, is_rectified: bool
                 ) -> Calibration:
    if (message.width, message.height) != size or message.roi.x_offset or message.roi.y_offset:
        raise SsmaError(
            f"the CameraInfo is of {message.width}x{message.height} pixels, and the images are "
            f"{size[0]}x{size[1]}: it must be that of these images, neither cropped nor binned; "
            "name the right topic by --rgb-info or --aux-info")
    lens = [float(value) for value in message.d] if not is_rectified else []
    if any(lens) and message.distortion_model not in _LENSES:
        raise SsmaError(f"the distortion {message.distortion_model!r} is not understood, only "
                        "plumb_bob and rational_polynomial: record rectified images (image_proc), "
                        "and register these")
    matrix = np.array(message.p).reshape(3, 4) if is_rectified else np.array(message.k
                                                                             ).reshape(3, 3)
    values = {"fx": matrix[0, 0], "fy": matrix[1, 1], "cx": matrix[0, 2], "cy": matrix[1, 2]}
    camera = from_plain(CalibratedCamera, {
        **{name: float(value) for name, value in values.items()}, "size": size,
        "distortion": _shortest(lens)}, f"the CameraInfo on {info}")
    turned = np.array(message.r, np.float64).reshape(3, 3)
    if not is_rectified or not turned.any():
        return Calibration(camera, np.eye(3))
    if not np.allclose(turned @ turned.T, np.eye(3), atol=1e-3):  # NaN neither
        raise SsmaError(f"the CameraInfo on {info} has an R that is no rotation")
    return Calibration(camera, turned)


def _shortest(lens: list[float]) -> list[float]:
    """Without the zeros at the end that longer models have."""
    while lens and not lens[-1]:
        lens.pop()
    longest = next((length for length in DISTORTIONS if length >= len(lens)), len(lens))
    return lens + [0.0] * (longest - len(lens))

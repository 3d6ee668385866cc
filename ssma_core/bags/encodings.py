"""The encodings of sensor_msgs/Image: how their pixels lie, and how colour becomes BGR.

Names and layouts are those of sensor_msgs/image_encodings.hpp; the conversions are OpenCV's, as
cv_bridge uses them.
"""
from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from ssma_core.image_files.decode import eight_bits

Array = npt.NDArray[Any]


class Layout(NamedTuple):
    """How the pixels of an encoding lie in a message. block: how many pixels (width, height) share
    their colour; that of 2×2 follows behind the rows of brightness."""

    dtype: npt.DTypeLike
    channels: int
    block: tuple[int, int] = (1, 1)


_ORDERED = {"bgr": None, "rgb": cv2.COLOR_RGB2BGR,
            "bgra": cv2.COLOR_BGRA2BGR, "rgba": cv2.COLOR_RGBA2BGR}
# OpenCV names a mosaic by its second row, from the second column on.
_MOSAICS = {"bayer_rggb": cv2.COLOR_BayerBG2BGR, "bayer_bggr": cv2.COLOR_BayerRG2BGR,
            "bayer_gbrg": cv2.COLOR_BayerGR2BGR, "bayer_grbg": cv2.COLOR_BayerGB2BGR}
_DEPTHS: dict[str, npt.DTypeLike] = {"8": np.uint8, "16": np.uint16}

# To BGR; None where it is that already, of 8 bits or 16.
_TO_BGR: dict[str, int | None] = {
    **{name + bits: code for name, code in (_ORDERED | _MOSAICS).items() for bits in _DEPTHS},
    "8UC3": None, "8UC4": cv2.COLOR_BGRA2BGR, "16UC3": None, "16UC4": cv2.COLOR_BGRA2BGR,
    "yuv422": cv2.COLOR_YUV2BGR_UYVY, "uyvy": cv2.COLOR_YUV2BGR_UYVY,
    "yuv422_yuy2": cv2.COLOR_YUV2BGR_YUYV, "yuyv": cv2.COLOR_YUV2BGR_YUYV,
    "nv12": cv2.COLOR_YUV2BGR_NV12, "nv21": cv2.COLOR_YUV2BGR_NV21,
}

COLOUR = tuple(_TO_BGR)
# A camera of one channel is accepted, such as a red one beside near infrared.
CAMERA = (*COLOUR, "mono8", "8UC1", "mono16")
MAPS = ("mono8", "8UC1", "mono16", "16UC1", "32FC1")
DEEP = ("16UC1", "32FC1")  # of the maps, those that no camera has
LABELS = ("mono8", "8UC1", "8SC1", "mono16", "16UC1", "16SC1", "32SC1")

LAYOUTS: dict[str, Layout] = {
    **{name + bits: Layout(dtype, len(name)) for name in _ORDERED
       for bits, dtype in _DEPTHS.items()},
    **{name + bits: Layout(dtype, 1) for name in _MOSAICS for bits, dtype in _DEPTHS.items()},
    **{f"{bits}UC{n}": Layout(dtype, n) for bits, dtype in _DEPTHS.items() for n in (1, 3, 4)},
    **dict.fromkeys(("yuv422", "uyvy", "yuv422_yuy2", "yuyv"), Layout(np.uint8, 2, (2, 1))),
    **dict.fromkeys(("nv12", "nv21"), Layout(np.uint8, 1, (2, 2))),
    "mono8": Layout(np.uint8, 1), "mono16": Layout(np.uint16, 1), "32FC1": Layout(np.float32, 1),
    "8SC1": Layout(np.int8, 1), "16SC1": Layout(np.int16, 1), "32SC1": Layout(np.int32, 1),
}


def is_mosaic(encoding: str) -> bool:
    return encoding.startswith("bayer_")


def shares_colours(encoding: str) -> bool:
    """Whether a pixel's colour is not all in its own values."""
    return is_mosaic(encoding) or LAYOUTS[encoding].block != (1, 1)


def in_bgr(pixels: Array, encoding: str) -> Array:
    """Pixels of a colour encoding as they lie in a message, H×W×3 uint8 BGR; others unchanged.

    Raises SsmaError for 16 bits that are not used: see `eight_bits`."""
    if encoding not in _TO_BGR:
        return pixels
    code = _TO_BGR[encoding]
    return eight_bits(pixels if code is None else cv2.cvtColor(pixels, code))

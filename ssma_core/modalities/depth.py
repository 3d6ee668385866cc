"""Depth and disparity as jet colours, as the released SSMA networks were fed."""
from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

# 256×3 uint8, BGR: OpenCV's jet, the colours of the original's depth images.
JET: npt.NDArray[np.uint8] = cv2.applyColorMap(
    np.arange(256, dtype=np.uint8)[:, None], cv2.COLORMAP_JET)[:, 0]


def millimetres(depth: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Depth as ROS cameras give it (REP 118), in millimetres.

    depth: H×W, uint16 millimetres (returned as it is) or float metres.
    """
    return depth * np.float32(1000) if depth.dtype.kind == "f" else depth


def in_jet(values: npt.NDArray[Any], far: float) -> npt.NDArray[np.uint8]:
    """A scalar map in jet colours: clip(value · 255 / far, 0, 255), H×W×3 uint8, BGR.

    values: H×W, uint8, uint16 or float, in the unit of `far`. What is not a measurement (zero,
      negative, NaN, infinite) becomes black, a colour that jet does not have.
    Source: value · 255 / 7000 mm is what the authors name in issues 6 and 7 of DeepSceneSeg/SSMA.
    """
    if values.dtype.kind == "f":
        values = np.nan_to_num(values, nan=0, posinf=0, neginf=0)
    index = np.clip(values * np.float32(255 / far), 0, 255).astype(np.uint8)
    coloured = cv2.applyColorMap(index, cv2.COLORMAP_JET)
    coloured[values <= 0] = 0
    return coloured

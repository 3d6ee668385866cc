"""Vegetation indices from colour and near infrared."""
from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ssma_core.modalities.depth import JET


def evi(near_infrared: npt.NDArray[Any],
        bgr: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """The enhanced vegetation index, H×W float32, clipped to −1…1.

    EVI = 2.5 (N − R) / (N + 6 R − 7.5 B + 1), Huete et al., Remote Sensing of Environment 83
    (2002), with the bands as reflectances 0…1.
    near_infrared: H×W uint8, uint16 (full range = 1) or float 0…1; bgr: H×W×3 uint8.
    """
    n = _reflectance(near_infrared)
    b, r = _reflectance(bgr[..., 0]), _reflectance(bgr[..., 2])
    denominator = n + 6 * r - 7.5 * b + 1
    # Where the blue band outweighs the rest (sky), the formula has a pole and no meaning.
    meaningful = denominator > 0.05
    index = np.where(meaningful, 2.5 * (n - r) / np.where(meaningful, denominator, 1), -1)
    return np.clip(index, -1, 1).astype(np.float32)


def evi_in_jet(near_infrared: npt.NDArray[Any],
               bgr: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """EVI −1…1 drawn in jet colours, as the original's EVI images: H×W×3 uint8, BGR."""
    return JET[((evi(near_infrared, bgr) + 1) * np.float32(127.5)).astype(np.uint8)]


def _reflectance(band: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    if band.dtype.kind == "f":
        return np.nan_to_num(band.astype(np.float32), nan=0, posinf=1, neginf=0)
    return band.astype(np.float32) / np.float32(np.iinfo(band.dtype).max)

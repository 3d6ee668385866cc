"""Vegetation indices from colour and near infrared.

All take near_infrared, H×W uint8, uint16 (full range = 1) or float 0…1, and bgr, H×W×3 uint8 of the
same size, and return H×W float32, clipped to −1…1. The camera's values, scaled to 0…1, are used as
reflectances: an index compares surfaces under one light and is not a calibrated measurement.
"""
from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ssma_core.modalities.jet import jet

Index = npt.NDArray[np.float32]


def ndvi(near_infrared: npt.NDArray[Any], bgr: npt.NDArray[Any]) -> Index:
    """The normalized difference vegetation index; 0 where there is no light in either band.

    NDVI = (N − R) / (N + R), Rouse et al., "Monitoring vegetation systems in the Great Plains with
    ERTS", Third ERTS Symposium, NASA SP-351 (1974).
    """
    n, r = _reflectance(near_infrared), _reflectance(bgr[..., 2])
    return _clipped((n - r) / np.maximum(n + r, np.finfo(np.float32).tiny))


def evi(near_infrared: npt.NDArray[Any], bgr: npt.NDArray[Any]) -> Index:
    """The enhanced vegetation index; −1 where the denominator is 0.05 or less: the blue band is
    stronger than the others.

    EVI = 2.5 (N − R) / (N + 6 R − 7.5 B + 1), Huete et al., Remote Sensing of Environment 83
    (2002).
    """
    n, r, b = (_reflectance(band) for band in (near_infrared, bgr[..., 2], bgr[..., 0]))
    denominator = n + 6 * r - np.float32(7.5) * b + 1
    # At or below this (sky) the formula is near its pole and has no meaning.
    meaningful = denominator > 0.05
    index = np.float32(2.5) * (n - r) / np.where(meaningful, denominator, 1)
    return _clipped(np.where(meaningful, index, np.float32(-1)))


def evi2(near_infrared: npt.NDArray[Any], bgr: npt.NDArray[Any]) -> Index:
    """The enhanced vegetation index without a blue band.

    EVI2 = 2.5 (N − R) / (N + 2.4 R + 1), Jiang et al., "Development of a two-band enhanced
    vegetation index without a blue band", Remote Sensing of Environment 112 (2008).
    """
    n, r = _reflectance(near_infrared), _reflectance(bgr[..., 2])
    return _clipped(np.float32(2.5) * (n - r) / (n + np.float32(2.4) * r + 1))


def index_in_jet(index: Index) -> npt.NDArray[np.uint8]:
    """Draws an index −1…1 in jet colours, as in the original's EVI images: H×W×3 uint8, BGR."""
    return jet(((index + 1) * np.float32(127.5)).astype(np.uint8))


def _reflectance(band: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    if band.dtype.kind == "f":
        return np.nan_to_num(np.clip(band, 0, 1), nan=0).astype(np.float32)
    return band.astype(np.float32) / np.float32(np.iinfo(band.dtype).max)


def _clipped(index: Index) -> Index:
    return np.clip(index, np.float32(-1), np.float32(1))

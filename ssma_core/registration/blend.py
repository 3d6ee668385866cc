"""Pictures that show whether two images fit: squares of the one between squares of the other."""
from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ssma_core.modalities.depth import measured
from ssma_core.modalities.scale import in_jet

Image = npt.NDArray[np.uint8]

_SQUARES = 12  # along the longer side
_FAR = 95  # percent of what is measured is nearer than the end of the colours


def checkerboard(rgb: Image, aux: npt.NDArray[Any]) -> Image:
    """The colour image, with the registered second image in every other square, H×W×3 uint8 BGR.
    Colour shines through where the second one has nothing.

    aux: H×W of any type, or H×W×3 uint8.
    """
    height, width = rgb.shape[:2]
    side = max(1, max(height, width) // _SQUARES)
    rows, columns = np.arange(height) // side, np.arange(width) // side
    square = (rows[:, None] + columns) % 2 == 1
    known = measured(aux) if aux.ndim == 2 else aux.any(axis=2)
    return np.where((square & known)[..., None], _shown(aux), rgb)


def _shown(aux: npt.NDArray[Any]) -> Image:
    """As a picture: greys of 8 bits as they are, other maps in jet colours."""
    if aux.ndim == 3:
        return aux
    if aux.dtype == np.uint8:
        return cv2.cvtColor(aux, cv2.COLOR_GRAY2BGR)
    known = aux[measured(aux)]
    return in_jet(aux, float(np.percentile(known, _FAR)) if known.size else 1.0)

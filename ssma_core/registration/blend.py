"""Pictures that show whether two images fit: squares of the one between squares of the other."""
from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ssma_core.modalities.depth import measured
from ssma_core.modalities.scale import for_people

Image = npt.NDArray[np.uint8]

_SQUARES = 12  # along the longer side


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
    shown = for_people(aux, "grey" if aux.dtype == np.uint8 else "jet")
    return np.where((square & known)[..., None], shown, rgb)

"""The jet colour map, in which the released networks take depth and vegetation indices."""
from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

# 256×1×3 uint8, BGR. Kept here because OpenCV would make its table again for every image.
COLOURS = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], cv2.COLORMAP_JET)


def jet(levels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """H×W uint8 levels to H×W×3 uint8, BGR."""
    return cv2.applyColorMap(levels, COLOURS)

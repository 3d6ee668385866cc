"""What two eyes cannot match: what only one of them sees, and surfaces without texture."""
from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Plane = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
TOLERANCE = 1.5  # pixels by which a point may lie behind the edge of a nearer one


def hidden(disparity: Plane, other_eye: int) -> Mask:
    """Pixels that the other eye does not see. disparity: pixels.

    The right eye (other_eye 1) sees a point as many columns farther left as its disparity. Outside
    its picture there is nothing: an empty band on the left, as wide as the disparity there. Behind
    the left edge of near things it sees their side instead. The left eye (-1) is the mirror image.
    """
    if other_eye < 0:
        return hidden(disparity[:, ::-1], 1)[:, ::-1]
    column = np.arange(disparity.shape[1], dtype=np.float32) - disparity
    leftmost = np.minimum.accumulate(column[:, ::-1], axis=1)[:, ::-1]
    return np.asarray((column < 0) | (column > leftmost + np.float32(TOLERANCE)))


def featureless(grey: npt.NDArray[np.uint8], smooth: float, width: int) -> Mask:
    """Where neighbouring pixels differ too little to be matched. smooth: 0 none, 1 the most."""
    side = max(width // 110, 3) | 1
    rough = cv2.blur(cv2.absdiff(grey, cv2.blur(grey, (3, 3))), (side, side))
    return np.asarray(rough < 2.6 * smooth)

"""The scene as a person would label it: no class finer than a hand can draw."""
from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from ssma_core.datasets.forest.canvas import (
    CLASSES,
    OBSTACLE,
    SKY,
    VEGETATION,
    VOID,
    Canvas,
)

BRUSH = 7 / 768  # side of the neighbourhood that decides a pixel's class, a share of the width
DECIDED = 0.53  # share of the neighbourhood that its most frequent class needs
SMALLEST_SKY = 0.0005  # share of the picture; a smaller gap in a crown is called vegetation
SMALLEST_OBSTACLE = 0.0006  # a smaller one is too far to be sure of: void


def annotated(canvas: Canvas) -> Canvas:
    """Each pixel gets the most frequent class around it, or void where none prevails, as among
    twigs before the sky; then patches too small to be drawn go. A gap in a crown comes as near
    as its rim."""
    side = max(int(BRUSH * canvas.label.shape[1]) | 1, 3)
    shares = np.stack([cv2.blur((canvas.label == i).astype(np.float32), (side, side))
                       for i in range(CLASSES)])
    label = shares.argmax(axis=0).astype(np.uint8)
    label[shares.max(axis=0) < DECIDED] = VOID
    label[_patches(label == SKY, SMALLEST_SKY)] = VEGETATION
    label[_patches(label == OBSTACLE, SMALLEST_OBSTACLE)] = VOID
    nearest = cv2.erode(canvas.distance, np.ones((side, side), np.uint8))
    gap = (canvas.label == SKY) & (label != SKY)
    return Canvas(canvas.colour, np.where(gap, nearest, canvas.distance), label)


def _patches(mask: npt.NDArray[np.bool_], share: float) -> npt.NDArray[np.bool_]:
    """Those connected patches of a mask that are smaller than a share of the picture."""
    _, numbers, facts, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    small = facts[:, cv2.CC_STAT_AREA] < share * mask.size
    return np.asarray(small[numbers] & mask)

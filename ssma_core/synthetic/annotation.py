"""Labels the scene as a person would: no detail is finer than a hand can draw."""
from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from ssma_core.synthetic.canvas import (
    GRASS,
    OBSTACLE,
    SKY,
    TRAIL,
    VEGETATION,
    Canvas,
)

BRUSH = 7 / 768  # side of the neighbourhood that decides a pixel's class, as a share of the width
DECIDED = 0.53  # share of the neighbourhood that its most frequent class must have
SMALLEST_SKY = 0.0005  # share of the picture; a smaller gap in a crown is labelled vegetation


def annotated(canvas: Canvas) -> Canvas:
    """Each pixel gets the most frequent class around it, or void if no class is frequent enough,
    for example among twigs in front of the sky. Gaps in crowns that are too small to draw become
    vegetation, at the distance of their rim."""
    side = max(int(BRUSH * canvas.label.shape[1]) | 1, 3)
    label = np.zeros_like(canvas.label)
    most = np.full_like(label, int(DECIDED * 255))
    for number in (TRAIL, GRASS, VEGETATION, SKY, OBSTACLE):
        share = cv2.blur(cv2.compare(canvas.label, number, cv2.CMP_EQ), (side, side))
        label[share > most] = number
        most = cv2.max(most, share)
    label[_specks(label == SKY)] = VEGETATION
    nearest = cv2.erode(canvas.distance, np.ones((side, side), np.uint8))
    gap = (canvas.label == SKY) & (label != SKY)
    return Canvas(canvas.colour, np.where(gap, nearest, canvas.distance), label)


def _specks(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """The mask's connected patches that are smaller than SMALLEST_SKY."""
    _, numbers, facts, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    small = facts[:, cv2.CC_STAT_AREA] < SMALLEST_SKY * mask.size
    return np.asarray(small[numbers] & mask)

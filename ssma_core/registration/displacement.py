"""Whether two images that should fit pixel by pixel are displaced, seen over some seconds."""
from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
import numpy.typing as npt

from ssma_core.registration.structure import (
    best_shift,
    brightness,
    resized,
    shifts,
    spectrum,
    structure,
)

Array = npt.NDArray[Any]

EVERY_S = 1.0
_WIDTH = 480  # of the images that are compared
_NARROWEST = 120  # pixels of the colour image, which shows too little otherwise
_LOOKS, _ENOUGH = 10, 5  # pairs that are remembered, and pairs to judge by
_FARTHEST = 0.06  # of the width, of a displacement that is looked for
_MUCH = 4  # pixels of these: from there on they are displaced
_NEAR = 2  # pixels of these that an image may always be off
_SURE = 12.0  # times the noise, of a correlation
_BETTER = 1.15  # times the correlation of what is not displaced


class Displacement:
    """Takes a pair of images now and then; the newest ten count together."""

    def __init__(self) -> None:
        self._size, self._scale = (0, 0), 1.0
        self.begin_anew()

    def begin_anew(self) -> None:
        """Forgets what was seen: it was of another state of things. Another thread may be in
        `pixels`, so the size stays."""
        self._looks: deque[Array] = deque(maxlen=_LOOKS)
        self._last = float("-inf")

    def look(self, rgb: Array, aux: Array, now: float) -> bool:
        """Looks at a pair if the last look was EVERY_S before `now`, in seconds. Some milliseconds.
        Returns whether it did.

        rgb: H×W×3 uint8 BGR. aux: the second sensor's, of the same height and width.
        """
        height, width = rgb.shape[:2]
        if now - self._last < EVERY_S or aux.shape[:2] != (height, width) or width < _NARROWEST:
            return False
        size = (min(_WIDTH, width), max(1, round(height * min(_WIDTH, width) / width)))
        if size != self._size:
            self.begin_anew()
        self._size, self._scale, self._last = size, width / size[0], now
        self._looks.append(spectrum(*(structure(resized(brightness(each), size))
                                      for each in (_thinned(rgb), _thinned(aux)))))
        return True

    def pixels(self) -> tuple[int, int] | None:
        """By how many pixels of the colour image the second image's content lies too far right and
        too far down; None while it fits, or while that is not certain."""
        looks = list(self._looks)
        if len(looks) < _ENOUGH:
            return None
        found = [_moved(sum(part), self._size) for part in (looks, looks[::2], looks[1::2])]
        if any(moved is None for moved in found):
            return None
        best, *halves = (np.array(moved) for moved in found)
        if max(abs(best)) < _MUCH or any(max(abs(half - best)) > _NEAR for half in halves):
            return None
        right, down = -self._scale * best
        return round(right), round(down)


def _thinned(image: Array) -> Array:
    """Every other pixel and row of a large image, or fewer, which saves half of the time."""
    step = max(1, image.shape[1] // _WIDTH)
    return np.ascontiguousarray(image[::step, ::step])


def _moved(total: Any, size: tuple[int, int]) -> tuple[int, int] | None:
    """By how many pixels right and down the second image would fit; None where that is not certain,
    or where it fits."""
    found = shifts(total, size)
    best, (right, down) = best_shift(found, round(_FARTHEST * size[0]))
    here, _ = best_shift(found, _NEAR)
    is_certain = best >= _SURE * float(found.std()) and best >= _BETTER * here
    return (right, down) if is_certain else None

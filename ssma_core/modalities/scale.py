"""Which values of a scalar map are measurements, and at which level between two ends each lies."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt

from ssma_core.modalities.depth import measured
from ssma_core.modalities.jet import jet
from ssma_core.spec import Modality

Image = npt.NDArray[np.uint8]
# The narrowest scale: a frame whose percentiles are equal has all its values at the low end, or
# beyond the high one.
NARROWEST = np.float32(1e-30)
_SHOWN = (2.0, 98.0)  # percentiles: the ends of what people see of a map


def drawn(values: npt.NDArray[Any], modality: Modality) -> Image:
    """A scalar map as the modality draws it, H×W×3 uint8 BGR: clip((value − low) · 255 / (high −
    low), 0, 255), truncated, in jet colours or grey. What is no measurement is black.

    values: H×W uint8, uint16 or float, in the unit of the modality's range; a depth in millimetres.
    """
    known = measured(values) if modality.zero_is_nothing else has_value(values)
    levels = np.clip(_levels(values, known, modality), 0, 255).astype(np.uint8)
    image = jet(levels) if modality.encoding == "jet" else cv2.merge([levels] * 3)
    return cv2.bitwise_and(image, image, mask=known.view(np.uint8))


def in_jet(values: npt.NDArray[Any], far: float) -> Image:
    """`drawn` in jet colours from 0 to `far`: value · 255 / 7000 mm is what the authors give for
    depth, in issues 6 and 7 of DeepSceneSeg/SSMA."""
    return drawn(values, Modality("map", "jet", far))


def for_people(array: npt.NDArray[Any], encoding: Literal["jet", "grey"]) -> Image:
    """Any sensor's array as a picture to look at, H×W×3 uint8 BGR; one of three channels is one
    already. Jet colours begin at 0, as suits depth; greys at the darkest values, as suits near
    infrared and thermal. Both end where few values are larger; what has none is black.

    array: H×W uint8, uint16 or float, or H×W×3 uint8.
    """
    if array.ndim == 3:
        return array
    if encoding == "grey":
        return drawn(array, Modality("map", "grey", percentiles=_SHOWN))
    known = array[measured(array)]
    return in_jet(array, float(np.percentile(known, _SHOWN[1])) if known.size else 1.0)


def has_value(values: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Where a map has a value on a scale that does not begin at zero: a finite float, or a whole
    number other than 0, which such sensors send for a dead pixel. H×W bool."""
    return np.isfinite(values) if values.dtype.kind == "f" else values != 0


def percentiles(values: npt.NDArray[Any], shares: Sequence[float]) -> npt.NDArray[np.float32]:
    """For each share: the smallest of the values (n, not NaN) that `share` % of them do not exceed;
    0 where there is none.

    The nearest rank, and no mean of two values: a network graph finds it by counting.
    """
    if not values.size:
        return np.zeros(len(shares), np.float32)
    wanted = np.float32(values.size) * np.float32(np.divide(shares, 100))
    ranks = np.maximum(np.ceil(wanted).astype(int), 1)
    if values.dtype.kind == "u":  # counting is several times faster
        found = np.searchsorted(np.bincount(values).cumsum(), ranks)
    else:
        found = np.partition(values, ranks - 1)[ranks - 1]
    return found.astype(np.float32)


def _levels(values: npt.NDArray[Any], known: npt.NDArray[np.bool_],
            modality: Modality) -> npt.NDArray[np.float32]:
    """H×W, not yet clipped."""
    if modality.percentiles is not None:
        low, high = percentiles(values[known], modality.percentiles)
        width = np.maximum(high - low, NARROWEST)
        return _above(low, values, known) * np.float32(255) / width
    assert modality.range is not None  # Modality checks this
    begin = modality.low or 0.0
    return _above(np.float32(begin), values, known) * np.float32(255 / (modality.range - begin))


def _above(low: np.float32, values: npt.NDArray[Any],
           known: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    return np.where(known, values, low).astype(np.float32, copy=False) - low

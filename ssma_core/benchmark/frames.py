"""Frames for any model: a drive through the synthetic forest as its sensors would see it."""
from __future__ import annotations

from functools import cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ssma_core.modalities import is_depth
from ssma_core.modalities.scale import in_jet
from ssma_core.pictures import resize_nearest
from ssma_core.spec import VEGETATION_INDICES, Modality, ModelSpec
from ssma_core.synthetic.forest import SyntheticFrame, drive

SensorArrays = tuple[npt.NDArray[Any], ...]
FAR = 20_000  # millimetres
SIXTEEN_BITS = 65_535  # the highest value of a sensor whose scale is not known
DIFFERENT = 4  # frames; they are repeated


def camera_frames(spec: ModelSpec, size: tuple[int, int]) -> list[SensorArrays]:
    """DIFFERENT frames as `Segmenter.segment` takes them, of that (width, height)."""
    first, *more = spec.modalities
    if first.encoding in VEGETATION_INDICES:  # it is computed from two arrays
        first, more = Modality("rgb", "image"), [first]
    return [tuple(_resized(array, size) for array in (
        frame.rgb if first.encoding == "image" else _sensed(first, frame),
        *(_sensed(modality, frame) for modality in more))) for frame in _frames()]


@cache
def _frames() -> tuple[SyntheticFrame, ...]:
    return tuple(drive(0, DIFFERENT, weather="clear", fps=1))


def seen_by(spec: ModelSpec, arrays: SensorArrays) -> SensorArrays:
    """A network for the colour image alone takes the first of the arrays; other networks take all.
    """
    return arrays[:1] if [m.encoding for m in spec.modalities] == ["image"] else arrays


def _sensed(modality: Modality, frame: SyntheticFrame) -> npt.NDArray[Any]:
    """The array of a sensor other than the colour camera."""
    if modality.encoding in VEGETATION_INDICES:
        return frame.near_infrared
    if is_depth(modality):
        return frame.depth
    if modality.percentiles is None and modality.range is None:
        return in_jet(frame.depth, FAR)  # encoded in some way
    low, high = modality.low or 0, modality.range or SIXTEEN_BITS
    near = low + (1 - np.minimum(frame.depth, FAR) / FAR) * (high - low)
    whole_numbers = low >= 0 and high > 255
    return np.where(frame.depth, near, 0).astype(np.uint16 if whole_numbers else np.float32)


def _resized(array: npt.NDArray[Any], size: tuple[int, int]) -> npt.NDArray[Any]:
    return cv2.resize(array, size) if array.ndim == 3 else resize_nearest(array, size)

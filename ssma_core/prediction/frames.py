"""One frame: its labels, and its overlay."""
from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal, get_args

import cv2
import numpy as np
import numpy.typing as npt

from ssma_core.datasets.unread import Input
from ssma_core.errors import naming
from ssma_core.modalities.scale import for_people
from ssma_core.pictures import overlay
from ssma_core.segmenter import Segmentation, Segmenter
from ssma_core.spec import ModelSpec

Extra = Literal["confidence", "trust", "overlay"]  # what a frame may get beside its labels
EXTRAS: tuple[Extra, ...] = get_args(Extra)
JPEG = (cv2.IMWRITE_JPEG_QUALITY, 90)  # for `encoded`


def label(segmenter: Segmenter, frame: Input, extras: Collection[Extra]) -> Segmentation:
    """Raises SsmaError, naming the frame, where the model refuses it."""
    with naming(frame.name):
        return segmenter.segment(*frame.arrays, confidence="confidence" in extras,
                                 trust="trust" in extras)


def painted(array: npt.NDArray[Any], labels: npt.NDArray[np.uint8],
            spec: ModelSpec) -> npt.NDArray[np.uint8]:
    """The class colours over a frame's first array: H×W×3 uint8 BGR."""
    return overlay(for_people(array, "grey"), labels, spec)

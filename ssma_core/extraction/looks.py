"""What a frame looks like, in few numbers: so that frames can be told apart without any network."""
from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ssma_core.modalities.depth import measured

Array = npt.NDArray[Any]
MAPS = 6
CELLS = 4  # of a map, on each side
_WIDTH, _HEIGHT = 160, 120  # divisible by CELLS
SHARPNESS_WIDTH = 640  # pixels: what is blurred by less than one of them is sharp to a network
_REBLUR = 9  # pixels


def looks(rgb: npt.NDArray[np.uint8], aux: Array) -> npt.NDArray[np.float32]:
    """Six maps of 4×4 cells, float32[6, 16]: lightness and the two colours of CIE Lab, how strong
    the edges are, the second sensor's values (the mean of their logarithm), and which share of them
    is measured.

    Where things are in the image, what colours they have and how rough they are, is what scene
    descriptors like GIST (Oliva and Torralba, "Modeling the shape of the scene", 2001) are made of.
    A mean over a cell does not change when a leaf moves, and it needs no weights, which would have
    seen cities and not the field that the robot is in.
    rgb, aux: as `Frame` has them.
    """
    small = cv2.resize(rgb, (_WIDTH, _HEIGHT), interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_BGR2Lab)
    light = np.ascontiguousarray(lab[..., 0])
    edges = cv2.magnitude(cv2.Sobel(light, cv2.CV_32F, 1, 0), cv2.Sobel(light, cv2.CV_32F, 0, 1))
    second = cv2.cvtColor(aux, cv2.COLOR_BGR2GRAY) if aux.ndim == 3 else aux
    second = cv2.resize(second, (_WIDTH, _HEIGHT), interpolation=cv2.INTER_NEAREST)
    known = measured(second)
    share = _cells(known.astype(np.float32))
    values = _cells(np.log1p(np.where(known, second, 0).astype(np.float32)))
    # Of what is measured alone; a cell without a measurement is like the others.
    values = np.divide(values, share, out=np.full_like(values, np.nan), where=share > 0)
    values = np.nan_to_num(values, nan=float(np.nanmean(values)) if share.any() else 0.0)
    maps = [_cells(np.ascontiguousarray(lab[..., channel])) for channel in range(3)]
    return np.stack([*maps, _cells(edges), values, share]).astype(np.float32)


def sharpness(rgb: npt.NDArray[np.uint8]) -> float:
    """From 0, blurred, to 1. About 0.6 to 0.8 for sharp images of any scene, fog included, and a
    fifth less when the camera moved by 5 of 640 pixels.

    1 minus the perceptual blur metric of Crete, Dolmiere, Ladret and Nicolas, "The blur effect:
    perception and estimation with a new no-reference perceptual blur metric" (2007): how much of
    the differences of neighbours remains when the image is blurred again. The often used variance
    of the Laplacian differs tenfold between sharp images of two scenes, and so needs a threshold
    for each.
    """
    width = min(SHARPNESS_WIDTH, rgb.shape[1])
    height = max(1, round(rgb.shape[0] * width / rgb.shape[1]))
    grey = cv2.cvtColor(cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA),
                        cv2.COLOR_BGR2GRAY).astype(np.float32)
    return min(_loss(grey, cv2.blur(grey, (1, _REBLUR)), axis=0),
               _loss(grey, cv2.blur(grey, (_REBLUR, 1)), axis=1))


def _loss(grey: Array, blurred: Array, axis: int) -> float:
    """The share of the differences along an axis that blurring takes away."""
    before, after = (np.abs(np.diff(image, axis=axis)) for image in (grey, blurred))
    total = float(before.sum())
    return float(np.maximum(0, before - after).sum()) / total if total else 0.0


def _cells(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The mean of each cell: float32[16]."""
    down, across = (side // CELLS for side in values.shape)
    means: npt.NDArray[np.float32] = values.reshape(CELLS, down, CELLS, across).mean((1, 3)).ravel()
    return means

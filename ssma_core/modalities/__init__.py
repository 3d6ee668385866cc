"""Converts sensor arrays to the 3-channel uint8 images that a network gets: the same in training,
prediction and the node."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ssma_core.errors import SsmaError
from ssma_core.modalities.depth import fill_holes, millimetres, shift_median
from ssma_core.modalities.hha import in_hha
from ssma_core.modalities.scale import drawn
from ssma_core.modalities.vegetation import evi, evi2, index_in_jet, ndvi
from ssma_core.pictures import resize_nearest
from ssma_core.spec import VEGETATION_INDICES, Modality, ModelSpec

Array = npt.NDArray[Any]
Image = npt.NDArray[np.uint8]

_INDICES = {"ndvi": ndvi, "evi": evi, "evi2": evi2}


def network_images(spec: ModelSpec, rgb: Array, aux: Array | None = None) -> tuple[Image, ...]:
    """Makes the network's inputs for one frame: for each modality one H×W×3 uint8 BGR image at
    spec.input_size.

    rgb: H×W×3 uint8 BGR; for a model of one modality, the array of that modality. A model of a
      vegetation index only takes the colour image and the near infrared, as rgb and aux, or the
      encoded image. A camera that has only red and near infrared repeats its red in all three
      channels; ndvi and evi2 use no other.
    aux: the second sensor's array at the same size: H×W uint8, uint16 or float, as the spec's
      modality describes it (depth not as uint8), or H×W×3 uint8, an already encoded image.
    Scalar maps are resized by nearest neighbour before they are encoded: a mean of a near and a far
    depth, or of a depth and a hole, would be a place where there is no surface.
    Raises SsmaError when an array does not fit the spec or the two differ in size.
    """
    arrays = [rgb] if aux is None else [rgb, aux]
    modalities = check_frame(spec, arrays)
    resized = [_resize(array, spec.input_size) for array in arrays]
    images = [encode(m, a, resized[0]) for m, a in zip(modalities, resized)]
    return tuple(images[-len(spec.modalities):])


def check_frame(spec: ModelSpec, arrays: Sequence[Array]) -> tuple[Modality, ...]:
    """Returns the modality of each array of a frame. When a model of a vegetation index only is
    given two arrays, the first is the modality "colour".

    arrays: as `network_images` takes them. Raises SsmaError as it does.
    """
    modalities = _modalities_of(spec, len(arrays))
    for modality, array in zip(modalities, arrays):
        check_array(modality, array)
    rgb, aux = arrays[0], arrays[-1]
    if modalities[0].encoding in VEGETATION_INDICES and rgb.ndim == 2:
        raise SsmaError("near infrared alone makes no vegetation index: give this model the colour "
                        "image and the near infrared, or the index already encoded, as an HxWx3 "
                        "uint8 image")
    if rgb.shape[:2] != aux.shape[:2]:
        raise SsmaError(f"the {modalities[0].name} image is {width_x_height(rgb)} and the "
                        f"{modalities[1].name} image {width_x_height(aux)} (width x height): "
                        "they must be registered to each other, pixel by pixel; `ssma register` "
                        "makes a registration")
    return modalities


def _modalities_of(spec: ModelSpec, arrays: int) -> tuple[Modality, ...]:
    """The modality of each of so many arrays."""
    modalities = spec.modalities
    if arrays == len(modalities):
        return modalities
    if (len(modalities), arrays) == (1, 2) and modalities[0].encoding in VEGETATION_INDICES:
        return (Modality("colour", "image"), *modalities)
    names = " and ".join(m.name for m in modalities)
    raise SsmaError(f"the model takes {len(modalities)} image(s) a frame ({names}), got {arrays}")


def encode(modality: Modality, array: Array, rgb: Array) -> Image:
    """Encodes one sensor array (H×W or H×W×3, as `check_array` allows) as H×W×3 uint8 BGR.

    rgb: the colour image of the same size, H×W×3 uint8 BGR; only vegetation indices use it.
    """
    if array.ndim == 3:
        return array.astype(np.uint8, copy=False)
    if modality.encoding in _INDICES:
        return index_in_jet(_INDICES[modality.encoding](array, rgb))
    if modality.fill:
        array = fill_holes(array, modality.fill, larger_is_nearer=not is_depth(modality))
    if modality.camera is not None:
        return in_hha(array, modality.camera)
    values = millimetres(array) if is_depth(modality) else array
    if modality.level is not None:
        values = shift_median(values, modality.level)
    return drawn(values, modality)


def is_depth(modality: Modality) -> bool:
    """Whether the modality is a distance: larger is farther, and float is in metres. Otherwise
    larger is nearer, and the unit is the sensor's."""
    return modality.name == "depth" or modality.encoding == "hha"


def check_array(modality: Modality, array: Array) -> None:
    """Raises SsmaError unless the modality's encoding can take the array."""
    shape, kind = array.shape, array.dtype
    if array.size == 0:
        raise SsmaError(f"the {modality.name} image is empty: its shape is {shape}")
    if array.ndim == 3 and shape[2] == 3 and kind == np.uint8:
        return
    if modality.encoding == "image":
        raise SsmaError(f"the {modality.name} image must be HxWx3 uint8 (BGR), got shape {shape} "
                        f"of {kind}")
    if array.ndim != 2 or kind not in (np.uint8, np.uint16, np.float32, np.float64):
        raise SsmaError(f"the {modality.name} image must be HxW of uint8, uint16 or float, or an "
                        f"encoded HxWx3 of uint8, got shape {shape} of {kind}")
    if kind == np.uint8 and is_depth(modality):
        # Most likely scaled for viewing; read as millimetres, everything is nearer than 26 cm.
        raise SsmaError(f"the {modality.name} image is HxW of uint8, which is neither millimetres "
                        "nor metres: give uint16 millimetres or float metres, or the encoded "
                        "image, HxWx3 of uint8")


def _resize(array: Array, size: tuple[int, int]) -> Array:
    if (array.shape[1], array.shape[0]) == size:
        return array
    if array.ndim == 2:
        return resize_nearest(array, size)
    shrinks = array.shape[1] >= size[0] and array.shape[0] >= size[1]
    return cv2.resize(array, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def width_x_height(array: Array) -> str:
    """An image's size as text, such as "768x384"."""
    return f"{array.shape[1]}x{array.shape[0]}"

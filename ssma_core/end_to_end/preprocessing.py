"""From sensor arrays to the network's inputs, in the graph: `ssma_core.modalities.network_images`
in torch operations that ONNX and TensorRT have.

Everything is float32: images 3×H×W (BGR, whole levels 0–255), scalar maps H×W. A uint8 input is
cast first, because TensorRT has no other operation for it. Sizes are (width, height) and are
constants of the graph.
"""
from __future__ import annotations

from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssma_core.end_to_end.depth import (
    TINY,
    fill_holes,
    has_value,
    measured,
    percentile,
    shift_median,
)
from ssma_core.end_to_end.resize import ImageSize, Nearest, colour_resize
from ssma_core.modalities import is_depth
from ssma_core.modalities.jet import COLOURS
from ssma_core.modalities.scale import NARROWEST
from ssma_core.model_files.exported import AuxFormat, FrameFormat, input_formats
from ssma_core.spec import VEGETATION_INDICES, Modality, ModelSpec

# The value that stands for a reflectance of 1; for float it is 1.
FULL = {"uint8": 255, "uint16": 65535}


class Preprocessing(nn.Module):
    """forward(*arrays): a frame as `model_files.exported.frame_inputs` binds it → for each modality
    an image 3×h×w, at spec.input_size."""

    def __init__(self, spec: ModelSpec, frame: FrameFormat) -> None:
        super().__init__()
        formats = list(input_formats(spec, frame).values())
        modalities = [Modality("colour", "image"), *spec.modalities][-len(formats):]
        self.encoders = nn.ModuleList(
            _encoder(modality, aux, frame.size, spec.input_size)
            for modality, aux in zip(modalities, formats))
        self.images = len(spec.modalities)

    def forward(self, *arrays: Tensor) -> list[Tensor]:
        images: list[Tensor] = []
        for encode, array in zip(self.encoders, arrays):
            images.append(encode(array, *images))
        return images[-self.images:]


def _encoder(modality: Modality, aux: AuxFormat, camera: ImageSize,
             network: ImageSize) -> nn.Module:
    """A module with forward(array, *images): a bound array and the images made before it → its
    image."""
    if aux == "encoded":
        return EncodedImage(camera, network)
    values = ScalarMap(aux, camera, network)
    if modality.encoding in VEGETATION_INDICES:
        return VegetationIndex(modality, aux, values)
    return DrawnMap(modality, aux, values)


class EncodedImage(nn.Module):
    """An already encoded image, H×W×3 uint8: it is only resized."""

    def __init__(self, camera: ImageSize, network: ImageSize) -> None:
        super().__init__()
        self.resize = colour_resize(camera, network)

    def forward(self, image: Tensor, *_: Tensor) -> Tensor:
        return self.resize(image.float())


class ScalarMap(nn.Module):
    """H×W uint8 or float32, or H×W×2 uint8, the two bytes of uint16, low first → H×W float32 at the
    network's size."""

    def __init__(self, aux: AuxFormat, camera: ImageSize, network: ImageSize) -> None:
        super().__init__()
        self.bytes = aux == "uint16"
        self.resize = Nearest(camera, network)

    def forward(self, values: Tensor) -> Tensor:
        values = values.float()
        if self.bytes:
            low, high = values.permute(2, 0, 1)
            values = low + 256 * high
        return self.resize(values)


class Colours(nn.Module):
    """Levels 0–256, H×W, truncated to whole numbers, in the colours of jet or grey; 256 is black.
    """

    colours: Tensor

    def __init__(self, encoding: Literal["jet", "grey"] = "jet") -> None:
        super().__init__()
        grey = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
        table = np.concatenate([COLOURS[:, 0] if encoding == "jet" else grey,
                                np.zeros((1, 3), np.uint8)])
        self.register_buffer("colours", torch.from_numpy(table).float())

    def forward(self, levels: Tensor) -> Tensor:
        return F.embedding(levels.int(), self.colours).permute(2, 0, 1)


class DrawnMap(nn.Module):
    """A scalar map in jet colours or grey; before, its holes are filled and its median is shifted
    as the modality says."""

    def __init__(self, modality: Modality, aux: AuxFormat, values: ScalarMap) -> None:
        super().__init__()
        self.modality, self.values = modality, values
        self.is_float = aux == "float32"
        self.is_metres = is_depth(modality) and self.is_float
        # The arguments `highest` and `steps` of `shift_median`; a float may have any value.
        whole = {"uint8": (255, 8), "uint16": (65535, 16)}
        self.median = whole.get(aux, (256 * (modality.range or 0), 40))
        self.steps = min(self.median[1], 24)  # of `percentile`: a float32 has 24 bits
        self.colours = Colours("grey" if modality.encoding == "grey" else "jet")

    def forward(self, array: Tensor, *_: Tensor) -> Tensor:
        values, modality = self.values(array), self.modality
        if modality.fill:
            values = fill_holes(values, modality.fill, not is_depth(modality))
        if self.is_metres:
            values = values * 1000
        if modality.level is not None:
            values = shift_median(values, modality.level, *self.median)
        known = measured(values) if modality.zero_is_nothing else has_value(values, self.is_float)
        levels = self.levels(values, known).clamp(0, 255)
        return self.colours(torch.where(known, levels, 256))

    def levels(self, values: Tensor, known: Tensor) -> Tensor:
        modality = self.modality
        if modality.percentiles is not None:
            low, high = (percentile(values, known, share, self.steps)
                         for share in modality.percentiles)
            width = (high - low).clamp(min=float(NARROWEST))
            return (torch.where(known, values, low) - low) * 255 / width
        assert modality.range is not None  # Modality checks this
        begin = modality.low or 0.0
        above = torch.where(known, values, begin)
        if begin:  # the graphs of before stay as they are
            above = above - begin
        return above * float(np.float32(255 / (modality.range - begin)))


class VegetationIndex(nn.Module):
    """The formulas of ssma_core.modalities.vegetation, in jet colours."""

    def __init__(self, modality: Modality, aux: AuxFormat, values: ScalarMap) -> None:
        super().__init__()
        self.index = {"ndvi": _ndvi, "evi": _evi, "evi2": _evi2}[modality.encoding]
        self.full, self.values = FULL.get(aux), values
        self.jet = Colours()

    def forward(self, near_infrared: Tensor, colour: Tensor) -> Tensor:
        n, (b, _, r) = self.reflectance(self.values(near_infrared)), colour / 255
        return self.jet((self.index(n, r, b).clamp(-1, 1) + 1) * 127.5)

    def reflectance(self, values: Tensor) -> Tensor:
        if self.full is not None:
            return values / self.full
        return torch.where(values > 0, values, 0).clamp(max=1)  # NaN is not above zero


def _ndvi(n: Tensor, r: Tensor, _: Tensor) -> Tensor:
    return (n - r) / (n + r).clamp(min=TINY)


def _evi(n: Tensor, r: Tensor, b: Tensor) -> Tensor:
    denominator = n + 6 * r - 7.5 * b + 1
    meaningful = denominator > 0.05
    return torch.where(meaningful, 2.5 * (n - r) / torch.where(meaningful, denominator, 1), -1)


def _evi2(n: Tensor, r: Tensor, _: Tensor) -> Tensor:
    return 2.5 * (n - r) / (n + 2.4 * r + 1)

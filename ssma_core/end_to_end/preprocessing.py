"""From sensor arrays to the network's inputs, in the graph: `ssma_core.modalities.network_images`
in torch operations that ONNX and TensorRT have.

Everything is float32: images 3×H×W (BGR, whole levels 0–255), scalar maps H×W. A uint8 input is
cast first, because TensorRT has no other operation for it. Sizes are (width, height) and are
constants of the graph.
"""
from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssma_core.end_to_end.depth import TINY, fill_holes, measured, shift_median
from ssma_core.end_to_end.resize import ImageSize, Nearest, colour_resize
from ssma_core.modalities import is_depth
from ssma_core.modalities.jet import COLOURS
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
    return JetImage(modality, aux, values)


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


class Jet(nn.Module):
    """Levels 0–256, H×W, truncated to whole numbers, in jet colours; 256 is black."""

    colours: Tensor

    def __init__(self) -> None:
        super().__init__()
        table = np.concatenate([COLOURS[:, 0], np.zeros((1, 3), np.uint8)])
        self.register_buffer("colours", torch.from_numpy(table).float())

    def forward(self, levels: Tensor) -> Tensor:
        return F.embedding(levels.int(), self.colours).permute(2, 0, 1)


class JetImage(nn.Module):
    """A scalar map in jet colours; before, its holes are filled and its median is shifted as the
    modality says."""

    def __init__(self, modality: Modality, aux: AuxFormat, values: ScalarMap) -> None:
        super().__init__()
        assert modality.range is not None  # Modality checks this
        self.modality, self.values = modality, values
        self.scale = float(np.float32(255 / modality.range))
        self.is_metres = is_depth(modality) and aux == "float32"
        # The arguments `highest` and `steps` of `shift_median`; a float may have any value.
        whole = {"uint8": (255, 8), "uint16": (65535, 16)}
        self.median = whole.get(aux, (256 * modality.range, 40))
        self.jet = Jet()

    def forward(self, array: Tensor, *_: Tensor) -> Tensor:
        values = self.values(array)
        if self.modality.fill:
            values = fill_holes(values, self.modality.fill, not is_depth(self.modality))
        if self.is_metres:
            values = values * 1000
        if self.modality.level is not None:
            values = shift_median(values, self.modality.level, *self.median)
        known = measured(values)
        levels = (torch.where(known, values, 0) * self.scale).clamp(max=255)
        return self.jet(torch.where(known, levels, 256))


class VegetationIndex(nn.Module):
    """The formulas of ssma_core.modalities.vegetation, in jet colours."""

    def __init__(self, modality: Modality, aux: AuxFormat, values: ScalarMap) -> None:
        super().__init__()
        self.index = {"ndvi": _ndvi, "evi": _evi, "evi2": _evi2}[modality.encoding]
        self.full, self.values = FULL.get(aux), values
        self.jet = Jet()

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

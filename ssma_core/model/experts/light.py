"""A light expert: MobileNetV2's inverted residuals (arXiv 1801.04381) instead of AdapNet++'s
bottleneck units, and depthwise convolutions instead of the eASPP."""
from __future__ import annotations

import torch
from torch import Tensor, nn

from ssma_core.model.experts.easpp import RATES
from ssma_core.model.experts.expert import Channels, Expert
from ssma_core.model.layers import ConvNorm, batch_norm, global_mean
from ssma_core.model.sizes import Dimensions
from ssma_core.spec import Rates

EXPANSION = 6


class InvertedResidual(nn.Module):
    """1×1 to six times the channels, depthwise 3×3, 1×1 to `outputs` without ReLU. The result is
    added to the input if the two have the same shape."""

    def __init__(self, inputs: int, outputs: int, *, stride: int = 1, rate: int = 1) -> None:
        super().__init__()
        inner = EXPANSION * inputs
        self.adds = stride == 1 and inputs == outputs
        self.residual = nn.Sequential(
            ConvNorm(inputs, inner, 1),
            ConvNorm(inner, inner, 3, stride=stride, rate=rate, groups=inner),
            ConvNorm(inner, outputs, 1, relu=False))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.residual(x) if self.adds else self.residual(x)


class LightContext(nn.Module):
    """The features at the eASPP's rates, by depthwise 3×3 convolutions, and the mean of the whole
    image."""

    def __init__(self, channels: int, outputs: int) -> None:
        super().__init__()
        self.scales = nn.ModuleList(
            ConvNorm(channels, channels, 3, rate=rate, groups=channels) for rate in RATES)
        self.image_pooling = ConvNorm(channels, channels, 1)
        self.merge = ConvNorm((2 + len(RATES)) * channels, outputs, 1, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        pooled = self.image_pooling(global_mean(x)).expand_as(x)
        return self.merge(torch.cat([x, *(scale(x) for scale in self.scales), pooled], 1))


class LightExpert(Expert):
    """The expert "light": the same number of blocks and units as AdapNet++, an eighth of the
    channels. Size "full" is about as wide as MobileNetV2, "tiny" as its narrowest variant.

    A block's output is linear, as AdapNet++'s skip connections are, and is itself the skip
    connection. There are no multiscale units, so `rates` has no effect, and there is no dropout.
    """

    def __init__(self, dimensions: Dimensions, _rates: Rates) -> None:
        stem, context = dimensions.stem // 4, dimensions.easpp // 2
        widths, units = [channels // 8 for channels in dimensions.blocks], dimensions.units
        super().__init__(Channels(context, eighth=widths[1], quarter=widths[0]))
        self.input_norm = batch_norm(3)
        self.stem = ConvNorm(3, stem, 3, stride=2)
        self.block1 = _block(stem, widths[0], units[0], stride=2)
        self.block2 = _block(widths[0], widths[1], units[1], stride=2)
        self.block3 = _block(widths[1], widths[2], units[2], stride=2)
        self.block4 = _block(widths[2], widths[3], units[3], rate=2)
        self.context = LightContext(widths[3], context)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        quarter = self.block1(self.stem(self.input_norm(image)))
        eighth = self.block2(quarter)
        return self.context(self.block4(self.block3(eighth))), eighth, quarter

    @property
    def context_norm(self) -> nn.BatchNorm2d:
        return self.context.merge.norm


def _block(inputs: int, outputs: int, units: int, *, stride: int = 1,
           rate: int = 1) -> nn.Sequential:
    first = InvertedResidual(inputs, outputs, stride=stride, rate=rate)
    return nn.Sequential(
        first, *(InvertedResidual(outputs, outputs, rate=rate) for _ in range(units - 1)))

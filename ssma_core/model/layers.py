"""The layers of all networks, padded and normalized as in the original code."""
from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Conv2dSame(nn.Conv2d):
    """A convolution whose output has the input's size divided by the stride (1 or 2).

    Pads as TensorFlow's SAME does. For stride 2 and an even side that is one more row and column at
    the bottom and right than at the top and left, which symmetric padding cannot do.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, *, stride: int = 1, rate: int = 1,
                 groups: int = 1, bias: bool = False) -> None:
        symmetric = rate * (kernel - 1) // 2 if stride == 1 else 0
        super().__init__(inputs, outputs, kernel, stride, symmetric, rate, groups, bias)

    def forward(self, x: Tensor) -> Tensor:
        if self.stride[0] == 2:
            x = pad_for_stride_2(x, self.kernel_size[0])
        return super().forward(x)


class MaxPool(nn.Module):
    """3×3 with stride 2. The last windows reach one pixel over the right and bottom edge (SAME)."""

    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool2d(x, 3, 2, ceil_mode=True)


def pad_for_stride_2(x: Tensor, kernel: int) -> Tensor:
    """Pads x (sides even) with zeros for a `kernel`×`kernel` window with stride 2."""
    total = max(kernel - 2, 0)
    before, after = total // 2, total - total // 2
    return F.pad(x, (before, after, before, after)) if total else x


def batch_norm(channels: int) -> nn.BatchNorm2d:
    """Batch norm as in the original code: eps 1e-5, moving averages with decay 0.99."""
    return nn.BatchNorm2d(channels, eps=1e-5, momentum=0.01)


class ConvNorm(nn.Sequential):
    """Convolution, batch norm and, unless `relu` is False, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int, *, stride: int = 1, rate: int = 1,
                 groups: int = 1, relu: bool = True) -> None:
        super().__init__()
        self.convolution: nn.Module = Conv2dSame(inputs, outputs, kernel, stride=stride, rate=rate,
                                                 groups=groups)
        self.norm = batch_norm(outputs)
        if relu:
            self.relu: nn.Module = nn.ReLU(inplace=True)


class Upsampling(nn.Sequential):
    """Transposed convolution that makes the map `stride` times larger, batch norm, no ReLU."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.convolution = nn.ConvTranspose2d(inputs, outputs, 2 * stride, stride, stride // 2,
                                              bias=False)
        self.norm = batch_norm(outputs)


def global_mean(x: Tensor) -> Tensor:
    """N×C×H×W -> N×C×1×1."""
    return x.mean((2, 3), keepdim=True)


def resize_bilinear(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Upsamples x to size (height, width), multiples of its own, as TensorFlow 1 does: output pixel
    i is read at input i / factor (no half-pixel centres), beyond the last pixel at the last."""
    height, width = size
    # With the last row and column doubled, a resize with aligned corners reads these places.
    # Not F.pad: torch.compile of torch 2.13 cannot take its gradient in channels-last memory.
    doubled = torch.cat([x, x[:, :, -1:]], 2)
    doubled = torch.cat([doubled, doubled[:, :, :, -1:]], 3)
    larger = F.interpolate(doubled, (height + 1, width + 1), mode="bilinear", align_corners=True)
    return larger[:, :, :height, :width]


def initialize(model: nn.Module) -> None:
    """Draws weights for training from scratch, as the original code does: convolutions from the
    normal distribution of He et al. (arXiv 1502.01852, with fan-in), biases 0.01."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            kernel_height, kernel_width = module.kernel_size
            fan_in = kernel_height * kernel_width * module.in_channels // module.groups
            nn.init.normal_(module.weight, std=math.sqrt(2 / fan_in))
            if module.bias is not None:
                nn.init.constant_(module.bias, 0.01)

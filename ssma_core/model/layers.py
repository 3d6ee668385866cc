"""The layers everything is made of, padded and normalized as in the original."""
from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Convolution(nn.Conv2d):
    """A convolution that keeps the size, divided by the stride (1 or 2).

    Pads as TensorFlow's SAME does. For stride 2 and an even side that is one row and column more at
    the bottom and right than at the top and left, which no symmetric padding can do.
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
    """3×3 with stride 2; the last windows reach over the right and bottom edge by one (SAME)."""

    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool2d(x, 3, 2, ceil_mode=True)


def pad_for_stride_2(x: Tensor, kernel: int) -> Tensor:
    """Zeros around x (sides even) for a window of `kernel` that moves by two."""
    total = max(kernel - 2, 0)
    before, after = total // 2, total - total // 2
    return F.pad(x, (before, after, before, after)) if total else x


def batch_norm(channels: int) -> nn.BatchNorm2d:
    """The original's: eps 1e-5, moving averages with decay 0.99."""
    return nn.BatchNorm2d(channels, eps=1e-5, momentum=0.01)


class ConvNorm(nn.Sequential):
    """Convolution, batch norm and, unless told otherwise, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int, *, stride: int = 1, rate: int = 1,
                 groups: int = 1, relu: bool = True) -> None:
        super().__init__()
        self.convolution: nn.Module = Convolution(inputs, outputs, kernel, stride=stride, rate=rate,
                                                  groups=groups)
        self.norm = batch_norm(outputs)
        if relu:
            self.relu = nn.ReLU(inplace=True)


class Upsampling(nn.Sequential):
    """Transposed convolution to `stride` times the size, batch norm, no ReLU."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.convolution = nn.ConvTranspose2d(inputs, outputs, 2 * stride, stride, stride // 2,
                                              bias=False)
        self.norm = batch_norm(outputs)


def global_mean(x: Tensor) -> Tensor:
    """N×C×H×W -> N×C×1×1."""
    return x.mean((2, 3), keepdim=True)


def resize_bilinear(x: Tensor, size: tuple[int, int]) -> Tensor:
    """x enlarged to (height, width), multiples of its own, as TensorFlow 1 does it: output pixel i
    looks at input i / factor (no half-pixel centres), and beyond the last pixel at the last."""
    height, width = size
    # Resized with aligned corners, x with its last row and column doubled is sampled there.
    # Not F.pad: torch.compile of torch 2.13 cannot take its gradient in channels-last memory.
    doubled = torch.cat([x, x[:, :, -1:]], 2)
    doubled = torch.cat([doubled, doubled[:, :, :, -1:]], 3)
    larger = F.interpolate(doubled, (height + 1, width + 1), mode="bilinear", align_corners=True)
    return larger[:, :, :height, :width]


def initialize(model: nn.Module) -> None:
    """For training from scratch: convolutions from He et al.'s normal distribution (arXiv
    1502.01852, counting the inputs), biases at 0.01, as the original starts."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            kernel_height, kernel_width = module.kernel_size
            fan_in = kernel_height * kernel_width * module.in_channels // module.groups
            nn.init.normal_(module.weight, std=math.sqrt(2 / fan_in))
            if module.bias is not None:
                nn.init.constant_(module.bias, 0.01)

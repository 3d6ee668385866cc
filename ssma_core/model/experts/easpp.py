"""The efficient atrous spatial pyramid pooling (eASPP) of AdapNet++ (arXiv 1808.03833)."""
from __future__ import annotations

import torch
from torch import Tensor, nn

from ssma_core.model.layers import ConvNorm, global_mean
from ssma_core.model.sizes import Dimensions

RATES = (3, 6, 12)


class Easpp(nn.Module):
    """Combines the encoder's features at several scales: a 1×1 convolution, cascaded dilated
    bottlenecks at three rates, and the mean of the whole image. Keeps the height and width."""

    def __init__(self, dimensions: Dimensions) -> None:
        super().__init__()
        inputs, outputs = dimensions.blocks[-1], dimensions.easpp
        inner = dimensions.easpp_branch
        self.pointwise = ConvNorm(inputs, outputs, 1)
        self.branches = nn.ModuleList(
            nn.Sequential(ConvNorm(inputs, inner, 1), ConvNorm(inner, inner, 3, rate=rate),
                          ConvNorm(inner, inner, 3, rate=rate), ConvNorm(inner, outputs, 1))
            for rate in RATES)
        self.image_pooling = ConvNorm(inputs, outputs, 1)
        self.merge = ConvNorm((2 + len(RATES)) * outputs, outputs, 1, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        pooled = self.image_pooling(global_mean(x)).expand(-1, -1, x.shape[2], x.shape[3])
        scales = [self.pointwise(x), *(branch(x) for branch in self.branches), pooled]
        return self.merge(torch.cat(scales, 1))

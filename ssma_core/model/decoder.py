"""The decoder: from the context to class scores at the input's size, in three steps."""
from __future__ import annotations

import torch
from torch import Tensor, nn

from ssma_core.model.expert import Channels
from ssma_core.model.layers import ConvNorm, Upsampling, global_mean, resize_bilinear
from ssma_core.model.sizes import Dimensions

TO_FULL = 4  # the logits are this many times larger than the class scores


class DecoderStage(nn.Module):
    """Upsamples by two, concatenates a skip connection, refines with two 3×3 convolutions.

    inputs, skip, width: channels of the input, of the skip connection and of the output.
    weigh_skip: as in SSMA's decoder, the skip's channels are first multiplied by weights that are
      computed from the global mean of the upsampled features.
    """

    def __init__(self, inputs: int, skip: int, width: int, weigh_skip: bool) -> None:
        super().__init__()
        self.upsampling: nn.Module = Upsampling(inputs, width, 2)
        self.skip_weight = ConvNorm(width, skip, 1) if weigh_skip else None
        self.refine = nn.Sequential(ConvNorm(width + skip, width, 3), ConvNorm(width, width, 3))

    def forward(self, x: Tensor, skip: Tensor) -> tuple[Tensor, Tensor]:
        """x: N×inputs×h×w; skip: N×skip×2h×2w. Returns (the refined features, the upsampled
        features, which the auxiliary heads use), both N×width×2h×2w."""
        upsampled = self.upsampling(x)
        if self.skip_weight is not None:
            skip = self.skip_weight(global_mean(upsampled)) * skip
        return self.refine(torch.cat([upsampled, skip], 1)), upsampled


class Decoder(nn.Module):
    """Two stages, then the class scores, upsampled by four. channels: of the three inputs."""

    def __init__(self, channels: Channels, dimensions: Dimensions, classes: int, *,
                 weigh_skips: bool) -> None:
        super().__init__()
        width = dimensions.decoder
        self.to_eighth = DecoderStage(channels.context, channels.eighth, width, weigh_skips)
        self.to_quarter = DecoderStage(width, channels.quarter, width, weigh_skips)
        self.scores = ConvNorm(width, classes, 1)
        self.to_full: nn.Module = Upsampling(classes, classes, TO_FULL)

    def forward(self, context: Tensor, skip_eighth: Tensor,
                skip_quarter: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Inputs are at 1/16, 1/8 and 1/4 of the image's size. Returns (logits N×classes×H×W, the
        upsampled features of the second stage, those of the first)."""
        x, eighth = self.to_eighth(context, skip_eighth)
        x, quarter = self.to_quarter(x, skip_quarter)
        return self.to_full(self.scores(x)), quarter, eighth


class AuxiliaryHeads(nn.Module):
    """Class scores from the decoder's two inner upsamplings. They are used in training only."""

    def __init__(self, dimensions: Dimensions, classes: int) -> None:
        super().__init__()
        self.quarter = ConvNorm(dimensions.decoder, classes, 1, relu=False)
        self.eighth = ConvNorm(dimensions.decoder, classes, 1, relu=False)

    def forward(self, quarter: Tensor, eighth: Tensor,
                size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Returns the logits of both (second upsampling, first), resized to size (height, width):
        N×classes×H×W."""
        return (resize_bilinear(self.quarter(quarter), size),
                resize_bilinear(self.eighth(eighth), size))

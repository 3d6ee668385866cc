"""The decoder: from the context to class scores at the input's size, in three steps."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssma_core.model.experts.expert import Channels
from ssma_core.model.layers import (
    Conv2dSame,
    ConvNorm,
    Upsampling,
    global_mean,
    resize_bilinear,
)
from ssma_core.model.sizes import DIMENSIONS, Dimensions
from ssma_core.spec import ModelSpec

TO_FULL = 4  # the logits are this many times larger than the class scores
NEIGHBOURS = 9  # of a class score, itself among them
LIMIT = 4.0  # of a weight's exponent, so that halves can hold the sums
NEVER = -1e4  # the score of a class that is never an answer; a half can hold it


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


class ConvexUpsampling(nn.Module):
    """Makes class scores `TO_FULL` times larger: every new pixel is a weighted mean of the 3×3
    scores around it, with weights that the features give it (RAFT, arXiv 2003.12039, section 3.3).
    So an edge lies where the features see it, and not on the grid of the scores.

    void: the index of a class that is never an answer.
    """

    def __init__(self, classes: int, void: int) -> None:
        super().__init__()
        self.classes, self.void = classes, void
        self.shuffle: nn.Module = nn.PixelShuffle(TO_FULL)

    def forward(self, x: Tensor) -> Tensor:
        """x: N×(classes + 9·TO_FULL²)×h×w, the scores and the weights before their softmax, which
        counts them from −4 to 4. Returns logits N×classes×H×W."""
        scores, weights = x.split([self.classes, NEIGHBOURS * TO_FULL**2], 1)
        # Not `softmax`: runtimes take four times as long for one over the channels.
        weights = weights.clamp(-LIMIT, LIMIT).exp().unflatten(1, (NEIGHBOURS, TO_FULL**2))
        # Void is no answer; with a score of 1 everywhere its sum is that of the weights.
        around = _neighbours(_with_class(self.void, 1.0, scores))
        # At every score a product of two matrices: faster than nine sums of whole maps.
        sums = around.permute(0, 3, 4, 1, 2) @ weights.permute(0, 3, 4, 1, 2)
        sums = sums.permute(0, 3, 4, 1, 2)
        means = _with_class(self.void, NEVER, sums / sums[:, self.void, None])
        logits: Tensor = self.shuffle(means.flatten(1, 2))
        return logits


class BilinearUpsampling(nn.Module):
    """Makes class scores `TO_FULL` times larger, bilinearly, with pixel centres kept. So an edge
    lies where the scores change, at a fraction of their pixels.

    void: the index of a class that is never an answer.
    """

    def __init__(self, void: int) -> None:
        super().__init__()
        self.void = void
        self.shuffle: nn.Module = nn.PixelShuffle(TO_FULL)

    def forward(self, x: Tensor) -> Tensor:
        """x: scores N×classes×h×w. Returns logits N×classes×H×W."""
        around = _with_border(x).flatten(0, 1)[:, None]
        means = F.conv2d(around, _bilinear(x)).unflatten(0, x.shape[:2])
        logits: Tensor = self.shuffle(_with_class(self.void, NEVER, means).flatten(1, 2))
        return logits


def _neighbours(x: Tensor) -> Tensor:
    """N×C×h×w → N×C×9×h×w: the 3×3 values around each, row by row."""
    height, width = x.shape[2:]
    around = _with_border(x)
    return torch.stack([around[:, :, i // 3:i // 3 + height, i % 3:i % 3 + width]
                        for i in range(NEIGHBOURS)], 2)


def _with_border(x: Tensor) -> Tensor:
    """N×C×h×w → N×C×(h + 2)×(w + 2): the outermost values once more.

    Not `F.pad`: torch.compile takes the gradient of its "replicate" for one in another memory
    layout, and stops (torch 2.13).
    """
    x = torch.cat([x[:, :, :1], x, x[:, :, -1:]], 2)
    return torch.cat([x[..., :1], x, x[..., -1:]], 3)


def _bilinear(like: Tensor) -> Tensor:
    """`TO_FULL`²×1×3×3: the weights of the 3×3 scores around a score in each of its new pixels."""
    pixels, scores = (torch.arange(n, dtype=like.dtype, device=like.device) for n in (TO_FULL, 3))
    apart = ((pixels + 0.5) / TO_FULL - 0.5)[:, None] - (scores - 1)
    line = (1 - apart.abs()).clamp(min=0)
    weights: Tensor = line[:, None, :, None] * line[None, :, None, :]
    return weights.flatten(0, 1)[:, None]


def _with_class(class_id: int, score: float, scores: Tensor) -> Tensor:
    """N×classes×… with one score for a class everywhere."""
    before, of_class, after = scores.tensor_split([class_id, class_id + 1], 1)
    # Not `full_like`, which an exported file would hold as so many weights.
    return torch.cat([before, 0 * of_class + score, after], 1)


class Decoder(nn.Module):
    """Two stages, then the class scores, upsampled by four. channels: of the three inputs."""

    def __init__(self, channels: Channels, spec: ModelSpec, *, weigh_skips: bool) -> None:
        super().__init__()
        width, classes = DIMENSIONS[spec.size].decoder, spec.classes
        self.to_eighth = DecoderStage(channels.context, channels.eighth, width, weigh_skips)
        self.to_quarter = DecoderStage(width, channels.quarter, width, weigh_skips)
        self.scores: nn.Module
        self.to_full: nn.Module
        if spec.upsampling == "convex":
            self.scores = Conv2dSame(width, classes + NEIGHBOURS * TO_FULL**2, 1, bias=True)
            self.to_full = ConvexUpsampling(classes, spec.void_id)
        elif spec.upsampling == "bilinear":
            self.scores = Conv2dSame(width, classes, 1, bias=True)
            self.to_full = BilinearUpsampling(spec.void_id)
        else:
            self.scores = ConvNorm(width, classes, 1)
            self.to_full = Upsampling(classes, classes, TO_FULL)

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

"""SSMA: two experts, fused by what each of them knows (arXiv 1808.03833, section 4)."""
from __future__ import annotations

from torch import Tensor, nn

from ssma_core.model.adapnet_pp import AdapNetPP
from ssma_core.model.expert import Expert
from ssma_core.model.fusion import SsmaBlock
from ssma_core.model.layers import ConvNorm, Convolution, initialize
from ssma_core.model.segmentation import SegmentationNetwork
from ssma_core.model.sizes import DIMENSIONS
from ssma_core.spec import ModelSpec


class Ssma(SegmentationNetwork):
    """Takes the colour image and the second modality's image, both as AdapNet++ takes its one.

    What is fused has the channels of the colour image's expert.
    """

    def __init__(self, spec: ModelSpec, colour: Expert, second: Expert, *,
                 auxiliary_heads: bool = False) -> None:
        d = DIMENSIONS[spec.size]
        fused, both = colour.channels, colour.channels + second.channels
        super().__init__(fused, d, spec.classes, weigh_skips=True, auxiliary_heads=auxiliary_heads)
        self.experts = nn.ModuleList([colour, second])
        self.colour_channels = colour.channels
        self.fuse_easpp = SsmaBlock(both.context, d.fused_easpp_gate,
                                    ConvNorm(both.context, fused.context, 1, relu=False))
        self.fuse_eighth = SsmaBlock(both.eighth, d.fused_skip_gate,
                                     Convolution(both.eighth, fused.eighth, 3, bias=True))
        self.fuse_quarter = SsmaBlock(both.quarter, d.fused_skip_gate,
                                      Convolution(both.quarter, fused.quarter, 3, bias=True))
        self.experts_frozen = False
        initialize(self)

    def features(self, *images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return self.fused(*self.gated(*images))

    def gated(self, *images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What the gates of the three SSMA blocks let through of both experts, side by side: the
        context at 1/16, the skips at 1/8 and 1/4."""
        colour, second = images
        easpp1, eighth1, quarter1 = self.experts[0](colour)
        easpp2, eighth2, quarter2 = self.experts[1](second)
        return (self.fuse_easpp.gated(easpp1, easpp2), self.fuse_eighth.gated(eighth1, eighth2),
                self.fuse_quarter.gated(quarter1, quarter2))

    def fused(self, easpp: Tensor, eighth: Tensor,
              quarter: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What the blocks make of that: one map each."""
        return (self.fuse_easpp.output(easpp), self.fuse_eighth.output(eighth),
                self.fuse_quarter.output(quarter))

    def load_experts(self, colour: AdapNetPP, second: AdapNetPP) -> None:
        """Copies the experts of two trained networks, which must be this one's own by name and
        size."""
        for expert, trained in zip(self.experts, (colour, second)):
            expert.load_state_dict(trained.expert.state_dict())

    def freeze_experts(self) -> None:
        """From now on the experts get no gradients, and their batch norms stay as they are."""
        self.experts_frozen = True
        self.experts.requires_grad_(False)
        self.experts.eval()

    def train(self, mode: bool = True) -> Ssma:
        super().train(mode)
        if self.experts_frozen:
            self.experts.eval()
        return self

"""SSMA: two experts, fused by what each of them knows (arXiv 1808.03833, section 4)."""
from __future__ import annotations

from torch import Tensor, nn

from ssma_core.model.adapnet_pp import AdapNetPP, Expert, SegmentationNetwork
from ssma_core.model.fusion import SsmaBlock
from ssma_core.model.layers import ConvNorm, Convolution, initialize
from ssma_core.model.sizes import DIMENSIONS
from ssma_core.spec import ModelSpec


class Ssma(SegmentationNetwork):
    """Takes the colour image and the second modality's image, both as AdapNet++ takes its one."""

    def __init__(self, spec: ModelSpec, *, auxiliary_heads: bool = False) -> None:
        d = DIMENSIONS[spec.size]
        super().__init__(d, spec.classes, weigh_skips=True, auxiliary_heads=auxiliary_heads)
        self.experts = nn.ModuleList(Expert(d, spec.rates) for _ in range(2))
        self.fuse_easpp = SsmaBlock(d.easpp, d.fused_easpp_gate,
                                    ConvNorm(2 * d.easpp, d.easpp, 1, relu=False))
        self.fuse_eighth, self.fuse_quarter = (
            SsmaBlock(d.skip, d.fused_skip_gate, Convolution(2 * d.skip, d.skip, 3, bias=True))
            for _ in range(2))
        self.experts_frozen = False
        initialize(self)

    def features(self, *images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        colour, second = images
        easpp1, eighth1, quarter1 = self.experts[0](colour)
        easpp2, eighth2, quarter2 = self.experts[1](second)
        return (self.fuse_easpp(easpp1, easpp2), self.fuse_eighth(eighth1, eighth2),
                self.fuse_quarter(quarter1, quarter2))

    def load_experts(self, colour: AdapNetPP, second: AdapNetPP) -> None:
        """Copies the experts of two trained AdapNet++ of the same size."""
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

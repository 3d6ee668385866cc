"""SSMA: two experts, fused by what each of them knows (arXiv 1808.03833, section 4)."""
from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor, nn

from ssma_core.model.adapnet_pp import AdapNetPP
from ssma_core.model.decoder import Decoder
from ssma_core.model.expert import Expert
from ssma_core.model.fusion import SsmaBlock
from ssma_core.model.layers import ConvNorm, Convolution, initialize
from ssma_core.model.segmentation import SegmentationNetwork
from ssma_core.model.sizes import DIMENSIONS
from ssma_core.spec import ModelSpec


class Ssma(SegmentationNetwork):
    """Takes the colour image and the second modality's image, both as AdapNet++ takes its one.

    What is fused has the channels of the colour image's expert.

    alone: a decoder for each expert, AdapNet++'s, for when the other sensor is dead; None where the
      network has none.
    """

    def __init__(self, spec: ModelSpec, colour: Expert, second: Expert, *,
                 auxiliary_heads: bool = False, alone: bool = False) -> None:
        d = DIMENSIONS[spec.size]
        fused, both = colour.channels, colour.channels + second.channels
        super().__init__(fused, d, spec.classes, weigh_skips=True, auxiliary_heads=auxiliary_heads)
        self.experts = nn.ModuleList([colour, second])
        self.fuse_easpp = SsmaBlock(both.context, d.fused_easpp_gate,
                                    ConvNorm(both.context, fused.context, 1, relu=False))
        self.fuse_eighth = SsmaBlock(both.eighth, d.fused_skip_gate,
                                     Convolution(both.eighth, fused.eighth, 3, bias=True))
        self.fuse_quarter = SsmaBlock(both.quarter, d.fused_skip_gate,
                                      Convolution(both.quarter, fused.quarter, 3, bias=True))
        self.alone = nn.ModuleList(
            Decoder(expert.channels, d, spec.classes, weigh_skips=False)
            for expert in (colour, second)) if alone else None
        self.frozen: list[nn.Module] = []
        initialize(self)

    def unimodal_logits(self, modality: int, image: Tensor) -> Tensor:
        """What one expert makes of its own image, without the other."""
        assert self.alone is not None, "built without decoders for the experts alone"
        logits: Tensor = self.alone[modality](*self.experts[modality](image))[0]
        return logits

    def features(self, *images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        (easpp, _), (eighth, _), (quarter, _) = self.fusions(*images)
        return easpp, eighth, quarter

    def fusions(self, *images: Tensor) -> list[tuple[Tensor, Tensor]]:
        """What each of the three SSMA blocks returns: of the context at 1/16, of the skips at 1/8
        and 1/4."""
        return self.fuse(*(expert(image) for expert, image in zip(self.experts, images)))

    def fuse(self, colour: Iterable[Tensor], second: Iterable[Tensor]
             ) -> list[tuple[Tensor, Tensor]]:
        """The same, of what the experts make of the images."""
        blocks = self.fuse_easpp, self.fuse_eighth, self.fuse_quarter
        return [block(*maps) for block, *maps in zip(blocks, colour, second)]

    def load_experts(self, colour: AdapNetPP, second: AdapNetPP) -> None:
        """Copies the experts of two trained networks, which must be this one's own by name and
        size."""
        for expert, trained in zip(self.experts, (colour, second)):
            expert.load_state_dict(trained.expert.state_dict())

    def freeze(self, *parts: nn.Module) -> None:
        """From now on these parts get no gradients, and their batch norms stay as they are."""
        self.frozen += parts
        for part in parts:
            part.requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> Ssma:
        super().train(mode)
        for part in self.frozen:
            part.eval()
        return self

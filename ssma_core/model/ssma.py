"""SSMA: two experts and their fusion (arXiv 1808.03833, section 4)."""
from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm  # also of those shared by processes

from ssma_core.model.adapnet_pp import AdapNetPP
from ssma_core.model.decoder import Decoder
from ssma_core.model.experts.expert import Expert
from ssma_core.model.fusion import SsmaBlock
from ssma_core.model.layers import Conv2dSame, ConvNorm, initialize
from ssma_core.model.segmentation import SegmentationNetwork
from ssma_core.model.sizes import DIMENSIONS
from ssma_core.spec import ModelSpec


class Ssma(SegmentationNetwork):
    """Takes the colour image and the second modality's image, in the format of
    `SegmentationNetwork`.

    The fused maps have the channels of the colour expert's maps.

    alone: one AdapNet++ decoder per expert, used when the other sensor is dead; None when built
      without them.
    """

    def __init__(self, spec: ModelSpec, colour: Expert, second: Expert, *,
                 auxiliary_heads: bool = False, alone: bool = False) -> None:
        d = DIMENSIONS[spec.size]
        fused, both = colour.channels, colour.channels + second.channels
        super().__init__(fused, spec, weigh_skips=True, auxiliary_heads=auxiliary_heads)
        self.experts = nn.ModuleList([colour, second])
        self.fuse_easpp = SsmaBlock(both.context, d.fused_easpp_gate,
                                    ConvNorm(both.context, fused.context, 1, relu=False))
        self.fuse_eighth = SsmaBlock(both.eighth, d.fused_skip_gate,
                                     Conv2dSame(both.eighth, fused.eighth, 3, bias=True))
        self.fuse_quarter = SsmaBlock(both.quarter, d.fused_skip_gate,
                                      Conv2dSame(both.quarter, fused.quarter, 3, bias=True))
        self.alone = nn.ModuleList(
            Decoder(expert.channels, spec, weigh_skips=False)
            for expert in (colour, second)) if alone else None
        self.frozen: list[nn.Module] = []
        self.keeps_statistics = False
        initialize(self)

    def unimodal_logits(self, modality: int, image: Tensor) -> Tensor:
        """The logits, N×classes×H×W, of one expert and its own decoder for its own image.
        modality: index, 0 or 1. The network must have been built with `alone`."""
        assert self.alone is not None, "built without unimodal decoders"
        logits: Tensor = self.alone[modality](*self.experts[modality](image))[0]
        return logits

    def features(self, *images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        (easpp, _), (eighth, _), (quarter, _) = self.fusions(*images)
        return easpp, eighth, quarter

    def fusions(self, *images: Tensor) -> list[tuple[Tensor, Tensor]]:
        """The results of the three SSMA blocks, (fused, gated) each: of the context at 1/16 and of
        the skip connections at 1/8 and 1/4."""
        return self.fuse(*(expert(image) for expert, image in zip(self.experts, images)))

    def fuse(self, colour: Iterable[Tensor], second: Iterable[Tensor]
             ) -> list[tuple[Tensor, Tensor]]:
        """As `fusions`, from the outputs of the two experts."""
        blocks = self.fuse_easpp, self.fuse_eighth, self.fuse_quarter
        return [block(*maps) for block, *maps in zip(blocks, colour, second)]

    def load_experts(self, colour: AdapNetPP, second: AdapNetPP) -> None:
        """Copies the experts of two trained networks. They must be of the same kind and size as
        this network's own."""
        for expert, trained in zip(self.experts, (colour, second)):
            expert.load_state_dict(trained.expert.state_dict())

    def start_as_first(self, first: AdapNetPP) -> None:
        """Copies the decoder of the first expert's trained network, and makes each SSMA block give
        that expert's map, so that this network begins with its answers."""
        self.decoder.load_state_dict(first.decoder.state_dict(), strict=False)
        for stage in (self.decoder.to_eighth, self.decoder.to_quarter):
            if stage.skip_weight is not None:  # at first it multiplies by 1
                nn.init.zeros_(stage.skip_weight.norm.weight)
                nn.init.ones_(stage.skip_weight.norm.bias)
        channels = first.expert.channels
        self.fuse_easpp.start_as_first(channels.context, first.expert.context_norm)
        self.fuse_eighth.start_as_first(channels.eighth, None)
        self.fuse_quarter.start_as_first(channels.quarter, None)

    def freeze(self, *parts: nn.Module) -> None:
        """From now on these parts get no gradients, and their batch norms do not change."""
        self.frozen += parts
        for part in parts:
            part.requires_grad_(False)
        self.train(self.training)

    def keep_statistics(self) -> None:
        """From now on the batch norms keep their means and deviations, and use them in training."""
        self.keeps_statistics = True
        self.train(self.training)

    def train(self, mode: bool = True) -> Ssma:
        super().train(mode)
        for part in self.frozen:
            part.eval()
        for part in self.modules() if self.keeps_statistics else ():
            if isinstance(part, _BatchNorm):
                part.eval()
        return self

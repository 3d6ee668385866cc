"""AdapNet++: one expert and a decoder (arXiv 1808.03833, section 3)."""
from __future__ import annotations

from torch import Tensor

from ssma_core.model.experts.expert import Expert
from ssma_core.model.layers import initialize
from ssma_core.model.segmentation import SegmentationNetwork
from ssma_core.spec import ModelSpec


class AdapNetPP(SegmentationNetwork):
    """Takes one image, of any modality. `expert` may be another one than AdapNet++'s; the decoder
    is always AdapNet++'s."""

    def __init__(self, spec: ModelSpec, expert: Expert, *, auxiliary_heads: bool = True) -> None:
        super().__init__(expert.channels, spec, weigh_skips=False, auxiliary_heads=auxiliary_heads)
        self.expert = expert
        initialize(self)

    def features(self, *images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        (image,) = images
        return self.expert(image)

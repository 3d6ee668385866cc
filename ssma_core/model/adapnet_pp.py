"""AdapNet++: the expert of one modality and a decoder (arXiv 1808.03833, section 3)."""
from __future__ import annotations

from torch import Tensor, nn

from ssma_core.model.easpp import Easpp
from ssma_core.model.encoder import Encoder
from ssma_core.model.expert import Channels, Expert
from ssma_core.model.layers import initialize
from ssma_core.model.segmentation import SegmentationNetwork
from ssma_core.model.sizes import Dimensions
from ssma_core.spec import ModelSpec, Rates


class AdapNetPPExpert(Expert):
    """The expert "adapnet++": encoder, skips and eASPP."""

    def __init__(self, dimensions: Dimensions, rates: Rates) -> None:
        super().__init__(Channels(dimensions.easpp, dimensions.skip, dimensions.skip))
        self.encoder = Encoder(dimensions, rates)
        self.easpp = Easpp(dimensions)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        features, skip_eighth, skip_quarter = self.encoder(image)
        return self.easpp(features), skip_eighth, skip_quarter

    @property
    def context_norm(self) -> nn.BatchNorm2d:
        return self.easpp.merge.norm

    def set_dropout(self, keep: float) -> None:
        self.encoder.set_dropout(keep)


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

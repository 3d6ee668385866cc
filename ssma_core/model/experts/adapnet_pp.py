"""The expert of AdapNet++ (arXiv 1808.03833, section 3)."""
from __future__ import annotations

from torch import Tensor, nn

from ssma_core.model.experts.easpp import Easpp
from ssma_core.model.experts.encoder import Encoder
from ssma_core.model.experts.expert import Channels, Expert
from ssma_core.model.sizes import Dimensions
from ssma_core.spec import Rates


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

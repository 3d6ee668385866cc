"""AdapNet++: one modality's expert with a decoder of its own (arXiv 1808.03833, section 3)."""
from __future__ import annotations

from torch import Tensor, nn

from ssma_core.model.decoder import AuxiliaryHeads, Decoder
from ssma_core.model.easpp import Easpp
from ssma_core.model.encoder import Encoder
from ssma_core.model.layers import initialize
from ssma_core.model.sizes import DIMENSIONS, Dimensions
from ssma_core.spec import ModelSpec, Rates, check_multiple_of_16


class Expert(nn.Module):
    """What SSMA takes over from a trained AdapNet++: encoder, skips and eASPP."""

    def __init__(self, dimensions: Dimensions, rates: Rates) -> None:
        super().__init__()
        self.encoder = Encoder(dimensions, rates)
        self.easpp = Easpp(dimensions)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """image N×3×H×W -> (eASPP features at 1/16, skip at 1/8, skip at 1/4). Raises SsmaError
        when a side is no multiple of 16."""
        check_multiple_of_16(image.shape[3], image.shape[2])
        features, skip_eighth, skip_quarter = self.encoder(image)
        return self.easpp(features), skip_eighth, skip_quarter


class SegmentationNetwork(nn.Module):
    """What both networks share: the decoder and its heads. Images are float32 N×3×H×W, BGR, 0–255,
    sides multiples of 16; logits are N×classes×H×W, before the softmax.
    """

    def __init__(self, dimensions: Dimensions, classes: int, *, weigh_skips: bool,
                 auxiliary_heads: bool) -> None:
        super().__init__()
        self.decoder = Decoder(dimensions, classes, weigh_skips=weigh_skips)
        self.auxiliary_heads = AuxiliaryHeads(dimensions, classes) if auxiliary_heads else None

    def features(self, *images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What the decoder gets: (features at 1/16, skip at 1/8, skip at 1/4)."""
        raise NotImplementedError

    def forward(self, *images: Tensor) -> Tensor:
        """Returns the logits."""
        return self.decoder(*self.features(*images))[0]

    def forward_with_auxiliary(self, *images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Returns three logits: the network's, and those of the auxiliary heads on the decoder's
        second and first upsampling. Needs a network built with auxiliary heads."""
        assert self.auxiliary_heads is not None, "built without auxiliary heads"
        logits, quarter, eighth = self.decoder(*self.features(*images))
        height, width = logits.shape[2:]
        return logits, *self.auxiliary_heads(quarter, eighth, (height, width))

    def set_dropout(self, keep: float) -> None:
        """keep: the share of values that dropout leaves in training, up to 1 (none is dropped)."""
        for module in self.modules():
            if isinstance(module, Encoder):
                module.set_dropout(keep)


class AdapNetPP(SegmentationNetwork):
    """Takes one image, of any modality."""

    def __init__(self, spec: ModelSpec, *, auxiliary_heads: bool = True) -> None:
        dimensions = DIMENSIONS[spec.size]
        super().__init__(dimensions, spec.classes, weigh_skips=False,
                         auxiliary_heads=auxiliary_heads)
        self.expert = Expert(dimensions, spec.rates)
        initialize(self)

    def features(self, *images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        (image,) = images
        return self.expert(image)

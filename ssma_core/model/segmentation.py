"""The base class of all networks: a decoder and its heads."""
from __future__ import annotations

from torch import Tensor, nn

from ssma_core.errors import SsmaError
from ssma_core.model.decoder import AuxiliaryHeads, Decoder
from ssma_core.model.experts.expert import Channels, Expert
from ssma_core.model.sizes import DIMENSIONS
from ssma_core.spec import ModelSpec, check_multiple_of_16


class SegmentationNetwork(nn.Module):
    """Images are float32 N×3×H×W, BGR, 0–255, sides multiples of 16 (SsmaError otherwise). Logits
    are N×classes×H×W, before the softmax.

    channels: of the decoder's inputs.
    """

    def __init__(self, channels: Channels, spec: ModelSpec, *, weigh_skips: bool,
                 auxiliary_heads: bool) -> None:
        super().__init__()
        self.decoder = Decoder(channels, spec, weigh_skips=weigh_skips)
        self.auxiliary_heads = (AuxiliaryHeads(DIMENSIONS[spec.size], spec.classes)
                                if auxiliary_heads else None)

    def features(self, *images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Returns the decoder's inputs: (context at 1/16, skip at 1/8, skip at 1/4)."""
        raise NotImplementedError

    def forward(self, *images: Tensor) -> Tensor:
        """Returns the logits."""
        return self._decode(images)[0]

    def forward_with_auxiliary(self, *images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Returns three logits, all N×classes×H×W: the network's, and those of the auxiliary heads
        on the decoder's second and first upsampling. The network must have auxiliary heads."""
        assert self.auxiliary_heads is not None, "built without auxiliary heads"
        logits, quarter, eighth = self._decode(images)
        height, width = logits.shape[2:]
        return logits, *self.auxiliary_heads(quarter, eighth, (height, width))

    def _decode(self, images: tuple[Tensor, ...]) -> tuple[Tensor, Tensor, Tensor]:
        for image in images:
            check_multiple_of_16(image.shape[3], image.shape[2])
        return self.decoder(*self.features(*images))

    def set_dropout(self, keep: float) -> None:
        """keep: the share of values that the experts' dropout keeps in training, above 0, up to 1
        (nothing is dropped); SsmaError otherwise. Experts without dropout ignore it."""
        if not 0 < keep <= 1:
            raise SsmaError(f"dropout's keep probability must be above 0 and at most 1, got {keep}")
        for module in self.modules():
            if isinstance(module, Expert):
                module.set_dropout(keep)

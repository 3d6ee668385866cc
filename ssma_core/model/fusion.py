"""The self-supervised model adaptation block: which modality to trust, where."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssma_core.model.layers import Convolution


class SsmaBlock(nn.Module):
    """Fuses two feature maps: a gate computed from both weighs every channel at every place, then
    `output` brings them to the channels of one map.

    inputs: channels of both together. gate: channels inside the gate.
    """

    def __init__(self, inputs: int, gate: int, output: nn.Module) -> None:
        super().__init__()
        self.squeeze = Convolution(inputs, gate, 3, bias=True)
        self.excite = Convolution(gate, inputs, 3, bias=True)
        self.output = output

    def forward(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        """Returns (the one map, both maps side by side as far as the gate lets them through)."""
        both = torch.cat([first, second], 1)
        gated = both * torch.sigmoid(self.excite(F.relu(self.squeeze(both))))
        return self.output(gated), gated

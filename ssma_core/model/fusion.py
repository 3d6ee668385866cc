"""The self-supervised model adaptation block: which modality to trust, where."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssma_core.model.layers import Convolution


class SsmaBlock(nn.Module):
    """Fuses two feature maps of `channels` each: a gate computed from both weighs every channel at
    every place, then `output` brings them back to one map of `channels`."""

    def __init__(self, channels: int, gate_channels: int, output: nn.Module) -> None:
        super().__init__()
        self.squeeze = Convolution(2 * channels, gate_channels, 3, bias=True)
        self.excite = Convolution(gate_channels, 2 * channels, 3, bias=True)
        self.output = output

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        both = torch.cat([first, second], 1)
        gate = torch.sigmoid(self.excite(F.relu(self.squeeze(both))))
        return self.output(both * gate)

"""The self-supervised model adaptation (SSMA) block: weighs the modalities at every place (arXiv
1808.03833, section 4)."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssma_core.model.layers import Conv2dSame


class SsmaBlock(nn.Module):
    """Fuses two feature maps. A gate (0–1), computed from both, multiplies every channel at every
    place; then `output` reduces them to the channels of one map.

    inputs: channels of both maps together. gate: inner channels of the gate.
    """

    def __init__(self, inputs: int, gate: int, output: nn.Module) -> None:
        super().__init__()
        self.squeeze = Conv2dSame(inputs, gate, 3, bias=True)
        self.excite = Conv2dSame(gate, inputs, 3, bias=True)
        self.output = output

    def forward(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        """Maps N×channels×h×w of one height and width. Returns (the fused map, both maps
        concatenated and multiplied by the gate)."""
        both = torch.cat([first, second], 1)
        gated = both * torch.sigmoid(self.excite(F.relu(self.squeeze(both))))
        return self.output(gated), gated

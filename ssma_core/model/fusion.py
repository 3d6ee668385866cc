"""The self-supervised model adaptation (SSMA) block: weighs the modalities at every place (arXiv
1808.03833, section 4)."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssma_core.model.layers import Conv2dSame

OPEN = 2.0  # before the sigmoid: a gate that lets through nearly all


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

    def start_as_first(self, channels: int, norm: nn.BatchNorm2d | None) -> None:
        """Sets the weights so that the fused map is at first the first map, nearly.

        The second map has small weights, not 0: a gate in front of a 0 learns nothing.
        channels: of the first map, and of the fused one. norm: the batch norm that made the first
          map, where `output` ends with one; it says the map's mean and deviation.
        """
        nn.init.normal_(self.excite.weight, std=1e-2)
        assert self.excite.bias is not None
        nn.init.constant_(self.excite.bias, OPEN)
        convolution = self.output if norm is None else self.output.convolution
        assert isinstance(convolution, nn.Conv2d)
        nn.init.normal_(convolution.weight, std=1e-2)
        middle = convolution.kernel_size[0] // 2
        with torch.no_grad():
            convolution.weight[:, :channels] = 0
            convolution.weight[range(channels), range(channels), middle, middle] = (
                1 / torch.sigmoid(torch.tensor(OPEN)))
            if convolution.bias is not None:
                convolution.bias.zero_()
            if norm is not None:
                own = self.output.norm
                assert isinstance(own, nn.BatchNorm2d)
                own.load_state_dict(own.state_dict() | {
                    "bias": norm.bias, "weight": norm.weight.abs(),
                    "running_mean": norm.bias, "running_var": norm.weight.square()})

    def forward(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        """Maps N×channels×h×w of one height and width. Returns (the fused map, both maps
        concatenated and multiplied by the gate)."""
        both = torch.cat([first, second], 1)
        gated = both * torch.sigmoid(self.excite(F.relu(self.squeeze(both))))
        return self.output(gated), gated

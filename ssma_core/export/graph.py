"""A frame's whole way through the network, uint8 to uint8: what is exported and what torch runs."""
from __future__ import annotations

import torch
from torch import Tensor, nn


class Frame(nn.Module):
    """One frame, as images come and labels go.

    forward(*images): one H×W×3 uint8 BGR image a modality →
      "labels" H×W uint8; "confidence" H×W uint8, the softmax of the winning class · 255;
      "logits" H×W×classes float32.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, *images: Tensor) -> dict[str, Tensor]:
        # Cast first: TensorRT refuses to transpose uint8.
        batches = [image.float().permute(2, 0, 1).unsqueeze(0) for image in images]
        logits = self.network(*batches)[0]
        # The winner's softmax: exp(0) over the sum. Runtimes compute this several times faster than
        # a softmax over the first axis, and they compute every output whether asked for or not.
        certainty = 1 / (logits - logits.amax(dim=0)).exp().sum(dim=0)
        return {
            "labels": logits.argmax(dim=0).to(torch.uint8),
            "confidence": (certainty * 255).round().to(torch.uint8),
            "logits": logits.permute(1, 2, 0),
        }

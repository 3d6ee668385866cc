"""What an expert is: the part of a network that sees one modality."""
from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True)
class Channels:
    """Of what an expert gives: the context at 1/16 of the image, the skips at 1/8 and 1/4."""

    context: int
    eighth: int
    quarter: int

    def __add__(self, other: Channels) -> Channels:
        """Of two experts' maps side by side."""
        return Channels(self.context + other.context, self.eighth + other.eighth,
                        self.quarter + other.quarter)


class Expert(nn.Module):
    """The protocol: `channels`, `forward`, and `set_dropout` where there is something to drop.

    Which experts there are stands in `ssma_core.model.experts`.
    """

    def __init__(self, channels: Channels) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """image float32 N×3×H×W, 0–255, sides multiples of 16 -> (context at 1/16, skip at 1/8,
        skip at 1/4), with as many channels as `channels` says."""
        raise NotImplementedError

    def set_dropout(self, keep: float) -> None:
        """keep: the share of values that dropout leaves in training, above 0 and at most 1. An
        expert that has no dropout need not do anything about it."""

"""The interface of an expert: the part of a network that processes one modality."""
from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True)
class Channels:
    """Channels of an expert's outputs: the context at 1/16 of the image's size, the skip
    connections at 1/8 and 1/4."""

    context: int
    eighth: int
    quarter: int

    def __add__(self, other: Channels) -> Channels:
        """The channels of two experts' concatenated outputs."""
        return Channels(self.context + other.context, self.eighth + other.eighth,
                        self.quarter + other.quarter)


class Expert(nn.Module):
    """Base class of the experts: `channels`, `forward`, `context_norm`, and `set_dropout` if it
    has dropout.

    `ssma_core.model.experts` lists the experts.
    """

    def __init__(self, channels: Channels) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """image: float32 N×3×H×W, 0–255, sides multiples of 16. Returns (context at 1/16, skip at
        1/8, skip at 1/4) with the channels that `channels` says."""
        raise NotImplementedError

    @property
    def context_norm(self) -> nn.BatchNorm2d:
        """The batch norm that ends the context."""
        raise NotImplementedError

    def set_dropout(self, keep: float) -> None:
        """keep: the share of values that dropout keeps in training, above 0 and at most 1. An
        expert without dropout ignores it."""

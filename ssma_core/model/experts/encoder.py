"""AdapNet++'s encoder: a full pre-activation ResNet with multiscale units, output stride 16."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssma_core.model.layers import Conv2dSame, ConvNorm, MaxPool, batch_norm
from ssma_core.model.sizes import Dimensions
from ssma_core.spec import Rates

# The dilations of the two halves of a multiscale unit. None: the unit is not multiscale.
UnitRates = tuple[int, int] | None


class MultiscaleConvolution(nn.Module):
    """Two parallel 3×3 convolutions with two dilations; each gives half of the output channels."""

    def __init__(self, channels: int, rates: tuple[int, int]) -> None:
        super().__init__()
        self.halves = nn.ModuleList(Conv2dSame(channels, channels // 2, 3, rate=r) for r in rates)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([half(x) for half in self.halves], 1)


class Residual(nn.Module):
    """The residual branch of every unit: 1×1 to a quarter of the channels, 3×3, 1×1."""

    def __init__(self, inputs: int, outputs: int, stride: int, rates: UnitRates) -> None:
        super().__init__()
        inner = outputs // 4
        self.reduce = ConvNorm(inputs, inner, 1)
        self.spatial = ConvNorm(inner, inner, 3, stride=stride)
        if rates:
            self.spatial.convolution = MultiscaleConvolution(inner, rates)
        self.expand = Conv2dSame(inner, outputs, 1)


class IdentityUnit(Residual):
    """Adds to its input the residual of the activated input."""

    def __init__(self, channels: int, rates: UnitRates) -> None:
        super().__init__(channels, channels, 1, rates)
        self.preactivation = batch_norm(channels)
        self.dropout: nn.Module = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        activated = F.relu(self.preactivation(x))
        return x + self.dropout(self.expand(self.spatial(self.reduce(activated))))


class ProjectionUnit(Residual):
    """The first unit of a block: the shortcut is a 1×1 convolution of the activated input."""

    def __init__(self, inputs: int, outputs: int, stride: int, rates: UnitRates) -> None:
        super().__init__(inputs, outputs, stride, rates)
        self.shortcut = Conv2dSame(inputs, outputs, 1, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        return self.shortcut(x) + self.expand(self.spatial(self.reduce(x)))


class ReducedProjectionUnit(Residual):
    """The first unit of the network: as in the original code, its shortcut starts after the unit's
    1×1 reduction."""

    def __init__(self, inputs: int, outputs: int, stride: int, rates: UnitRates) -> None:
        super().__init__(inputs, outputs, stride, rates)
        self.shortcut = Conv2dSame(outputs // 4, outputs, 1, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        reduced = self.reduce(x)
        return self.shortcut(reduced) + self.expand(self.spatial(reduced))


class Block(nn.Sequential):
    """Units, then batch norm and ReLU. Input and output are activated."""

    def __init__(self, first: Residual, channels: int, other_rates: list[UnitRates]) -> None:
        super().__init__()
        self.units = nn.Sequential(first, *(IdentityUnit(channels, r) for r in other_rates))
        self.norm = batch_norm(channels)
        self.relu = nn.ReLU(inplace=True)


class Encoder(nn.Module):
    """The encoder of one modality: an image N×3×H×W, 0–255, to the features at 1/16 and the skip
    connections at 1/8 and 1/4."""

    def __init__(self, dimensions: Dimensions, rates: Rates) -> None:
        super().__init__()
        d, r = dimensions, multiscale_rates(dimensions.units, rates)
        self.input_norm = batch_norm(3)
        self.stem = ConvNorm(3, d.stem, 7, stride=2)
        self.pool = MaxPool()
        first = ReducedProjectionUnit(d.stem, d.blocks[0], 1, r[0][0])
        self.block1 = Block(first, d.blocks[0], r[0][1:])
        self.block2 = _block(d.blocks[0], d.blocks[1], 2, r[1])
        self.block3 = _block(d.blocks[1], d.blocks[2], 2, r[2])
        self.block4 = _block(d.blocks[2], d.blocks[3], 1, r[3])
        self.skip_quarter = ConvNorm(d.blocks[0], d.skip, 1, relu=False)
        self.skip_eighth = ConvNorm(d.blocks[1], d.skip, 1, relu=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Returns (features, skip at 1/8, skip at 1/4)."""
        x = self.stem(self.input_norm(x))
        quarter = self.block1(self.pool(x))
        eighth = self.block2(quarter)
        features = self.block4(self.block3(eighth))
        return features, self.skip_eighth(eighth), self.skip_quarter(quarter)

    def set_dropout(self, keep: float) -> None:
        """Sets the dropout after the last unit's residual. keep: the share of values that stays."""
        self.block4.units[-1].dropout = nn.Dropout(1 - keep) if keep < 1 else nn.Identity()


def _block(inputs: int, outputs: int, stride: int, rates: list[UnitRates]) -> Block:
    return Block(ProjectionUnit(inputs, outputs, stride, rates[0]), outputs, rates[1:])


def multiscale_rates(units: tuple[int, int, int, int], rates: Rates) -> list[list[UnitRates]]:
    """The dilations of every unit of the four blocks. The last unit of block 2, the units of block
    3 from the third on, and all units of block 4 are multiscale.

    rates: "released": those of the published code and weights; "paper": the growing rates of the
      paper (arXiv 1808.03833, section 3.1).
    """
    one, two, three, four = units
    block3, block4 = [(1, 2)] * (three - 2), [(2, 2)] * four
    if rates == "paper":
        block3 = [(1, 2), (1, 16), (1, 8), (1, 4)][:three - 2]
        block4 = [(2, 4), (2, 8), (2, 16)][:four]
    return [[None] * one, [*[None] * (two - 1), (1, 2)], [None, None, *block3], [*block4]]

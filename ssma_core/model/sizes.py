"""The width and depth of the networks: two sizes of one design."""
from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Dimensions:
    """Channels and units of every part. Those of an expert are AdapNet++'s; other experts may
    derive theirs from them. The inner convolutions of a residual unit have a quarter of the
    channels of its block.

    stem: channels after the 7×7 convolution.
    blocks, units: channels and number of residual units of the four blocks.
    skip: channels of each skip connection.
    easpp, easpp_branch: output and inner channels of the eASPP.
    fused_easpp_gate, fused_skip_gate: inner channels of the gates of the SSMA blocks.
    decoder: channels of every convolution of the decoder except the last.
    """

    stem: int
    blocks: tuple[int, int, int, int]
    units: tuple[int, int, int, int]
    skip: int
    easpp: int
    easpp_branch: int
    fused_easpp_gate: int
    fused_skip_gate: int
    decoder: int


DIMENSIONS = {
    # ResNet-50, as published.
    "full": Dimensions(stem=64, blocks=(256, 512, 1024, 2048), units=(3, 4, 6, 3), skip=24,
                       easpp=256, easpp_branch=64, fused_easpp_gate=32, fused_skip_gate=8,
                       decoder=256),
    # For two CPU cores: 2.1 GFLOP (2 per multiply-add) at 384×192. In a narrow network the stem and
    # the decoder at a quarter of the size cost most, so they are the narrowest parts.
    "tiny": Dimensions(stem=32, blocks=(64, 128, 192, 288), units=(2, 2, 3, 2), skip=16,
                       easpp=64, easpp_branch=16, fused_easpp_gate=16, fused_skip_gate=8,
                       decoder=48),
}

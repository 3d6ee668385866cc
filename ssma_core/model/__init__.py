"""The networks, in PyTorch. `build` makes the one a spec asks for."""
from __future__ import annotations

from ssma_core.model.adapnet_pp import AdapNetPP
from ssma_core.model.expert import Channels, Expert
from ssma_core.model.experts import EXPERTS, new_expert
from ssma_core.model.segmentation import SegmentationNetwork
from ssma_core.model.ssma import Ssma
from ssma_core.spec import ModelSpec

__all__ = ["EXPERTS", "AdapNetPP", "Channels", "Expert", "SegmentationNetwork", "Ssma", "build"]


def build(spec: ModelSpec, *, auxiliary_heads: bool | None = None,
          alone: bool = False) -> AdapNetPP | Ssma:
    """The network of a spec with fresh weights, in training mode.

    auxiliary_heads: for `forward_with_auxiliary`; None: AdapNet++ has them, SSMA has not.
    alone: for SSMA's `logits_alone`.
    Raises SsmaError when a modality's expert is none of those there are.
    """
    experts = [new_expert(modality, spec) for modality in spec.modalities]
    if spec.architecture == "ssma":
        return Ssma(spec, *experts, auxiliary_heads=bool(auxiliary_heads), alone=alone)
    return AdapNetPP(spec, *experts, auxiliary_heads=auxiliary_heads is not False)

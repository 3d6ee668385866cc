"""The networks, in PyTorch. `build` makes the one a spec asks for."""
from __future__ import annotations

import torch

from ssma_core.model.adapnet_pp import AdapNetPP
from ssma_core.model.expert import Channels, Expert
from ssma_core.model.experts import EXPERTS, new_expert
from ssma_core.model.segmentation import SegmentationNetwork
from ssma_core.model.ssma import Ssma
from ssma_core.spec import ModelSpec

__all__ = ["EXPERTS", "AdapNetPP", "Channels", "Expert", "SegmentationNetwork", "Ssma", "build",
           "unimodal_network"]


def build(spec: ModelSpec, *, auxiliary_heads: bool | None = None,
          alone: bool = False) -> AdapNetPP | Ssma:
    """The network of a spec with fresh weights, in training mode.

    auxiliary_heads: for `forward_with_auxiliary`; None: AdapNet++ has them, SSMA has not.
    alone: for SSMA's `unimodal_logits`.
    Raises SsmaError when a modality's expert is none of those there are.
    """
    experts = [new_expert(modality, spec) for modality in spec.modalities]
    if spec.architecture == "ssma":
        return Ssma(spec, *experts, auxiliary_heads=bool(auxiliary_heads), alone=alone)
    return AdapNetPP(spec, *experts, auxiliary_heads=auxiliary_heads is not False)


def unimodal_network(network: Ssma, spec: ModelSpec, modality: int) -> AdapNetPP:
    """One of its experts with the decoder that it has for when the other's sensor is dead: the
    very weights, in evaluation mode."""
    assert network.alone is not None, "built without decoders for the experts alone"
    with torch.device("meta"):
        lone = build(spec.of_expert(modality), auxiliary_heads=False)
    assert isinstance(lone, AdapNetPP)
    lone.expert = network.experts[modality]  # type: ignore[assignment]
    lone.decoder = network.alone[modality]  # type: ignore[assignment]
    return lone.eval()

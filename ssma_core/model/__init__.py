"""The networks, in PyTorch. `build` makes the network of a spec."""
from __future__ import annotations

import torch

from ssma_core.model.adapnet_pp import AdapNetPP
from ssma_core.model.experts import EXPERTS, new_expert
from ssma_core.model.experts.expert import Channels, Expert
from ssma_core.model.segmentation import SegmentationNetwork
from ssma_core.model.ssma import Ssma
from ssma_core.spec import ModelSpec

__all__ = ["EXPERTS", "AdapNetPP", "Channels", "Expert", "SegmentationNetwork", "Ssma", "build",
           "unimodal_network"]


def build(spec: ModelSpec, *, auxiliary_heads: bool | None = None,
          alone: bool = False) -> AdapNetPP | Ssma:
    """Makes the network of a spec with new random weights, in training mode.

    auxiliary_heads: needed for `forward_with_auxiliary`. None: AdapNet++ has them, SSMA does not.
    alone: SSMA only: adds one decoder per expert, needed for `unimodal_logits`.
    Raises SsmaError when a modality names an expert that does not exist.
    """
    experts = [new_expert(modality, spec) for modality in spec.modalities]
    if spec.architecture == "ssma":
        return Ssma(spec, *experts, auxiliary_heads=bool(auxiliary_heads), alone=alone)
    return AdapNetPP(spec, *experts, auxiliary_heads=auxiliary_heads is not False)


def unimodal_network(network: Ssma, spec: ModelSpec, modality: int) -> AdapNetPP:
    """One expert of an SSMA with the decoder that it uses when the other sensor is dead, in
    evaluation mode. The weights are shared with `network`, not copied.

    spec: of `network`. modality: index, 0 or 1.
    """
    assert network.alone is not None, "built without unimodal decoders"
    with torch.device("meta"):
        unimodal = build(spec.of_expert(modality), auxiliary_heads=False)
    assert isinstance(unimodal, AdapNetPP)
    unimodal.expert = network.experts[modality]  # type: ignore[assignment]
    unimodal.decoder = network.alone[modality]  # type: ignore[assignment]
    return unimodal.eval()

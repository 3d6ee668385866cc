"""The networks, in PyTorch. `build` makes the one a spec asks for."""
from __future__ import annotations

from ssma_core.model.adapnet_pp import AdapNetPP, SegmentationNetwork
from ssma_core.model.ssma import Ssma
from ssma_core.spec import ModelSpec

__all__ = ["AdapNetPP", "SegmentationNetwork", "Ssma", "build"]


def build(spec: ModelSpec, *, auxiliary_heads: bool | None = None) -> AdapNetPP | Ssma:
    """The network of a spec with fresh weights, in training mode.

    auxiliary_heads: for `forward_with_auxiliary`; None: AdapNet++ has them, SSMA has not.
    """
    if spec.architecture == "ssma":
        return Ssma(spec, auxiliary_heads=bool(auxiliary_heads))
    return AdapNetPP(spec, auxiliary_heads=auxiliary_heads is not False)

"""The list of experts. To add one, write a file beside this one and add a line here."""
from __future__ import annotations

from collections.abc import Callable
from functools import partial

from ssma_core.errors import SsmaError
from ssma_core.model.experts.adapnet_pp import AdapNetPPExpert
from ssma_core.model.experts.efficientnet_lite import WIDTH_AND_DEPTH, EfficientNetLiteExpert
from ssma_core.model.experts.expert import Expert
from ssma_core.model.experts.light import LightExpert
from ssma_core.model.experts.timm_backbone import TIMM, TimmExpert
from ssma_core.model.sizes import DIMENSIONS, Dimensions
from ssma_core.spec import Modality, ModelSpec, Rates

EXPERTS: dict[str, Callable[[Dimensions, Rates], Expert]] = {
    "adapnet++": AdapNetPPExpert,
    "light": LightExpert,
    **{name: partial(EfficientNetLiteExpert, name) for name in WIDTH_AND_DEPTH},
}


def new_expert(modality: Modality, spec: ModelSpec) -> Expert:
    """Makes the expert that `modality` names, at the spec's size: one of EXPERTS, or "timm/NAME".
    Raises SsmaError, with the names that exist, when there is no such expert; and as `TimmExpert`
    does."""
    name = modality.expert
    try:
        if name.startswith(TIMM):
            return TimmExpert(name, DIMENSIONS[spec.size], spec.rates)
        if name not in EXPERTS:
            raise SsmaError(f"there is no expert {name!r}; there are {', '.join(EXPERTS)}, and "
                            f"{TIMM}NAME for the backbones of timm")
        return EXPERTS[name](DIMENSIONS[spec.size], spec.rates)
    except SsmaError as error:
        raise SsmaError(f"modality {modality.name!r}: {error}") from error

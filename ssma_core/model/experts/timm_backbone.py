"""A backbone of timm, github.com/huggingface/pytorch-image-models, as an expert.

timm is imported when such an expert is built, and by nothing else.
"""
from __future__ import annotations

import copy
import difflib
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from ssma_core.errors import SsmaError
from ssma_core.model.experts.expert import Channels, Expert
from ssma_core.model.experts.light import LightContext
from ssma_core.model.sizes import Dimensions
from ssma_core.spec import Rates

TIMM = "timm/"  # the names of these experts begin so; timm's own name of the backbone follows
REDUCTIONS = (4, 8, 16)  # the image's size divided by that of each map
PROBE = (2, 3, 48, 80)  # an image whose sides are multiples of 16 and of nothing larger
LONGEST_NAME = 80  # that is compared with all of timm's


class TimmExpert(Expert):
    """The experts "timm/NAME": the backbone to 1/16 of the image. Its maps at 1/4 and 1/8 are the
    skips; the map at 1/16 goes through the light expert's context. `rates` have no meaning here,
    and there is no dropout. The image is normalized with the mean and deviation that the backbone
    was trained with.

    Raises SsmaError as `new_backbone` does.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, name: str, dimensions: Dimensions, _rates: Rates) -> None:
        backbone = with_plain_norms(new_backbone(name))
        quarter, eighth, sixteenth = backbone.feature_info.channels()
        super().__init__(Channels(dimensions.easpp, eighth, quarter))
        self.backbone = backbone
        self.context = LightContext(sixteenth, dimensions.easpp)
        for buffer, field in (("mean", "mean"), ("deviation", "std")):
            values = torch.tensor(backbone.pretrained_cfg[field]).view(3, 1, 1)
            self.register_buffer(buffer, 255 * values)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        quarter, eighth, sixteenth = self.backbone((image.flip(1) - self.mean) / self.deviation)
        return self.context(sixteenth), eighth, quarter

    @property
    def context_norm(self) -> nn.BatchNorm2d:
        return self.context.merge.norm


def new_backbone(name: str, *, pretrained: bool = False) -> Any:
    """timm's own module, on the CPU whatever torch's default device: a list of three maps, at
    `REDUCTIONS`, of an image that is normalized and RGB.

    name: of the expert, "timm/resnet18" or, with the name of one of its weights,
      "timm/resnet18.a1_in1k".
    pretrained: with its ImageNet weights, which timm downloads.
    Raises SsmaError when timm cannot be imported, has no such backbone, or has no three such maps
    of it. Raises what timm raises when there are no weights.
    """
    timm = _timm()
    theirs = name.removeprefix(TIMM)
    _check_known(timm, theirs)
    # On the CPU: a checkpoint's weights replace a meta device's, but not what a backbone computes
    # for itself and does not save.
    with torch.device("cpu"):
        try:
            info = timm.create_model(theirs, features_only=True).feature_info
            reductions = [each["reduction"] for each in info.info]
        except Exception as error:  # of many kinds, and timm's own words are the best
            raise SsmaError(f"timm gives no maps of {theirs!r}: {one_line(error)}") from error
        if not set(REDUCTIONS) <= set(reductions):
            raise SsmaError(f"an expert needs maps at 1/4, 1/8 and 1/16 of the image, and timm's "
                            f"{theirs!r} has them at {_fractions(reductions)}")
        last = {reduction: i for i, reduction in enumerate(reductions)}
        backbone = timm.create_model(
            theirs, features_only=True, out_indices=[last[r] for r in REDUCTIONS],
            pretrained=pretrained)
    _drop_later_stages(backbone)
    _check_maps(backbone, theirs)
    return backbone


def with_plain_norms(backbone: Any) -> Any:
    """The same backbone, in which each of timm's batch norms with an activation inside is a plain
    batch norm and an activation: what synchronizes batch norms between processes knows only
    these."""
    from timm.layers import BatchNormAct2d

    for parent in list(backbone.modules()):
        for name, norm in list(parent.named_children()):
            if isinstance(norm, BatchNormAct2d):
                plain = nn.BatchNorm2d(norm.num_features, norm.eps, norm.momentum, norm.affine,
                                       norm.track_running_stats, device="cpu")
                plain.load_state_dict(norm.state_dict(), strict=False)  # without the activation's
                parent.register_module(name, nn.Sequential(plain, norm.drop, norm.act))
    return backbone


def one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _timm() -> ModuleType:
    try:
        import timm
    except Exception as error:  # a torchvision that does not fit this torch: RuntimeError
        raise SsmaError(f"timm cannot be imported ({one_line(error)}): pip install timm, with a "
                        "torchvision that fits the installed torch") from error
    return timm


def _check_known(timm: ModuleType, name: str) -> None:
    """Only timm's own list of names: timm also takes a folder, or a repository to download."""
    known = {*timm.list_models(), *timm.list_models(pretrained=True)}
    if name not in known:
        close = difflib.get_close_matches(name[:LONGEST_NAME], sorted(known), n=3)
        hint = f"close names are {', '.join(close)}" if close else "timm.list_models() names all"
        raise SsmaError(f"timm {timm.__version__} has no backbone {name[:LONGEST_NAME]!r}; {hint}")


def _drop_later_stages(backbone: Any) -> None:
    """Of an EfficientNet and its relatives timm keeps and computes all, also what no map needs."""
    stages, _, number = backbone.feature_info.module_name()[-1].rpartition(".")
    found = getattr(backbone, stages, None)
    if isinstance(found, nn.Sequential) and number.isdigit():
        del found[int(number) + 1:]


def _check_maps(backbone: Any, name: str) -> None:
    """Raises SsmaError when the maps of `PROBE` are not those that the backbone tells of itself:
    some backbones take images of one size only, and some do not pad."""
    images, height, width = PROBE[0], *PROBE[2:]
    wanted = [(images, channels, height // reduction, width // reduction)
              for channels, reduction in zip(backbone.feature_info.channels(), REDUCTIONS)]
    try:
        with torch.no_grad():
            maps = copy.deepcopy(backbone).to("meta")(torch.empty(PROBE, device="meta"))
    except Exception as error:
        raise SsmaError(f"timm's {name!r} does not take an image of {width}x{height}, and an "
                        f"expert must take all multiples of 16: {one_line(error)}") from error
    found = [tuple(each.shape) for each in maps]
    if found != wanted:
        raise SsmaError(f"timm's {name!r} gives maps of {found} for an image of {width}x{height}, "
                        f"and an expert needs {wanted}")


def _fractions(reductions: list[int]) -> str:
    return ", ".join(f"1/{reduction}" for reduction in sorted(set(reductions))) or "no size"

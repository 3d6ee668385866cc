"""Experts: any two of them make an SSMA, and a new one takes a class and a line."""
from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from conftest import ROOT, TINY_SPEC
from torch import Tensor

from ssma_core import ModelSpec, Segmenter, SsmaError
from ssma_core.export.onnx import export
from ssma_core.model import EXPERTS, AdapNetPP, Channels, SegmentationNetwork, Ssma, build
from ssma_core.model.experts import new_expert
from ssma_core.model_files import checkpoint
from ssma_core.model_files.tf_import import import_variables, imported_spec
from ssma_core.training.loss import cross_entropy

WIDTH, HEIGHT = 96, 64


def spec_of(*experts: str, size: Any = "tiny") -> ModelSpec:
    """A fusion of two experts, or one before AdapNet++'s decoder."""
    modalities = tuple(replace(modality, expert=expert)
                       for modality, expert in zip(TINY_SPEC.modalities, experts))
    return replace(TINY_SPEC, architecture="ssma" if len(experts) == 2 else "adapnet++",
                   size=size, modalities=modalities, input_size=(WIDTH, HEIGHT))


COMBINATIONS = pytest.mark.parametrize(
    "spec", [spec_of("light"), spec_of("light", "light"), spec_of("adapnet++", "light"),
             spec_of("light", "adapnet++")],
    ids=lambda spec: "+".join(m.expert for m in spec.modalities))


def network_of(spec: ModelSpec) -> SegmentationNetwork:
    """With random weights and the batch-norm statistics that belong to them, in evaluation mode."""
    torch.manual_seed(0)
    network = build(spec)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        network(*(torch.nn.functional.interpolate(256 * torch.rand(2, 3, 4, 6), (HEIGHT, WIDTH))
                  for _ in spec.modalities))
    return network.eval()


@pytest.mark.parametrize("size", ["full", "tiny"])
@pytest.mark.parametrize("name", EXPERTS)
def test_an_expert_gives_the_maps_and_channels_it_says(name: str, size: Any) -> None:
    spec = spec_of(name, size=size)
    with torch.device("meta"):
        expert = new_expert(spec.modalities[0], spec)
        context, eighth, quarter = expert(torch.empty(2, 3, 48, 80))
    said = expert.channels
    assert context.shape == (2, said.context, 3, 5)
    assert eighth.shape == (2, said.eighth, 6, 10)
    assert quarter.shape == (2, said.quarter, 12, 20)


def parameters(expert: str, size: Any) -> int:
    spec = spec_of(expert, size=size)
    with torch.device("meta"):
        return sum(p.numel() for p in new_expert(spec.modalities[0], spec).parameters())


@pytest.mark.parametrize("size", ["full", "tiny"])
def test_the_light_expert_is_light(size: Any) -> None:
    assert parameters("light", size) < parameters("adapnet++", size) / 5


def test_fused_maps_have_the_channels_of_the_colour_images_expert() -> None:
    for first, second in (("light", "adapnet++"), ("adapnet++", "light")):
        spec = spec_of(first, second)
        network = build(spec).eval()
        channels = new_expert(spec.modalities[0], spec).channels
        with torch.no_grad():
            maps = network.features(*[torch.rand(1, 3, 32, 32)] * 2)
        assert channels == Channels(*(m.shape[1] for m in maps))


@COMBINATIONS
def test_what_is_saved_comes_back(tmp_path: Path, spec: ModelSpec) -> None:
    network = network_of(spec)
    checkpoint.save(tmp_path / "m.safetensors", network, spec)
    loaded, loaded_spec = checkpoint.load(tmp_path / "m.safetensors")
    images = [torch.rand(1, 3, HEIGHT, WIDTH) * 255 for _ in spec.modalities]
    assert loaded_spec == spec
    with torch.no_grad():
        assert torch.equal(loaded(*images), network(*images))


@pytest.mark.parametrize("spec", [spec_of("light"), spec_of("adapnet++", "light")],
                         ids=["single", "mixed"])
def test_onnx_gives_the_output_of_torch(tmp_path: Path, spec: ModelSpec) -> None:
    checkpoint.save(tmp_path / "m.safetensors", network_of(spec), spec)
    export(*checkpoint.load(tmp_path / "m.safetensors"), tmp_path / "m.onnx")
    random = np.random.default_rng(0)
    image = np.kron(random.integers(0, 256, (4, 6, 3)), np.ones((16, 16, 1))).astype(np.uint8)
    depth = random.integers(500, 20000, (HEIGHT, WIDTH)).astype(np.uint16)
    images = (image, depth)[:len(spec.modalities)]
    by_torch, by_onnx = (
        Segmenter(tmp_path / f"m.{ending}", threads=1).segment(*images, confidence=True)
        for ending in ("safetensors", "onnx"))
    assert by_torch.confidence is not None and by_onnx.confidence is not None
    assert len(np.unique(by_torch.labels)) > 1
    assert (by_onnx.labels == by_torch.labels).mean() >= 0.999
    np.testing.assert_allclose(by_onnx.confidence.astype(int), by_torch.confidence, atol=1)


def test_a_light_expert_learns() -> None:
    """Bright above dark, in four frames: after 30 steps the loss is less than half."""
    torch.manual_seed(0)
    network = build(spec_of("light"))
    label = torch.ones(4, HEIGHT, WIDTH, dtype=torch.uint8)
    for frame, horizon in enumerate((20, 30, 40, 50)):
        label[frame, :horizon] = 2
    image = label[:, None].float() * 90 + 20 * torch.rand(4, 3, HEIGHT, WIDTH)
    losses = train(network, image, label, steps=30)
    assert np.mean(losses[-3:]) < 0.5 * np.mean(losses[:3])


def train(network: SegmentationNetwork, image: Tensor, label: Tensor, steps: int) -> list[float]:
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = sum((weight * cross_entropy(logits, label, void_id=0) for weight, logits in
                    zip((1, 0.6, 0.5), network.forward_with_auxiliary(image))), torch.zeros(()))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_dropout_reaches_the_experts_that_have_it() -> None:
    network = build(spec_of("adapnet++", "light"))
    network.set_dropout(0.3)
    drops = [any(isinstance(m, torch.nn.Dropout) for m in expert.modules())
             for expert in network.get_submodule("experts").children()]
    assert drops == [True, False]


def test_another_size_is_refused_for_every_expert() -> None:
    with pytest.raises(SsmaError, match="pad 12 columns and 4 rows"):
        build(spec_of("light"))(torch.zeros(1, 3, 60, 100))


def test_an_unknown_expert_is_named_with_those_there_are(tmp_path: Path) -> None:
    message = "modality 'rgb': there is no expert 'huge'; there are adapnet.., light"
    with pytest.raises(SsmaError, match=message):
        build(spec_of("huge"))
    path = tmp_path / "m.safetensors"
    checkpoint.save(path, build(spec_of("light")), spec_of("huge"))
    with pytest.raises(SsmaError, match=rf"m\.safetensors: {message}"):
        checkpoint.load(path)


def test_the_originals_weights_are_refused_for_another_expert() -> None:
    modality = replace(TINY_SPEC.modalities[0], expert="light")
    with pytest.raises(SsmaError, match=r"modality 'rgb': .*expert 'adapnet\+\+', not of 'light'"):
        import_variables({}, imported_spec("adapnet++", 6, (768, 384), (modality,)))


def test_the_docs_example_registers_trains_and_saves_an_expert(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs/experts.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names: dict[str, Any] = {"__name__": "example"}
    with patch.dict(EXPERTS):
        exec("\n".join(blocks), names)
        network, _ = checkpoint.load("plain.safetensors")
    assert isinstance(network.get_submodule("expert"), names["PlainExpert"])
    assert "plain" not in EXPERTS


def test_the_docs_figures_are_the_networks() -> None:
    """Parameters of one expert, and of the whole network."""
    text = (ROOT / "docs/experts.md").read_text(encoding="utf-8")
    rows = re.findall(r"\| (full|tiny) \| ([a-z]\S+)(?: and (\S+))? \|"
                      r"([^|]*)\|[^|]*\| ([\d,]+) \|", text)
    assert len(rows) == 15
    for size, first, second, expert, whole in rows:
        names = (first, second) if second else (first,)
        with torch.device("meta"):
            network = build(spec_of(*names, size=size), auxiliary_heads=False)
        assert f"{sum(p.numel() for p in network.parameters()):,}" == whole
        if expert.strip():
            assert f"{parameters(first, size):,}" == expert.strip()


# A fusion that starts as its first expert

def started_as_first(*experts: str) -> tuple[Ssma, AdapNetPP]:
    """In training mode, and the network of its first expert."""
    spec = spec_of(*experts)
    first, second = (network_of(spec.of_expert(i)) for i in (0, 1))
    assert isinstance(first, AdapNetPP) and isinstance(second, AdapNetPP)
    fusion = build(spec)
    assert isinstance(fusion, Ssma)
    fusion.load_experts(first, second)
    fusion.start_as_first(first)
    return fusion, first


@pytest.mark.parametrize("experts", [("adapnet++", "adapnet++"), ("efficientnet-lite0", "light")],
                         ids="+".join)
def test_a_fusion_that_starts_as_its_first_expert_gives_that_experts_answers(
        experts: tuple[str, str]) -> None:
    """All but what the second map's small weights change."""
    fusion, first = started_as_first(*experts)
    fusion.eval()
    images = [torch.nn.functional.interpolate(256 * torch.rand(1, 3, 4, 6), (HEIGHT, WIDTH))
              for _ in range(2)]
    with torch.no_grad():
        expected = first(images[0])
        assert (fusion(*images) - expected).norm() < 0.2 * expected.norm()
        for block in (fusion.fuse_easpp, fusion.fuse_eighth, fusion.fuse_quarter):
            channels = block.excite.out_channels
            convolution = dict(block.output.named_modules()).get("convolution", block.output)
            convolution.weight[:, convolution.out_channels:] = 0
            block.excite.weight.zero_()
            assert channels > convolution.out_channels
        torch.testing.assert_close(fusion(*images), expected, rtol=1e-3, atol=1e-3)


def test_both_maps_learn_from_the_first_step() -> None:
    fusion, _ = started_as_first("adapnet++", "light")
    images = [256 * torch.rand(2, 3, HEIGHT, WIDTH) for _ in range(2)]
    fusion(*images).square().mean().backward()
    for name, weight in fusion.named_parameters():
        if name.startswith("fuse_") and name.endswith("weight"):
            assert weight.grad is not None and weight.grad.abs().max() > 0, name

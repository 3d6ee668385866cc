"""The networks' sizes and shapes: what fits in, what comes out, what it costs."""
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ssma_core import Modality, ModelSpec, SsmaError
from ssma_core.model import AdapNetPP, Ssma, build
from ssma_core.model.experts.encoder import MultiscaleConvolution
from ssma_core.model.layers import resize_bilinear
from ssma_core.model_files.tf_import import imported_spec

RGB, DEPTH = Modality("rgb", "image"), Modality("depth", "jet", 7000.0)
FULL = imported_spec("ssma", 6, (768, 384), (RGB, DEPTH))
TINY = replace(FULL, size="tiny", input_size=(384, 192))
TINY_ADAPNET_PP = replace(TINY, architecture="adapnet++", modalities=(RGB,))


def on_meta(spec: ModelSpec) -> Ssma:
    """The network without memory: shapes only."""
    with torch.device("meta"):
        network = build(spec)
    assert isinstance(network, Ssma)
    return network.eval()


def giga_flop(module: nn.Module, *inputs: torch.Tensor) -> float:
    with FlopCounterMode(display=False) as counter:
        module(*inputs)
    return counter.get_total_flops() / 1e9


def meta_images(spec: ModelSpec) -> list[torch.Tensor]:
    width, height = spec.input_size
    return [torch.empty(1, 3, height, width, device="meta") for _ in spec.modalities]


def test_the_full_size_is_the_published_one() -> None:
    network = on_meta(FULL)
    assert sum(p.numel() for p in network.parameters()) == 56_173_956
    statistics = [b for name, b in network.named_buffers() if "running" in name]
    assert sum(b.numel() for b in statistics) == 103_236
    assert giga_flop(network, *meta_images(FULL)) == pytest.approx(224.5, abs=0.1)


def test_the_tiny_size_suits_a_laptops_cpu() -> None:
    network = on_meta(TINY)
    assert sum(p.numel() for p in network.parameters()) <= 2.0e6
    assert giga_flop(network, *meta_images(TINY)) <= 2.2


@pytest.mark.parametrize("spec", [FULL, TINY], ids=["full", "tiny"])
def test_the_papers_rates_cost_no_parameter(spec: ModelSpec) -> None:
    released, paper = on_meta(spec), on_meta(replace(spec, rates="paper"))
    assert {n: p.shape for n, p in released.named_parameters()} == {
        n: p.shape for n, p in paper.named_parameters()}


def rates(network: Ssma) -> list[tuple[int, ...]]:
    units = (m for m in network.experts[0].modules() if isinstance(m, MultiscaleConvolution))
    return [tuple(half.dilation[0] for half in unit.halves) for unit in units]


def test_rates_are_the_released_codes_or_the_papers() -> None:
    assert rates(on_meta(FULL)) == [(1, 2)] + [(1, 2)] * 4 + [(2, 2)] * 3
    assert rates(on_meta(replace(FULL, rates="paper"))) == [
        (1, 2), (1, 2), (1, 16), (1, 8), (1, 4), (2, 4), (2, 8), (2, 16)]


@pytest.mark.parametrize(("width", "height"), [(16, 16), (48, 32), (176, 112)])
def test_any_size_of_multiples_of_16_will_do(width: int, height: int) -> None:
    images = [torch.zeros(2, 3, height, width)] * 2
    with torch.no_grad():
        assert build(TINY).eval()(*images).shape == (2, 6, height, width)


def test_another_size_is_refused_with_the_padding_it_lacks() -> None:
    with pytest.raises(SsmaError, match=r"100x60.*pad 12 columns and 4 rows, to 112x64"):
        build(TINY)(*[torch.zeros(1, 3, 60, 100)] * 2)


@pytest.mark.parametrize("spec", [TINY, TINY_ADAPNET_PP], ids=["ssma", "adapnet++"])
def test_auxiliary_logits_have_the_inputs_size(spec: ModelSpec) -> None:
    network = build(spec, auxiliary_heads=True).eval()
    images = [torch.rand(1, 3, 32, 64) * 255 for _ in spec.modalities]
    with torch.no_grad():
        logits, second, first = network.forward_with_auxiliary(*images)
        assert torch.equal(logits, network(*images))
    assert logits.shape == second.shape == first.shape == (1, 6, 32, 64)


def test_enlarging_looks_where_tensorflow_1_looks() -> None:
    """Its kernel: output i is at input i / factor, between floor and the next but for the last."""
    x = np.random.default_rng(0).standard_normal((5, 7)).astype(np.float32)
    rows, columns = np.arange(20) / 4, np.arange(28) / 4
    expected = np.stack([np.interp(columns, np.arange(7), row) for row in x])
    expected = np.stack([np.interp(rows, np.arange(5), column) for column in expected.T]).T
    enlarged = resize_bilinear(torch.from_numpy(x)[None, None], (20, 28))[0, 0]
    np.testing.assert_allclose(enlarged.numpy(), expected, atol=1e-5)


def test_ssma_takes_over_trained_experts() -> None:
    torch.manual_seed(0)
    experts = [build(TINY_ADAPNET_PP) for _ in range(2)]
    network = build(TINY)
    assert isinstance(network, Ssma)
    assert isinstance(experts[0], AdapNetPP) and isinstance(experts[1], AdapNetPP)
    network.load_experts(experts[0], experts[1])
    for inside, trained in zip(network.experts, experts):
        assert all(torch.equal(value, trained.get_submodule("expert").state_dict()[name])
                   for name, value in inside.state_dict().items())


def test_dropout_drops_in_training_and_only_there() -> None:
    network = build(TINY_ADAPNET_PP)
    image = torch.rand(2, 3, 32, 32) * 255
    assert torch.equal(network(image), network(image))  # none unless requested
    network.set_dropout(0.3)
    assert not torch.equal(network(image), network(image))
    network.eval()
    assert torch.equal(network(image), network(image))
    with pytest.raises(SsmaError, match=r"keep probability must be above 0 and at most 1, got 0"):
        network.set_dropout(0)

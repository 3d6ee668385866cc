"""The decoder's last step: bilinear and convex upsampling, and void, which is never an answer
there."""
from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import TINY_SPEC, save_untrained
from hypothesis import given
from hypothesis import strategies as st

from ssma_core import ModelSpec, Segmenter
from ssma_core.export.onnx import export
from ssma_core.model import build
from ssma_core.model.decoder import NEIGHBOURS, TO_FULL, BilinearUpsampling, ConvexUpsampling
from ssma_core.model_files import checkpoint
from ssma_core.spec import Upsampling

CLASSES, VOID = 4, 1
CONVEX = replace(TINY_SPEC, upsampling="convex", input_size=(192, 96))


def upsampled(scores: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """weights: N×9×16×h×w."""
    return ConvexUpsampling(CLASSES, VOID)(torch.cat([scores, weights.flatten(1, 2)], 1))


@given(st.integers(0, 2**16))
def test_every_pixel_is_a_weighted_mean_of_the_scores_around_it(seed: int) -> None:
    """By the formula, pixel for pixel; beyond the edge are the scores at the edge."""
    torch.manual_seed(seed)
    h, w = 3, 4
    scores, weights = torch.randn(1, CLASSES, h, w), 3 * torch.randn(1, NEIGHBOURS, 16, h, w)
    logits = upsampled(scores, weights)
    for y, x in np.ndindex(h * TO_FULL, w * TO_FULL):
        (row, py), (column, px) = divmod(y, TO_FULL), divmod(x, TO_FULL)
        share = weights[0, :, TO_FULL * py + px, row, column].clamp(-4, 4).softmax(0)
        around = [scores[0, :, min(max(row + i // 3 - 1, 0), h - 1),
                         min(max(column + i % 3 - 1, 0), w - 1)] for i in range(NEIGHBOURS)]
        expected = sum(s * each for s, each in zip(share, around))
        known = [c for c in range(CLASSES) if c != VOID]
        torch.testing.assert_close(logits[0, known, y, x], expected[known])


def test_bilinear_upsampling_keeps_pixel_centres() -> None:
    """As torch's own; beyond the outermost centres are the scores at the edge."""
    torch.manual_seed(0)
    scores = torch.randn(2, CLASSES, 3, 5)
    expected = F.interpolate(scores, scale_factor=TO_FULL, mode="bilinear", align_corners=False)
    known = [c for c in range(CLASSES) if c != VOID]
    torch.testing.assert_close(BilinearUpsampling(VOID)(scores)[:, known], expected[:, known])


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs g++")
def test_torch_compile_gives_the_same_gradient() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, CLASSES, 6, 12).to(memory_format=torch.channels_last).requires_grad_()
    way = BilinearUpsampling(VOID)
    gradients = [torch.autograd.grad(run(x).softmax(1).square().sum(), x)[0]
                 for run in (way, torch.compile(way))]
    torch.testing.assert_close(*gradients)


def test_void_is_never_an_answer() -> None:
    scores = torch.full((1, CLASSES, 2, 2), -30.0)
    scores[:, VOID] = 30
    assert (upsampled(scores, torch.zeros(1, NEIGHBOURS, 16, 2, 2)).argmax(1) != VOID).all()
    assert (BilinearUpsampling(VOID)(scores).argmax(1) != VOID).all()


def test_void_in_the_label_teaches_nothing_and_the_other_pixels_do(tmp_path: Path) -> None:
    logits = upsampled(torch.randn(1, CLASSES, 2, 2), torch.randn(1, NEIGHBOURS, 16, 2, 2))
    assert logits.softmax(1)[:, VOID].max() < 1e-30
    assert torch.isfinite(logits.log_softmax(1)).all()


def test_a_model_file_keeps_its_upsampling_and_older_ones_have_the_originals() -> None:
    assert ModelSpec.from_json(CONVEX.to_json()).upsampling == "convex"
    older = CONVEX.to_json().replace(', "upsampling": "convex"', "")
    assert "upsampling" not in older
    assert ModelSpec.from_json(older).upsampling == "transposed"


@pytest.mark.parametrize(("upsampling", "alone"), [
    ("convex", False), ("convex", True), ("bilinear", True)])
def test_onnx_answers_as_torch(tmp_path: Path, upsampling: Upsampling, alone: bool) -> None:
    file, spec = tmp_path / "model.safetensors", replace(CONVEX, upsampling=upsampling)
    save_untrained(file, spec)
    network, _ = checkpoint.load(file)
    if alone:
        torch.manual_seed(1)
        whole = build(spec, alone=True)
        whole.load_state_dict(network.state_dict(), strict=False)
        network = whole.eval()
        checkpoint.save(file, network, spec)
    export(network, spec, tmp_path / "model.onnx")
    generator = np.random.default_rng(0)
    images = [np.kron(generator.integers(0, 256, (6, 12, 3)).astype(np.uint8),
                      np.ones((16, 16, 1), np.uint8)) for _ in range(2)]
    depth = images[1][..., 0].astype(np.uint16) * 80
    torch_answer, onnx_answer = (Segmenter(path).segment(images[0], depth)
                                 for path in (file, tmp_path / "model.onnx"))
    assert (torch_answer.labels != onnx_answer.labels).mean() < 1e-3
    assert not (onnx_answer.labels == spec.void_id).any()
    assert len(np.unique(onnx_answer.labels)) > 1

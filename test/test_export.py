"""What is exported is the network: every rewriting of its graph keeps the answer."""
from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ssma_core import ModelSpec, SsmaError
from ssma_core.export.graph import Frame, SubPixelUpsampling
from ssma_core.export.onnx import export
from ssma_core.model import build
from ssma_core.model.layers import Upsampling


@pytest.mark.parametrize("stride", [2, 4])
@pytest.mark.parametrize(("inputs", "outputs"), [(6, 6), (5, 3)])
def test_upsampling_by_sub_pixels_is_the_transposed_convolution(
        stride: int, inputs: int, outputs: int) -> None:
    torch.manual_seed(0)
    upsampling = Upsampling(inputs, outputs, stride)
    upsampling(torch.randn(4, inputs, 8, 8))  # gives the batch norm statistics
    upsampling.eval()
    x = torch.randn(1, inputs, 5, 7)
    with torch.no_grad():
        torch.testing.assert_close(SubPixelUpsampling(upsampling)(x), upsampling(x))


def test_a_frame_answers_as_its_network(tiny_spec: ModelSpec) -> None:
    torch.manual_seed(0)
    network = build(tiny_spec).eval()
    images = [torch.randint(0, 256, (64, 96, 3), dtype=torch.uint8) for _ in range(2)]
    with torch.no_grad():
        logits = network(*(i.permute(2, 0, 1)[None].float() for i in images))[0]
        answer = Frame(network).eval()(*images)
    torch.testing.assert_close(answer["logits"], logits, rtol=1e-4, atol=1e-4 * logits.abs().max())
    assert (answer["labels"] == logits.argmax(0)).float().mean() >= 0.999


def test_a_failed_export_leaves_nothing(tiny_spec: ModelSpec, tmp_path: Path) -> None:
    with pytest.raises(SsmaError, match="cannot write"):
        export(build(tiny_spec).eval(), tiny_spec, tmp_path / "no_such_folder" / "m.onnx")
    assert not list(tmp_path.iterdir())

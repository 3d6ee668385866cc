"""Checkpoints in torch as they run on a GPU, as far as a CPU can show; test_gpu.py uses a GPU."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT
from torch_on_a_fake_gpu import torch_on_a_fake_gpu

from ssma_core import Segmenter, SsmaError
from ssma_core.backends.torch import CAPTURED_FORMATS, EndToEndWithLogits
from ssma_core.end_to_end.graph import Predictor
from ssma_core.model_files import checkpoint
from ssma_core.model_files.exported import Exported, frame_format, frame_inputs
from ssma_core.synthetic.forest import drive

FOREST = ROOT / "models/tiny_forest.safetensors"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused_in_one_line(tiny_model_safetensors: Path) -> None:
    with pytest.raises(SsmaError, match="finds no NVIDIA GPU here; leave it out") as raised:
        Segmenter(tiny_model_safetensors, device="cuda")
    assert "\n" not in str(raised.value)


def test_what_torch_cannot_run_in_is_refused(tiny_model_safetensors: Path) -> None:
    with pytest.raises(SsmaError, match="fp32, fp16, bf16, not in int8"):
        Segmenter(tiny_model_safetensors, precision="int8")  # type: ignore[arg-type]
    with pytest.raises(SsmaError, match="cpu or cuda, not 'tpu'"):
        Segmenter(tiny_model_safetensors, device="tpu")  # type: ignore[arg-type]


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_half_the_bits_give_the_same_labels(precision: str) -> None:
    frame, = drive(seed=3, frames=1)
    whole, half = (Segmenter(FOREST, device="cpu", precision=each)  # type: ignore[arg-type]
                   for each in ("fp32", precision))
    assert (half.precision, whole.precision) == (precision, "fp32")
    labels = whole.segment(frame.rgb, frame.depth).labels
    assert (half.segment(frame.rgb, frame.depth).labels == labels).mean() >= 0.995


def test_of_many_frame_formats_the_graphs_of_those_used_last_are_kept(
        monkeypatch: pytest.MonkeyPatch, tiny_model_safetensors: Path) -> None:
    captured = torch_on_a_fake_gpu(monkeypatch)
    segmenter = Segmenter(tiny_model_safetensors)

    def captures(*widths: int) -> list[int]:
        """The widths of the frames for which a graph is captured."""
        captured.clear()
        for width in widths:
            segmenter.segment(np.zeros((6, width, 3), np.uint8), np.ones((6, width), np.uint16))
        return [colour[1] for colour, _ in captured]

    assert CAPTURED_FORMATS == 4
    assert captures(8, 8, 10, 12, 14, 8) == [8, 10, 12, 14]
    assert captures(16) == [16]  # in place of 10, which was used longest ago
    assert captures(8, 12, 14, 16) == []
    assert captures(10) == [10]
    for _ in range(2):
        segmenter.close()


@pytest.mark.parametrize("size", [(768, 384), (640, 480)])
def test_the_whole_way_gives_the_segmenters_output(size: tuple[int, int]) -> None:
    frame, = drive(seed=4, frames=1, size=size)
    arrays = (frame.rgb, frame.depth)
    network, spec = checkpoint.load(FOREST)
    camera = frame_format(spec, arrays)
    inputs = frame_inputs(Exported(spec, "fp32", camera, ""), arrays)
    with torch.inference_mode():
        end_to_end = EndToEndWithLogits(Predictor(network), spec, camera)
        found = end_to_end(*map(torch.from_numpy, inputs.values()))
    wanted = Segmenter(FOREST, device="cpu").segment(
        *arrays, confidence=True, trust=True, logits=True)
    assert (found["labels"].numpy() == wanted.labels).mean() >= 0.9995
    for name in ("confidence", "trust"):
        difference = found[name].numpy().astype(int) - getattr(wanted, name)
        assert np.abs(difference).mean() <= 0.1, name
    assert wanted.logits is not None
    np.testing.assert_allclose(found["logits"].permute(1, 2, 0), wanted.logits, atol=0.05)

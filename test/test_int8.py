"""A network in int8: quantizers that TensorRT takes, labels that stay, and none of it where it
would cost too many."""
from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from conftest import ROOT
from onnx import ModelProto, numpy_helper

from ssma_core import Segmenter, SsmaError
from ssma_core.backends import onnxruntime
from ssma_core.cli import main
from ssma_core.datasets.inputs import open_inputs
from ssma_core.export.int8 import calibrate, quantize
from ssma_core.export.onnx import exported_as, to_onnx
from ssma_core.export.quantizers import convolutions, prepared
from ssma_core.modalities import network_images
from ssma_core.model import unimodal_network
from ssma_core.model_files import checkpoint
from ssma_core.model_files.exported import network_inputs

MODEL = ROOT / "models" / "tiny_forest.safetensors"


@pytest.fixture(scope="module")
def drives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drives") / "data"
    assert main(["synthesize", "--output", str(folder), "--drives", "3", "--frames", "2",
                 "--fps", "1", "--seed", "2000"]) == 0
    return folder


@pytest.fixture(scope="module")
def int8(drives: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("int8") / "forest.onnx"
    assert main(["export", "--model", str(MODEL), "--output", str(path), "--precision", "int8",
                 "--calibrate", str(drives), "--camera", "768x384", "--aux", "uint16"]) == 0
    return path


def test_quantizers_are_symmetric_and_around_the_networks_convolutions_alone(int8: Path) -> None:
    graph = onnx.load(int8).graph
    weights = {weight.name: numpy_helper.to_array(weight) for weight in graph.initializer}
    quantizers = [node for node in graph.node
                  if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
    assert len(quantizers) > 20
    for node in quantizers:
        if len(node.input) == 3:
            zero = weights[node.input[2]]
            assert zero.dtype == np.int8 and not zero.any()
    assert not any(node.name.startswith("preprocessing") for node in quantizers)


def test_labels_stay_those_of_float(int8: Path, drives: Path) -> None:
    spec = checkpoint.read_spec(MODEL)
    a, b = Segmenter(int8), Segmenter(MODEL)
    assert (a.precision, a.spec) == ("int8", spec)
    equal = [(a.segment(*frame.arrays).labels == b.segment(*frame.arrays).labels).mean()
             for frame in open_inputs(drives, spec)]
    assert np.mean(equal) >= 0.99  # measured on these very frames at the network's size, as 0.995


def test_cpus_whose_products_could_overflow_give_the_same_labels(
        int8: Path, drives: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not onnxruntime._has_vnni():
        pytest.skip("this CPU's products do overflow: there is nothing right to compare with")
    frame = next(iter(open_inputs(drives, checkpoint.read_spec(MODEL))))
    labels = []
    for has_vnni in (True, False):
        monkeypatch.setattr(onnxruntime, "_has_vnni", lambda answer=has_vnni: answer)
        labels.append(Segmenter(int8).segment(*frame.arrays).labels)
    assert np.mean(labels[0] == labels[1]) >= 0.999


def test_int8_and_frames_to_measure_it_on_belong_together(
        drives: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--precision", "int8"], ["--calibrate", str(drives)]):
        assert main(["export", "--model", str(MODEL), "--output", str(tmp_path / "m.onnx"),
                     *words]) == 1
        assert "--precision int8 and --calibrate DATA belong together" in capsys.readouterr().err


# Blocks that lose too much

HARD = "expert/backbone/stages.3"
Frames = list[dict[str, np.ndarray]]


@pytest.fixture(scope="module")
def hard(drives: Path) -> tuple[ModelProto, Frames]:
    """The forest's colour expert, two frames, and one block that int8 ruins: one channel within
    each of its units is 4096 times as large, and weighs as much less in what reads it. In float
    that gives the same; steps that reach so far leave nothing of the other channels."""
    network, whole = checkpoint.load(MODEL)
    expert, spec = unimodal_network(network, whole, 0), whole.of_expert(0)
    with torch.no_grad():
        for unit in expert.get_submodule("expert.backbone.stages.3"):
            unit.depthwise.norm.weight[0] *= 4096
            unit.depthwise.norm.bias[0] *= 4096
            unit.project.convolution.weight[:, 0] /= 4096
    exported = exported_as(expert, spec, None, "fp32")
    frames = [network_inputs(exported, network_images(spec, *frame.arrays))
              for frame in islice(open_inputs(drives, spec), 2)]
    return to_onnx(expert, exported), frames


def test_a_block_that_loses_too_much_stays_in_float(hard: tuple[ModelProto, Frames]) -> None:
    model, frames = hard
    calibration = calibrate(model, frames, agreement=0.97)
    assert calibration.kept == (HARD,) and calibration.agreement >= 0.97
    assert 0.5 < calibration.share < 1
    assert f"in float stay {HARD}" in calibration.in_words()

    names = {convolution.name for convolution in convolutions(prepared(model))}
    ruined = {name for name in names if name.startswith(f"{HARD}.")}
    graph = quantize(model, calibration).graph
    quantized = {output for node in graph.node if node.op_type == "DequantizeLinear"
                 for output in node.output}
    assert ruined
    assert names - ruined == {node.name for node in graph.node
                              if node.op_type == "Conv" and quantized.issuperset(node.input[:2])}
    assert not any(quantized.intersection(node.input) for node in graph.node
                   if node.name in ruined)


def test_where_no_block_bears_it_that_is_reported(hard: tuple[ModelProto, Frames]) -> None:
    with pytest.raises(SsmaError, match=r"int8 changes more than 0 % of the labels on these "
                       r"frames, in every part of the network: .*--agreement"):
        calibrate(*hard, agreement=1)


def test_tensorrt_for_rtx_builds_it(int8: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx", reason="no TensorRT for RTX here")
    engine = tmp_path / "m.engine"
    assert main(["build-engine", "--model", str(int8), "--output", str(engine),
                 "--library", "tensorrt_rtx"]) == 0
    assert engine.stat().st_size > 1_000_000

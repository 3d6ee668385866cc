"""A network in int8: quantizers that TensorRT takes, labels that stay, and none of it where it
would cost too many."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from conftest import ROOT
from onnx import numpy_helper

from ssma_core import Segmenter, checkpoint
from ssma_core.backends import onnxruntime
from ssma_core.cli import main
from ssma_core.datasets.given import open_given

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
             for frame in open_given(drives, spec)]
    assert np.mean(equal) >= 0.99  # measured on these very frames at the network's size, as 0.995


def test_cpus_whose_products_could_overflow_give_the_same_labels(
        int8: Path, drives: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = next(iter(open_given(drives, checkpoint.read_spec(MODEL))))
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


def test_tensorrt_for_rtx_builds_it(int8: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx", reason="no TensorRT for RTX here")
    engine = tmp_path / "m.engine"
    assert main(["build-engine", "--model", str(int8), "--output", str(engine),
                 "--library", "tensorrt_rtx"]) == 0
    assert engine.stat().st_size > 1_000_000

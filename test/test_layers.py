"""Two ONNX files of one network, layer by layer: which one is to blame."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from onnx import TensorProto, helper, numpy_helper

from ssma_core import Modality, ModelSpec, SsmaError
from ssma_core.export import layers
from ssma_core.export.layers import Layer, compare_layers, first_apart, relative_error, usual
from ssma_core.model_files.exported import Exported, to_metadata

FRAME = (np.full((16, 16, 3), 10, np.uint8),)  # so all numbers below are of one pixel


def write(path: Path, spec: ModelSpec, nodes: Sequence[tuple[str, str, list[str], str]],
          constants: dict[str, np.ndarray]) -> Path:
    """nodes: name, operator, inputs and output; the first is a cast of "rgb" to "image"."""
    spec = replace(spec, architecture="adapnet++", modalities=(Modality("rgb", "image"),),
                   input_size=(16, 16))
    cast = helper.make_node("Cast", ["rgb"], ["image"], "image", to=TensorProto.FLOAT)
    made = [cast] + [helper.make_node(
        operator, inputs, [output], name, **({"to": TensorProto.FLOAT16} if output == "half" else
                                             {"to": TensorProto.FLOAT} if operator == "Cast" else
                                             {})) for name, operator, inputs, output in nodes]
    rgb = helper.make_tensor_value_info("rgb", TensorProto.UINT8, [16, 16, 3])
    last = helper.make_tensor_value_info(nodes[-1][-1], TensorProto.FLOAT, [16, 16, 3])
    model = helper.make_model(
        helper.make_graph(made, "test", [rgb], [last],
                          [numpy_helper.from_array(value, name)
                           for name, value in constants.items()]),
        opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    helper.set_model_props(model, to_metadata(Exported(spec, "fp32", None, "")))
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path


def number(value: float, dtype: type = np.float32) -> np.ndarray:
    return np.array(value, dtype)


CHAIN = [("twice", "Mul", ["image", "factor"], "a"), ("plus", "Add", ["a", "more"], "b"),
         ("root", "Sqrt", ["b"], "labels")]


@pytest.fixture
def doubled(tmp_path: Path, tiny_spec: ModelSpec) -> Path:
    """√(2·10 + 5) = 5 everywhere."""
    return write(tmp_path / "a.onnx", tiny_spec, CHAIN,
                 {"factor": number(2), "more": number(5)})


@pytest.mark.parametrize("at_once", [1, 2, 32])
def test_a_wrong_layer_is_distinguished_from_those_that_it_misleads(
        doubled: Path, tmp_path: Path, tiny_spec: ModelSpec, at_once: int,
        monkeypatch: pytest.MonkeyPatch) -> None:
    """The sum adds 16 in place of 5: 36 for 25, and the root takes it on, 6 for 5."""
    monkeypatch.setattr(layers, "AT_ONCE", at_once)
    other = write(tmp_path / "b.onnx", tiny_spec, CHAIN,
                  {"factor": number(2), "more": number(16)})
    found = compare_layers(doubled, other, FRAME)
    assert [layer.name for layer in found] == ["twice", "plus", "root"]
    assert [layer.own for layer in found] == pytest.approx([0, 11 / 25, 0])
    assert [layer.whole for layer in found] == pytest.approx([0, 11 / 25, 1 / 5])
    assert first_apart(found).name == "plus"


def test_what_one_file_alone_has_counts_to_the_layer_behind_it(
        doubled: Path, tmp_path: Path, tiny_spec: ModelSpec) -> None:
    """Near 500 the half's steps are 1/4: 10·50.02 = 500.2 becomes 500.25, and the sum 505.25 in
    place of 505.2."""
    values = {"factor": number(50.02), "more": number(5)}
    full = write(tmp_path / "full.onnx", tiny_spec, CHAIN, values)
    half = write(tmp_path / "half.onnx", tiny_spec, [
        CHAIN[0], ("to half", "Cast", ["a"], "half"), ("back", "Cast", ["half"], "rounded"),
        ("plus", "Add", ["rounded", "more"], "b"), CHAIN[2]], values)
    found = {layer.name: layer for layer in compare_layers(full, half, FRAME)}
    assert list(found) == ["twice", "plus", "root"]
    assert found["plus"].own == pytest.approx(0.05 / 505.2, rel=1e-3)
    assert found["root"].own == 0


def test_a_layer_in_half_precision_is_compared_with_the_whole_one(
        doubled: Path, tmp_path: Path, tiny_spec: ModelSpec) -> None:
    """10·8000 is beyond the half's largest number, 65504."""
    full = write(tmp_path / "full.onnx", tiny_spec, CHAIN, {
        "factor": number(8000), "more": number(5)})
    half = write(tmp_path / "half.onnx", tiny_spec, [
        ("to half", "Cast", ["image"], "half"), ("twice", "Mul", ["half", "factor"], "a"),
        ("plus", "Add", ["a", "more"], "b"), ("root", "Sqrt", ["b"], "root"),
        ("back", "Cast", ["root"], "labels")],
        {"factor": number(8000, np.float16), "more": number(5, np.float16)})
    found = {layer.name: layer for layer in compare_layers(full, half, FRAME)}
    assert found["twice"].own == found["twice"].whole == float("inf")
    assert first_apart(list(found.values())).name == "twice"


def test_the_first_of_the_large_ones_is_named() -> None:
    found = [Layer(name, own, 1.0) for name, own in
             [("a", 0.001), ("b", 0.4), ("c", 0.7), ("d", 0.001), ("e", 0.002)]]
    assert first_apart(found).name == "b"
    assert usual(found) == 0.002


def test_files_without_a_layer_in_common_are_refused(
        doubled: Path, tmp_path: Path, tiny_spec: ModelSpec) -> None:
    other = onnx.load(doubled)
    for node in other.graph.node:
        node.name += "_again"
    onnx.save(other, tmp_path / "b.onnx")
    with pytest.raises(SsmaError, match="are not of one network"):
        compare_layers(doubled, tmp_path / "b.onnx", FRAME)


def test_what_no_label_needs_is_not_compared(
        doubled: Path, tmp_path: Path, tiny_spec: ModelSpec) -> None:
    other = write(tmp_path / "b.onnx", tiny_spec, [*CHAIN[:2], ("aside", "Exp", ["a"], "e"),
                                                   CHAIN[2]],
                  {"factor": number(2), "more": number(5)})
    assert [layer.name for layer in compare_layers(other, other, FRAME)] == [
        "twice", "plus", "root"]


def test_outputs_of_other_shapes_are_not_compared(
        doubled: Path, tmp_path: Path, tiny_spec: ModelSpec) -> None:
    """By their names only, they would be the same layer."""
    other = write(tmp_path / "b.onnx", tiny_spec, [
        ("twice", "Flatten", ["image"], "flat"), ("plus", "Add", ["image", "more"], "b"),
        CHAIN[2]], {"more": number(15)})
    assert [layer.name for layer in compare_layers(doubled, other, FRAME)] == ["plus", "root"]


def test_files_of_other_networks_are_refused(
        doubled: Path, tmp_path: Path, tiny_spec: ModelSpec) -> None:
    other = write(tmp_path / "b.onnx", replace(tiny_spec, rates="paper"), CHAIN,
                  {"factor": number(2), "more": number(5)})
    with pytest.raises(SsmaError, match="are not of one network"):
        compare_layers(doubled, other, FRAME)


def test_a_file_that_cannot_be_run_here_is_named(
        doubled: Path, tmp_path: Path, tiny_spec: ModelSpec) -> None:
    broken = onnx.load(doubled)
    broken.graph.node[1].op_type = "Nonsense"
    onnx.save(broken, tmp_path / "b.onnx")
    with pytest.raises(SsmaError, match=r"b\.onnx: onnxruntime cannot run its layers on the CPU"):
        compare_layers(doubled, tmp_path / "b.onnx", FRAME)


@pytest.mark.parametrize("expected, found, error", [
    ([3, -4], [3, -4], 0), ([3, -4], [3, 3], 1), ([3, -4], [1, -5], 3 / 7), ([0, 0], [0, 0], 0),
    ([0, 0], [0, 1], np.inf), ([3, 4], [3, np.nan], np.inf), ([3, 4], [np.inf, 4], np.inf)])
def test_the_relative_error(expected: list[float], found: list[float], error: float) -> None:
    assert relative_error(np.array(expected, np.float32),
                          np.array(found, np.float16)) == pytest.approx(error)


NUMBERS = arrays(np.float32, 5, elements=st.floats(-1e3, 1e3, width=32))


@given(NUMBERS, NUMBERS, st.floats(0.1, 10))
def test_the_error_is_relative(expected: np.ndarray, found: np.ndarray, factor: float) -> None:
    error = relative_error(expected, found)
    assert error >= 0
    scaled = relative_error(expected.astype(np.float64) * factor, found.astype(np.float64) * factor)
    assert scaled == pytest.approx(error, rel=1e-6)

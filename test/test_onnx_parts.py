"""Parts of an ONNX file, cut out of its bytes, against onnx's own extractor."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from conftest import ROOT

from ssma_core import SsmaError
from ssma_core.backends.onnxruntime import OnnxRuntimeBackend, open_session
from ssma_core.model_files import onnx_parts

FOREST = ROOT / "models/tiny_forest.onnx"
INPUTS = {onnx_parts.WHOLE: ["rgb", "depth"], "rgb": ["rgb"], "depth": ["depth"]}
OUTPUTS = {onnx_parts.WHOLE: ["labels", "confidence", "trust", "logits"],
           "rgb": ["rgb_labels", "rgb_confidence"], "depth": ["depth_labels", "depth_confidence"]}


@pytest.fixture(scope="module")
def parts() -> dict[str, onnx.ModelProto]:
    return {name: onnx.load_model_from_string(part)
            for name, part in onnx_parts.parts(*onnx_parts.read(FOREST)).items()}


def test_each_part_is_what_onnx_itself_extracts(parts: dict[str, onnx.ModelProto]) -> None:
    extractor = onnx.utils.Extractor(onnx.load(FOREST))
    assert list(parts) == list(INPUTS)
    for name, part in parts.items():
        onnx.checker.check_model(part, full_check=True)
        expected = extractor.extract_model(INPUTS[name], OUTPUTS[name]).graph
        assert [node.SerializeToString() for node in part.graph.node] == [
            node.SerializeToString() for node in expected.node]
        assert [value.name for value in part.graph.input] == INPUTS[name]
        assert sorted(value.name for value in part.graph.output) == sorted(OUTPUTS[name])
        assert {weight.name for weight in part.graph.initializer} == {
            weight.name for weight in expected.initializer}


def test_no_part_computes_what_another_is_for(parts: dict[str, onnx.ModelProto]) -> None:
    nodes = {name: [node.name for node in part.graph.node] for name, part in parts.items()}
    assert not any(name.startswith("alone.") for name in nodes[onnx_parts.WHOLE])
    assert not any(name.startswith(("experts.1", "fuse_", "decoder")) for name in nodes["rgb"])
    assert not any(name.startswith(("experts.0", "fuse_", "decoder")) for name in nodes["depth"])


def test_a_part_gives_the_output_of_the_file() -> None:
    data, exported = onnx_parts.read(FOREST)
    image = np.random.default_rng(0).integers(0, 256, (192, 384, 3), np.uint8)
    for name, part in onnx_parts.parts(data, exported).items():
        expected = open_session(data).run(OUTPUTS[name], {"rgb": image, "depth": image})
        found = open_session(part).run(OUTPUTS[name], dict.fromkeys(INPUTS[name], image))
        for one, other in zip(expected, found):
            np.testing.assert_array_equal(one, other)


def test_only_what_is_requested_is_computed() -> None:
    data, _ = onnx_parts.read(FOREST)
    cut = onnx.load_model_from_string(onnx_parts.cuts(data, {"a": ["labels"]})["a"])
    onnx.checker.check_model(cut, full_check=True)
    expected = onnx.utils.Extractor(onnx.load(FOREST)).extract_model(["rgb", "depth"], ["labels"])
    assert [node.name for node in cut.graph.node] == [node.name for node in expected.graph.node]
    assert [value.name for value in cut.graph.output] == ["labels"]
    assert not any(node.name.startswith(("trust/", "alone.", "decision/Exp"))
                   for node in cut.graph.node)


def test_a_backend_continues_to_compute_an_output_that_was_wanted_once() -> None:
    image = np.random.default_rng(0).integers(0, 256, (192, 384, 3), np.uint8)
    images = {"rgb": image, "depth": image}
    expected = dict(zip(OUTPUTS[onnx_parts.WHOLE],
                        open_session(FOREST.read_bytes()).run(OUTPUTS[onnx_parts.WHOLE], images)))
    backend = OnnxRuntimeBackend(FOREST, threads=None)
    for wanted, computed in [(["labels"], {"labels"}),
                             (["confidence"], {"labels", "confidence"}),
                             (["labels"], {"labels", "confidence"}),
                             (["trust", "labels"], {"labels", "confidence", "trust"}),
                             (["confidence"], {"labels", "confidence", "trust"})]:
        answers = backend.run(list(images.values()), wanted)
        assert list(answers) == wanted
        for output in wanted:
            np.testing.assert_array_equal(answers[output], expected[output])
        session = backend._sessions[onnx_parts.WHOLE]
        assert {output.name for output in session.get_outputs()} == computed


def test_a_file_of_one_part_is_not_changed(tiny_model: Path) -> None:
    data, exported = onnx_parts.read(tiny_model)
    assert onnx_parts.parts(data, exported) == {onnx_parts.WHOLE: tiny_model.read_bytes()}


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(SsmaError, match=r"cannot read .*nothing\.onnx"):
        onnx_parts.read(tmp_path / "nothing.onnx")

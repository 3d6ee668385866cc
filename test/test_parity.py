"""The parity gate: labels counted right, the bounds held, and the layer at fault named."""
from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import torch
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st
from onnx import numpy_helper

from ssma_core import ModelSpec, SsmaError
from ssma_core.bags import image_messages, rosbag2
from ssma_core.cli import main
from ssma_core.datasets.inputs import Input
from ssma_core.evaluation.parity import (
    WORST,
    Agreement,
    Compared,
    ModelFile,
    ParityResult,
    compare_models,
)
from ssma_core.export.gate import gate
from ssma_core.export.onnx import export
from ssma_core.model_files import checkpoint
from ssma_core.model_files.exported import FrameFormat

FOREST = ROOT / "models" / "tiny_forest.onnx"
VOID, GROUND, SKY = range(3)


def compared(name: str, a: list[list[int]], b: list[list[int]],
             label: list[list[int]] | None = None) -> Compared:
    truth = None if label is None else np.array(label, np.uint8)
    return Compared(Input(name, (), truth), np.array(a, np.uint8), np.array(b, np.uint8))


@pytest.fixture(scope="module")
def forest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four rendered frames of two drives."""
    folder = tmp_path_factory.mktemp("forest")
    assert main(["synthesize", "--output", str(folder), "--drives", "2", "--frames", "2",
                 "--fps", "1", "--size", "384x192", "--seed", "7000"]) == 0
    return folder


@pytest.fixture(scope="module")
def end_to_end(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The frame's whole way for the forest's camera, in half precision."""
    path = tmp_path_factory.mktemp("end_to_end") / "end_to_end.onnx"
    network, spec = checkpoint.load(FOREST.with_suffix(".safetensors"))
    export(network, spec, path, FrameFormat((384, 192), "uint16"), "fp16")
    return path


def disturbed(model: Path, output: Path, place: int, strength: float) -> str:
    """Writes the model with noise on one convolution's weights, `strength` times their own
    deviation; returns the node's name."""
    graph = onnx.load(model)
    node = [node for node in graph.graph.node if node.op_type == "Conv"][place]
    for weights in graph.graph.initializer:
        if weights.name == node.input[1]:
            values = numpy_helper.to_array(weights)
            noise = np.random.default_rng(0).normal(0, values.std(), values.shape)
            weights.CopyFrom(numpy_helper.from_array(
                (values + strength * noise).astype(values.dtype), weights.name))
    onnx.save(graph, output)
    return node.name


# Counting

def test_agreement_is_of_all_pixels_and_miou_of_the_labelled_ones() -> None:
    """8 + 4 pixels, 6 + 3 of them equal. By hand, of the first frame: of 4 pixels of ground A finds
    all, and calls one more so (4/5); B finds 2, and one more (2/5). Of 3 of sky A finds 2 (2/3); B
    finds 2, and two more (2/5). What they make of the one of void does not count."""
    parity = Agreement(3, VOID)
    parity.add(compared("first",
                        a=[[1, 1, 1, 1], [1, 2, 2, 1]],
                        b=[[1, 1, 2, 2], [1, 2, 2, 1]],
                        label=[[1, 1, 1, 1], [2, 2, 2, 0]]))
    assert (parity.frames, parity.labelled) == (1, 1)
    assert parity.a.mean_iou() == pytest.approx((4 / 5 + 2 / 3) / 2)
    assert parity.b.mean_iou() == pytest.approx((2 / 5 + 2 / 5) / 2)
    assert parity.points == pytest.approx(100 * ((4 / 5 + 2 / 3) / 2 - 2 / 5))
    parity.add(compared("second", a=[[1, 2, 0, 1]], b=[[1, 2, 1, 1]]))
    assert (parity.frames, parity.labelled) == (2, 1)
    assert parity.agreement == (6 + 3) / 12
    assert parity.points == pytest.approx(100 * ((4 / 5 + 2 / 3) / 2 - 2 / 5))


def test_without_labels_there_is_no_miou() -> None:
    parity = Agreement(3, VOID)
    parity.add(compared("frame", a=[[1]], b=[[1]]))
    assert parity.points is None and parity.agreement == 1


@given(st.lists(st.integers(0, 10), max_size=40))
def test_the_worst_frames_are_kept_and_no_others(equal: list[int]) -> None:
    """Of 10 pixels so many are equal."""
    parity = Agreement(3, VOID)
    for index, count in enumerate(equal):
        parity.add(compared(str(index), a=[[1] * 10], b=[[1] * count + [2] * (10 - count)]))
    expected = sorted((count, index) for index, count in enumerate(equal) if count < 10)[:WORST]
    assert [frame.given.name for frame in parity.worst] == [str(index) for _, index in expected]
    if equal:
        assert parity.agreement == pytest.approx(sum(equal) / (10 * len(equal)))


@pytest.mark.parametrize("precisions, labelled, differing, holds", [
    ("fp32 fp16", False, 50, True),     # of 10,000: just 99.5 %
    ("fp32 fp16", False, 51, False),
    ("fp32 int8", False, 51, False),
    ("fp32 fp16", True, 9, True),       # 0.09 points
    ("fp32 fp16", True, 11, False),     # 0.11 points
    ("fp32 bf16", True, 11, False),
    ("fp32 int8", True, 11, True),
    ("int8 fp32", True, 49, True),
    ("fp32 int8", True, 51, False),
])
def test_the_gate_s_bounds(
        tiny_spec: ModelSpec, precisions: str, labelled: bool, differing: int,
        holds: bool) -> None:
    """Two classes, one of them void: A is right everywhere, and B calls some pixels void, so its
    mean IoU is the share of the others."""
    parity = Agreement(2, VOID)
    truth = np.ones((100, 100), np.uint8)
    other = truth.copy()
    other.reshape(-1)[:differing] = VOID
    parity.add(Compared(Input("frame", (), truth if labelled else None), truth, other))
    models = [ModelFile(Path("m"), "torch", precision) for precision in precisions.split()]
    assert ParityResult(*models, Path(), tiny_spec, parity).holds is holds  # type: ignore[misc, arg-type]


# Models

def test_a_checkpoint_and_its_onnx_file_give_the_same_labels(
        forest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = FOREST.with_suffix(".safetensors")
    assert main(["parity", str(checkpoint), str(FOREST), "--data", str(forest),
                 "--output", str(tmp_path / "new")]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"{FOREST} gives the labels of {checkpoint}: over 4 frames ")
    figures = json.loads((tmp_path / "new" / "parity.json").read_text())
    assert figures["holds"] and figures["agreement"] >= 0.9995 and figures["points"] <= 0.05
    assert (figures["frames"], figures["labelled"]) == (4, 4)
    assert [figures[model]["backend"] for model in "ab"] == ["torch", "onnxruntime"]
    assert figures["a"]["miou"] > 0.5
    assert f"{100 * figures['agreement']:.3f} % of the pixels" in said
    assert cv2.imread(str(tmp_path / "new" / "worst.png")).shape[1] == 1600


@pytest.mark.parametrize("place", [1, 40, 70])
def test_a_disturbed_layer_closes_the_gate_and_is_named(
        forest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], place: int) -> None:
    layer = disturbed(FOREST, tmp_path / "other.onnx", place, strength=1.0)
    assert main(["parity", str(FOREST), str(tmp_path / "other.onnx"), "--data", str(forest),
                 "--output", str(tmp_path)]) == 1
    line, parting, *table = capsys.readouterr().err.splitlines()
    assert line.startswith(
        f"ssma parity: {tmp_path}/other.onnx does not give the labels of {FOREST}: over 4 frames ")
    assert "(at least 99.5 %)" in line and "points apart (at most 0.1)" in line
    assert parting.startswith(f"The first difference is in {layer}: by itself it is ")
    assert table[1].split()[0] == layer
    figures = json.loads((tmp_path / "parity.json").read_text())
    assert not figures["holds"]
    assert {found["name"] for found in figures["layers"] if found["own"] > 1e-3} == {layer}
    assert figures["worst"][0]["agreement"] == min(f["agreement"] for f in figures["worst"])


def test_a_disturbed_checkpoint_s_layer_is_named(forest: Path, tmp_path: Path) -> None:
    network, spec = checkpoint.load(FOREST.with_suffix(".safetensors"))
    torch.manual_seed(0)
    with torch.no_grad():
        weight = network.get_submodule(
            "experts.1.block2.0.residual.0.convolution").weight
        weight += weight.std() * torch.randn_like(weight)
    checkpoint.save(tmp_path / "other.safetensors", network, spec)
    with pytest.raises(SsmaError, match=r"The first difference is in "
                       r"experts\.1/block2\.0/residual\.0/convolution/Conv: by itself"):
        gate(FOREST, tmp_path / "other.safetensors", forest)


def test_another_graph_in_another_precision_stands_in(
        end_to_end: Path, forest: Path, tmp_path: Path) -> None:
    gate(FOREST.with_suffix(".safetensors"), end_to_end, forest, output=tmp_path)
    figures = json.loads((tmp_path / "parity.json").read_text())
    assert [figures[model]["precision"] for model in "ab"] == ["fp32", "fp16"]
    assert figures["most_points"] == 0.1


def test_a_file_in_int8_says_so_and_gets_the_wider_bound(forest: Path, tmp_path: Path) -> None:
    model = onnx.load(FOREST)
    for entry in model.metadata_props:
        if entry.key == "precision":
            entry.value = "int8"
    onnx.save(model, tmp_path / "int8.onnx")
    assert "points apart (at most 0.5)" in gate(FOREST, tmp_path / "int8.onnx", forest)
    assert "points apart (at most 0.1)" in gate(FOREST, FOREST, forest)


def test_the_layer_is_found_behind_another_graph_and_precision(
        end_to_end: Path, forest: Path, tmp_path: Path) -> None:
    layer = disturbed(end_to_end, tmp_path / "other.onnx", 60, strength=1.0)
    with pytest.raises(SsmaError, match=f"The first difference is in {layer}: by itself"):
        gate(FOREST, tmp_path / "other.onnx", forest)


def test_an_engine_s_layers_are_those_of_the_onnx_file_behind_it(
        end_to_end: Path, forest: Path, tmp_path: Path) -> None:
    """There is no GPU here to run one: another ONNX file stands in for the engine."""
    engine = tmp_path / "other.onnx"
    disturbed(FOREST, engine, 60, strength=1.0)
    with pytest.raises(SsmaError, match=r"The first difference is in .*; in "
                       r"end_to_end\.onnx, since an"):
        gate(FOREST, engine, forest, built_from=end_to_end)
    with pytest.raises(SsmaError, match=r"In ONNX no layer differs: .* or in the libraries"):
        gate(FOREST, engine, forest, built_from=FOREST)


def test_frames_of_another_size_than_a_file_takes_are_refused(
        end_to_end: Path, tmp_path: Path) -> None:
    for kind, picture in (("rgb", np.zeros((96, 192, 3), np.uint8)),
                          ("depth", np.zeros((96, 192), np.uint16))):
        (tmp_path / kind).mkdir()
        cv2.imwrite(str(tmp_path / kind / "0.png"), picture)
    with pytest.raises(SsmaError, match=r"end_to_end.onnx on the frame .*rgb/0.png: .*"
                       r"ssma export .*--camera 192x96 --aux uint16 --precision fp16"):
        compare_models(FOREST, end_to_end, tmp_path)


def recording(folder: Path) -> Iterator[rosbag2.Recorded]:
    for index, rgb in enumerate(sorted(folder.glob("drive_*/rgb/*"))):
        stamp = 1_700_000_000 * 10**9 + index * 10**8
        for topic, kind, encoding in (("/rgb", "rgb", "bgr8"), ("/depth", "depth", "16UC1"),
                                      ("/label", "label", "mono8")):
            path = next((rgb.parents[1] / kind).glob(f"{rgb.stem}.*"))
            pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
            yield rosbag2.image(topic, stamp, stamp, pixels, encoding)


def test_a_bag_gives_the_figures_of_its_frames(forest: Path, tmp_path: Path) -> None:
    rosbag2.write(tmp_path / "bag", recording(forest))
    disturbed(FOREST, tmp_path / "other.onnx", 60, strength=0.05)
    folder = compare_models(FOREST, tmp_path / "other.onnx", forest).parity
    bag = compare_models(FOREST, tmp_path / "other.onnx", tmp_path / "bag",
                  ("/rgb", "/depth", "/label")).parity
    assert 0 < folder.equal < folder.pixels
    assert (bag.frames, bag.equal, bag.pixels) == (folder.frames, folder.equal, folder.pixels)
    for ours, theirs in ((bag.a, folder.a), (bag.b, folder.b)):
        np.testing.assert_array_equal(ours.counts, theirs.counts)
    assert [f.agreement for f in bag.worst] == [f.agreement for f in folder.worst]


def test_a_bag_is_paired_as_the_options_say(
        forest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Depth is stamped 0.23 s late; the frames are 0.1 s apart."""
    late = (message if message.topic != "/depth" else rosbag2.image(
        "/depth", message.time_ns, message.time_ns + 230_000_000,
        image_messages.to_array(rosbag2.decode(message)), "16UC1") for message in recording(forest))
    rosbag2.write(tmp_path / "bag", late)
    command = ["parity", str(FOREST), str(FOREST), "--data", str(tmp_path / "bag"), "--topics",
               "/rgb", "/depth", "/label"]
    assert main([*command, "--aux-delay", "0.2"]) == 1
    assert "none belong together" in capsys.readouterr().err
    assert main([*command, "--aux-delay", "0.2", "--slop", "0.03"]) == 0
    assert "over 4 frames" in capsys.readouterr().out


def test_without_labels_the_miou_is_left_out_and_that_is_reported(
        forest: Path, tmp_path: Path) -> None:
    rosbag2.write(tmp_path / "bag", recording(forest))
    said = gate(FOREST, FOREST, tmp_path / "bag", ("/rgb", "/depth"), output=tmp_path)
    assert "agree on 100.000 %" in said
    assert "no frame has a label, so the mIoU is left out" in said
    figures = json.loads((tmp_path / "parity.json").read_text())
    assert (figures["points"], figures["labelled"], figures["worst"]) == (None, 0, [])
    assert "miou" not in figures["a"]


@pytest.mark.parametrize("change, says", [
    ({"class_names": tuple("abcdef")}, "knows the classes void, trail.*and .*other.onnx a, b"),
    ({"void_id": 3}, "calls void void, and .*other.onnx vegetation"),
    ({"modalities": None}, "takes rgb, depth, and .*forest_evi.onnx rgb, nir"),
])
def test_models_of_other_classes_or_sensors_are_refused(
        forest: Path, tmp_path: Path, change: dict[str, object], says: str) -> None:
    other = FOREST.with_name("forest_evi.onnx")
    if change != {"modalities": None}:
        model = onnx.load(FOREST)
        for entry in model.metadata_props:
            if entry.key == "spec":
                entry.value = replace(ModelSpec.from_json(entry.value), **change).to_json()
        other = tmp_path / "other.onnx"
        onnx.save(model, other)
    with pytest.raises(SsmaError, match=says):
        compare_models(FOREST, other, forest)


def test_a_frame_that_cannot_be_segmented_is_named(forest: Path, tmp_path: Path) -> None:
    for kind in ("rgb", "depth"):
        (tmp_path / kind).mkdir()
    cv2.imwrite(str(tmp_path / "rgb" / "0.png"), np.zeros((192, 384, 3), np.uint8))
    cv2.imwrite(str(tmp_path / "depth" / "0.png"), np.zeros((96, 384), np.uint16))
    with pytest.raises(SsmaError, match=r"tiny_forest.onnx on the frame .*rgb/0.png: .*registered"):
        compare_models(FOREST, FOREST, tmp_path)


def test_nothing_to_compare_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SsmaError, match="holds no frames"):
        gate(FOREST, FOREST, tmp_path)


def test_the_output_s_place_is_looked_at_before_the_work(forest: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SsmaError, match="cannot make the folder"):
        gate(FOREST, tmp_path / "missing.onnx", forest, output=tmp_path / "file" / "new")

"""What is exported is the network: every rewriting of its graph keeps the output, the file says
what it is, and a frame is bound to it unchanged or refused."""
from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
import torch
from conftest import ROOT

from ssma_core import Modality, ModelSpec, SsmaError
from ssma_core.cli import main
from ssma_core.end_to_end.graph import Predictor, SecondShare, SubPixels, Trust
from ssma_core.export.onnx import export
from ssma_core.model import Channels, build
from ssma_core.model.experts.encoder import MultiscaleConvolution
from ssma_core.model.layers import Upsampling
from ssma_core.model_files import checkpoint
from ssma_core.model_files.exported import (
    Exported,
    FrameFormat,
    blank_inputs,
    frame_inputs,
    from_metadata,
    network_inputs,
    to_metadata,
)
from ssma_core.spec import Camera, Rates

SHIPPED = sorted((ROOT / "models").glob("*.onnx"))


@pytest.mark.parametrize("stride", [2, 4])
@pytest.mark.parametrize(("inputs", "outputs"), [(6, 6), (5, 3)])
def test_a_transposed_convolution_is_one_that_makes_sub_pixels(
        stride: int, inputs: int, outputs: int) -> None:
    torch.manual_seed(0)
    upsampling = Upsampling(inputs, outputs, stride)
    upsampling(torch.randn(4, inputs, 8, 8))  # gives the batch norm statistics
    upsampling.eval()
    x = torch.randn(1, inputs, 5, 7)
    with torch.no_grad():
        torch.testing.assert_close(
            torch.pixel_shuffle(SubPixels(upsampling)(x), stride), upsampling(x))


@pytest.mark.parametrize(("precision", "tolerance"), [
    (torch.float32, 1e-5), (torch.float16, 1e-2), (torch.bfloat16, 5e-2)])
def test_a_frame_gives_the_output_of_its_network(precision: torch.dtype, tolerance: float) -> None:
    network, _ = checkpoint.load(SHIPPED[0].with_suffix(".safetensors"))  # trained
    images = [torch.from_numpy(cv2.resize(pixels, (96, 64))) for pixels in
              np.random.default_rng(0).integers(0, 256, (2, 6, 12, 3), np.uint8)]
    with torch.no_grad():
        logits = network(*(i.permute(2, 0, 1)[None].float() for i in images))[0]
        answer = Predictor(network, precision)(*images)
    assert (answer["logits"] - logits).norm() <= tolerance * logits.norm()
    torch.testing.assert_close(answer["labels"], answer["logits"].argmax(0).to(torch.uint8))


@pytest.mark.parametrize(("rates", "in_halves"), [("released", 2), ("paper", 4)])
def test_halves_of_one_dilation_are_one_convolution(
        tiny_spec: ModelSpec, rates: Rates, in_halves: int) -> None:
    colour = replace(tiny_spec, rates=rates, architecture="adapnet++",
                     modalities=tiny_spec.modalities[:1])
    network = build(colour).eval()
    frame = Predictor(network)
    image = torch.randint(256, (64, 96, 3), dtype=torch.uint8)
    with torch.no_grad():
        logits = network(image.permute(2, 0, 1)[None].float())[0]
        assert (frame(image)["logits"] - logits).norm() <= 1e-5 * logits.norm()
    assert len(multiscale(network)) == 4
    assert len(multiscale(frame)) == in_halves


def multiscale(network: torch.nn.Module) -> list[MultiscaleConvolution]:
    return [module for module in network.modules() if isinstance(module, MultiscaleConvolution)]


# Trust, from its definition


def test_a_modalitys_share_is_that_of_the_gated_activations() -> None:
    # Of two places with 2 + 1 channels: |3| of |-1| + |0| + |3|, and nothing of nothing.
    gated = torch.tensor([[-1, 0.0], [0, 0], [3, 0]]).reshape(1, 3, 1, 2)
    torch.testing.assert_close(SecondShare(2, 1)(gated), torch.tensor([[[[0.75, 0]]]]))


def test_trust_is_the_mean_of_the_three_blocks() -> None:
    def gated(share: float, height: int, width: int) -> torch.Tensor:
        return torch.tensor([1 - share, share]).reshape(1, 2, 1, 1).expand(1, 2, height, width)

    trust = Trust(Channels(1, 1, 1), Channels(1, 1, 1))
    answer = trust(gated(0.25, 2, 3), gated(0.5, 4, 6), gated(1, 8, 12))
    torch.testing.assert_close(answer, torch.full((32, 48), 149.0))  # 1.75 / 3 · 255 = 148.75


# Files


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_shipped_files_are_of_the_shipped_weights(file: Path) -> None:
    network, spec = checkpoint.load(file.with_suffix(".safetensors"))
    metadata = {entry.key: entry.value for entry in onnx.load(file).metadata_props}
    alone = () if network.alone is None else tuple(m.name for m in spec.modalities)
    assert from_metadata(metadata) == Exported(
        spec, "fp32", None, checkpoint.weights_hash(network), alone)


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_no_batch_norm_is_left_that_could_be_folded(file: Path) -> None:
    graph = onnx.load(file).graph
    makers = {output: node for node in graph.node for output in node.output}
    norms = [node for node in graph.node if node.op_type == "BatchNormalization"]
    # Those of the image, and those of a sum before what is added to it next.
    assert all(norm.input[0] not in makers
               or makers[norm.input[0]].op_type in ("Add", "Unsqueeze") for norm in norms)


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_nodes_are_called_after_their_modules(file: Path) -> None:
    network, _ = checkpoint.load(file.with_suffix(".safetensors"))
    modules = {name.replace(".", "/"): type(module) for name, module in network.named_modules()}
    graph = onnx.load(file).graph
    assert len({node.name for node in graph.node}) == len(graph.node)
    convolutions = [node.name.replace(".", "/").rpartition("/")
                    for node in graph.node if node.op_type == "Conv"]
    folded = [module for module in network.modules() if isinstance(module, torch.nn.Conv2d)]
    assert len(convolutions) > 0.9 * len(folded)  # halves of one dilation are one
    assert {(modules[module].__name__, kind) for module, _, kind in convolutions} <= {
        ("Conv2dSame", "Conv"), ("MultiscaleConvolution", "Conv"), ("Upsampling", "Conv"),
        ("BilinearUpsampling", "Conv")}


def test_a_file_does_not_name_where_it_was_made_and_is_the_same_each_time(
        tiny_spec: ModelSpec, tmp_path: Path) -> None:
    colour = replace(tiny_spec, architecture="adapnet++", modalities=tiny_spec.modalities[:1])
    network = build(colour).eval()
    first, second = tmp_path / "first.onnx", tmp_path / "second.onnx"
    for path in (first, second):
        export(network, colour, path, FrameFormat((640, 360), None))
    assert first.read_bytes() == second.read_bytes()
    for trace in (str(ROOT), str(Path.home()), "site-packages", ".py"):
        assert trace.encode() not in first.read_bytes()


def test_the_same_weights_have_the_same_hash(tiny_model_safetensors: Path, tmp_path: Path) -> None:
    network, spec = checkpoint.load(tiny_model_safetensors)
    checkpoint.save(tmp_path / "again.safetensors", network, spec)
    again, _ = checkpoint.load(tmp_path / "again.safetensors")
    assert checkpoint.weights_hash(again) == checkpoint.weights_hash(network)
    next(again.parameters()).data.flatten()[0] += 1e-3
    assert checkpoint.weights_hash(again) != checkpoint.weights_hash(network)


def test_a_failed_export_leaves_nothing(tiny_spec: ModelSpec, tmp_path: Path) -> None:
    with pytest.raises(SsmaError, match="cannot write"):
        export(build(tiny_spec).eval(), tiny_spec, tmp_path / "no_such_folder" / "m.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("place", "message"), [
    ("no_such_folder/m.onnx", "no_such_folder/m.onnx: No such file or directory; give a folder"),
    ("folder.onnx", "folder.onnx: it is a folder; give a file's name"),
])
def test_a_place_where_nothing_can_be_written_is_refused_before_the_work(
        tmp_path: Path, capsys: pytest.CaptureFixture[str], place: str, message: str) -> None:
    """Before the model is so much as looked for."""
    (tmp_path / "folder.onnx").mkdir()
    assert main(["export", "--model", "nothing.safetensors",
                 "--output", str(tmp_path / place)]) == 1
    assert f"cannot write {tmp_path}/{message}" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["tiny_forest.onnx", "m.engine"])
def test_what_is_exported_already_is_called_so(
        tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    assert main(["export", "--model", str(ROOT / "models" / name),
                 "--output", str(tmp_path / "m.onnx")]) == 1
    told = capsys.readouterr().err
    assert f"{name} is exported already: give the .safetensors that it was made of" in told
    assert "fetch it again" not in told and not list(tmp_path.iterdir())


# What a file says it is, and what is bound to it

RGB = Modality("rgb", "image")
DEPTH = Modality("depth", "jet", 20000.0)
NIR = Modality("nir", "evi")


def of(spec: ModelSpec, *modalities: Modality) -> ModelSpec:
    architecture: Any = "ssma" if len(modalities) == 2 else "adapnet++"
    return replace(spec, architecture=architecture, modalities=modalities)


def test_what_a_file_is_survives_its_metadata(tiny_spec: ModelSpec) -> None:
    for frame in (None, FrameFormat((1280, 720), "float32")):
        exported = Exported(tiny_spec, "int8", frame, "a3")
        assert from_metadata(to_metadata(exported)) == exported


@pytest.mark.parametrize(("change", "message"), [
    ({"spec": None}, "it carries no spec; make one with `ssma export`"),
    ({"precision": None, "weights": None}, "does not say its precision and weights: an older "
     "program wrote it; export it again"),
    ({"precision": "fp64"}, "precision must be one of fp32, fp16, bf16, int8, got 'fp64'"),
    ({"frame": '{"size": [9]}'}, "metadata.frame lacks aux"),
    ({"frame": "{"}, "metadata are damaged .*: export it again"),
])
def test_metadata_that_say_something_else_are_refused(
        tiny_spec: ModelSpec, change: dict[str, str | None], message: str) -> None:
    metadata = to_metadata(Exported(tiny_spec, "fp32", None, "a3")) | change
    with pytest.raises(SsmaError, match=message):
        from_metadata({key: value for key, value in metadata.items() if value is not None})


@pytest.mark.parametrize(("modalities", "aux", "message"), [
    ((RGB, DEPTH), None, "the format of the depth is not given: .*--aux uint16, float32 or enc"),
    ((RGB, NIR), None, "the format of the nir is not given: .*--aux uint8, uint16, float32 or enc"),
    ((RGB, DEPTH), "uint8", "depth cannot be uint8.*--aux uint16, float32 or encoded"),
    ((RGB,), "uint8", "takes only the rgb image.*leave out --aux"),
    ((RGB, Modality("thermal", "image")), "uint8", "thermal as an image.*--aux encoded"),
    ((RGB, Modality("hha", "hha", camera=Camera(500, 500, 320, 240, (640, 480)))), "uint16",
     "HHA is not computed in the graph.*--aux encoded"),
    ((NIR, RGB), "encoded", "the first modality, nir, is not a colour image"),
])
def test_a_format_that_does_not_fit_the_model_is_refused(
        tiny_spec: ModelSpec, modalities: tuple[Modality, ...], aux: Any, message: str) -> None:
    with pytest.raises(SsmaError, match=message):
        Exported(of(tiny_spec, *modalities), "fp32", FrameFormat((640, 480), aux), "")


@pytest.mark.parametrize(("modalities", "aux", "inputs"), [
    ((RGB, DEPTH), "uint16", {"rgb": (5, 7, 3), "depth": (5, 7, 2)}),
    ((RGB, DEPTH), "encoded", {"rgb": (5, 7, 3), "depth": (5, 7, 3)}),
    ((RGB,), None, {"rgb": (5, 7, 3)}),
    ((DEPTH,), "float32", {"depth": (5, 7)}),
    ((NIR,), "uint8", {"colour": (5, 7, 3), "nir": (5, 7)}),
    ((NIR,), "encoded", {"nir": (5, 7, 3)}),
])
def test_a_frame_is_bound_by_name(tiny_spec: ModelSpec, modalities: tuple[Modality, ...], aux: Any,
                                  inputs: dict[str, tuple[int, ...]]) -> None:
    exported = Exported(of(tiny_spec, *modalities), "fp32", FrameFormat((7, 5), aux), "")
    arrays = [np.zeros((5, 7, 3), np.uint8)] * len(inputs)
    if aux not in (None, "encoded"):
        arrays[-1] = np.zeros((5, 7), aux)
    bound = frame_inputs(exported, arrays)
    assert {name: array.shape for name, array in bound.items()} == inputs
    assert {name: (array.shape, array.dtype) for name, array in bound.items()} == {
        name: (array.shape, array.dtype) for name, array in blank_inputs(exported).items()}


def test_uint16_is_bound_as_its_bytes_without_a_copy(tiny_spec: ModelSpec) -> None:
    depth = np.array([[0x0102, 0x0304]], np.uint16)
    exported = Exported(tiny_spec, "fp32", FrameFormat((2, 1), "uint16"), "")
    bound = frame_inputs(exported, [np.zeros((1, 2, 3), np.uint8), depth])["depth"]
    np.testing.assert_array_equal(bound, [[[2, 1], [4, 3]]])
    assert np.shares_memory(bound, depth)


def test_images_of_another_size_are_no_networks(tiny_spec: ModelSpec) -> None:
    exported = Exported(tiny_spec, "fp32", None, "")
    with pytest.raises(SsmaError, match=r"takes rgb as an image of 384x192 .* \(192, 383, 3\)"):
        network_inputs(exported, [np.zeros((192, 383, 3), np.uint8)] * 2)


def test_an_aux_format_needs_a_camera(
        tiny_model_safetensors: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "--model", str(tiny_model_safetensors), "--output",
                 str(tmp_path / "m.onnx"), "--aux", "uint16"]) == 1
    assert "give their size too, with --camera" in capsys.readouterr().err

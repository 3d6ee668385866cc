"""When a sensor dies, the other's expert labels alone, in every backend."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
import torch
from conftest import ROOT, TINY_SPEC

from ssma_core import Modality, Segmenter, SsmaError
from ssma_core.cli import main
from ssma_core.modalities import network_images
from ssma_core.model import Ssma, build
from ssma_core.model_files import checkpoint
from ssma_core.pictures import resize_nearest
from ssma_core.synthetic.forest import drive

Array = npt.NDArray[Any]
FOREST = ROOT / "models/tiny_forest.safetensors"
SIZE = (768, 384)
FILES = ["checkpoint", "network", "whole way"]


@pytest.fixture(scope="module")
def frame() -> tuple[Array, Array]:
    (frame,) = drive(7, 1, SIZE)
    return frame.rgb, frame.depth


@pytest.fixture(scope="module")
def end_to_end(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that holds the frame's whole way."""
    path = tmp_path_factory.mktemp("end_to_end") / "forest.onnx"
    assert main(["export", "--model", str(FOREST), "--output", str(path), "--aux", "uint16",
                 "--camera", "768x384"]) == 0
    return path


@pytest.fixture(scope="module", params=FILES)
def segmenter(request: pytest.FixtureRequest, end_to_end: Path) -> Segmenter:
    files = dict(zip(FILES, (FOREST, FOREST.with_suffix(".onnx"), end_to_end)))
    return Segmenter(files[request.param])


def own_labels(modality: int, *arrays: Array) -> Array:
    """What the trained network's expert makes of its own image, at the arrays' size."""
    network, spec = checkpoint.load(FOREST)
    assert isinstance(network, Ssma)
    image = torch.from_numpy(network_images(spec, *arrays)[modality])
    with torch.inference_mode():
        logits = network.unimodal_logits(modality, image.permute(2, 0, 1)[None].float())
    return resize_nearest(logits.argmax(1)[0].to(torch.uint8).numpy(), SIZE)


@pytest.mark.parametrize("modality", [0, 1], ids=["colour", "depth"])
def test_the_labels_are_the_experts_own(
        segmenter: Segmenter, frame: tuple[Array, Array], modality: int) -> None:
    alone = [array if i == modality else None for i, array in enumerate(frame)]
    labels = segmenter.segment(*alone).labels
    own = own_labels(modality, *frame)
    assert (labels == own).mean() >= 0.9999
    assert (labels == segmenter.segment(*frame).labels).mean() < 0.99


def test_all_trust_is_in_the_sensor_that_is_left(
        segmenter: Segmenter, frame: tuple[Array, Array]) -> None:
    rgb, depth = frame
    for given, trust in (((rgb, None), 0), ((None, depth), 255)):
        answer = segmenter.segment(*given, confidence=True, trust=True)
        assert answer.trust is not None and answer.confidence is not None
        np.testing.assert_array_equal(answer.trust, np.full((384, 768), trust, np.uint8))
        assert answer.confidence.shape == (384, 768) and np.ptp(answer.confidence) > 100


def test_labels_have_the_size_of_the_image_that_there_is(frame: tuple[Array, Array]) -> None:
    segmenter = Segmenter(FOREST.with_suffix(".onnx"))
    assert segmenter.segment(None, frame[1][:300, :500]).labels.shape == (300, 500)


def test_what_an_expert_alone_does_not_give_is_reported(
        segmenter: Segmenter, frame: tuple[Array, Array]) -> None:
    with pytest.raises(SsmaError, match="no logits of the rgb alone"):
        segmenter.segment(frame[0], logits=True)
    with pytest.raises(SsmaError, match="nothing to segment: both images are None"):
        segmenter.segment(None, None)


@pytest.mark.parametrize("place", [0, 1], ids=["colour", "depth"])
def test_another_size_than_the_cameras_is_refused_with_what_exports_a_file_for_it(
        end_to_end: Path, frame: tuple[Array, Array], place: int) -> None:
    alone = [array[:180, :320] if i == place else None for i, array in enumerate(frame)]
    with pytest.raises(SsmaError, match=r"ssma export .*--camera 320x180 --aux uint16"):
        Segmenter(end_to_end).segment(*alone)


# Which models can


def test_the_error_of_a_model_without_the_decoders_names_them(tiny_model: Path) -> None:
    segmenter = Segmenter(tiny_model)
    assert segmenter.unimodal == (False, False)
    with pytest.raises(SsmaError, match=r"cannot label rgb without depth: it has no decoders.*"
                       "`trains: alone`"):
        segmenter.segment(np.zeros((192, 384, 3), np.uint8))


@pytest.mark.parametrize("suffix", [".safetensors", ".onnx", "_camera.onnx"])
def test_a_vegetation_index_needs_colour(tmp_path: Path, suffix: str) -> None:
    spec = replace(TINY_SPEC, modalities=(Modality("rgb", "image"), Modality("nir", "evi")))
    checkpoint.save(tmp_path / "m.safetensors", build(spec, alone=True), spec)
    camera: list[str] = ["--camera", "384x192", "--aux", "uint8"] if "camera" in suffix else []
    if suffix != ".safetensors":
        assert main(["export", "--model", str(tmp_path / "m.safetensors"),
                     "--output", str(tmp_path / f"m{suffix}"), *camera]) == 0
    segmenter = Segmenter(tmp_path / f"m{suffix}")
    assert segmenter.unimodal == (True, False)
    rgb, infrared = np.zeros((192, 384, 3), np.uint8), np.zeros((192, 384), np.uint8)
    assert segmenter.segment(rgb).labels.shape == (192, 384)
    with pytest.raises(SsmaError, match="cannot label nir without rgb: a vegetation index is made "
                       "of both"):
        segmenter.segment(None, infrared)


# Files


def test_the_experts_are_in_the_file_once(end_to_end: Path) -> None:
    """Their own decoders are all that is added to what fuses them."""
    def size(path: Path, wanted: Callable[[str], bool]) -> int:
        return sum(onnx.numpy_helper.to_array(weight).size
                   for weight in onnx.load(path).graph.initializer if wanted(weight.name))

    network, _ = checkpoint.load(FOREST)
    assert isinstance(network, Ssma) and network.alone is not None
    decoders = sum(p.numel() for p in network.alone.parameters())
    assert size(end_to_end, lambda name: name.startswith("alone.")) < 1.1 * decoders
    assert size(end_to_end, lambda _: True) < 1.05 * sum(p.numel() for p in network.parameters())

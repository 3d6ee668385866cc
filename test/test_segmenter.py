"""The front door gives the same output on every backend, and refuses what it cannot use."""
from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest

from ssma_core import ModelSpec, Segmenter, SsmaError
from ssma_core.registration.homography import HomographyRegistration

RANDOM = np.random.default_rng(1)
RGB = cv2.resize(RANDOM.integers(0, 256, (12, 24, 3), np.uint8), (768, 384))
DEPTH = cv2.resize(RANDOM.integers(0, 20000, (12, 24)).astype(np.uint16), (768, 384))


@pytest.fixture(scope="module")
def segmenter(tiny_model: Path) -> Segmenter:
    return Segmenter(tiny_model)


def test_both_backends_give_the_same_output(tiny_model: Path, tiny_model_safetensors: Path) -> None:
    onnx_answer = Segmenter(tiny_model).segment(
        RGB, DEPTH, confidence=True, trust=True, logits=True)
    torch_answer = Segmenter(tiny_model_safetensors).segment(
        RGB, DEPTH, confidence=True, trust=True, logits=True)
    assert onnx_answer.logits is not None and torch_answer.logits is not None
    difference = np.linalg.norm(onnx_answer.logits - torch_answer.logits)
    assert difference <= 1e-4 * np.linalg.norm(torch_answer.logits)
    assert (onnx_answer.labels == torch_answer.labels).mean() >= 0.9999
    assert onnx_answer.confidence is not None and torch_answer.confidence is not None
    assert np.abs(onnx_answer.confidence.astype(int) - torch_answer.confidence).max() <= 1
    assert onnx_answer.trust is not None and torch_answer.trust is not None
    assert np.abs(onnx_answer.trust.astype(int) - torch_answer.trust).max() <= 1
    assert np.ptp(onnx_answer.trust) > 10


@pytest.mark.parametrize("suffix", [".onnx", ".safetensors"])
def test_closing_twice_is_harmless_and_nothing_is_segmented_after_it(
        tiny_model: Path, suffix: str) -> None:
    """The same of an engine: test_tensorrt_backend.py."""
    segmenter = Segmenter(tiny_model.with_suffix(suffix))
    for _ in range(2):
        segmenter.close()
    with pytest.raises(SsmaError, match=f"tiny{suffix} was closed"):
        segmenter.segment(RGB, DEPTH)


def test_labels_have_the_camera_size_and_logits_the_model_size(segmenter: Segmenter) -> None:
    answer = segmenter.segment(RGB[:300, :500], DEPTH[:300, :500], confidence=True, logits=True)
    assert answer.labels.shape == (300, 500) and answer.labels.dtype == np.uint8
    assert answer.confidence is not None and answer.confidence.shape == (300, 500)
    assert answer.logits is not None and answer.logits.shape == (192, 384, 6)


def test_labels_and_confidence_follow_from_the_logits(segmenter: Segmenter) -> None:
    answer = segmenter.segment(RGB[::2, ::2], DEPTH[::2, ::2], confidence=True, logits=True)
    assert answer.logits is not None and answer.confidence is not None
    assert len(np.unique(answer.labels)) > 1
    np.testing.assert_array_equal(answer.labels, answer.logits.argmax(2))
    scores = np.exp(answer.logits - answer.logits.max(2, keepdims=True).astype(np.float64))
    certainty = scores.max(2) / scores.sum(2)
    assert np.abs(answer.confidence - 255 * certainty).max() <= 0.51


def test_metres_millimetres_and_the_encoded_image_give_one_output(segmenter: Segmenter) -> None:
    from ssma_core.modalities import encode
    small, depth = RGB[::2, ::2], DEPTH[::2, ::2]
    labels = segmenter.segment(small, depth).labels
    metres = (depth / 1000).astype(np.float32)
    encoded = encode(segmenter.spec.modalities[1], depth, small)
    assert (segmenter.segment(small, metres).labels == labels).mean() >= 0.999
    np.testing.assert_array_equal(segmenter.segment(small, encoded).labels, labels)


@pytest.mark.parametrize("depth", [
    np.zeros((384, 768), np.uint16),
    np.full((384, 768), np.nan, np.float32),
    np.full((384, 768), np.inf, np.float32),
])
def test_a_frame_without_any_depth_is_segmented_all_the_same(
        segmenter: Segmenter, depth: np.ndarray) -> None:
    assert segmenter.segment(RGB, depth).labels.shape == (384, 768)


def test_trust_and_a_registration_are_between_two_modalities(
        tmp_path: Path, tiny_spec: ModelSpec) -> None:
    from ssma_core.model import build
    from ssma_core.model_files import checkpoint
    alone = replace(tiny_spec, architecture="adapnet++", modalities=tiny_spec.modalities[:1])
    checkpoint.save(tmp_path / "alone.safetensors", build(alone), alone)
    with pytest.raises(SsmaError, match="has one modality, and trust is between two"):
        Segmenter(tmp_path / "alone.safetensors").segment(RGB, trust=True)
    same = HomographyRegistration(
        ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)), (8, 8), (8, 8))
    with pytest.raises(SsmaError, match="has one modality, and a registration is between two"):
        Segmenter(tmp_path / "alone.safetensors", registration=same)


@pytest.mark.parametrize(("choice", "message"), [
    ({"precision": "fp16"}, r"was written for one precision.* `ssma export --precision fp16`"),
    ({"device": "cuda"}, r"runs on the CPU, and cuda cannot be chosen.*\.safetensors"),
])
def test_an_exported_file_is_what_it_was_written_for(
        tiny_model: Path, choice: dict[str, str], message: str) -> None:
    with pytest.raises(SsmaError, match=message):
        Segmenter(tiny_model, **choice)


def test_a_model_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SsmaError, match=r"there is no model file .*nothing\.onnx"):
        Segmenter(tmp_path / "nothing.onnx")


@pytest.mark.parametrize(("name", "message"), [
    ("model.onnx", "not an ONNX model, or it is cut short"),
    ("model.safetensors", "model.safetensors"),
    ("model.pth", "ends in .safetensors, .onnx or .engine"),
])
def test_a_foreign_file_is_named(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / name).write_bytes(b"not a model at all")
    with pytest.raises(SsmaError, match=message):
        Segmenter(tmp_path / name)


@pytest.mark.parametrize("share", [0.1, 0.9])
@pytest.mark.parametrize("suffix", [".onnx", ".safetensors"])
def test_a_truncated_model_is_refused(
        tmp_path: Path, tiny_model: Path, suffix: str, share: float) -> None:
    whole = tiny_model.with_suffix(suffix).read_bytes()
    cut = tmp_path / f"cut{suffix}"
    cut.write_bytes(whole[:int(len(whole) * share)])
    with pytest.raises(SsmaError, match="cut"):
        Segmenter(cut)


def test_an_onnx_file_of_somebody_else_is_refused(tmp_path: Path, tiny_model: Path) -> None:
    model = onnx.load(tiny_model)
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "other.onnx")
    with pytest.raises(SsmaError, match="it carries no spec"):
        Segmenter(tmp_path / "other.onnx")


def test_an_onnx_file_with_a_damaged_spec_is_named(tmp_path: Path, tiny_model: Path) -> None:
    model = onnx.load(tiny_model)
    onnx.helper.set_model_props(model, {"spec": "{}"})
    onnx.save(model, tmp_path / "damaged.onnx")
    with pytest.raises(SsmaError, match=r"damaged\.onnx: spec lacks architecture"):
        Segmenter(tmp_path / "damaged.onnx")


def test_onnx_files_carry_the_spec(tiny_model: Path, tiny_spec: ModelSpec) -> None:
    assert Segmenter(tiny_model).spec == tiny_spec


def test_the_onnxruntime_backend_imports_no_torch(tiny_model: Path) -> None:
    program = (
        "import sys, numpy as np\n"
        "from ssma_core import Segmenter\n"
        f"s = Segmenter({str(tiny_model)!r})\n"
        "s.segment(np.zeros((384, 768, 3), np.uint8), np.zeros((384, 768), np.uint16))\n"
        "assert 'torch' not in sys.modules and 'onnx' not in sys.modules\n")
    subprocess.run([sys.executable, "-c", program], check=True)

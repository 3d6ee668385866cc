"""Engines, and checkpoints in torch, on a real NVIDIA GPU: python -m pytest -m gpu

Of TensorRT, TensorRT for RTX and a PyTorch with CUDA, each one that is installed is tested.
"""
from __future__ import annotations

import gc
import importlib.util
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from conftest import ROOT, TINY_SPEC, save_untrained

from ssma_core import Segmenter, SsmaError
from ssma_core.model_files import checkpoint
from ssma_core.model_files.engine_file import LIBRARY_NAMES, Library
from ssma_core.model_files.exported import FrameFormat, Precision
from ssma_core.synthetic.forest import drive

CAMERA = FrameFormat((960, 540), "uint16")
FOREST = ROOT / "models/tiny_forest.safetensors"
INSTALLED = [name for name in LIBRARY_NAMES if importlib.util.find_spec(name) is not None]


def why_no_engine() -> str:
    try:
        from ssma_core.backends import cuda
        cuda.gpu()
    except (ModuleNotFoundError, SsmaError) as error:
        return str(error)
    return "" if INSTALLED else "neither TensorRT nor TensorRT for RTX is installed"


def engines(test: Any) -> Any:
    """Of the test's parameter `library`, every one that is installed."""
    reason = why_no_engine()
    marked = pytest.mark.skipif(bool(reason), reason=reason)(test)
    return pytest.mark.gpu(pytest.mark.parametrize("library", INSTALLED or ["none"])(marked))


def torch_on_a_gpu(test: Any) -> Any:
    return pytest.mark.gpu(pytest.mark.skipif(
        not torch.cuda.is_available(), reason="PyTorch finds no NVIDIA GPU")(test))


@pytest.fixture(scope="module")
def frames() -> list[tuple[np.ndarray, np.ndarray]]:
    return [(frame.rgb, frame.depth) for frame in drive(seed=11, frames=4, size=CAMERA.size)]


@pytest.fixture(scope="module")
def wanted(frames: list[tuple[np.ndarray, np.ndarray]]) -> list[np.ndarray]:
    """The labels that torch gives on the CPU."""
    segmenter = Segmenter(FOREST, device="cpu")
    return [segmenter.segment(*frame).labels for frame in frames]


Build = Callable[..., Path]


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """build(library, model, frame, precision): the engine, made once."""
    from ssma_core.export.engine import build_engine
    from ssma_core.export.onnx import export
    made: dict[Any, Path] = {}

    def build(library: Library, model: Path = FOREST, frame: FrameFormat | None = CAMERA,
              precision: Precision = "fp16") -> Path:
        key = library, model, frame, precision
        if key not in made:
            path = tmp_path_factory.mktemp("engine") / "m.onnx"
            network, spec = checkpoint.load(model)
            export(network, spec, path, frame, precision)
            made[key] = path.with_suffix(".engine")
            build_engine(path, made[key], "ssma build-engine", library=library)
        return made[key]
    return build


def agreement(segmenter: Segmenter, frames: list[Any], wanted: list[np.ndarray]) -> float:
    """The share of equal labels."""
    return float(np.mean([segmenter.segment(*frame).labels == labels
                          for frame, labels in zip(frames, wanted, strict=True)]))


def all_at_once(*work: Callable[[], Any]) -> list[Any]:
    """Each in a thread of its own."""
    results: list[Any] = [None] * len(work)

    def run(number: int) -> None:
        results[number] = work[number]()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(work))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


@engines
@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
def test_an_engine_gives_the_labels_of_torch(
        build: Build, library: Library, precision: Precision, frames: Any, wanted: Any) -> None:
    segmenter = Segmenter(build(library, precision=precision))
    assert (segmenter.backend, segmenter.precision) == (library, precision)
    assert agreement(segmenter, frames, wanted) >= 0.995
    segmenter.close()


@engines
def test_confidence_and_trust_are_those_of_torch(
        build: Build, library: Library, frames: Any) -> None:
    found = Segmenter(build(library)).segment(*frames[0], confidence=True, trust=True)
    reference = Segmenter(FOREST, device="cpu").segment(*frames[0], confidence=True, trust=True)
    for name in ("confidence", "trust"):
        difference = getattr(found, name).astype(int) - getattr(reference, name)
        assert np.abs(difference).mean() <= 1, name


@engines
def test_the_full_model_gives_the_logits_of_torch(
        build: Build, library: Library, frames: Any,
        tmp_path_factory: pytest.TempPathFactory) -> None:
    model = tmp_path_factory.mktemp("full") / "full.safetensors"
    save_untrained(model, replace(TINY_SPEC, size="full", input_size=(768, 384)))
    found = Segmenter(build(library, model, None)).segment(*frames[0], logits=True).logits
    reference = Segmenter(model, device="cpu").segment(*frames[0], logits=True).logits
    assert found is not None and reference is not None
    assert np.linalg.norm(found - reference) <= 0.02 * np.linalg.norm(reference)


@engines
def test_what_is_not_captured_gives_the_same_labels(
        build: Build, library: Library, frames: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = build(library)
    captured = Segmenter(engine).segment(*frames[0]).labels
    from ssma_core.backends import cuda
    monkeypatch.setattr(cuda, "capture", lambda stream, enqueue: None)
    np.testing.assert_array_equal(Segmenter(engine).segment(*frames[0]).labels, captured)


@engines
def test_many_frames_give_their_outputs_in_order(
        build: Build, library: Library, frames: Any) -> None:
    from ssma_core.backends.tensorrt import TensorRtBackend
    backend = TensorRtBackend(build(library))
    one_by_one = [backend.run(frame, ["labels"])["labels"] for frame in frames]
    together = list(backend.run_each(frames * 5, ["labels"]))
    assert len(together) == 5 * len(frames)
    for answer, labels in zip(together, one_by_one * 5, strict=True):
        np.testing.assert_array_equal(answer["labels"], labels)
    backend.close()


@engines
def test_two_at_once_do_not_disturb_each_other(
        build: Build, library: Library, frames: Any, wanted: Any) -> None:
    first, second = Segmenter(build(library)), Segmenter(build(library, precision="fp32"))

    def often(segmenter: Segmenter) -> list[float]:
        return [agreement(segmenter, frames, wanted) for _ in range(10)]

    shares = all_at_once(lambda: often(first), lambda: often(second))
    assert min(shares[0] + shares[1]) >= 0.995
    first.close()
    assert agreement(second, frames, wanted) >= 0.995


@engines
def test_it_is_opened_run_and_closed_in_different_threads(
        build: Build, library: Library, frames: Any, wanted: Any) -> None:
    segmenter, = all_at_once(lambda: Segmenter(build(library)))
    assert agreement(segmenter, frames, wanted) >= 0.995
    assert all_at_once(lambda: agreement(segmenter, frames, wanted))[0] >= 0.995
    all_at_once(segmenter.close)
    with pytest.raises(SsmaError, match="closed"):
        segmenter.segment(*frames[0])


@engines
def test_closed_and_forgotten_segmenters_give_their_memory_back(
        build: Build, library: Library, frames: Any) -> None:
    from ssma_core.backends import cuda
    engine = build(library)

    def free() -> int:
        gc.collect()
        with cuda.current():
            return int(cuda.driver.mem_get_info()[0])

    def use() -> None:
        segmenter = Segmenter(engine)
        segmenter.segment(*frames[0])
        segmenter.close()
        Segmenter(engine).segment(*frames[0])

    use()  # the libraries keep what they load at their first use
    before = free()
    for _ in range(5):
        use()
    assert before - free() <= 16 << 20


@engines
def test_a_robots_process_imports_no_torch_and_stays_below_a_gigabyte(
        build: Build, library: Library) -> None:
    said = subprocess.run(
        [sys.executable, ROOT / "test/robot_process.py", build(library), "960x540"],
        check=True, cwd=ROOT, stdout=subprocess.PIPE, text=True).stdout
    print(said)
    megabytes = re.search(r"(\d+) MB of host memory", said)
    assert megabytes and int(megabytes[1]) < 1000


@engines
def test_a_process_that_closes_nothing_ends_in_order(build: Build, library: Library) -> None:
    """At the end the engine is freed before the context: nothing crashes or is printed."""
    program = ("import numpy as np\n"
               "from ssma_core import Segmenter\n"
               f"segmenter = Segmenter({str(build(library))!r})\n"
               "segmenter.segment(np.zeros((540, 960, 3), np.uint8),\n"
               "                  np.ones((540, 960), np.uint16))\n")
    ended = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True,
                           text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "PyCUDA" not in ended.stderr and "Traceback" not in ended.stderr


@engines
def test_kernels_of_tensorrt_for_rtx_are_kept(build: Build, library: Library) -> None:
    if library != "tensorrt_rtx":
        pytest.skip("TensorRT compiles none at the start")
    engine = build(library)
    Segmenter(engine).close()
    kernels = engine.with_name("m.engine.kernels")
    compiled = kernels.stat()
    assert compiled.st_size
    Segmenter(engine).close()
    assert kernels.stat() == compiled


@torch_on_a_gpu
@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
def test_torch_gives_the_labels_of_its_cpu(precision: str, frames: Any, wanted: Any) -> None:
    segmenter = Segmenter(FOREST, device="cuda", precision=cast(Any, precision))
    assert agreement(segmenter, frames, wanted) >= 0.995
    segmenter.close()


@torch_on_a_gpu
def test_torch_takes_frames_of_any_format(frames: Any) -> None:
    on_gpu, on_cpu = Segmenter(FOREST, device="cuda"), Segmenter(FOREST, device="cpu")
    rgb, depth = frames[0]
    for arrays in [(rgb, depth), (rgb[:480, :640], depth[:480, :640]),
                   (rgb, (depth / 1000).astype(np.float32)), (rgb, depth)]:
        found = on_gpu.segment(*arrays, confidence=True, trust=True, logits=True)
        reference = on_cpu.segment(*arrays, confidence=True, trust=True, logits=True)
        assert (found.labels == reference.labels).mean() >= 0.995
        assert found.logits is not None and reference.logits is not None
        assert (np.linalg.norm(found.logits - reference.logits)
                <= 0.02 * np.linalg.norm(reference.logits))


@torch_on_a_gpu
def test_torch_runs_in_several_threads_at_once(frames: Any, wanted: Any) -> None:
    segmenters = [Segmenter(FOREST, device="cuda", precision="fp16") for _ in range(2)]
    shares = all_at_once(*(lambda s=s: [  # type: ignore[misc]
        agreement(s, frames, wanted) for _ in range(10)] for s in segmenters))
    assert min(shares[0] + shares[1]) >= 0.995


@engines
@torch_on_a_gpu
def test_torch_and_an_engine_share_a_process(
        build: Build, library: Library, frames: Any, wanted: Any) -> None:
    engine, checkpoint_ = Segmenter(build(library)), Segmenter(FOREST, device="cuda")
    for _ in range(3):
        assert agreement(engine, frames, wanted) >= 0.995
        assert agreement(checkpoint_, frames, wanted) >= 0.995
    engine.close()
    assert agreement(checkpoint_, frames, wanted) >= 0.995

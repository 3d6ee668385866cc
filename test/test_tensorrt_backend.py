"""Engines are run as they should be, as far as a fake GPU can show; test_gpu.py uses a real one."""
from __future__ import annotations

import builtins
import gc
import importlib.util
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT, TINY_SPEC
from fake_gpu import CudaError, FakeGpu

import ssma_core.backends
from ssma_core import Segmenter, SsmaError
from ssma_core.backends import tensorrt_library
from ssma_core.model_files import engine_file
from ssma_core.model_files.engine_file import LIBRARY_NAMES, EngineHeader, Gpu
from ssma_core.model_files.exported import Exported, FrameFormat

WIDTH, HEIGHT = 8, 6
IMAGE = (HEIGHT, WIDTH)
END_TO_END = Exported(TINY_SPEC, "fp16", FrameFormat((WIDTH, HEIGHT), "uint16"), "0" * 64)
HEADER = EngineHeader(END_TO_END, "tensorrt", "10.13.3.9", Gpu("Fake", (9, 0)), (),
                      "ssma build-engine --model m.onnx --output m.engine")
RANDOM = np.random.default_rng(0)


def frame() -> tuple[np.ndarray, np.ndarray]:
    """Its colours are classes: see `network`."""
    return (RANDOM.integers(0, TINY_SPEC.classes, (*IMAGE, 3), np.uint8),
            RANDOM.integers(0, 20000, IMAGE).astype(np.uint16))


def network(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Labels are the blue of the colours, confidence the upper byte of the millimetres."""
    blue = inputs["rgb"][..., 0]
    return {"labels": blue, "confidence": inputs["depth"][..., 1], "trust": 255 - blue}


def end_to_end_gpu() -> FakeGpu:
    """One that runs `HEADER`'s engine."""
    return FakeGpu({"rgb": ((*IMAGE, 3), np.uint8), "depth": ((*IMAGE, 2), np.uint8)},
                   {name: (IMAGE, np.uint8) for name in ("labels", "confidence", "trust")},
                   network)


def forget_the_backend() -> None:
    """It is imported again, with the pycuda that is installed then."""
    tensorrt_library._load.cache_clear()
    for name in ("cuda", "tensorrt"):
        sys.modules.pop(f"ssma_core.backends.{name}", None)
        vars(ssma_core.backends).pop(name, None)


def install(gpu: FakeGpu, monkeypatch: pytest.MonkeyPatch) -> None:
    pycuda = type(sys)("pycuda")
    pycuda.driver = gpu.driver  # type: ignore[attr-defined]
    for name, module in {"pycuda": pycuda, "pycuda.driver": gpu.driver, "tensorrt": gpu.tensorrt,
                         "tensorrt_rtx": gpu.tensorrt}.items():
        monkeypatch.setitem(sys.modules, name, module)
    forget_the_backend()
    from ssma_core.backends import cuda
    monkeypatch.setattr(cuda, "_libcuda", lambda: gpu.libcuda)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGpu]:
    gpu = end_to_end_gpu()
    install(gpu, monkeypatch)
    yield gpu
    assert gpu.contexts() == 0
    gc.collect()  # segmenters that a test left open
    forget_the_backend()


def write(path: Path, header: EngineHeader = HEADER, plan: bytes = b"plan") -> Path:
    engine_file.write(path, header, {"": plan})
    return path


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    return write(tmp_path / "m.engine")


def test_an_engine_gives_its_output_at_the_cameras_size(gpu: FakeGpu, engine: Path) -> None:
    segmenter = Segmenter(engine)
    assert (segmenter.spec, segmenter.backend) == (TINY_SPEC, "tensorrt")
    for _ in range(3):
        rgb, depth = frame()
        answer = segmenter.segment(rgb, depth, confidence=True, trust=True)
        np.testing.assert_array_equal(answer.labels, rgb[..., 0])
        np.testing.assert_array_equal(answer.confidence, depth >> 8)
        np.testing.assert_array_equal(answer.trust, 255 - rgb[..., 0])


def test_an_output_stays_when_the_next_frame_comes(gpu: FakeGpu, engine: Path) -> None:
    segmenter, (rgb, depth) = Segmenter(engine), frame()
    labels = segmenter.segment(rgb, depth).labels
    segmenter.segment(*frame())
    np.testing.assert_array_equal(labels, rgb[..., 0])


def test_images_of_the_networks_size_go_to_an_engine_without_a_frame(
        gpu: FakeGpu, tmp_path: Path) -> None:
    gpu.inputs = {name: ((16, 32, 3), np.uint8) for name in ("rgb", "depth")}
    gpu.outputs = {"labels": ((16, 32), np.uint8), "logits": ((6, 16, 32), np.float32)}
    gpu.network = lambda given: {"labels": given["rgb"][..., 0], "logits": given["depth"][..., 0]}
    spec = replace(TINY_SPEC, input_size=(32, 16))
    path = write(tmp_path / "m.engine", replace(
        HEADER, exported=Exported(spec, "fp32", None, "0" * 64)))
    images = RANDOM.integers(0, TINY_SPEC.classes, (2, 16, 32, 3), np.uint8)
    answer = Segmenter(path).segment(*images, logits=True)
    np.testing.assert_array_equal(answer.labels, images[0, ..., 0])
    np.testing.assert_array_equal(answer.logits[..., 5], images[1, ..., 0])


def test_each_sensor_alone_has_an_engine_of_its_own(gpu: FakeGpu, tmp_path: Path) -> None:
    lone = {name: (IMAGE, np.uint8) for name in ("depth_labels", "depth_confidence")}
    gpu.plans[b"the depth's"] = ({"depth": gpu.inputs["depth"]}, lone, lambda given: {
        "depth_labels": given["depth"][..., 1] >> 4, "depth_confidence": given["depth"][..., 0]})
    header = replace(HEADER, exported=replace(END_TO_END, unimodal=("depth",)))
    engine_file.write(tmp_path / "m.engine", header, {"": b"plan", "depth": b"the depth's"})
    segmenter, (rgb, depth) = Segmenter(tmp_path / "m.engine"), frame()
    assert segmenter.unimodal == (False, True)
    answer = segmenter.segment(None, depth, confidence=True)
    np.testing.assert_array_equal(answer.labels, depth >> 12)
    np.testing.assert_array_equal(answer.confidence, depth & 255)
    np.testing.assert_array_equal(segmenter.segment(rgb, depth).labels, rgb[..., 0])
    with pytest.raises(SsmaError, match="cannot label rgb without depth"):
        segmenter.segment(rgb)
    segmenter.close()
    assert not gpu.live
    with pytest.raises(SsmaError, match="closed"):
        segmenter.segment(None, depth)


def test_each_frame_is_two_copies_a_graph_and_what_is_wanted(gpu: FakeGpu, engine: Path) -> None:
    segmenter = Segmenter(engine)
    gpu.done.clear()
    segmenter.segment(*frame())
    steps = ["copy in", "copy in", "graph", "copy out"]
    assert gpu.done == [f"asked: {step}" for step in steps] + [f"did: {step}" for step in steps]
    gpu.done.clear()
    segmenter.segment(*frame(), confidence=True, trust=True)
    assert gpu.done.count("did: copy out") == 3


def test_what_cannot_be_captured_runs_all_the_same(gpu: FakeGpu, engine: Path) -> None:
    gpu.faults["cuStreamEndCapture"] = 901
    segmenter, (rgb, depth) = Segmenter(engine), frame()
    gpu.done.clear()
    np.testing.assert_array_equal(segmenter.segment(rgb, depth).labels, rgb[..., 0])
    assert "did: network" in gpu.done


def test_memory_is_made_once(gpu: FakeGpu, engine: Path) -> None:
    segmenter = Segmenter(engine)
    made = gpu.allocations
    for _ in range(5):
        segmenter.segment(*frame(), confidence=True)
    assert gpu.allocations == made == 2 * 5 + 1  # here and there for each tensor, and the graph


def test_closing_frees_all_of_it(gpu: FakeGpu, engine: Path) -> None:
    segmenter = Segmenter(engine)
    segmenter.segment(*frame())
    assert gpu.live
    segmenter.close()
    assert not gpu.live
    segmenter.close()
    with pytest.raises(SsmaError, match="closed"):
        segmenter.segment(*frame())


def test_a_segmenter_of_a_module_is_freed_before_the_context_at_the_end(engine: Path) -> None:
    """No one closes it: the process just ends. On a real GPU what is freed after the context was
    detached crashes; here it would be a traceback on standard error."""
    program = (
        "import sys, pytest\n"
        f"sys.path.insert(0, {str(ROOT / 'test')!r})\n"
        "import test_tensorrt_backend as t\n"
        "gpu = t.end_to_end_gpu()\n"
        "detach = gpu.context.detach\n"
        "gpu.context.detach = lambda: (print(f'{len(gpu.live)} left', flush=True), detach())\n"
        "t.install(gpu, pytest.MonkeyPatch())\n"
        f"segmenter = t.Segmenter({str(engine)!r})\n"
        "segmenter.segment(*t.frame())\n"
        "assert gpu.live\n")
    ended = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True,
                           text=True)
    assert (ended.stdout, ended.stderr) == ("0 left\n", "")


def test_a_forgotten_segmenter_frees_all_of_it(gpu: FakeGpu, engine: Path) -> None:
    segmenter = Segmenter(engine)
    segmenter.segment(*frame())
    del segmenter
    gc.collect()
    assert not gpu.live


def test_two_segmenters_do_not_disturb_each_other(gpu: FakeGpu, engine: Path) -> None:
    first, second = Segmenter(engine), Segmenter(engine)
    for segmenter in (first, second, second, first):
        rgb, depth = frame()
        np.testing.assert_array_equal(segmenter.segment(rgb, depth).labels, rgb[..., 0])
    first.close()
    rgb, depth = frame()
    np.testing.assert_array_equal(second.segment(rgb, depth).labels, rgb[..., 0])


def in_a_thread(work: Callable[[], Any]) -> Any:
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(work()))
    thread.start()
    thread.join()
    return results[0]


def test_another_thread_than_the_one_that_opened_it_may_run_and_close_it(
        gpu: FakeGpu, engine: Path) -> None:
    segmenter, (rgb, depth) = Segmenter(engine), frame()

    def labels() -> tuple[np.ndarray, int]:
        return segmenter.segment(rgb, depth).labels, gpu.contexts()

    answer, left_over = in_a_thread(labels)
    np.testing.assert_array_equal(answer, rgb[..., 0])
    assert left_over == 0
    in_a_thread(segmenter.close)
    assert not gpu.live


def test_one_frame_is_copied_while_the_one_before_is_computed(gpu: FakeGpu, engine: Path) -> None:
    from ssma_core.backends.tensorrt import TensorRtBackend
    backend = TensorRtBackend(engine)
    frames = [frame() for _ in range(5)]
    gpu.done.clear()
    answers = list(backend.run_each(frames, ["labels"]))
    for (rgb, _), answer in zip(frames, answers, strict=True):
        np.testing.assert_array_equal(answer["labels"], rgb[..., 0])
    asked = [number for number, what in enumerate(gpu.done) if what == "asked: graph"]
    done = [number for number, what in enumerate(gpu.done) if what == "did: graph"]
    assert all(following < this for following, this in zip(asked[1:], done))
    gpu.done.clear()
    made = gpu.allocations
    assert len(list(backend.run_each(frames, ["labels"]))) == 5
    assert gpu.allocations == made
    backend.close()
    assert not gpu.live


@pytest.mark.parametrize(("arrays", "message"), [
    ((np.zeros((6, 9, 3), np.uint8), np.zeros((6, 9), np.uint16)), "--camera 9x6 --aux uint16"),
    ((np.zeros((6, 8, 3), np.uint8), np.zeros((6, 8), np.float32)), "--camera 8x6 --aux float32"),
])
def test_another_frame_than_the_engines_is_refused_with_the_command(
        gpu: FakeGpu, engine: Path, arrays: tuple[np.ndarray, ...], message: str) -> None:
    segmenter = Segmenter(engine)
    gpu.done.clear()
    with pytest.raises(SsmaError, match=message):
        segmenter.segment(*arrays)
    assert not gpu.done


@pytest.mark.parametrize(("call", "fault", "message"), [
    ("cuInit", CudaError("cuInit failed: no CUDA-capable device is detected"),
     r"no CUDA-capable device is detected; engines need an NVIDIA GPU.*\.onnx"),
    ("cuMemAlloc", CudaError("cuMemAlloc failed: out of memory"),
     r"out of memory; .*close other segmenters.*--precision fp16"),
    ("cuMemHostAlloc", CudaError("cuMemHostAlloc failed: out of memory"), "out of memory; "),
    ("cuGraphInstantiateWithFlags", 2, "cuGraphInstantiateWithFlags failed: error 2"),
    ("execute", "Error Code 2: OutOfMemory (Requested size was 9 bytes.)",
     "TensorRT could not run the network: .*OutOfMemory.*; end other programs"),
])
def test_what_goes_wrong_at_the_start_is_reported_in_one_line_and_leaves_nothing(
        gpu: FakeGpu, engine: Path, call: str, fault: Any, message: str) -> None:
    gpu.faults[call] = fault
    with pytest.raises(SsmaError, match=message) as raised:
        Segmenter(engine)
    assert str(raised.value).startswith(f"{engine}: ") and "\n" not in str(raised.value)
    gpu.faults.clear()
    on_the_gpu = [memory for memory in gpu.live.values() if memory is not None]
    assert not on_the_gpu  # a buffer's host half, made before the other failed, is pycuda's to free


@pytest.mark.parametrize(("call", "fault", "message"), [
    ("cuStreamSynchronize", CudaError("cuStreamSynchronize failed: an illegal memory access was "
                                      "encountered"), "start it again"),
    ("cuGraphLaunch", 719, "cuGraphLaunch failed: error 719"),
])
def test_what_goes_wrong_in_a_frame_is_ours(
        gpu: FakeGpu, engine: Path, call: str, fault: Any, message: str) -> None:
    segmenter = Segmenter(engine)
    gpu.faults[call] = fault
    with pytest.raises(SsmaError, match=message):
        segmenter.segment(*frame())
    gpu.faults.clear()
    segmenter.close()
    assert not gpu.live


ILLEGAL = CudaError("cuStreamSynchronize failed: an illegal memory access was encountered")


@pytest.mark.parametrize("run", [lambda work: work(), in_a_thread], ids=["here", "in a thread"])
def test_a_sticky_error_leaves_no_context_with_which_pycuda_aborts_the_process(
        gpu: FakeGpu, engine: Path, run: Callable[..., Any]) -> None:
    segmenter = Segmenter(engine)

    def fails() -> tuple[str, int]:
        gpu.sticky = ILLEGAL
        with pytest.raises(SsmaError) as raised:
            segmenter.segment(*frame())
        return str(raised.value), gpu.contexts()

    fault, left_over = run(fails)
    assert "an illegal memory access was encountered; the GPU does nothing more" in fault
    assert left_over == 0
    assert not gpu.context.is_valid  # pycuda's destructors then do nothing
    with pytest.raises(SsmaError, match="start it again"):
        segmenter.segment(*frame())
    with pytest.raises(SsmaError, match="start it again"):
        Segmenter(engine)
    for _ in range(2):
        run(segmenter.close)


def test_a_sticky_error_that_only_the_end_of_a_frame_meets_is_handled_as_well(
        gpu: FakeGpu, engine: Path) -> None:
    segmenter = Segmenter(engine)
    gpu.faults["cuCtxPopCurrent"] = CudaError(
        "cuCtxPopCurrent failed: an illegal memory access was encountered")
    with pytest.raises(SsmaError, match="start it again"):
        segmenter.segment(*frame())
    assert gpu.contexts() == 0 and not gpu.context.is_valid
    segmenter.close()


def test_an_error_that_is_not_sticky_leaves_the_context(gpu: FakeGpu, engine: Path) -> None:
    first = Segmenter(engine)
    gpu.faults["cuMemAlloc"] = CudaError("cuMemAlloc failed: out of memory")
    with pytest.raises(SsmaError, match="out of memory"):
        Segmenter(engine)
    rgb, depth = frame()
    np.testing.assert_array_equal(first.segment(rgb, depth).labels, rgb[..., 0])
    first.close()


@pytest.mark.parametrize("fault", [
    "the capture ends", "the graph is made", "the work raises", "the work cannot be captured"])
def test_a_failed_capture_leaves_no_graph(gpu: FakeGpu, engine: Path, fault: str) -> None:
    from ssma_core.backends import cuda
    gpu.faults |= {"the capture ends": {"cuStreamEndCapture": 901},
                   "the graph is made": {"cuGraphInstantiateWithFlags": 2}}.get(fault, {})

    def enqueue() -> bool:
        if fault == "the work raises":
            raise SsmaError(fault)
        return fault != "the work cannot be captured"

    with cuda.current():
        try:
            assert cuda.capture(cuda.new_stream(), enqueue) is None
        except SsmaError as error:
            assert str(error) == fault or "cuGraphInstantiateWithFlags" in str(error)
    assert not gpu.graphs and not gpu.live


def test_what_cannot_be_freed_keeps_nothing_else_from_being_freed(
        gpu: FakeGpu, engine: Path) -> None:
    segmenter = Segmenter(engine)
    gpu.faults["cuMemFreeHost"] = CudaError("cuMemFreeHost failed: invalid argument")
    with pytest.raises(SsmaError, match="cuMemFreeHost"):
        segmenter.close()
    assert not [memory for memory in gpu.live.values() if memory is not None]
    segmenter.close()


def test_a_plan_that_tensorrt_cannot_load_is_named(gpu: FakeGpu, tmp_path: Path) -> None:
    with pytest.raises(SsmaError, match=r"m\.engine: TensorRT could not load the engine"):
        Segmenter(write(tmp_path / "m.engine", plan=b"another"))


def test_an_engine_of_another_version_is_refused_with_the_command(
        gpu: FakeGpu, tmp_path: Path) -> None:
    path = write(tmp_path / "m.engine", replace(HEADER, version="10.1"))
    with pytest.raises(SsmaError, match="build it again here: ssma build-engine"):
        Segmenter(path)
    assert not gpu.live


@pytest.mark.parametrize(("library", "other"), [
    ("tensorrt", "tensorrt_rtx"), ("tensorrt_rtx", "tensorrt")])
def test_where_only_the_other_library_is_installed_the_command_is_for_that_one(
        gpu: FakeGpu, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
        library: Any, other: Any) -> None:
    path = write(tmp_path / "m.engine", replace(HEADER, library=library))
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(SsmaError) as raised:
        Segmenter(path)
    assert str(raised.value) == (
        f"{path}: the engine was built by {LIBRARY_NAMES[library]} 10.13.3.9 and runs with nothing "
        f"else, and here is {LIBRARY_NAMES[other]} 10.13.3.9; build it again here: "
        f"{HEADER.command} --library {other}")


def test_without_any_library_the_engine_is_named_with_the_one_that_built_it(
        gpu: FakeGpu, engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for library in LIBRARY_NAMES:
        monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(SsmaError, match=r"m\.engine: TensorRT is not installed.*: pip install "
                       "tensorrt$"):
        Segmenter(engine)


def test_tensorrt_for_rtx_captures_by_itself_and_its_runtime_cache_is_kept(
        gpu: FakeGpu, tmp_path: Path) -> None:
    path = write(tmp_path / "m.engine", replace(HEADER, library="tensorrt_rtx", gpu=None))
    rgb, depth = frame()
    np.testing.assert_array_equal(Segmenter(path).segment(rgb, depth).labels, rgb[..., 0])
    assert gpu.done[-2] == "did: network, captured by itself"
    assert gpu.given == b""
    Segmenter(path)
    assert gpu.given == b"compiled"
    gpu.kernels = b"compiled again"  # for another GPU: those on disk are of no use
    Segmenter(path)
    Segmenter(path)
    assert gpu.given == b"compiled again"


def test_a_runtime_cache_that_cannot_be_kept_is_no_fault(
        gpu: FakeGpu, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write(tmp_path / "m.engine", replace(HEADER, library="tensorrt_rtx", gpu=None))
    (tmp_path / "m.engine.kernels").mkdir()
    rgb, depth = frame()
    np.testing.assert_array_equal(Segmenter(path).segment(rgb, depth).labels, rgb[..., 0])
    assert "cannot be kept" in caplog.text


@pytest.mark.skipif(importlib.util.find_spec("pycuda") is not None, reason="pycuda is installed")
def test_without_pycuda_it_says_so(engine: Path) -> None:
    forget_the_backend()
    with pytest.raises(SsmaError, match=r"m\.engine needs the Python package 'pycuda'"):
        Segmenter(engine)


@pytest.mark.parametrize(("fault", "message"), [
    ("libcuda.so.1: cannot open shared object file: No such file or directory",
     "engines need an NVIDIA GPU and its driver"),
    ("/x/_driver.so: undefined symbol: cuCtxCreate_v4", "update the driver"),
])
def test_without_a_driver_it_says_so(
        monkeypatch: pytest.MonkeyPatch, engine: Path, fault: str, message: str) -> None:
    real = builtins.__import__

    def without(name: str, *arguments: Any) -> Any:
        if name == "pycuda":
            raise ImportError(fault)
        return real(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", without)
    forget_the_backend()
    with pytest.raises(SsmaError, match=message) as raised:
        Segmenter(engine)
    assert "\n" not in str(raised.value)


def test_a_process_that_runs_an_engine_imports_no_torch(engine: Path) -> None:
    program = (
        "import sys, pytest\n"
        f"sys.path.insert(0, {str(ROOT / 'test')!r})\n"
        "import test_tensorrt_backend as t\n"
        "with pytest.MonkeyPatch.context() as patch:\n"
        "    t.install(t.end_to_end_gpu(), patch)\n"
        f"    t.Segmenter({str(engine)!r}).segment(*t.frame())\n"
        "heavy = {'torch', 'onnx', 'onnxruntime', 'safetensors'} & set(sys.modules)\n"
        "assert not heavy, heavy\n")
    subprocess.run([sys.executable, "-c", program], check=True)

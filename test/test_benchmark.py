"""`ssma benchmark`: what is timed, that it is timed fairly, and what is written about it. No figure
of time is asserted."""
from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
import torch
from conftest import TINY_SPEC
from fake_gpu import FakeGpu
from test_tensorrt_backend import HEADER, forget_the_backend, install

from ssma_core import Modality, Segmenter, SsmaError
from ssma_core.benchmark import ways as ways_module
from ssma_core.benchmark.check import Checked, checked
from ssma_core.benchmark.clock import WARM_UP, Call, percentiles, take_turns
from ssma_core.benchmark.files import Setting, exported
from ssma_core.benchmark.frames import camera_frames
from ssma_core.benchmark.memory import growth
from ssma_core.benchmark.models import Model, models
from ssma_core.benchmark.opened import Labels
from ssma_core.benchmark.ways import LeftOut, Way, ways
from ssma_core.benchmark.work import gflop, operations
from ssma_core.cli import main
from ssma_core.modalities import check_frame
from ssma_core.model_files import onnx_parts
from ssma_core.model_files.engine_file import EngineHeader, write
from ssma_core.model_files.exported import Exported, FrameFormat

CAMERA = (192, 96)
QUICK = WARM_UP / 3.5  # seconds a call, of which
WARMING = 4  # fill the warm-up
MARKS = ("<!-- ssma benchmark on a CPU -->", "<!-- end of ssma benchmark on a CPU -->")


class Clock:
    """Says what time it is: later after every call that takes its time."""

    def __init__(self) -> None:
        self.now = 0.0
        self.calls: list[str] = []

    def __call__(self) -> float:
        return self.now

    def call(self, name: str, seconds: float, frames: int = 1) -> Call:
        def run(_: int) -> None:
            self.now += seconds
            self.calls.append(name)
        return Call(run, frames)


def test_percentiles_are_of_all_calls_in_milliseconds() -> None:
    found = percentiles([i / 1000 for i in range(101)])
    assert (found.p50, found.p90, found.p99) == pytest.approx((50, 90, 99))


def test_each_call_is_timed_by_itself() -> None:
    clock = Clock()
    found = take_turns({"a": clock.call("a", 0.003), "b": clock.call("b", 0.02)}, 40, clock)
    assert (found["a"].p50, found["a"].p99, found["b"].p50) == pytest.approx((3, 3, 20))


def test_the_ways_take_turns_of_ten_frames_after_a_warm_up() -> None:
    clock = Clock()
    take_turns({"a": clock.call("a", QUICK), "b": clock.call("b", QUICK)}, 40, clock)
    assert "".join(clock.calls) == 4 * ("a" * (WARMING + 10) + "b" * (WARMING + 10))


def test_few_frames_still_make_four_turns_and_slow_calls_are_warmed_up_once() -> None:
    clock = Clock()
    take_turns({"a": clock.call("a", 1), "b": clock.call("b", 1)}, 8, clock)
    assert "".join(clock.calls) == "a" + "aa" + "b" + "bb" + 3 * "aabb"


def test_a_call_of_several_frames_is_made_for_as_many_fewer() -> None:
    clock = Clock()
    take_turns({"together": clock.call("t", QUICK, frames=8)}, 40, clock)
    assert len(clock.calls) == 4 * (WARMING + 2)  # two calls in each turn of ten frames


def test_memory_is_what_was_added_though_it_was_freed_again() -> None:
    size = 64_000_000
    with growth() as found:
        np.ones(size, np.uint8)
    # From below: Linux counts a thread's pages in batches, and so is some of them behind.
    assert found.host is not None and 0.99 * size <= found.host < 1.2 * size


def test_operations_are_two_a_multiply_add() -> None:
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, stride=2, padding=1),  # 8·8·8 outputs of 3·3·3 products
        torch.nn.BatchNorm2d(8), torch.nn.ReLU(),
        torch.nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=8),  # 8·8·8 outputs of 3·3
        torch.nn.ConvTranspose2d(8, 4, 4, stride=2, padding=1))  # each of 8·8·8 inputs to 4·4·4
    assert operations(network, torch.zeros(1, 3, 16, 16)) == 2 * 512 * (27 + 9 + 64)


def test_the_tiny_network_has_the_operations_it_was_designed_for() -> None:
    assert gflop(TINY_SPEC) == pytest.approx(2.1, abs=0.05)  # see ssma_core.model.sizes


@pytest.mark.parametrize("modalities", [
    (Modality("rgb", "image"), Modality("depth", "jet", 20_000)),
    (Modality("rgb", "image"), Modality("nir", "evi")),
    (Modality("rgb", "image"), Modality("disparity", "jet", 65_535, level=50_000)),
    (Modality("rgb", "image"), Modality("height", "jet", 2)),
    (Modality("rgb", "image"), Modality("celsius", "grey", 40.0, low=-20.0)),
    (Modality("rgb", "image"), Modality("thermal", "grey", percentiles=(1, 99))),
    (Modality("rgb", "image"), Modality("evi", "image")),
    (Modality("nir", "ndvi"),),
    (Modality("depth", "jet", 20_000),),
], ids=lambda modalities: "+".join(m.name for m in modalities))
def test_there_are_frames_for_any_sensors(modalities: tuple[Modality, ...]) -> None:
    spec = replace(TINY_SPEC, modalities=modalities,
                   architecture="ssma" if len(modalities) == 2 else "adapnet++")
    for arrays in camera_frames(spec, CAMERA):
        check_frame(spec, arrays)
        assert all(array.shape[:2] == CAMERA[::-1] and array.max() > 0 for array in arrays)


def test_files_of_the_same_weights_are_one_model(
        tiny_model: Path, tiny_model_safetensors: Path, tmp_path: Path) -> None:
    (model,) = models([str(tiny_model), str(tiny_model_safetensors)], tmp_path)
    assert model.checkpoint == tiny_model_safetensors and model.trained
    assert [path for path, _ in model.exported] == [tiny_model]


def test_an_untrained_network_is_the_same_each_time_and_distinguishes_classes(
        tmp_path: Path) -> None:
    first, second = (models(["tiny"], tmp_path)[0] for _ in range(2))
    assert first.weights == second.weights and not first.trained
    assert first.spec.size == "tiny" and first.spec.input_size == (768, 384)
    assert first.checkpoint is not None
    labels = Segmenter(first.checkpoint).segment(*camera_frames(first.spec, CAMERA)[0]).labels
    assert len(np.unique(labels)) > 2


@pytest.mark.parametrize(("given", "message"), [
    ("model.pb", "give a model file"), ("huge", "full or tiny"), ("not_there.onnx", "No such file"),
])
def test_what_is_no_model_is_named(
        given: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["benchmark", "--model", given]) == 1
    error = capsys.readouterr().err
    assert given in error and message in error


class Answers:
    """Class 1 everywhere, but for the share of rows that is given for each kind of call."""

    def __init__(self, whole: float = 0, network: float = 0, together: float = 0) -> None:
        self.wrong = {CAMERA: whole, TINY_SPEC.input_size: network}
        self.wrong_together = together
        self.closed = False

    def segment(self, *arrays: np.ndarray[Any, Any]) -> Labels:
        size = (arrays[0].shape[1], arrays[0].shape[0])
        return self._labels(size, self.wrong[size])

    def segment_together(self, frames: Any) -> list[Labels]:
        return [self._labels(CAMERA, self.wrong_together) for _ in frames]

    def close(self) -> None:
        self.closed = True

    @staticmethod
    def _labels(size: tuple[int, int], wrong: float) -> Labels:
        labels = np.ones(size[::-1], np.uint8)
        labels[:round(wrong * size[1])] = 0
        return labels


def check(*opened: Answers, trained: bool = True) -> list[Checked | LeftOut]:
    model = Model("m", TINY_SPEC, "weights", None, trained=trained)
    found = [Way(f"way {i}", model, "torch", "cpu", "fp32", False, "in one batch", lambda o=o: o)
             for i, o in enumerate(opened)]
    with ExitStack() as stack:
        return list(checked(found, camera_frames(TINY_SPEC, CAMERA), stack))


@pytest.mark.parametrize("kind", ["whole", "network", "together"])
def test_a_way_with_another_output_is_left_out(kind: str) -> None:
    right, other = Answers(), Answers(**{kind: 0.0625})
    first, second = check(right, other)
    assert isinstance(first, Checked) and first.agreement == 1
    assert isinstance(second, LeftOut) and second.what == "m: way 1"
    assert "93.75 %" in second.why and "99.5 %" in second.why and "m: way 0" in second.why
    assert right.closed and other.closed


def test_random_weights_may_differ_more_for_they_make_much_of_rounding() -> None:
    near, far = check(Answers(), Answers(whole=0.25), Answers(whole=0.75), trained=False)[1:]
    assert isinstance(near, Checked) and near.agreement == 0.75
    assert isinstance(far, LeftOut) and "25.00 %" in far.why


def test_a_way_that_cannot_be_opened_is_left_out_with_its_reason() -> None:
    def fails() -> Answers:
        raise SsmaError("the GPU is out of memory")

    way = Way("a way", Model("m", TINY_SPEC, "", None), "torch", "gpu", "fp16", True, None, fails)
    with ExitStack() as stack:
        assert list(checked([way], [], stack)) == [LeftOut("m: a way", "the GPU is out of memory")]


def test_with_a_gpu_engines_of_every_precision_are_built(
        tiny_model_safetensors: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are named instead of written; what an engine does on a GPU is not tested here."""
    def named(model: Model, precision: Any, frame: FrameFormat | None, _: Setting) -> Path:
        path = tmp_path / f"{model.name}_{precision}_{'end_to_end' if frame else 'apart'}.onnx"
        exported = Exported(model.spec, precision, frame, model.weights)
        write(path.with_suffix(".engine"),
              EngineHeader(exported, "tensorrt", "11.0", None, (), "ssma build-engine"), {"": b""})
        return path

    monkeypatch.setattr(ways_module, "exported", named)
    monkeypatch.setattr(ways_module, "built", lambda onnx: onnx.with_suffix(".engine"))
    monkeypatch.setattr(ways_module, "no_engines", lambda: "")
    (model,) = models([str(tiny_model_safetensors)], tmp_path)
    setting = Setting(CAMERA, 1, tmp_path, tmp_path)
    found = [way for way in ways(model, FrameFormat(CAMERA, "uint16"), setting)
             if isinstance(way, Way) and way.library == "tensorrt"]
    assert Counter((way.full_name, way.device, way.precision, way.together) for way in found) == {
        ("tiny: TensorRT fp16", "gpu", "fp16", None): 1,
        ("tiny: TensorRT fp32, end-to-end", "gpu", "fp32", "two under way"): 1,
        ("tiny: TensorRT fp16, end-to-end", "gpu", "fp16", "two under way"): 1,
        ("tiny: TensorRT int8, end-to-end", "gpu", "int8", "two under way"): 1,
        ("tiny_alone: TensorRT fp16, end-to-end", "gpu", "fp16", "two under way"): 1,
    }


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGpu]:
    """One for an end-to-end engine; its labels are the blue of the colours."""
    shape, memory = CAMERA[::-1], 1_000_000_000
    gpu = FakeGpu({"rgb": ((*shape, 3), np.uint8), "depth": ((*shape, 2), np.uint8)},
                  {name: (shape, np.uint8) for name in ("labels", "confidence", "trust")},
                  lambda inputs: dict.fromkeys(("labels", "confidence", "trust"),
                                               inputs["rgb"][..., 0]))
    gpu.driver.mem_get_info = lambda: (memory - 1_000_000 * len(gpu.live), memory)
    install(gpu, monkeypatch)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    yield gpu
    forget_the_backend()


def test_an_engine_is_timed_with_two_frames_under_way(gpu: FakeGpu, tmp_path: Path) -> None:
    exported = Exported(TINY_SPEC, "fp16", FrameFormat(CAMERA, "uint16"), "weights")
    write(tmp_path / "m.engine", replace(HEADER, exported=exported), {"": b"plan"})
    assert main(["benchmark", "--model", str(tmp_path / "m.engine"), "--size", "192x96",
                 "--frames", "8", "--threads", "1", "--output", str(tmp_path)]) == 0
    report = json.loads((tmp_path / "benchmark.json").read_text())
    (row,) = report["tables"][0]["rows"]
    assert (row["way"], row["device"]) == ("TensorRT fp16, end-to-end, m.engine", "gpu")
    assert row["together"]["frames"] == 8 and row["together"]["how"] == "two under way"
    # One lane: five tensors here and there, and a graph. The second is for more than one frame.
    assert row["gpu_bytes"] == 11_000_000
    assert report["machine"]["gpu"] == "Fake"
    assert "tensorrt 10.13.3.9" in report["machine"]["versions"]
    assert [each["what"] for each in report["left_out"]] == ["the peak of the GPU in fp16"]
    assert not gpu.live


@pytest.fixture(scope="module")
def run(tiny_model_safetensors: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all that one run writes."""
    folder = tmp_path_factory.mktemp("benchmark")
    (folder / "notes.md").write_text(f"before\n{MARKS[0]}\nan old table\n{MARKS[1]}\nafter\n")
    assert main(["benchmark", "--model", str(tiny_model_safetensors), "--size", "192x96",
                 "--frames", "2", "--threads", "1", "--output", str(folder),
                 "--docs", str(folder / "notes.md")]) == 0
    return folder


@pytest.fixture
def report(run: Path) -> dict[str, Any]:
    return dict(json.loads((run / "benchmark.json").read_text()))


def test_int8_is_measured_on_the_frames_that_are_given(
        tiny_model_safetensors: Path, tmp_path: Path) -> None:
    assert main(["synthesize", "--output", str(tmp_path / "drives"), "--drives", "1",
                 "--frames", "2", "--size", "192x96"]) == 0
    (model,) = models([str(tiny_model_safetensors)], tmp_path)
    setting = Setting((192, 96), 1, tmp_path / "drives", tmp_path)
    path = exported(replace(model, trained=False), "int8", FrameFormat((192, 96), "uint16"),
                    setting)
    assert onnx_parts.read(path)[1].precision == "int8"
    assert any(node.op_type == "QuantizeLinear" for node in onnx.load(path).graph.node)


@pytest.mark.skipif(torch.cuda.is_available(), reason="names what a machine without a GPU can do")
def test_every_way_of_a_cpu_is_measured(report: dict[str, Any]) -> None:
    (table,) = report["tables"]
    assert table["name"] == "tiny" and table["network"] == [384, 192] and table["trained"]
    rows = {row["way"]: row for row in table["rows"]}
    assert list(rows) == [
        "torch fp32, naive", "torch fp32, channels last", "torch fp32",
        "onnxruntime fp32", "onnxruntime fp32, end-to-end",
        "AdapNet++ alone: torch fp32, naive", "AdapNet++ alone: onnxruntime fp32, end-to-end"]
    for way, row in rows.items():
        assert 0 < row["whole"]["p50"] <= row["whole"]["p90"] <= row["whole"]["p99"]
        assert (row["network"] is None) == way.endswith("end-to-end")
        assert row["host_bytes"] > 0 and row["gpu_bytes"] is None
        assert row["share_of_peak"] > 0 and row["agreement"] >= 0.995
    assert rows["torch fp32, naive"]["together"]["how"] == "in one batch"
    assert rows["torch fp32, naive"]["times_as_fast"] == 1
    assert rows["onnxruntime fp32, end-to-end"]["together"] is None
    assert 0 < rows["AdapNet++ alone: onnxruntime fp32, end-to-end"]["gflop"] < 2.1


@pytest.mark.skipif(torch.cuda.is_available(), reason="names what a machine without a GPU lacks")
def test_what_is_left_out_is_named_once_with_its_reason(report: dict[str, Any]) -> None:
    reasons = {each["what"]: each["why"] for each in report["left_out"]}
    assert sorted(reasons) == ["PyTorch on a GPU", "engines", "int8"]
    assert len(report["left_out"]) == 3
    assert "--calibrate" in reasons["int8"] and "GPU" in reasons["engines"]


def test_the_run_is_reported_in_full(report: dict[str, Any]) -> None:
    machine = report["machine"]
    assert machine["command"].split()[0] == "ssma" and machine["threads"] == 1
    named = {version.split()[0] for version in machine["versions"]}
    assert {"torch", "onnxruntime", "numpy", "opencv", "python"} <= named
    assert report["camera"] == [192, 96] and report["frames"] == 2
    (peak,) = report["tables"][0]["peaks"]
    assert (peak["device"], peak["precision"]) == ("cpu", "fp32") and peak["gflops"] > 0


def test_the_document_gets_the_table_between_its_marks(run: Path, report: dict[str, Any]) -> None:
    text = (run / "notes.md").read_text()
    assert text.startswith(f"before\n{MARKS[0]}\n") and text.endswith(f"{MARKS[1]}\nafter\n")
    assert "an old table" not in text
    for part in (report["machine"]["command"], report["machine"]["date"], "notes_cpu.png",
                 *(row["way"] for row in report["tables"][0]["rows"])):
        assert part in text


def test_the_chart_is_a_picture(run: Path) -> None:
    for name in ("benchmark.png", "notes_cpu.png"):
        picture = cv2.imread(str(run / name))
        assert picture.shape[1] > 600 and picture.std() > 10


def test_a_document_without_the_marks_is_refused_before_the_work(
        tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = tmp_path / "notes.md"
    document.write_text("nothing here\n")
    assert main(["benchmark", "--model", "full", "--docs", str(document)]) == 1
    assert MARKS[0] in capsys.readouterr().err
    assert document.read_text() == "nothing here\n"


def test_an_onnx_file_is_timed_without_torch(
        tiny_model: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for library in ("torch", "onnx"):
        monkeypatch.setitem(sys.modules, library, None)  # as if it were not installed
    assert main(["benchmark", "--model", str(tiny_model), "--size", "192x96", "--frames", "1",
                 "--threads", "1", "--output", str(tmp_path)]) == 0
    report = json.loads((tmp_path / "benchmark.json").read_text())
    (row,) = report["tables"][0]["rows"]
    assert row["way"] == "onnxruntime fp32, tiny.onnx" and row["gflop"] is None
    assert row["share_of_peak"] is None
    assert any("onnx" in each["why"] for each in report["left_out"])

"""Engine files: what is written comes back, and nothing runs that the engine was not built for."""
from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import TINY_SPEC

from ssma_core import SsmaError
from ssma_core.model_files import engine_file
from ssma_core.model_files.engine_file import EngineHeader, Gpu, Library
from ssma_core.model_files.exported import Exported, FrameFormat

ORIN = Gpu("Orin", (8, 7))
L4, RTX_4090 = Gpu("NVIDIA L4", (8, 9)), Gpu("NVIDIA GeForce RTX 4090", (8, 9))
RTX_2080, RTX_3090, RTX_5090 = (Gpu("NVIDIA GeForce RTX 2080", (7, 5)),
                                Gpu("NVIDIA GeForce RTX 3090", (8, 6)),
                                Gpu("NVIDIA GeForce RTX 5090", (12, 0)))

BUILD = "ssma build-engine --model /m/forest.onnx --output /m/forest.engine"
EXPORTED = Exported(TINY_SPEC, "fp16", FrameFormat((1280, 720), "uint16"), "0" * 64)
TENSORRT = EngineHeader(EXPORTED, "tensorrt", "10.13.3.9", L4, (), BUILD)
RTX = EngineHeader(EXPORTED, "tensorrt_rtx", "1.7.1.116", None, (), BUILD)
LIMITED = replace(RTX, capabilities=((8, 6), (12, 0)))


@pytest.mark.parametrize("header", [
    TENSORRT, RTX, LIMITED, replace(RTX, exported=replace(EXPORTED, frame=None, precision="int8"))])
def test_what_is_written_comes_back(tmp_path: Path, header: EngineHeader) -> None:
    plans = {"": memoryview(b"plan \0 plan"), "rgb": b"7 bytes"}
    engine_file.write(tmp_path / "m.engine", header, plans)
    assert engine_file.read(tmp_path / "m.engine") == (header, plans)


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(SsmaError, match="cannot write"):
        engine_file.write(tmp_path / "nowhere" / "m.engine", RTX, {"": b"plan"})
    with pytest.raises(TypeError):
        engine_file.write(tmp_path / "m.engine", RTX, {"": None})  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def flip(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1:]


@pytest.mark.parametrize(("harm", "message"), [
    (lambda data: b"", "not an engine file of this program"),
    (lambda data: b"ftrt" + data, "not an engine file of this program"),
    (lambda data: data[:16], "cut short or damaged"),
    (lambda data: data[:100], "cut short or damaged"),
    (lambda data: data[:-1], "cut short or damaged"),
    (lambda data: data + b"\0", "cut short or damaged"),
    (lambda data: flip(data, 60), "cut short or damaged"),
    (lambda data: flip(data, len(data) - 1), "cut short or damaged"),
])
def test_a_bad_file_is_named_with_what_to_do(
        tmp_path: Path, harm: Callable[[bytes], bytes], message: str) -> None:
    path = tmp_path / "m.engine"
    engine_file.write(path, RTX, {"": bytes(1000)})
    path.write_bytes(harm(path.read_bytes()))
    with pytest.raises(SsmaError, match=f"m.engine is {message}.*`ssma build-engine`"):
        engine_file.read(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SsmaError, match=r"cannot read .*/m.engine: No such file"):
        engine_file.read(tmp_path / "m.engine")


def test_a_header_with_other_fields_is_of_another_version(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_file, "asdict", lambda _: {"library": "tensorrt"})
    engine_file.write(tmp_path / "m.engine", RTX, {"": b"plan"})
    with pytest.raises(SsmaError, match=r"m.engine was built by another version .*lacks exported"):
        engine_file.read(tmp_path / "m.engine")


@pytest.mark.parametrize(("header", "gpu"), [
    (TENSORRT, L4),
    (RTX, RTX_3090), (RTX, RTX_4090), (RTX, RTX_5090), (RTX, Gpu("NVIDIA A100", (8, 0))),
    (LIMITED, RTX_3090), (LIMITED, RTX_5090),
])
def test_what_it_was_built_for_may_run_it(header: EngineHeader, gpu: Gpu) -> None:
    engine_file.check(header, header.library, header.version, gpu)


@pytest.mark.parametrize(("header", "here", "fault", "more"), [
    # An engine runs with the version that built it, to the last number.
    (TENSORRT, ("tensorrt", "10.13.2.6", L4),
     "built by TensorRT 10.13.3.9 .*here is TensorRT 10.13.2.6", "--library tensorrt"),
    (TENSORRT, ("tensorrt", "11.0.0.1", L4), "here is TensorRT 11.0.0.1", "--library tensorrt"),
    (RTX, ("tensorrt_rtx", "1.6.1.120", RTX_4090),
     "built by TensorRT for RTX 1.7.1.116 .*here is TensorRT for RTX 1.6.1.120",
     "--library tensorrt_rtx"),
    # The command is for what is installed here.
    (TENSORRT, ("tensorrt_rtx", "1.7.1.116", L4), "here is TensorRT for RTX",
     "--library tensorrt_rtx"),
    (RTX, ("tensorrt", "10.13.3.9", L4), "here is TensorRT 10.13.3.9", "--library tensorrt"),
    (LIMITED, ("tensorrt", "10.13.3.9", RTX_3090), "here is TensorRT 10.13.3.9",
     "--library tensorrt"),
    # TensorRT measures on one GPU, and another of the same capability is still another.
    (TENSORRT, ("tensorrt", "10.13.3.9", ORIN),
     r"built for NVIDIA L4 \(compute capability 8.9\), and here is Orin \(compute capability 8.7\)",
     "--library tensorrt"),
    (TENSORRT, ("tensorrt", "10.13.3.9", RTX_4090), "here is NVIDIA GeForce RTX 4090",
     "--library tensorrt"),
    # TensorRT for RTX: Ampere and later, or what it was limited to. Older GPUs have TensorRT.
    (RTX, ("tensorrt_rtx", "1.7.1.116", RTX_2080),
     "built for compute capability 8.0 and later, and here is NVIDIA GeForce RTX 2080",
     "--library tensorrt"),
    (LIMITED, ("tensorrt_rtx", "1.7.1.116", L4),
     "built for compute capability 8.6, 12.0, and here is NVIDIA L4",
     "--library tensorrt_rtx --compute-capability 8.6 8.9 12.0"),
    (LIMITED, ("tensorrt_rtx", "1.6.1.120", RTX_3090), "here is TensorRT for RTX 1.6.1.120",
     "--library tensorrt_rtx --compute-capability 8.6 12.0"),
])
def test_anything_else_is_refused_with_the_command_that_rebuilds_it(
        header: EngineHeader, here: tuple[Library, str, Gpu], fault: str, more: str) -> None:
    with pytest.raises(SsmaError, match=fault) as error:
        engine_file.check(header, *here)
    assert str(error.value).endswith(f"build it again here: {BUILD} {more}")


def test_reading_an_engine_imports_no_heavy_library(tmp_path: Path) -> None:
    engine_file.write(tmp_path / "m.engine", RTX, {"": b"plan"})
    program = ("import sys; from ssma_core.model_files import engine_file; "
               f"engine_file.read({str(tmp_path / 'm.engine')!r}); "
               "sys.exit(bool({'torch', 'onnx', 'onnxruntime', 'safetensors', 'tensorrt', "
               "'tensorrt_rtx'} & set(sys.modules)))")
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0

"""Engines: built for real by TensorRT for RTX, which needs no GPU for that; where TensorRT is
another, by a stand-in."""
from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event
from types import ModuleType, SimpleNamespace
from typing import Any

import onnx
import pytest
import torch
from conftest import ROOT, TINY_SPEC
from safetensors import safe_open

from ssma_core import SsmaError
from ssma_core.backends import tensorrt_library
from ssma_core.bags.pairing import PairingSettings
from ssma_core.cli import main
from ssma_core.export import build_progress
from ssma_core.export.engine import build_engine
from ssma_core.model import build
from ssma_core.model_files import checkpoint, engine_file, onnx_parts
from ssma_core.model_files.checkpoint import weights_hash
from ssma_core.model_files.engine_file import Gpu
from ssma_core.model_files.exported import Exported, FrameFormat, to_metadata

needs_rtx = pytest.mark.skipif(sys.platform == "darwin", reason="no TensorRT for RTX for macOS")
EXPORTED = Exported(TINY_SPEC, "fp32", None, "0" * 64)
L4 = Gpu("NVIDIA L4", (8, 9))


class Bars(list[Any]):
    """Stands in for tqdm: keeps the bars that were made, and counts those that are open."""

    def __init__(self) -> None:
        super().__init__()
        self.open = 0
        self.cancelled = Event()

    def __call__(self, desc: str, total: int, position: int, **_: object) -> Any:
        bar = SimpleNamespace(desc=desc, total=total, position=position, n=0, below=self.open)
        bar.update = lambda steps: setattr(bar, "n", bar.n + steps)
        bar.close = lambda: setattr(self, "open", self.open - 1)
        self.open += 1
        self.append(bar)
        return bar

    def write(self, text: str, file: object) -> None:
        assert "stopping" in text
        self.cancelled.set()


@pytest.fixture
def bars(monkeypatch: pytest.MonkeyPatch) -> Bars:
    bars = Bars()
    monkeypatch.setattr(build_progress, "tqdm", bars)
    return bars


@needs_rtx
def test_an_engine_is_built_without_a_gpu(tiny_model: Path, tmp_path: Path) -> None:
    output = tmp_path / "m.engine"
    built = build_engine(tiny_model, output, "the command", library="tensorrt_rtx")
    header, plans = engine_file.read(output)
    assert header == built
    assert header.exported == onnx_parts.read(tiny_model)[1]
    assert (header.library, header.gpu, header.command) == ("tensorrt_rtx", None, "the command")
    assert engine_file.runs_on(header) == "compute capability 8.0 and later"
    weights = sum(onnx.numpy_helper.to_array(w).nbytes
                  for w in onnx.load(tiny_model).graph.initializer)
    assert len(plans[onnx_parts.WHOLE]) > weights
    assert [path.name for path in tmp_path.iterdir()] == ["m.engine"]


@needs_rtx
def test_phases_are_shown_below_the_phases_they_are_part_of(
        tiny_model: Path, tmp_path: Path, bars: Bars) -> None:
    build_engine(tiny_model, tmp_path / "m.engine", "", library="tensorrt_rtx")
    assert [bar.position for bar in bars] == [bar.below for bar in bars]
    assert max(bar.position for bar in bars) >= 2
    assert bars[0].desc == "Building engine"
    assert any(bar.n == bar.total > 100 for bar in bars)  # a step a node, at least
    assert all(bar.n <= bar.total for bar in bars)
    assert bars.open == 0


@needs_rtx
def test_an_interrupted_build_stops_and_leaves_nothing(
        tiny_model: Path, tmp_path: Path, bars: Bars, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupting(*arguments: Any, **more: Any) -> Any:
        if not bars:
            os.kill(os.getpid(), signal.SIGINT)
            assert bars.cancelled.wait(60)
        return bars(*arguments, **more)

    interrupting.write = bars.write  # type: ignore[attr-defined]
    monkeypatch.setattr(build_progress, "tqdm", interrupting)
    with pytest.raises(KeyboardInterrupt):
        build_engine(tiny_model, tmp_path / "m.engine", "", library="tensorrt_rtx")
    assert "Build canceled" in " ".join(tensorrt_library.load("tensorrt_rtx").logger.errors)
    assert not list(tmp_path.iterdir())
    build_engine(tiny_model, tmp_path / "m.engine", "", library="tensorrt_rtx")  # works as ever


@needs_rtx
def test_an_engine_can_be_limited_to_some_gpus(tiny_model: Path, tmp_path: Path) -> None:
    header = build_engine(tiny_model, tmp_path / "m.engine", "", library="tensorrt_rtx",
                          capabilities=[(8, 6), (12, 0)], workspace=512)
    assert header.capabilities == ((8, 6), (12, 0))
    assert engine_file.read(tmp_path / "m.engine")[0] == header


@needs_rtx
def test_a_capability_that_the_library_does_not_know_is_refused(
        tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(SsmaError, match=r"for no compute capability 8.7; it knows .*8\.6, 8\.9"):
        build_engine(tiny_model, tmp_path / "m.engine", "", library="tensorrt_rtx",
                     capabilities=[(8, 7)])


def one_node(path: Path, *, exported: Exported | None = EXPORTED) -> None:
    """An ONNX file of a transposition of uint8, which TensorRT for RTX refuses."""
    image = onnx.helper.make_tensor_value_info("rgb", onnx.TensorProto.UINT8, [4, 6, 3])
    planes = onnx.helper.make_tensor_value_info("labels", onnx.TensorProto.UINT8, [3, 4, 6])
    node = onnx.helper.make_node("Transpose", ["rgb"], ["labels"], "rgb/to_planes", perm=[2, 0, 1])
    model = onnx.helper.make_model(
        onnx.helper.make_graph([node], "graph", [image], [planes]),
        opset_imports=[onnx.helper.make_opsetid("", 18)])
    if exported is not None:
        onnx.helper.set_model_props(model, to_metadata(exported))
    onnx.save(model, path)


@needs_rtx
def test_a_node_that_cannot_be_built_is_named_with_the_reason(tmp_path: Path) -> None:
    one_node(tmp_path / "m.onnx")
    with pytest.raises(SsmaError, match=r"m.onnx: TensorRT for RTX [\d.]+ cannot take the node "
                       r"'rgb/to_planes' \(Transpose\): .*type UInt8 but must have") as error:
        build_engine(tmp_path / "m.onnx", tmp_path / "m.engine", "", library="tensorrt_rtx")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "m.engine").exists()


def test_an_exported_file_says_what_it_is(tmp_path: Path) -> None:
    exported = replace(EXPORTED, precision="int8")
    one_node(tmp_path / "m.onnx", exported=exported)
    assert onnx_parts.read(tmp_path / "m.onnx")[1] == exported


@pytest.mark.parametrize(("content", "message"), [
    (None, "cannot read .*m.onnx: No such file"),
    (b"", "m.onnx: it is not one of ours"),
    (b"\xff" * 100, "m.onnx is not an ONNX model, or it is cut short"),
])
def test_a_file_that_is_none_of_ours_is_refused(
        tmp_path: Path, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / "m.onnx").write_bytes(content)
    with pytest.raises(SsmaError, match=message):
        build_engine(tmp_path / "m.onnx", tmp_path / "m.engine", "")


def test_an_onnx_file_that_is_cut_short_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(tiny_model.read_bytes()[:-1000])
    with pytest.raises(SsmaError, match=r"m.onnx is not an ONNX model, or it is cut short"):
        build_engine(tmp_path / "m.onnx", tmp_path / "m.engine", "")


# -------------------------------------------------------------- TensorRT, and which library

@pytest.fixture
def tensorrt(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The stand-in, installed beside any other; the GPU is an L4."""
    monkeypatch.syspath_prepend(ROOT / "test" / "stand_ins")
    monkeypatch.setattr("ssma_core.backends.cuda", SimpleNamespace(gpu=lambda: L4), raising=False)
    monkeypatch.delitem(sys.modules, "tensorrt", raising=False)
    tensorrt_library._load.cache_clear()
    import tensorrt as module
    yield module
    del sys.modules["tensorrt"]
    tensorrt_library._load.cache_clear()


def test_tensorrt_comes_first_where_both_are_installed(tensorrt: ModuleType) -> None:
    assert tensorrt_library.load().module is tensorrt


@needs_rtx
def test_the_library_can_be_chosen(tensorrt: ModuleType) -> None:
    loaded = tensorrt_library.load("tensorrt_rtx")
    assert loaded.module.__name__ == "tensorrt_rtx"
    assert loaded.version == loaded.module.__version__


def test_without_a_library_the_commands_that_install_one_are_named(
        tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SsmaError, match=r"neither is installed: `pip install tensorrt` .* or "
                       r"`pip install tensorrt-rtx-cu13`"):
        build_engine(tiny_model, tmp_path / "m.engine", "")


@pytest.mark.parametrize(("library", "package"), [
    ("tensorrt", "tensorrt"), ("tensorrt_rtx", "tensorrt-rtx-cu13")])
def test_a_library_that_is_requested_and_missing_is_named(
        monkeypatch: pytest.MonkeyPatch, library: Any, package: str) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    tensorrt_library._load.cache_clear()
    with pytest.raises(SsmaError, match=f"is not installed.*: pip install {package}$"):
        tensorrt_library.load(library)


@pytest.mark.parametrize("version", ["10.13.3.9", "11.4.1.2"])
def test_networks_are_strongly_typed(
        tiny_model: Path, tmp_path: Path, tensorrt: ModuleType, monkeypatch: pytest.MonkeyPatch,
        version: str) -> None:
    """TensorRT 10 must be asked for it, by 1 << STRONGLY_TYPED, and 11 may."""
    monkeypatch.setattr(tensorrt, "__version__", version)
    header = build_engine(tiny_model, tmp_path / "m.engine", "")
    assert tensorrt.networks == [1 << 1]
    assert (header.library, header.version, header.gpu) == ("tensorrt", version, L4)
    assert engine_file.read(tmp_path / "m.engine") == (header, {"": b"plan"})


def test_the_flag_for_it_may_be_gone(
        tiny_model: Path, tmp_path: Path, tensorrt: ModuleType,
        monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorRT 11 knows no other networks and only tolerates it."""
    monkeypatch.delattr(tensorrt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED")
    build_engine(tiny_model, tmp_path / "m.engine", "")
    assert tensorrt.networks == [0]


def test_measurements_are_kept_for_the_next_build(
        tiny_model: Path, tmp_path: Path, tensorrt: ModuleType) -> None:
    cache = tmp_path / "l4.cache"
    for measured in (b"measured ", b"measured measured "):
        build_engine(tiny_model, tmp_path / "m.engine", "", timing_cache=cache)
        assert cache.read_bytes() == measured


def test_measurements_that_cannot_be_kept_do_not_cost_the_engine(
        tiny_model: Path, tmp_path: Path, tensorrt: ModuleType,
        caplog: pytest.LogCaptureFixture) -> None:
    header = build_engine(tiny_model, tmp_path / "m.engine", "",
                          timing_cache=tmp_path / "nowhere" / "l4.cache")
    assert engine_file.read(tmp_path / "m.engine")[0] == header
    assert f"cannot be kept: cannot write {tmp_path}/nowhere/l4.cache" in caplog.text


def test_measurements_of_another_gpu_are_refused_and_kept(
        tiny_model: Path, tmp_path: Path, tensorrt: ModuleType) -> None:
    cache = tmp_path / "h100.cache"
    cache.write_bytes(b"of another GPU")
    with pytest.raises(SsmaError, match=r"h100.cache is of another .* delete it"):
        build_engine(tiny_model, tmp_path / "m.engine", "", timing_cache=cache)
    assert cache.read_bytes() == b"of another GPU"


def test_a_build_that_fails_says_why_and_leaves_the_old_engine(
        tiny_model: Path, tmp_path: Path, tensorrt: ModuleType) -> None:
    (tmp_path / "m.engine").write_bytes(b"old")
    with pytest.raises(SsmaError, match=r"TensorRT 10.13.3.9 cannot build the engine: no tactic "
                       "fits into the workspace$"):
        build_engine(tiny_model, tmp_path / "m.engine", "", workspace=1)
    assert (tmp_path / "m.engine").read_bytes() == b"old"


@needs_rtx
def test_an_option_of_the_other_library_is_refused(
        tiny_model: Path, tmp_path: Path, tensorrt: ModuleType) -> None:
    with pytest.raises(SsmaError, match="leave out --compute-capability"):
        build_engine(tiny_model, tmp_path / "m.engine", "", capabilities=[(8, 6)])
    with pytest.raises(SsmaError, match="leave out --timing-cache"):
        build_engine(tiny_model, tmp_path / "m.engine", "", library="tensorrt_rtx",
                     timing_cache=tmp_path / "cache")


def test_without_a_gpu_tensorrt_says_what_to_do(
        tiny_model: Path, tmp_path: Path, tensorrt: ModuleType,
        monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> None:
        raise SsmaError("no GPU")

    monkeypatch.setattr("ssma_core.backends.cuda", SimpleNamespace(gpu=none))
    with pytest.raises(SsmaError, match=r"\(no GPU\): run this command there, or build with "
                       "--library tensorrt_rtx"):
        build_engine(tiny_model, tmp_path / "m.engine", "")


def test_without_pycuda_tensorrt_says_what_to_do(
        tiny_model: Path, tmp_path: Path, tensorrt: ModuleType,
        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("ssma_core.backends.cuda")
    monkeypatch.delitem(sys.modules, "ssma_core.backends.cuda", raising=False)
    monkeypatch.setitem(sys.modules, "pycuda", None)
    with pytest.raises(SsmaError, match="pip install pycuda"):
        build_engine(tiny_model, tmp_path / "m.engine", "")


# -------------------------------------------------------------- the command

FULL_SPEC = replace(TINY_SPEC, size="full", input_size=(768, 384))


def build_with(model: Path, output: Path, *more: str) -> int:
    return main(["build-engine", "--model", str(model), "--output", str(output), *more])


def numbers(model: Path) -> int:
    """How many a checkpoint holds."""
    with safe_open(model, framework="numpy") as file:
        return sum(file.get_tensor(name).size for name in file.keys())  # noqa: SIM118


@needs_rtx
@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_a_checkpoint_becomes_an_engine_for_a_camera(
        tiny_model_safetensors: Path, tmp_path: Path, precision: str,
        capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "m.engine"
    assert build_with(tiny_model_safetensors, output, "--camera", "1280x720", "--aux", "uint16",
                      "--precision", precision, "--library", "tensorrt_rtx") == 0
    header, plans = engine_file.read(output)
    assert header.exported.frame == FrameFormat((1280, 720), "uint16")
    assert header.exported.precision == precision
    network, spec = checkpoint.load(tiny_model_safetensors)
    assert (header.exported.spec, header.exported.weights) == (spec, weights_hash(network))
    # Batch norms are folded.
    assert len(plans[onnx_parts.WHOLE]) > 2 * numbers(tiny_model_safetensors) * 0.9
    said = capsys.readouterr().out
    assert f"wrote {output}" in said
    assert f"ssma parity {tiny_model_safetensors} {output} --data DATA" in said
    assert list(tmp_path.iterdir()) == [output]  # nothing of the work is left


@needs_rtx
def test_what_labels_without_the_other_sensor_is_an_engine_of_its_own(tmp_path: Path) -> None:
    """The colour expert alone takes no depth; a vegetation index always needs colour."""
    output = tmp_path / "m.engine"
    assert build_with(ROOT / "models/tiny_forest.onnx", output, "--library", "tensorrt_rtx") == 0
    header, plans = engine_file.read(output)
    assert header.exported.unimodal == ("rgb", "depth")
    assert list(plans) == [onnx_parts.WHOLE, "rgb", "depth"]
    assert len(plans["rgb"]) < 0.7 * len(plans[onnx_parts.WHOLE])


@needs_rtx
def test_the_full_model_becomes_an_engine_for_a_camera(tmp_path: Path) -> None:
    """Random weights from a fixed seed. A weight takes two bytes in fp16, and would take four."""
    torch.manual_seed(0)
    model, output = tmp_path / "full.safetensors", tmp_path / "full.engine"
    checkpoint.save(model, build(FULL_SPEC), FULL_SPEC)
    assert build_with(model, output, "--camera", "1280x720", "--aux", "uint16",
                      "--precision", "fp16", "--library", "tensorrt_rtx") == 0
    header, plans = engine_file.read(output)
    assert header.exported.spec == FULL_SPEC
    assert 1.9 < len(plans[onnx_parts.WHOLE]) / numbers(model) < 2.5


@needs_rtx
def test_the_command_in_the_file_builds_it_again(
        tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a b.onnx").write_bytes(tiny_model.read_bytes())
    assert build_with(Path("a b.onnx"), Path("m.engine"), "--workspace", "512",
                      "--library", "tensorrt_rtx", "--compute-capability", "8.6") == 0
    header, _ = engine_file.read("m.engine")
    (tmp_path / "m.engine").unlink()
    monkeypatch.chdir("/")
    ada = Gpu("NVIDIA GeForce RTX 4090", (8, 9))
    program, *words = shlex.split(engine_file.rebuild_command(header, "tensorrt_rtx", ada))
    assert program == "ssma" and main(words) == 0
    again, _ = engine_file.read(tmp_path / "m.engine")
    assert again == replace(header, capabilities=((8, 6), (8, 9)))


def test_the_command_in_the_file_has_all_that_an_export_takes(
        tmp_path: Path, tensorrt: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ssma_core.commands.build_engine.export",
                        lambda options, path: one_node(path))
    monkeypatch.chdir(tmp_path)
    options = ["--camera", "640x480", "--aux", "uint16", "--precision", "int8",
               "--agreement", "99.0", "--workspace", "512", "--calibrate"]
    assert build_with(Path("m.safetensors"), Path("m.engine"), *options, "a bag",
                      "--topics", "/rgb", "/depth", "--slop", "0.05", "--aux-delay", "-0.1") == 0
    words = shlex.split(engine_file.read("m.engine")[0].command)
    assert words == ["ssma", "build-engine", "--model", str(tmp_path / "m.safetensors"),
                     "--output", str(tmp_path / "m.engine"), *options, str(tmp_path / "a bag"),
                     "--topics", "/rgb", "/depth", "--slop", "0.05", "--aux-delay", "-0.1"]


@pytest.mark.parametrize(("options", "message"), [
    (["--precision", "fp16"], "m.onnx is fp32 without --camera, .* export another: ssma export "
     "--model MODEL.safetensors --output .*m.onnx --precision fp16"),
    (["--camera", "640x480", "--aux", "uint16"],
     "export another: .* --camera 640x480 --aux uint16"),
    (["--aux", "uint16"], "give their size too"),
    (["--calibrate", "frames"], "are for a .safetensors file; .*m.onnx is fp32 without --camera"),
    (["--agreement", "99"], "are for a .safetensors file"),
])
def test_an_onnx_file_stays_what_it_is(
        tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str],
        message: str) -> None:
    one_node(tmp_path / "m.onnx")
    assert build_with(tmp_path / "m.onnx", tmp_path / "m.engine", *options) == 1
    assert re.search(message, capsys.readouterr().err)


def test_what_an_onnx_file_is_may_be_named(
        tmp_path: Path, tensorrt: ModuleType) -> None:
    end_to_end = replace(EXPORTED, precision="fp16", frame=FrameFormat((640, 480), "uint16"))
    one_node(tmp_path / "m.onnx", exported=end_to_end)
    assert build_with(tmp_path / "m.onnx", tmp_path / "m.engine", "--precision", "fp16",
                      "--camera", "640x480") == 0
    assert engine_file.read(tmp_path / "m.engine")[0].exported == end_to_end


@pytest.mark.parametrize(("names", "message"), [
    (("m.onnx", "m.trt"), "m.trt: an engine's name ends in .engine"),
    (("m.pth", "m.engine"), "m.pth: an engine is built from a .safetensors or an .onnx file"),
    (("none.onnx", "m.engine"), "cannot read .*none.onnx"),
    (("none.safetensors", "m.engine"), "cannot read .*none.safetensors"),
])
def test_files_of_other_names_are_refused(
        tmp_path: Path, tensorrt: ModuleType, capsys: pytest.CaptureFixture[str],
        names: tuple[str, str], message: str) -> None:
    one_node(tmp_path / "m.onnx")
    assert build_with(*(tmp_path / name for name in names)) == 1
    assert re.search(message, capsys.readouterr().err)
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]


@pytest.mark.parametrize("option", ["--output", "--timing-cache"])
@pytest.mark.parametrize(("place", "message"), [
    ("folder.engine", "cannot write .*/folder.engine: it is a folder; give a file's name"),
    ("nowhere/m.engine", "cannot write .*/nowhere/m.engine: No such file or directory; give a "
     "folder that exists"),
])
def test_a_place_where_nothing_can_be_written_is_refused_before_the_work(
        tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, place: str,
        message: str) -> None:
    """Before the model is so much as looked for."""
    (tmp_path / "folder.engine").mkdir()
    files = {"--output": tmp_path / "m.engine", option: tmp_path / place}
    assert main(["build-engine", "--model", "nothing.onnx",
                 *(str(word) for pair in files.items() for word in pair)]) == 1
    assert re.search(message, capsys.readouterr().err)
    assert [path.name for path in tmp_path.iterdir()] == ["folder.engine"]


@pytest.mark.parametrize("text", ["86", "8.", "sm86"])
def test_a_capability_is_written_with_a_dot(
        tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    with pytest.raises(SystemExit):
        build_with(tmp_path / "m.onnx", tmp_path / "m.engine", "--compute-capability", text)
    assert f"for example 8.6, not '{text}'" in capsys.readouterr().err


@pytest.mark.parametrize("holds", [True, False])
def test_an_engine_with_other_labels_is_not_written(
        tmp_path: Path, tensorrt: ModuleType, monkeypatch: pytest.MonkeyPatch, holds: bool) -> None:
    """The gate itself has tests of its own, and here there is no GPU for it."""
    one_node(tmp_path / "m.onnx")
    asked: list[object] = []

    def gate(a: Path, b: Path, data: Path, topics: object, pairing: PairingSettings, *,
             built_from: Path) -> str:
        asked.append((a, engine_file.read(b)[1], data, topics, pairing, built_from))
        if not holds:
            raise SsmaError("other labels")
        return "the same labels"

    monkeypatch.setattr("ssma_core.export.gate.gate", gate)
    built = build_with(tmp_path / "m.onnx", tmp_path / "m.engine", "--data", "bag",
                       "--topics", "/rgb", "/depth", "--slop", "0.03", "--aux-delay", "0.1")
    assert built == (0 if holds else 1)
    assert asked == [(tmp_path / "m.onnx", {"": b"plan"}, Path("bag"), ["/rgb", "/depth"],
                      PairingSettings(slop=0.03, aux_delay=0.1), tmp_path / "m.onnx")]
    assert (tmp_path / "m.engine").exists() == holds


def test_behind_a_link_to_another_name_the_engine_is_compared_as_an_engine(
        tmp_path: Path, tensorrt: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """What opens it goes by the suffix."""
    one_node(tmp_path / "m.onnx")
    (tmp_path / "m.engine").symlink_to("newest")
    asked: list[str] = []
    monkeypatch.setattr("ssma_core.export.gate.gate",
                        lambda _, engine, *more, **named: asked.append(engine.suffix))
    assert build_with(tmp_path / "m.onnx", tmp_path / "m.engine", "--data", "bag") == 0
    assert asked == [".engine"]
    assert (tmp_path / "m.engine").is_symlink() and (tmp_path / "newest").is_file()


def test_engines_are_compared_only_where_they_can_run(
        tmp_path: Path, tensorrt: ModuleType, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str]) -> None:
    def none() -> None:
        raise SsmaError("no GPU")

    monkeypatch.setattr("ssma_core.backends.cuda", SimpleNamespace(gpu=none))
    one_node(tmp_path / "m.onnx")
    assert build_with(tmp_path / "m.onnx", tmp_path / "m.engine", "--data", "bag") == 1
    assert "run `ssma parity` where the engine is to run" in capsys.readouterr().err


def test_an_engine_of_an_onnx_file_is_built_without_torch(
        tmp_path: Path, tensorrt: ModuleType) -> None:
    one_node(tmp_path / "m.onnx")
    program = ("import sys; from types import SimpleNamespace; from ssma_core import backends\n"
               "from ssma_core.cli import main; from ssma_core.model_files.engine_file import Gpu\n"
               "backends.cuda = SimpleNamespace(gpu=lambda: Gpu('NVIDIA L4', (8, 9)))\n"
               f"assert main(['build-engine', '--model', {str(tmp_path / 'm.onnx')!r}, "
               f"'--output', {str(tmp_path / 'm.engine')!r}]) == 0\n"
               "assert not {'torch', 'onnx', 'safetensors'} & set(sys.modules)")
    stand_ins = {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "test" / "stand_ins")])}
    subprocess.run([sys.executable, "-c", program], check=True, env=os.environ | stand_ins)

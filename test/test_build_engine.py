"""Engines: built for real by TensorRT for RTX, which needs no GPU for that; where TensorRT is
another, by a stand-in."""
from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import onnx
import pytest
from conftest import ROOT, TINY_SPEC

from ssma_core import SsmaError, engine_file, tensorrt_library
from ssma_core.engine_file import Gpu
from ssma_core.export import build_progress
from ssma_core.export.engine import build_engine, read_exported
from ssma_core.exported import Exported, to_metadata

needs_rtx = pytest.mark.skipif(sys.platform == "darwin", reason="no TensorRT for RTX for macOS")
EXPORTED = Exported(TINY_SPEC, "fp32", None, "0" * 64)
L4 = Gpu("NVIDIA L4", (8, 9))


class Bars(list[Any]):
    """Stands in for tqdm: keeps the bars that were made, and counts those that are open."""

    def __init__(self) -> None:
        super().__init__()
        self.open = 0

    def __call__(self, desc: str, total: int, position: int, **_: object) -> Any:
        bar = SimpleNamespace(desc=desc, total=total, position=position, n=0, below=self.open)
        bar.update = lambda steps: setattr(bar, "n", bar.n + steps)
        bar.close = lambda: setattr(self, "open", self.open - 1)
        self.open += 1
        self.append(bar)
        return bar

    def write(self, text: str, file: object) -> None:
        self.written = text


@pytest.fixture
def bars(monkeypatch: pytest.MonkeyPatch) -> Bars:
    bars = Bars()
    monkeypatch.setattr(build_progress, "tqdm", bars)
    return bars


@needs_rtx
def test_an_engine_is_built_without_a_gpu(tiny_model: Path, tmp_path: Path) -> None:
    output = tmp_path / "m.engine"
    built = build_engine(tiny_model, output, "the command", library="tensorrt_rtx")
    header, plan = engine_file.read(output)
    assert header == built
    assert header.exported == read_exported(tiny_model)
    assert (header.library, header.gpu, header.command) == ("tensorrt_rtx", None, "the command")
    assert engine_file.runs_on(header) == "compute capability 8.0 and later"
    weights = sum(onnx.numpy_helper.to_array(w).nbytes
                  for w in onnx.load(tiny_model).graph.initializer)
    assert len(plan) > weights
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
        return bars(*arguments, **more)

    interrupting.write = bars.write  # type: ignore[attr-defined]
    monkeypatch.setattr(build_progress, "tqdm", interrupting)
    with pytest.raises(KeyboardInterrupt):
        build_engine(tiny_model, tmp_path / "m.engine", "", library="tensorrt_rtx")
    assert "Build canceled" in " ".join(tensorrt_library.load("tensorrt_rtx").logger.errors)
    assert "stopping" in bars.written
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
    assert read_exported(tmp_path / "m.onnx") == exported


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
    """The stand-in, installed beside whatever is; the GPU is an L4."""
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


def test_without_a_library_the_commands_that_install_one_are_told(
        tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SsmaError, match=r"neither is installed: `pip install tensorrt` .* or "
                       r"`pip install tensorrt-rtx-cu13`"):
        build_engine(tiny_model, tmp_path / "m.engine", "")


@pytest.mark.parametrize(("library", "package"), [
    ("tensorrt", "tensorrt"), ("tensorrt_rtx", "tensorrt-rtx-cu13")])
def test_a_library_that_is_asked_for_and_missing_is_named(
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
    assert engine_file.read(tmp_path / "m.engine") == (header, b"plan")


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

"""The ways to run a model: every backend and precision on this machine."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

from ssma_core.benchmark.files import Setting, built, exported, no_engines
from ssma_core.benchmark.models import Model, alone
from ssma_core.benchmark.opened import EagerModel, EngineModel, OpenedModel, SegmenterModel
from ssma_core.errors import SsmaError
from ssma_core.model_files import engine_file
from ssma_core.model_files.exported import FrameFormat, Precision

Device = Literal["cpu", "gpu"]


@dataclass(frozen=True)
class Way:
    """One way to run a model.

    library: the backend's name.
    end_to_end: True: it takes only the camera's arrays; False: also the images that the network
      sees.
    together: how it takes several frames at once; None: one after the other.
    """

    name: str
    model: Model
    library: str
    device: Device
    precision: Precision
    end_to_end: bool
    together: Literal["in one batch", "two under way"] | None
    open: Callable[[], OpenedModel]

    @property
    def full_name(self) -> str:
        return f"{self.model.name}: {self.name}"


@dataclass(frozen=True)
class LeftOut:
    """A thing without a figure, and why."""

    what: str
    why: str


def ways(model: Model, frame: FrameFormat, setting: Setting) -> Iterator[Way | LeftOut]:
    """Exports and builds the files that the ways take. All ways of a model must give the labels of
    the first one. frame: the format of the camera's frames."""
    if model.checkpoint is not None:
        yield from _in_torch(model, setting)
        yield _exported(model, "fp32", None, setting)
        yield _exported(model, "fp32", frame, setting)
        yield _exported(model, "int8", frame, setting)
        yield _exported(model, "fp16", None, setting, engine=True)
        yield _exported(model, "fp32", frame, setting, engine=True)
        yield _exported(model, "fp16", frame, setting, engine=True)
        yield _exported(model, "int8", frame, setting, engine=True)
    for path, facts in model.exported:
        way = _of_file(path, model, facts.precision, facts.frame is not None, setting)
        yield replace(way, name=f"{way.name}, {path.name}")
    if model.checkpoint is not None and model.spec.architecture == "ssma":
        lone, frame = alone(model, setting.folder), FrameFormat(frame.size, None)
        yield _naive(lone, setting)
        yield _exported(lone, "fp32", frame, setting)
        yield _exported(lone, "fp16", frame, setting, engine=True)


def _in_torch(model: Model, setting: Setting) -> Iterator[Way | LeftOut]:
    import torch

    yield _naive(model, setting)
    yield _eager("torch fp32, channels last", model, "fp32", setting)
    yield _front("torch fp32", model, "fp32", setting)
    if torch.cuda.is_available():
        yield _eager("torch fp16, channels last", model, "fp16", setting)
        yield _front("torch fp16", model, "fp16", setting)
    else:
        yield LeftOut("PyTorch on a GPU", f"PyTorch {torch.__version__} finds none")


def _naive(model: Model, setting: Setting) -> Way:
    return _eager("torch fp32, naive", model, "fp32", setting, naive=True)


def _eager(name: str, model: Model, precision: Precision, setting: Setting, *,
           naive: bool = False) -> Way:
    assert model.checkpoint is not None
    open_it = partial(EagerModel, model.checkpoint, setting.threads, precision, naive)
    return Way(name, model, "torch", _torch_device(), precision, False, "in one batch", open_it)


def _front(name: str, model: Model, precision: Literal["fp32", "fp16"], setting: Setting) -> Way:
    assert model.checkpoint is not None
    open_it = partial(SegmenterModel, model.checkpoint, setting.threads, precision)
    return Way(name, model, "torch", _torch_device(), precision, False, None, open_it)


def _torch_device() -> Device:
    """Where PyTorch runs by default."""
    import torch

    return "gpu" if torch.cuda.is_available() else "cpu"


def _exported(model: Model, precision: Precision, frame: FrameFormat | None, setting: Setting, *,
              engine: bool = False) -> Way | LeftOut:
    """As ONNX, or as an engine built from that."""
    if engine and no_engines():
        return LeftOut("engines", no_engines())
    if precision == "int8" and setting.calibration is None:
        return LeftOut("int8", "it is calibrated with frames: give some with --calibrate, or an "
                       "exported int8 file as --model")
    try:
        path = exported(model, precision, frame, setting)
        path = built(path) if engine else path
    except SsmaError as error:
        name = _name("TensorRT" if engine else "onnxruntime", precision, frame is not None)
        return LeftOut(f"{model.name}: {name}", str(error))
    return _of_file(path, model, precision, frame is not None, setting)


def _of_file(path: Path, model: Model, precision: Precision, end_to_end: bool,
             setting: Setting) -> Way:
    """Of an exported file."""
    if path.suffix == ".onnx":
        return Way(_name("onnxruntime", precision, end_to_end), model, "onnxruntime", "cpu",
                   precision, end_to_end, None, partial(SegmenterModel, path, setting.threads))
    library = engine_file.read(path)[0].library
    name = _name(engine_file.LIBRARY_NAMES[library], precision, end_to_end)
    if end_to_end:
        return Way(name, model, library, "gpu", precision, True, "two under way",
                   partial(EngineModel, path))
    return Way(name, model, library, "gpu", precision, False, None,
               partial(SegmenterModel, path, setting.threads))


def _name(library: str, precision: Precision, end_to_end: bool) -> str:
    return f"{library} {precision}" + (", end-to-end" if end_to_end else "")

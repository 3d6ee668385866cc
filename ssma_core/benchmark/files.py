"""The files that the ways need: exported and built for the benchmark."""
from __future__ import annotations

import shlex
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ssma_core.bags.pairing import DEFAULT_PAIRING, PairingSettings
from ssma_core.benchmark.models import Model
from ssma_core.errors import SsmaError
from ssma_core.model_files.exported import FrameFormat, Precision, size_in_words


@dataclass(frozen=True)
class Setting:
    """The settings that are the same for all models.

    camera: (width, height) of the frames. threads: of the CPU.
    calibration, topics, pairing: data for int8, as `open_inputs` takes them.
    folder: where files are written.
    """

    camera: tuple[int, int]
    threads: int
    calibration: Path | None
    folder: Path
    topics: tuple[str, ...] = ()
    pairing: PairingSettings = DEFAULT_PAIRING


@cache
def exported(model: Model, precision: Precision, frame: FrameFormat | None,
             setting: Setting) -> Path:
    """The model as ONNX. frame: None for a file that takes the images that the network sees."""
    from ssma_core.export.onnx import export
    from ssma_core.model_files import checkpoint

    assert model.checkpoint is not None
    camera = [] if frame is None else [size_in_words(frame.size)]
    path = setting.folder / ("_".join([model.name, *camera, precision]) + ".onnx")
    network, spec = checkpoint.load(model.checkpoint)
    if precision != "int8":
        export(network, spec, path, frame, precision)
        return path
    from ssma_core.datasets.inputs import open_inputs
    from ssma_core.export.int8 import export_int8

    assert setting.calibration is not None
    # The frames that are timed are others: here only half as many labels may differ as there.
    data = open_inputs(setting.calibration, spec, setting.topics, setting.pairing)
    export_int8(network, spec, path, data, frame=frame, agreement=(1 + model.least_agreement) / 2)
    return path


def built(onnx: Path) -> Path:
    """The engine of an ONNX file."""
    from ssma_core.export.engine import build_engine

    engine = onnx.with_suffix(".engine")
    build_engine(onnx, engine, shlex.join(
        ["ssma", "build-engine", "--model", str(onnx), "--output", str(engine)]))
    return engine


@cache
def no_engines() -> str:
    """Why no engine can be built and run here; "" where engines can."""
    from ssma_core.backends import tensorrt_library
    from ssma_core.export.engine import gpu_at_hand

    try:
        tensorrt_library.load()
        gpu_at_hand("they run on an NVIDIA GPU", "run this command where there is one")
    except SsmaError as error:
        return str(error)
    return ""

"""Engine files: what TensorRT built, and what must fit before it may run. No TensorRT in here."""
from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from ssma_core.errors import SsmaError
from ssma_core.files import atomic_write
from ssma_core.model_files.exported import Exported
from ssma_core.plain import from_plain

Library = Literal["tensorrt", "tensorrt_rtx"]
Buffer = bytes | memoryview
LIBRARY_NAMES: dict[Library, str] = {"tensorrt": "TensorRT", "tensorrt_rtx": "TensorRT for RTX"}

# What a file begins with: magic, the header's length in bytes, CRC-32 of all that follows.
_FRONT = struct.Struct("<14sII")
_MAGIC = b"SSMA engine 2\n"
_ALIGNED = 64  # a plan begins at a multiple of so many bytes
_PORTABLE_FROM = (8, 0)  # what TensorRT for RTX builds runs from here on, unless it was limited


@dataclass(frozen=True)
class Gpu:
    """name: as CUDA gives it. capability: compute capability, (major, minor)."""

    name: str
    capability: tuple[int, int]

    def __str__(self) -> str:
        return f"{self.name} ({capability_in_words(self.capability)})"


@dataclass(frozen=True)
class EngineHeader:
    """What an engine is, and what may run it.

    exported: the ONNX file it was built from.
    library, version: what built it; nothing else can run it.
    gpu: the GPU it was built on and for. None with TensorRT for RTX, which compiles for the GPU at
      hand when it loads an engine.
    capabilities: with TensorRT for RTX, the compute capabilities it was limited to; when there are
      none it may run on 8.0 and later.
    command: `ssma build-engine` with the options that it was built by, less --library and
      --compute-capability: the machine at hand decides those.
    """

    exported: Exported
    library: Library
    version: str
    gpu: Gpu | None
    capabilities: tuple[tuple[int, int], ...]
    command: str


def write(path: str | Path, header: EngineHeader, plans: Mapping[str, Buffer]) -> None:
    """Writes `path` whole or not at all.

    plans: the engines, as TensorRT serializes them, by the names of `onnx_parts.parts`.
    """
    sizes = {name: len(plan) for name, plan in plans.items()}
    text = json.dumps({"header": asdict(header), "plans": sizes}).encode()
    parts: list[Buffer] = [text + b" " * (-(_FRONT.size + len(text)) % _ALIGNED)]
    for plan in plans.values():
        parts += [plan, bytes(-len(plan) % _ALIGNED)]
    check = 0
    for part in parts:
        check = zlib.crc32(part, check)
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        for part in (_FRONT.pack(_MAGIC, len(parts[0]), check), *parts):
            file.write(part)


def read(path: str | Path) -> tuple[EngineHeader, dict[str, memoryview]]:
    """What was written. Raises SsmaError, naming the file, when it cannot be read, is no engine
    file of this project, or was cut short or damaged."""
    try:
        data = memoryview(Path(path).read_bytes())
    except OSError as error:
        raise SsmaError(f"cannot read {path}: {error.strerror}") from error
    if bytes(data[:len(_MAGIC)]) != _MAGIC:
        raise SsmaError(f"{path} is no engine of this program, or of another version of it; build "
                        "one with `ssma build-engine`")
    if len(data) < _FRONT.size or zlib.crc32(data[_FRONT.size:]) != _FRONT.unpack_from(data)[2]:
        raise SsmaError(f"{path} is cut short or damaged; copy it again, or build it again with "
                        "`ssma build-engine`")
    plan_at = _FRONT.size + _FRONT.unpack_from(data)[1]
    values = json.loads(bytes(data[_FRONT.size:plan_at]))
    try:
        header = from_plain(EngineHeader, values["header"], "its header")
    except SsmaError as error:
        raise SsmaError(f"{path} was built by another version of this program ({error}); build it "
                        "again with `ssma build-engine`") from error
    plans = {}
    for name, size in values["plans"].items():
        plans[name] = data[plan_at:plan_at + size]
        plan_at += size + -size % _ALIGNED
    return header, plans


def check(header: EngineHeader, library: Library, version: str, gpu: Gpu) -> None:
    """Raises SsmaError, with the command that builds it again, unless this library of this version
    may run the engine on this GPU."""
    fault = _mismatch(header, library, version, gpu)
    if fault:
        raise SsmaError(f"{fault}; build it again here: {rebuild_command(header, library, gpu)}")


def rebuild_command(header: EngineHeader, library: Library, gpu: Gpu) -> str:
    """The command line that builds the engine for this library and GPU, and for the compute
    capabilities that it was limited to before."""
    if gpu.capability < _PORTABLE_FROM:  # there, TensorRT for RTX has no float32 matrix products
        library = "tensorrt"
    command = f"{header.command} --library {library}"
    if library == "tensorrt_rtx" and header.capabilities:
        capabilities = sorted({*header.capabilities, gpu.capability})
        command += f" --compute-capability {' '.join(map(_number, capabilities))}"
    return command


def runs_on(header: EngineHeader) -> str:
    """In words, for people: "NVIDIA L4 (compute capability 8.9)"."""
    if header.gpu is not None:
        return str(header.gpu)
    if not header.capabilities:
        return f"{capability_in_words(_PORTABLE_FROM)} and later"
    return capability_in_words(*header.capabilities)


def capability_in_words(*capabilities: tuple[int, int]) -> str:
    return "compute capability " + ", ".join(map(_number, capabilities))


def _mismatch(header: EngineHeader, library: Library, version: str, gpu: Gpu) -> str | None:
    built_by = f"{LIBRARY_NAMES[header.library]} {header.version}"
    here = f"{LIBRARY_NAMES[library]} {version}"
    if built_by != here:
        return f"the engine was built by {built_by} and runs with nothing else, and here is {here}"
    if not _may_run(header, gpu):
        return f"the engine was built for {runs_on(header)}, and here is {gpu}"
    return None


def _may_run(header: EngineHeader, gpu: Gpu) -> bool:
    if header.gpu is not None:
        return gpu == header.gpu
    if header.capabilities:
        return gpu.capability in header.capabilities
    return gpu.capability >= _PORTABLE_FROM


def _number(capability: tuple[int, int]) -> str:
    return f"{capability[0]}.{capability[1]}"

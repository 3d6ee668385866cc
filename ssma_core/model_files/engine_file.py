"""Engine files: TensorRT's serialized engines, with a header that says where they can run. This
module does not import TensorRT."""
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
from ssma_core.plain import from_json, from_plain

Library = Literal["tensorrt", "tensorrt_rtx"]
Plan = bytes | memoryview  # TensorRT's word for a serialized engine
LIBRARY_NAMES: dict[Library, str] = {"tensorrt": "TensorRT", "tensorrt_rtx": "TensorRT for RTX"}

# The start of a file: magic, the header's length in bytes, CRC-32 of that length and of everything
# after this. In the last version's files it was of what comes after this only.
_FRONT = struct.Struct("<14sII")
_LENGTH = slice(14, 18)
_MAGIC, _LAST_MAGIC = b"SSMA engine 3\n", b"SSMA engine 2\n"
_ALIGNMENT = 64  # a plan begins at a multiple of this many bytes
_PORTABLE_FROM = (8, 0)  # engines of TensorRT for RTX run from here on, unless they were limited


@dataclass(frozen=True)
class Gpu:
    """name: as CUDA reports it. capability: compute capability, (major, minor)."""

    name: str
    capability: tuple[int, int]

    def __str__(self) -> str:
        return f"{self.name} ({capability_in_words(self.capability)})"


@dataclass(frozen=True)
class EngineHeader:
    """What an engine contains, and where it can run.

    exported: the ONNX file that it was built from.
    library, version: what built it; only the same library in the same version can run it.
    gpu: the GPU that it was built on and for. None for TensorRT for RTX, which compiles for the
      local GPU when it loads an engine.
    capabilities: for TensorRT for RTX, the compute capabilities that it was limited to; if empty,
      it can run on 8.0 and later.
    command: `ssma build-engine` with the options of its build, without --library and
      --compute-capability, which depend on the machine.
    """

    exported: Exported
    library: Library
    version: str
    gpu: Gpu | None
    capabilities: tuple[tuple[int, int], ...]
    command: str


@dataclass(frozen=True)
class _Contents:
    """A file's header as JSON. plans: their sizes in bytes."""

    header: EngineHeader
    plans: dict[str, int]


def write(path: str | Path, header: EngineHeader, plans: Mapping[str, Plan]) -> None:
    """Writes `path` atomically.

    plans: the engines, serialized by TensorRT, by the names of `onnx_parts.parts`.
    """
    sizes = {name: len(plan) for name, plan in plans.items()}
    text = json.dumps({"header": asdict(header), "plans": sizes}).encode()
    parts: list[Plan] = [text + b" " * (-(_FRONT.size + len(text)) % _ALIGNMENT)]
    for plan in plans.values():
        parts += [plan, bytes(-len(plan) % _ALIGNMENT)]
    check = zlib.crc32(struct.pack("<I", len(parts[0])))
    for part in parts:
        check = zlib.crc32(part, check)
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        for part in (_FRONT.pack(_MAGIC, len(parts[0]), check), *parts):
            file.write(part)


def read(path: str | Path) -> tuple[EngineHeader, dict[str, memoryview]]:
    """Reads what `write` wrote. Raises SsmaError, naming the file, when it cannot be read, is not
    an engine file of this project, or is cut short or damaged."""
    try:
        data = memoryview(Path(path).read_bytes())
    except OSError as error:
        raise SsmaError(f"cannot read {path}: {error.strerror}") from error
    magic = bytes(data[:len(_MAGIC)])
    if magic not in (_MAGIC, _LAST_MAGIC):
        raise SsmaError(f"{path} is not an engine file of this program, or is one of another "
                        "version; build one with `ssma build-engine`")
    damaged = SsmaError(f"{path} is cut short or damaged; copy it again, or build it again with "
                        "`ssma build-engine`")
    if len(data) < _FRONT.size:
        raise damaged
    _, length, check = _FRONT.unpack_from(data)
    if zlib.crc32(data[_FRONT.size:], zlib.crc32(data[_LENGTH]) if magic == _MAGIC else 0) != check:
        raise damaged
    plan_at = _FRONT.size + length
    try:
        values = from_json(bytes(data[_FRONT.size:plan_at]), "its header")
    except SsmaError as error:  # the length, which the last version's checksum leaves out
        raise damaged from error
    try:
        found = from_plain(_Contents, values, "it")
    except SsmaError as error:
        raise SsmaError(f"{path} was built by another version of this program ({error}); build it "
                        "again with `ssma build-engine`") from error
    plans = {}
    for name, size in found.plans.items():
        if not 0 <= size <= len(data) - plan_at:
            raise damaged
        plans[name] = data[plan_at:plan_at + size]
        plan_at += size + -size % _ALIGNMENT
    return found.header, plans


def check(header: EngineHeader, library: Library, version: str, gpu: Gpu) -> None:
    """Raises SsmaError, with the command that builds the engine again, unless this library in this
    version can run it on this GPU."""
    fault = _mismatch(header, library, version, gpu)
    if fault:
        raise SsmaError(f"{fault}; build it again here: {rebuild_command(header, library, gpu)}")


def rebuild_command(header: EngineHeader, library: Library, gpu: Gpu) -> str:
    """The command line that builds the engine for this library and GPU, and also for the compute
    capabilities that it was limited to before."""
    if gpu.capability < _PORTABLE_FROM:  # on these TensorRT for RTX has no float32 matrix product
        library = "tensorrt"
    command = f"{header.command} --library {library}"
    if library == "tensorrt_rtx" and header.capabilities:
        capabilities = sorted({*header.capabilities, gpu.capability})
        command += f" --compute-capability {' '.join(map(_number, capabilities))}"
    return command


def runs_on(header: EngineHeader) -> str:
    """Where the engine can run, as text: "NVIDIA L4 (compute capability 8.9)"."""
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
    if not _can_run(header, gpu):
        return f"the engine was built for {runs_on(header)}, and here is {gpu}"
    return None


def _can_run(header: EngineHeader, gpu: Gpu) -> bool:
    if header.gpu is not None:
        return gpu == header.gpu
    if header.capabilities:
        return gpu.capability in header.capabilities
    return gpu.capability >= _PORTABLE_FROM


def _number(capability: tuple[int, int]) -> str:
    return f"{capability[0]}.{capability[1]}"

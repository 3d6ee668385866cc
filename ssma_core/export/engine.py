"""An ONNX file of `ssma export` as an engine, by TensorRT 10 or 11 or TensorRT for RTX. Networks
are strongly typed: the ONNX file alone decides the precision. Imports no torch and no onnx."""
from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ssma_core.backends import tensorrt_library
from ssma_core.backends.tensorrt_library import TensorRt
from ssma_core.errors import SsmaError
from ssma_core.export.build_progress import progress_monitor
from ssma_core.files import atomic_write
from ssma_core.model_files import engine_file, onnx_parts
from ssma_core.model_files.engine_file import EngineHeader, Gpu, Library

_MIB = 1 << 20
_log = logging.getLogger(__name__)


def build_engine(model: Path, output: Path, command: str, *, library: Library | None = None,
                 capabilities: Sequence[tuple[int, int]] = (), workspace: int | None = None,
                 timing_cache: Path | None = None) -> EngineHeader:
    """Writes `output`, whole or not at all, and returns its header.

    model: an .onnx file of `ssma export`. command: EngineHeader.command.
    library: as for `ssma_core.backends.tensorrt_library.load`.
    capabilities: limits what TensorRT for RTX builds to these compute capabilities; none: no limit.
    workspace: the most MiB that a layer may use beside its tensors; None: all memory.
    timing_cache: TensorRT's measurements, read if the file exists and written after the build; an
      error in that does not fail the build.
    Raises SsmaError when the file, the library or an option does not fit, and with TensorRT's own
    message when it cannot build. A KeyboardInterrupt first stops the build.
    """
    data, exported = onnx_parts.read(model)
    tensorrt = tensorrt_library.load(library)
    gpu = _gpu_to_build_for(tensorrt, capabilities, timing_cache)
    builder = tensorrt.module.Builder(tensorrt.logger)
    config = builder.create_builder_config()
    if workspace is not None:
        config.set_memory_pool_limit(tensorrt.module.MemoryPoolType.WORKSPACE, workspace * _MIB)
    _limit(tensorrt, config, capabilities)
    cache = None if timing_cache is None else _timing_cache(config, timing_cache)
    plans: dict[str, memoryview] = {}
    for name, part in onnx_parts.parts(data, exported).items():
        network, _parser = _network(tensorrt, builder, part, model)
        plans[name] = memoryview(_built(tensorrt, builder, network, config))
    header = EngineHeader(exported, tensorrt.library, tensorrt.version, gpu, tuple(capabilities),
                          command)
    engine_file.write(output, header, plans)
    if cache is not None and timing_cache is not None:
        _keep_measurements(cache, timing_cache)
    return header


def gpu_at_hand(why: str, otherwise: str) -> Gpu:
    """The GPU. Raises SsmaError where none can be used: why it is needed, what is wrong, and what
    else to do."""
    try:
        from ssma_core.backends import cuda
        return cuda.gpu()
    except ModuleNotFoundError as error:
        fault = f"{error.name} is not installed: pip install {error.name}"
    except SsmaError as error:
        fault = str(error)
    raise SsmaError(f"{why}, which cannot be used here ({fault}): {otherwise}")


def _gpu_to_build_for(tensorrt: TensorRt, capabilities: Sequence[tuple[int, int]],
                      timing_cache: Path | None) -> Gpu | None:
    """None with TensorRT for RTX. Raises SsmaError for an option that the library does not use, and
    where TensorRT has no GPU."""
    if tensorrt.library == "tensorrt_rtx":
        if timing_cache is not None:
            raise SsmaError("TensorRT for RTX measures nothing while it builds: leave out "
                            "--timing-cache")
        return None
    if capabilities:
        raise SsmaError("TensorRT builds for the GPU at hand: leave out --compute-capability, or "
                        "build with --library tensorrt_rtx")
    return gpu_at_hand("TensorRT builds on the GPU that is to run the engine",
                       "run this command there, or build with --library tensorrt_rtx")


def _network(tensorrt: TensorRt, builder: Any, part: bytes, model: Path) -> tuple[Any, Any]:
    """The network, and the parser that owns its weights. model: for errors."""
    # TensorRT 10 needs the flag; 11 and RTX know only such networks, and may drop the flag.
    flag = getattr(tensorrt.module.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    network = builder.create_network(0 if flag is None else 1 << int(flag))
    parser = tensorrt.module.OnnxParser(network, tensorrt.logger)
    if not parser.parse(part):
        faults = [_parser_error(parser.get_error(i)) for i in range(parser.num_errors)]
        raise SsmaError(f"{model}: {tensorrt.name} {tensorrt.version} cannot take "
                        + "; ".join(faults))
    return network, parser


def _parser_error(error: Any) -> str:
    # Without a GPU it fails to format its message and adds that error; it is not the reason.
    reason = ", ".join(line for line in error.desc().splitlines() if "CudaError" not in line)
    where = f"the node {error.node_name()!r} ({error.node_operator()})" if error.node() >= 0 else (
        "the file")
    return f"{where}: {reason} [{error.code().name}]"


def _limit(tensorrt: TensorRt, config: Any, capabilities: Sequence[tuple[int, int]]) -> None:
    if not capabilities:
        return
    known = {name.removeprefix("SM"): value  # "SM86" is 8.6
             for name, value in tensorrt.module.ComputeCapability.__members__.items()
             if name.startswith("SM")}
    config.num_compute_capabilities = len(capabilities)
    for index, (major, minor) in enumerate(capabilities):
        if f"{major}{minor}" not in known:
            numbers = [f"{name[:-1]}.{name[-1]}" for name in sorted(known, key=int)]
            raise SsmaError(f"{tensorrt.name} {tensorrt.version} builds for no compute capability "
                            f"{major}.{minor}; it knows {', '.join(numbers)}")
        config.set_compute_capability(known[f"{major}{minor}"], index)


def _timing_cache(config: Any, path: Path) -> Any:
    cache = config.create_timing_cache(path.read_bytes() if path.exists() else b"")
    if cache is None or not config.set_timing_cache(cache, ignore_mismatch=False):
        raise SsmaError(f"the timing cache {path} is of another TensorRT or another GPU; delete "
                        "it, or give another file")
    return cache


def _keep_measurements(cache: Any, path: Path) -> None:
    """If they cannot be written, the next build takes longer, and this engine is still good."""
    try:
        with atomic_write(path) as temporary:
            temporary.write_bytes(cache.serialize())
    except (OSError, SsmaError) as error:
        _log.warning("the next build must measure again, since the measurements cannot be kept: %s",
                     error)


def _built(tensorrt: TensorRt, builder: Any, network: Any, config: Any) -> Any:
    """The serialized engine. It is built in a thread of its own, so that a KeyboardInterrupt is
    raised here and not within the library's calls of the monitor, which must not raise."""
    monitor = progress_monitor(tensorrt.module)
    config.progress_monitor = monitor
    tensorrt.logger.errors.clear()
    with ThreadPoolExecutor(1) as thread:
        thread.submit(bool).result()  # a pool waits at its end only for a thread that was started
        try:
            plan = thread.submit(builder.build_serialized_network, network, config).result()
        except KeyboardInterrupt:
            monitor.cancel()
            raise
    if plan is None:
        raise SsmaError(f"{tensorrt.name} {tensorrt.version} cannot build the engine: "
                        + ("; ".join(tensorrt.logger.errors) or "it gives no reason"))
    return plan

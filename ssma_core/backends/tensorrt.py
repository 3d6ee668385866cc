"""Engines on an NVIDIA GPU: TensorRT or TensorRT for RTX, pycuda and NumPy; no torch."""
from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ssma_core.backends import cuda, tensorrt_library
from ssma_core.backends.tensorrt_library import TensorRt
from ssma_core.errors import SsmaError
from ssma_core.files import atomic_write
from ssma_core.model_files import engine_file
from ssma_core.model_files.engine_file import LIBRARY_NAMES, Library
from ssma_core.model_files.exported import bound_inputs, unimodal_inputs, unimodal_output
from ssma_core.model_files.onnx_parts import WHOLE

Array = npt.NDArray[Any]
_log = logging.getLogger(__name__)


class TensorRtBackend:
    """See ssma_core.backends.Backend. The file is one that `ssma build-engine` wrote.

    Any thread may use it, one at a time. It holds GPU memory until it is closed or garbage
    collected.
    """

    def __init__(self, model: Path) -> None:
        header, plans = engine_file.read(model)
        self.name: str = header.library
        self._exported = header.exported
        self.spec = header.exported.spec
        self.precision = header.exported.precision
        self.frame = header.exported.frame
        self.end_to_end = self.frame is not None
        self.unimodal = header.exported.unimodal
        self._engines: dict[str, Engine] = {}
        try:
            library = _loaded(header.library)
            engine_file.check(header, library.library, library.version, cuda.gpu())
            self._close = cuda.free_at_the_end(self, _close, self._engines)
            for name, plan in plans.items():
                cache_file = model.with_name(
                    ".".join(filter(None, (model.name, name, "kernels"))))
                self._engines[name] = Engine(library, plan, cache_file)
        except SsmaError as error:
            with suppress(SsmaError):  # the first error says what is wrong
                _close(self._engines)
            raise SsmaError(f"{model}: {error}") from error

    def run(self, images: Sequence[Array], outputs: Sequence[str]) -> dict[str, Array]:
        return next(self.run_each([images], outputs))

    def run_each(self, frames: Iterable[Sequence[Array]],
                 outputs: Sequence[str]) -> Iterator[dict[str, Array]]:
        """Yields the frames' answers in order, each as `run` returns it: while the GPU computes one
        frame, the next is copied to it. Nothing else may run until the last answer is taken."""
        inputs = (bound_inputs(self._exported, images) for images in frames)
        return self._engine(WHOLE).run_each(inputs, outputs)

    def run_unimodal(self, modality: int, image: Array, outputs: Sequence[str]) -> dict[str, Array]:
        name = self.spec.modalities[modality].name
        inputs = unimodal_inputs(self._exported, modality, image)
        names = [unimodal_output(name, output) for output in outputs]
        answer = next(self._engine(name).run_each([inputs], names))
        return dict(zip(outputs, map(answer.__getitem__, names)))

    def close(self) -> None:
        self._close()

    def _engine(self, name: str) -> Engine:
        if name not in self._engines:
            raise SsmaError("the engine was closed: open it again")
        return self._engines[name]


def _loaded(wanted: Library) -> TensorRt:
    """Returns the other library where only that one can be loaded: the check then refuses the
    engine with the command that builds it for that library."""
    try:
        return tensorrt_library.load(wanted)
    except SsmaError:
        [other] = LIBRARY_NAMES.keys() - {wanted}
        with suppress(SsmaError):
            return tensorrt_library.load(other)
        raise


def _close(engines: dict[str, Engine]) -> None:
    """Closes all of them, whatever one of them raises."""
    with ExitStack() as closing:
        while engines:
            closing.callback(engines.popitem()[1].close)


class Engine:
    """A built engine on the GPU: arrays in, arrays out, by the names of its tensors.

    cache_file: where the runtime cache of TensorRT for RTX is kept.
    """

    def __init__(self, library: TensorRt, plan: memoryview, cache_file: Path) -> None:
        self._library = library
        self._slots: list[ExecutionSlot] = []
        self._engine = self._config = None
        with cuda.current():
            runtime = library.module.Runtime(library.logger)
            self._engine = _done(library, "load the engine", runtime.deserialize_cuda_engine, plan)
            try:
                self._config = _runtime_config(library, self._engine, cache_file)
                self._slot(0)
            except BaseException:
                self._forget()
                raise
            if self._config is not None:
                _save_runtime_cache(self._config, cache_file)

    def run_each(self, frames: Iterable[Mapping[str, Array]],
                 outputs: Sequence[str]) -> Iterator[dict[str, Array]]:
        """See TensorRtBackend.run_each. One frame takes one execution slot, more take two."""
        before = None
        for number, inputs in enumerate(frames):
            with cuda.current():
                slot = self._slot(number % 2)
                slot.submit(inputs, outputs)
            if before is not None:
                yield self._answer(before, outputs)
            before = slot
        if before is not None:
            yield self._answer(before, outputs)

    def close(self) -> None:
        """Nothing can be run after that. Closing again does nothing."""
        try:
            with suppress(cuda.GpuLost), cuda.current(), ExitStack() as last_first:
                last_first.callback(self._forget)
                for slot in self._slots:
                    last_first.callback(slot.free)
        finally:
            self._forget()

    def _forget(self) -> None:
        self._slots.clear()
        self._engine = self._config = None

    def _slot(self, number: int) -> ExecutionSlot:
        if number == len(self._slots):
            self._slots.append(ExecutionSlot(self._library, self._engine, self._config))
        return self._slots[number]

    def _answer(self, slot: ExecutionSlot, outputs: Sequence[str]) -> dict[str, Array]:
        with cuda.current():
            return slot.answer(outputs)


class ExecutionSlot:
    """What one frame at a time needs: a stream, the tensors' memory and the network's working
    memory, all made once. Two slots share nothing, so that one computes while the other copies.

    config: None where we capture the network's work ourselves, else what captures it.
    """

    def __init__(self, library: TensorRt, engine: Any, config: Any) -> None:
        self._library = library
        self._stream: Any = None
        self._context: Any = None
        self._buffers: dict[str, cuda.Buffer] = {}
        self._graph: cuda.CudaGraph | None = None
        try:
            self._stream = cuda.new_stream()
            self._context = _done(
                library, "make room for the network on the GPU", engine.create_execution_context,
                *([] if config is None else [config]))
            for name in map(engine.get_tensor_name, range(engine.num_io_tensors)):
                self._bind(engine, name)
            # Run once without a frame: TensorRT prepares itself in the first run, and work can be
            # captured only after that.
            self._enqueue()
            self._stream.synchronize()
            if config is None:
                self._graph = cuda.capture(self._stream, self._execute)
        except BaseException:
            with suppress(cuda.driver.Error, SsmaError):  # the first error says what is wrong
                self.free()
            raise

    def submit(self, inputs: Mapping[str, Array], outputs: Sequence[str]) -> None:
        """Returns before the work is done; `inputs` may be overwritten then."""
        for name, array in inputs.items():
            buffer = self._buffers[name]
            np.copyto(buffer.host, array, casting="no")
            buffer.to_device(self._stream)  # while the next array is copied
        if self._graph is None:
            self._enqueue()
        else:
            self._graph.launch(self._stream)
        for name in outputs:
            self._buffers[name].to_host(self._stream)

    def answer(self, outputs: Sequence[str]) -> dict[str, Array]:
        """Waits for what was submitted. outputs: the same as then."""
        self._stream.synchronize()
        return {name: self._buffers[name].host.copy() for name in outputs}

    def free(self) -> None:
        """Frees everything, also where a part of it raises. The slot cannot be used after that."""
        with ExitStack() as last_first:
            last_first.callback(setattr, self, "_stream", None)
            for buffer in self._buffers.values():
                last_first.callback(buffer.free)
            last_first.callback(setattr, self, "_context", None)
            if self._graph is not None:
                last_first.callback(self._graph.free)
            if self._stream is not None:
                last_first.callback(self._stream.synchronize)

    def _bind(self, engine: Any, name: str) -> None:
        dtype = self._library.module.nptype(engine.get_tensor_dtype(name))
        buffer = self._buffers[name] = cuda.Buffer(tuple(engine.get_tensor_shape(name)), dtype)
        _done(self._library, f"bind {name}", self._context.set_tensor_address, name,
              buffer.address)

    def _enqueue(self) -> None:
        _done(self._library, "run the network", self._execute)

    def _execute(self) -> bool:
        return bool(self._context.execute_async_v3(self._stream.handle))


def _done(library: TensorRt, what: str, call: Callable[..., Any], *arguments: Any) -> Any:
    """Returns what the call returns. Raises SsmaError, with what the library logged, when that is
    None or False."""
    library.logger.errors.clear()
    result = call(*arguments)
    if result is None or result is False:
        logged = "; ".join(library.logger.errors) or "it does not say why"
        raise cuda.explained(f"{library.name} could not {what}: {logged}")
    return result


def _runtime_config(library: TensorRt, engine: Any, cache_file: Path) -> Any:
    """None with TensorRT. TensorRT for RTX captures CUDA graphs by itself, and it compiles an
    engine's kernels for the GPU of this machine: the runtime cache keeps them between two runs."""
    if library.library != "tensorrt_rtx":
        return None
    config = engine.create_runtime_config()
    config.cuda_graph_strategy = library.module.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
    cache = config.create_runtime_cache()
    if cache_file.is_file():
        cache.deserialize(cache_file.read_bytes())  # it refuses that of another GPU or version
    config.set_runtime_cache(cache)
    return config


def _save_runtime_cache(config: Any, cache_file: Path) -> None:
    """Writes the runtime cache beside the engine, so that it opens without compiling next time."""
    compiled = bytes(config.get_runtime_cache().serialize())
    try:
        if not cache_file.is_file() or cache_file.read_bytes() != compiled:
            with atomic_write(cache_file) as temporary:
                temporary.write_bytes(compiled)
    except (OSError, SsmaError) as error:
        _log.warning("every start compiles the engine again, for its runtime cache cannot be kept: "
                     "%s", error)

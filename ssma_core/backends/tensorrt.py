"""Engines on an NVIDIA GPU: TensorRT or TensorRT for RTX, pycuda and NumPy; no torch."""
from __future__ import annotations

import logging
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
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

    Any thread may use it, one at a time. It holds GPU memory until it is closed or forgotten.
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
        self._close = weakref.finalize(self, _close, self._engines)
        try:
            library = _loaded(header.library)
            engine_file.check(header, library.library, library.version, cuda.gpu())
            for name, plan in plans.items():
                kernels = model.with_name(".".join(filter(None, (model.name, name, "kernels"))))
                self._engines[name] = Engine(library, plan, kernels)
        except SsmaError as error:
            self.close()
            raise SsmaError(f"{model}: {error}") from error

    def run(self, images: Sequence[Array], outputs: Sequence[str]) -> dict[str, Array]:
        return next(self.run_each([images], outputs))

    def run_each(self, frames: Iterable[Sequence[Array]],
                 outputs: Sequence[str]) -> Iterator[dict[str, Array]]:
        """The frames' answers, each as `run` gives it, in order: while the GPU computes one frame,
        the next is copied to it. Nothing else may be run until the last answer is taken."""
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
            raise SsmaError("the segmenter was closed; open the engine again")
        return self._engines[name]


def _loaded(wanted: Library) -> TensorRt:
    """Where it cannot be loaded and the other one can, that one: the check then refuses it with the
    command that builds the engine for it."""
    try:
        return tensorrt_library.load(wanted)
    except SsmaError:
        [other] = LIBRARY_NAMES.keys() - {wanted}
        with suppress(SsmaError):
            return tensorrt_library.load(other)
        raise


def _close(engines: dict[str, Engine]) -> None:
    while engines:
        engines.popitem()[1].close()


class Engine:
    """A built engine on the GPU: arrays in, arrays out, by the names of its tensors."""

    def __init__(self, library: TensorRt, plan: memoryview, kernels: Path) -> None:
        self._library = library
        self._lanes: list[ExecutionSlot] = []
        with cuda.current():
            runtime = library.module.Runtime(library.logger)
            self._engine = _done(library, "load the engine", runtime.deserialize_cuda_engine, plan)
            self._config = _runtime_config(library, self._engine, kernels)
            self._slot(0)
            if self._config is not None:
                _keep_kernels(self._config, kernels)

    def run_each(self, frames: Iterable[Mapping[str, Array]],
                 outputs: Sequence[str]) -> Iterator[dict[str, Array]]:
        """See TensorRtBackend.run_each. One frame alone takes one lane, more take two."""
        before = None
        for number, inputs in enumerate(frames):
            with cuda.current():
                lane = self._slot(number % 2)
                lane.submit(inputs, outputs)
            if before is not None:
                yield self._answer(before, outputs)
            before = lane
        if before is not None:
            yield self._answer(before, outputs)

    def close(self) -> None:
        with cuda.current():
            while self._lanes:
                self._lanes.pop().free()
            self._config = self._engine = None

    def _slot(self, number: int) -> ExecutionSlot:
        if number == len(self._lanes):
            self._lanes.append(ExecutionSlot(self._library, self._engine, self._config))
        return self._lanes[number]

    def _answer(self, lane: ExecutionSlot, outputs: Sequence[str]) -> dict[str, Array]:
        with cuda.current():
            return lane.answer(outputs)


class ExecutionSlot:
    """The way of one frame at a time: a stream, the tensors' memory and the network's working
    memory, all made once. Two lanes share nothing, so that one computes while the other copies.

    config: None where we capture the network's work ourselves, else what captures it.
    """

    def __init__(self, library: TensorRt, engine: Any, config: Any) -> None:
        self._library = library
        self._stream = cuda.new_stream()
        make = engine.create_execution_context
        self._context = _done(library, "make room for the network on the GPU", make,
                              *([] if config is None else [config]))
        self._buffers: dict[str, cuda.Buffer] = {}
        self._graph: cuda.Graph | None = None
        try:
            for name in map(engine.get_tensor_name, range(engine.num_io_tensors)):
                self._bind(engine, name)
            # Once for nothing: TensorRT prepares itself at the first run, and only what is
            # prepared can be captured.
            self._enqueue()
            self._stream.synchronize()
            if config is None:
                self._graph = cuda.capture(self._stream, self._execute)
        except BaseException:
            self.free()
            raise

    def submit(self, inputs: Mapping[str, Array], outputs: Sequence[str]) -> None:
        """Returns when all is underway; `inputs` may be overwritten then."""
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
        self._stream.synchronize()
        if self._graph is not None:
            self._graph.free()
        del self._context
        for buffer in self._buffers.values():
            buffer.free()
        del self._stream

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
    """What the call gives. Raises SsmaError, with what the library has to say, when that is None
    or False."""
    library.logger.errors.clear()
    result = call(*arguments)
    if result is None or result is False:
        said = "; ".join(library.logger.errors) or "it does not say why"
        raise cuda.explained(f"{library.name} could not {what}: {said}")
    return result


def _runtime_config(library: TensorRt, engine: Any, kernels: Path) -> Any:
    """None with TensorRT. TensorRT for RTX captures CUDA graphs by itself, and it compiles an
    engine's kernels for the GPU at hand: here it gets those that it compiled before."""
    if library.library != "tensorrt_rtx":
        return None
    config = engine.create_runtime_config()
    config.cuda_graph_strategy = library.module.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
    cache = config.create_runtime_cache()
    if kernels.is_file():
        cache.deserialize(kernels.read_bytes())  # it refuses those of another GPU or version
    config.set_runtime_cache(cache)
    return config


def _keep_kernels(config: Any, kernels: Path) -> None:
    """Writes the compiled kernels beside the engine, so that it opens at once next time."""
    compiled = bytes(config.get_runtime_cache().serialize())
    try:
        if not kernels.is_file() or kernels.read_bytes() != compiled:
            with atomic_write(kernels) as temporary:
                temporary.write_bytes(compiled)
    except (OSError, SsmaError) as error:
        _log.warning("every start compiles the engine anew, for its kernels cannot be kept: %s",
                     error)

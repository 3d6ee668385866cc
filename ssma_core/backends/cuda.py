"""The few things of CUDA that an engine needs: pycuda's, and graph capture, which pycuda lacks."""
from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from ssma_core.errors import NoAnswer, SsmaError
from ssma_core.model_files.engine_file import Gpu

_ON_THE_CPU = "without one, run the .onnx or .safetensors file on the CPU"
_ROOM = ("end other programs on the GPU, close other segmenters, or build a smaller engine "
         "(--precision fp16, or the tiny model)")
_RESTART = "the GPU does nothing more for this process: start it again"
_WHAT_TO_DO = {  # a part of CUDA's message: what helps
    "libcuda": f"engines need an NVIDIA GPU and its driver; {_ON_THE_CPU}",
    "undefined symbol": "pycuda was compiled for a newer CUDA than the driver's: update the driver,"
                        " or `pip install --no-cache-dir --force-reinstall pycuda` here",
    "no CUDA-capable device": f"engines need an NVIDIA GPU; {_ON_THE_CPU}",
    "driver version is insufficient": "update the NVIDIA driver",
    "initialization failure with error: 35": "update the NVIDIA driver",  # TensorRT's words
    "unsupported display driver": "update the NVIDIA driver, or restart after its update",
    "out of memory": _ROOM,
    "OutOfMemory": _ROOM,  # TensorRT's word
    "illegal memory access": _RESTART,
    "launch failure": _RESTART,
}


def explained(fault: str) -> SsmaError:
    """fault: the message of CUDA or TensorRT. Returns it with what to do, where that is known."""
    advice = [text for part, text in _WHAT_TO_DO.items() if part.lower() in fault.lower()]
    return SsmaError("; ".join([fault, *advice[:1]]))


try:
    from pycuda import driver
except ModuleNotFoundError:
    raise
except ImportError as missing:  # it is installed, and cannot be loaded
    raise explained(f"pycuda cannot be used here ({missing})") from missing


class GpuLost(NoAnswer):
    """The GPU failed before in a way that ends its work for this process, or the process ends."""


@contextmanager
def current() -> Iterator[None]:
    """Inside, CUDA calls go to the first GPU (CUDA_VISIBLE_DEVICES chooses another), and an error
    of CUDA is an SsmaError. Any thread may enter, and enter again. Raises GpuLost."""
    try:
        context = _context()
        context.push()
        try:
            yield
        except BaseException:
            context.leave_after_an_error()
            raise
        context.pop()
    except driver.Error as error:
        raise explained(f"the GPU: {error}") from error


def gpu() -> Gpu:
    with current():
        device = driver.Context.get_device()
        return Gpu(device.name(), device.compute_capability())


def free_at_the_end(owner: Any, free: Callable[..., None], *arguments: Any) -> Callable[[], Any]:
    """Calls free(*arguments) once: when the returned function is called, when the owner is garbage
    collected, or when the process ends. At the end the newest finalizer runs first: the context's
    is older, so that the context still exists when `free` runs. Raises SsmaError without a GPU."""
    with current():
        return weakref.finalize(owner, free, *arguments)


class _Context:
    """The primary context, which all libraries of the process share. It is kept until the process
    ends or the context fails.

    An illegal memory access and the like are sticky: every later call in the context fails, and
    `pop` and `push` may too. pycuda then aborts the process: when a thread ends while the context
    is on its stack, and when a destructor cannot enter it. After `detach` pycuda takes the context
    off the stack, and its destructors do nothing.
    """

    def __init__(self) -> None:
        driver.init()
        self._context = driver.Device(0).retain_primary_context()
        # pycuda's own destructor releases a primary context in the wrong way.
        self._detach = weakref.finalize(driver, self._context.detach)

    def push(self) -> None:
        if not self._detach.alive:
            raise GpuLost(f"the GPU failed before; {_RESTART}")
        try:
            self._context.push()
        except driver.Error:
            self._lose()
            raise

    def pop(self) -> None:
        try:
            self._context.pop()
        except driver.Error:
            self._lose()
            raise

    def leave_after_an_error(self) -> None:
        """`pop`, where the error is not a sticky one. Raises nothing: the error that is there says
        what is wrong."""
        try:
            driver.Context.synchronize()  # it fails again after a sticky error
        except driver.Error:
            self._lose()
            return
        with suppress(driver.Error):
            self.pop()

    def _lose(self) -> None:
        if self._detach.alive:
            self._detach()
        else:  # by another thread: pycuda clears this thread's stack when it looks for a context
            with suppress(driver.Error):
                new_stream()


@cache
def _context() -> _Context:
    return _Context()


def new_stream() -> Any:
    """A pycuda Stream that waits for no other stream, whichever library made that."""
    return driver.Stream(_NON_BLOCKING)


class Buffer:
    """One array's memory: on the GPU, and page-locked on the host, for asynchronous copies.

    host: NumPy array of the given shape and dtype. address: of the same bytes on the GPU.
    """

    def __init__(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> None:
        self.host: npt.NDArray[Any] = driver.pagelocked_empty(shape, np.dtype(dtype))
        self._device = driver.mem_alloc(self.host.nbytes)
        self.address = int(self._device)

    def to_device(self, stream: Any) -> None:
        driver.memcpy_htod_async(self._device, self.host, stream)

    def to_host(self, stream: Any) -> None:
        driver.memcpy_dtoh_async(self.host, self._device, stream)

    def free(self) -> None:
        """`host` must not be touched after that."""
        try:
            self._device.free()
        finally:
            self.host.base.free()  # type: ignore[union-attr]  # pycuda's allocation


class CudaGraph:
    """The captured work of a stream, launched in one call."""

    def __init__(self, handle: ctypes.c_void_p) -> None:
        self._handle = handle

    def launch(self, stream: Any) -> None:
        _call("cuGraphLaunch", self._handle, ctypes.c_void_p(stream.handle))

    def free(self) -> None:
        _call("cuGraphExecDestroy", self._handle)


def capture(stream: Any, enqueue: Callable[[], bool]) -> CudaGraph | None:
    """enqueue: puts work on the stream, and returns whether it could. The work is recorded and not
    run. Returns None where it cannot be captured; it can still be enqueued as before."""
    handle, executable = ctypes.c_void_p(stream.handle), ctypes.c_void_p()
    with ExitStack() as freed:
        graph = ctypes.c_void_p()
        freed.callback(_destroy, graph)
        _call("cuStreamBeginCapture_v2", handle, _OF_THIS_THREAD)
        try:
            enqueued = enqueue()
        finally:
            fault = _libcuda().cuStreamEndCapture(handle, ctypes.byref(graph))
        if fault or not enqueued:
            return None
        _call("cuGraphInstantiateWithFlags", ctypes.byref(executable), graph, ctypes.c_ulonglong(0))
    return CudaGraph(executable)


def _destroy(graph: ctypes.c_void_p) -> None:
    """graph: not set where a capture failed."""
    if graph.value:
        _call("cuGraphDestroy", graph)


_NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING
_OF_THIS_THREAD = 1  # CU_STREAM_CAPTURE_MODE_THREAD_LOCAL: other threads may allocate meanwhile


@cache
def _libcuda() -> Any:
    return ctypes.CDLL("libcuda.so.1")


def _call(function: str, *arguments: Any) -> None:
    fault = getattr(_libcuda(), function)(*arguments)
    if fault:
        text = ctypes.c_char_p()
        _libcuda().cuGetErrorString(fault, ctypes.byref(text))
        raise explained(f"the GPU: {function} failed: {(text.value or b'').decode()}")

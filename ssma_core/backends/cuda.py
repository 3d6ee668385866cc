"""The few things of CUDA that an engine needs: pycuda's, and graph capture, which pycuda lacks."""
from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from ssma_core.errors import SsmaError
from ssma_core.model_files.engine_file import Gpu

_ON_THE_CPU = "without one, run the .onnx or .safetensors file on the CPU"
_ROOM = ("end other programs on the GPU, close other segmenters, or build a smaller engine "
         "(--precision fp16, or the tiny model)")
_ANEW = "the GPU does nothing more for this process: start it again"
_WHAT_TO_DO = {  # a part of what CUDA says: what helps
    "libcuda": f"engines need an NVIDIA GPU and its driver; {_ON_THE_CPU}",
    "undefined symbol": "pycuda was compiled for a newer CUDA than the driver's: update the driver,"
                        " or `pip install --no-cache-dir --force-reinstall pycuda` here",
    "no CUDA-capable device": f"engines need an NVIDIA GPU; {_ON_THE_CPU}",
    "driver version is insufficient": "update the NVIDIA driver",
    "initialization failure with error: 35": "update the NVIDIA driver",  # TensorRT's words
    "unsupported display driver": "update the NVIDIA driver, or restart after its update",
    "out of memory": _ROOM,
    "OutOfMemory": _ROOM,  # TensorRT's word
    "illegal memory access": _ANEW,
    "launch failure": _ANEW,
}


def explained(fault: str) -> SsmaError:
    """fault: what CUDA or TensorRT said. The same with what to do, where that is known."""
    advice = [text for part, text in _WHAT_TO_DO.items() if part.lower() in fault.lower()]
    return SsmaError("; ".join([fault, *advice[:1]]))


try:
    from pycuda import driver
except ModuleNotFoundError:
    raise
except ImportError as missing:  # it is installed, and cannot be loaded
    raise explained(f"pycuda cannot be used here ({missing})") from missing


@contextmanager
def current() -> Iterator[None]:
    """Inside, CUDA calls go to the first GPU (CUDA_VISIBLE_DEVICES chooses another), and what CUDA
    finds wrong is an SsmaError. Any thread may enter, and enter again."""
    try:
        context = _context()
        context.push()
        try:
            yield
        finally:
            context.pop()
    except driver.Error as error:
        raise explained(f"the GPU: {error}") from error


def gpu() -> Gpu:
    with current():
        device = driver.Context.get_device()
        return Gpu(device.name(), device.compute_capability())


@cache
def _context() -> Any:
    """The one that all libraries of the process share, kept until it ends."""
    driver.init()
    context = driver.Device(0).retain_primary_context()
    # At the end, after every segmenter's memory: pycuda's own destructor lets go of it wrongly.
    weakref.finalize(driver, context.detach)
    return context


def new_stream() -> Any:
    """A pycuda Stream that waits for no other one, of whatever library."""
    return driver.Stream(_NON_BLOCKING)


class Buffer:
    """One array's memory, on the GPU and in host memory that the GPU copies from and to by itself.

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
        self._device.free()
        self.host.base.free()  # type: ignore[union-attr]  # pycuda's allocation


class Graph:
    """What a stream was once given to do, given again in one call."""

    def __init__(self, handle: ctypes.c_void_p) -> None:
        self._handle = handle

    def launch(self, stream: Any) -> None:
        _call("cuGraphLaunch", self._handle, ctypes.c_void_p(stream.handle))

    def free(self) -> None:
        _call("cuGraphExecDestroy", self._handle)


def capture(stream: Any, enqueue: Callable[[], bool]) -> Graph | None:
    """enqueue: puts work on the stream, and says whether it could. The work is not done, only
    remembered. None where it cannot be captured; it can be enqueued as before then."""
    handle, graph, executable = ctypes.c_void_p(stream.handle), ctypes.c_void_p(), ctypes.c_void_p()
    _call("cuStreamBeginCapture_v2", handle, _OF_THIS_THREAD)
    try:
        enqueued = enqueue()
    finally:
        fault = _libcuda().cuStreamEndCapture(handle, ctypes.byref(graph))
    if fault or not enqueued:
        return None
    _call("cuGraphInstantiateWithFlags", ctypes.byref(executable), graph, ctypes.c_ulonglong(0))
    _call("cuGraphDestroy", graph)
    return Graph(executable)


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

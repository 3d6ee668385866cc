"""A fake GPU: the few calls of pycuda, libcuda and TensorRT that an engine needs, on NumPy.

Its streams do nothing until they are waited for, so that an output read too early is a wrong one,
and its memory is forgotten when it is freed. A call without a current context is an error, and so
is one after the context was detached: on a real GPU it may crash.
"""
from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

Tensors = dict[str, tuple[tuple[int, ...], type]]
Network = Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]


class CudaError(Exception):
    """pycuda.driver.Error"""


class FakeGpu:
    """inputs, outputs: the network's tensors: shape and dtype, by name. network: what it computes.
    plans: the same three of other engines than b"plan", by what they are loaded from.

    done: what was asked of it and what it did, in order. live: what is allocated, by address.
    allocations: how many there ever were. faults: pycuda's and libcuda's calls that shall fail, and
    how; "execute" is TensorRT's, with what its logger receives. sticky: the error that every call
    raises from now on, as after an illegal memory access. kernels: what TensorRT for RTX compiled;
    given: those it was given.
    """

    def __init__(self, inputs: Tensors, outputs: Tensors, network: Network) -> None:
        self.inputs, self.outputs, self.network = inputs, outputs, network
        self.plans: dict[bytes, tuple[Tensors, Tensors, Network]] = {}
        self.done: list[str] = []
        self.live: dict[int, Any] = {}
        self.allocations = 0
        self.faults: dict[str, Any] = {}
        self.sticky: CudaError | None = None
        self.kernels, self.given = b"compiled", b""
        self.streams: dict[int, Stream] = {}
        self.graphs: dict[int, list[Any]] = {}
        self.depth = threading.local()
        self.context = Context(self)
        self.driver = _driver(self)
        self.tensorrt = _tensorrt(self)
        self.libcuda = Libcuda(self)

    def check(self, call: str) -> None:
        if self.sticky:
            raise self.sticky
        if call in self.faults:
            raise self.faults[call]
        if not self.contexts():
            raise CudaError(f"{call} failed: invalid device context")

    def contexts(self) -> int:
        """How many are current in this thread."""
        return getattr(self.depth, "value", 0) if self.context.is_valid else 0

    def allocated(self, memory: Any) -> int:
        self.allocations += 1
        self.live[self.allocations] = memory
        return self.allocations


class Context:
    """pycuda's: a context stays on the thread's stack where `pop` fails, and `detach` takes it off.
    pycuda aborts the process when a thread ends with one there."""

    def __init__(self, gpu: FakeGpu) -> None:
        self.gpu = gpu
        self.is_valid = True

    def push(self) -> None:
        if self.gpu.sticky or not self.is_valid:
            raise self.gpu.sticky or CudaError("cuCtxPushCurrent failed: invalid device context")
        self.gpu.depth.value = self.gpu.contexts() + 1

    def pop(self) -> None:
        self.gpu.check("cuCtxPopCurrent")
        self.gpu.depth.value -= 1

    def synchronize(self) -> None:
        self.gpu.check("cuCtxSynchronize")

    def detach(self) -> None:
        """Nothing that was made in the context can be used after that."""
        if not self.is_valid:
            raise CudaError("context::detach failed: cannot detach from invalid context")
        self.is_valid = False
        for made in (self.gpu.live, self.gpu.streams, self.gpu.graphs):
            made.clear()

    def get_device(self) -> Any:
        self.gpu.check("cuCtxGetDevice")
        return SimpleNamespace(name=lambda: "Fake", compute_capability=lambda: (9, 0))


class Stream:
    def __init__(self, gpu: FakeGpu) -> None:
        gpu.check("cuStreamCreate")
        self.gpu, self.pending, self.captured = gpu, [], None
        self.handle = 100 + len(gpu.streams)
        gpu.streams[self.handle] = self

    def add(self, name: str, work: Callable[[], None]) -> None:
        if self.captured is not None:
            self.captured.append(work)
            return
        self.gpu.done.append(f"asked: {name}")
        self.pending.append((name, work))

    def synchronize(self) -> None:
        self.gpu.check("cuStreamSynchronize")
        for name, work in self.pending:
            work()
            self.gpu.done.append(f"did: {name}")
        self.pending.clear()


class Allocation:
    """On the GPU."""

    def __init__(self, gpu: FakeGpu, size: int) -> None:
        gpu.check("cuMemAlloc")
        self.gpu, self.memory = gpu, np.zeros(size, np.uint8)
        self.address = gpu.allocated(self.memory)

    def __int__(self) -> int:
        return self.address

    def free(self) -> None:
        self.gpu.check("cuMemFree")
        del self.gpu.live[self.address]


class Pinned(bytearray):
    """On the host."""

    gpu: FakeGpu
    address: int

    def free(self) -> None:
        self.gpu.check("cuMemFreeHost")
        del self.gpu.live[self.address]


def _driver(gpu: FakeGpu) -> ModuleType:
    def pagelocked_empty(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        gpu.check("cuMemHostAlloc")
        memory = Pinned(int(np.prod(shape)) * np.dtype(dtype).itemsize)
        memory.gpu, memory.address = gpu, gpu.allocated(None)
        return np.ndarray(shape, dtype, memory)

    def to_device(device: Allocation, host: np.ndarray, stream: Stream) -> None:
        gpu.check("cuMemcpyHtoDAsync")
        stream.add("copy in", lambda: np.copyto(device.memory, host.reshape(-1).view(np.uint8)))

    def to_host(host: np.ndarray, device: Allocation, stream: Stream) -> None:
        gpu.check("cuMemcpyDtoHAsync")
        stream.add("copy out", lambda: np.copyto(host.reshape(-1).view(np.uint8), device.memory))

    def init() -> None:
        if "cuInit" in gpu.faults:
            raise gpu.faults["cuInit"]

    context = gpu.context
    module = ModuleType("pycuda.driver")
    for name, value in {
            "Error": CudaError, "init": init,
            "Device": lambda number: SimpleNamespace(retain_primary_context=lambda: context),
            "Context": context, "Stream": lambda flags: Stream(gpu),
            "mem_alloc": lambda size: Allocation(gpu, size), "pagelocked_empty": pagelocked_empty,
            "memcpy_htod_async": to_device, "memcpy_dtoh_async": to_host}.items():
        setattr(module, name, value)
    return module


class Libcuda:
    """Graph capture, as ctypes calls it: 0 is well."""

    def __init__(self, gpu: FakeGpu) -> None:
        self.gpu = gpu

    def cuStreamBeginCapture_v2(self, stream: ctypes.c_void_p, mode: int) -> int:
        self.gpu.streams[stream.value].captured = []
        return self._result("cuStreamBeginCapture_v2")

    def cuStreamEndCapture(self, stream: ctypes.c_void_p, graph: Any) -> int:
        asked = self.gpu.streams[stream.value]
        captured, asked.captured = asked.captured, None
        fault = self._result("cuStreamEndCapture")
        if not fault:
            graph._obj.value = 1
            self.gpu.graphs[1] = captured
        return fault

    def cuGraphInstantiateWithFlags(self, executable: Any, graph: ctypes.c_void_p,
                                    flags: ctypes.c_ulonglong) -> int:
        fault = self._result("cuGraphInstantiateWithFlags")
        if not fault:
            executable._obj.value = self.gpu.allocated(self.gpu.graphs[graph.value])
        return fault

    def cuGraphDestroy(self, graph: ctypes.c_void_p) -> int:
        del self.gpu.graphs[graph.value]
        return 0

    def cuGraphLaunch(self, executable: ctypes.c_void_p, stream: ctypes.c_void_p) -> int:
        work = self.gpu.live[executable.value]
        self.gpu.streams[stream.value].add("graph", lambda: [step() for step in work])
        return self._result("cuGraphLaunch")

    def cuGraphExecDestroy(self, executable: ctypes.c_void_p) -> int:
        fault = self._result("cuGraphExecDestroy")
        if not fault:
            del self.gpu.live[executable.value]
        return fault

    def cuGetErrorString(self, code: int, text: Any) -> int:
        text._obj.value = f"error {code}".encode()
        return 0

    def _result(self, call: str) -> int:
        if self.gpu.sticky:
            return 700
        return self.gpu.faults.get(call, 0 if self.gpu.contexts() else 201)


class Engine:
    def __init__(self, gpu: FakeGpu, inputs: Tensors, outputs: Tensors, network: Network) -> None:
        self.gpu, self.inputs, self.network = gpu, inputs, network
        self.tensors = {**inputs, **outputs}
        self.num_io_tensors = len(self.tensors)

    def get_tensor_name(self, index: int) -> str:
        return list(self.tensors)[index]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self.tensors[name][0]

    def get_tensor_dtype(self, name: str) -> type:
        return self.tensors[name][1]

    def create_runtime_config(self) -> RuntimeConfig:
        return RuntimeConfig(self.gpu)

    def create_execution_context(self, config: RuntimeConfig | None = None) -> ExecutionContext:
        return ExecutionContext(self, config)


class RuntimeConfig:
    """TensorRT for RTX's; it is its own runtime cache."""

    cuda_graph_strategy = "none"

    def __init__(self, gpu: FakeGpu) -> None:
        self.gpu = gpu

    def create_runtime_cache(self) -> RuntimeConfig:
        return self

    get_runtime_cache = create_runtime_cache

    def set_runtime_cache(self, cache: RuntimeConfig) -> None:
        pass

    def deserialize(self, kernels: bytes) -> bool:
        self.gpu.given = kernels
        return True

    def serialize(self) -> bytes:
        return self.gpu.kernels


class ExecutionContext:
    def __init__(self, engine: Engine, config: RuntimeConfig | None) -> None:
        self.gpu, self.engine, self.tensors = engine.gpu, engine, engine.tensors
        self.addresses: dict[str, int] = {}
        self.prepared = False
        self.name = "network" if config is None else f"network, {config.cuda_graph_strategy}"

    def set_tensor_address(self, name: str, address: int) -> bool:
        self.addresses[name] = address
        return True

    def execute_async_v3(self, handle: int) -> bool:
        self.gpu.check("execute_async_v3")
        stream = self.gpu.streams[handle]
        if "execute" in self.gpu.faults:
            self.gpu.logger.log("ERROR", self.gpu.faults["execute"])
            return False
        if stream.captured is not None and not self.prepared:
            return False
        self.prepared = True
        stream.add(self.name, self._compute)
        return True

    def _compute(self) -> None:
        answers = self.engine.network({name: self._tensor(name) for name in self.engine.inputs})
        for name, answer in answers.items():
            self._tensor(name)[...] = answer

    def _tensor(self, name: str) -> np.ndarray:
        shape, dtype = self.tensors[name]
        return self.gpu.live[self.addresses[name]].view(dtype).reshape(shape)


def _tensorrt(gpu: FakeGpu) -> ModuleType:
    class ILogger:
        Severity = SimpleNamespace(INTERNAL_ERROR="INTERNAL_ERROR", ERROR="ERROR")

    def runtime(logger: Any) -> Any:
        gpu.logger = logger

        def deserialize(plan: memoryview) -> Engine | None:
            plans = {b"plan": (gpu.inputs, gpu.outputs, gpu.network), **gpu.plans}
            return Engine(gpu, *plans[bytes(plan)]) if bytes(plan) in plans else None
        return SimpleNamespace(deserialize_cuda_engine=deserialize)

    module = ModuleType("tensorrt")
    for name, value in {
            "__version__": "10.13.3.9", "ILogger": ILogger, "Runtime": runtime,
            "nptype": np.dtype,
            "CudaGraphStrategy": SimpleNamespace(WHOLE_GRAPH_CAPTURE="captured by itself"),
            }.items():
        setattr(module, name, value)
    return module

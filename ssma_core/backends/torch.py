"""Checkpoints in PyTorch, on the CPU or an NVIDIA GPU."""
from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ssma_core.end_to_end.graph import TYPES, EndToEnd, Predictor
from ssma_core.errors import SsmaError
from ssma_core.model import SegmentationNetwork, Ssma, unimodal_network
from ssma_core.model_files import checkpoint
from ssma_core.model_files.exported import (
    Exported,
    FrameFormat,
    Precision,
    bound_inputs,
    frame_format,
)
from ssma_core.spec import ModelSpec

Array = npt.NDArray[Any]
_CAPTURING = Lock()  # torch captures one graph at a time
# Captured graphs of one network: each holds GPU memory for a whole frame. A robot's camera has one
# format, and a second one after its settings change.
CAPTURED_FORMATS = 4


class TorchBackend:
    """See ssma_core.backends.Backend.

    device: "cpu", or "cuda" for the first GPU; None: the GPU where torch has one.
    precision: of the network, fp32, fp16 or bf16; None: fp32.
    On a GPU it takes the sensors' arrays of any size; the first frame of a format captures the CUDA
    graph for that format.
    """

    name = "torch"
    frame: FrameFormat | None = None

    def __init__(self, model: Path, threads: int | None, device: str | None = None,
                 precision: str | None = None) -> None:
        self._on_gpu = _is_gpu(device)
        if precision not in (None, *TYPES):
            raise SsmaError(f"a checkpoint runs in {', '.join(TYPES)}, not in {precision}")
        self.precision = cast(Precision, precision or "fp32")
        if threads:
            torch.set_num_threads(threads)
        network, self.spec = checkpoint.load(model)
        self._network: SegmentationNetwork | None = network
        self._running: RunnableNetwork | None = RunnableNetwork(
            network, self.spec, self.precision, self._on_gpu)
        self.end_to_end = self._running.end_to_end
        self._experts: dict[int, RunnableNetwork] = {}  # made at their first run
        has_decoders = isinstance(network, Ssma) and network.alone is not None
        self.unimodal = tuple(m.name for m in self.spec.modalities) if has_decoders else ()

    def run(self, images: Sequence[Array], outputs: Sequence[str]) -> dict[str, Array]:
        assert self._running is not None, "the backend is closed"
        return self._running.run(images, outputs)

    def run_unimodal(self, modality: int, image: Array, outputs: Sequence[str]) -> dict[str, Array]:
        name = self.spec.modalities[modality].name
        if name not in self.unimodal:
            raise SsmaError(f"the file cannot label {name} alone")
        if modality not in self._experts:
            self._experts[modality] = RunnableNetwork(
                unimodal_network(cast(Ssma, self._network), self.spec, modality),
                self.spec.of_expert(modality), self.precision, self._on_gpu)
        return self._experts[modality].run([image], outputs)

    def close(self) -> None:
        self._running = self._network = None
        self._experts.clear()
        if self._on_gpu:
            torch.cuda.empty_cache()


class RunnableNetwork:
    """A network, and on a GPU its captured graphs: one for each of the CAPTURED_FORMATS that were
    used last, captured when the first frame of the format comes."""

    def __init__(self, network: SegmentationNetwork, spec: ModelSpec, precision: Precision,
                 on_gpu: bool) -> None:
        self._spec, self._precision, self._on_gpu = spec, precision, on_gpu
        self._frame = Predictor(network, TYPES[precision])
        self.end_to_end = on_gpu and _can_be_end_to_end(spec)
        self._captured: OrderedDict[FrameFormat | None, Captured] = OrderedDict()
        if on_gpu:
            self._frame.cuda().to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.inference_mode()
    def run(self, images: Sequence[Array], outputs: Sequence[str]) -> dict[str, Array]:
        """See Backend.run."""
        frame = frame_format(self._spec, images) if self.end_to_end else None
        # Without a camera's format the network runs at whatever size the images have.
        spec = self._spec if self.end_to_end else replace(
            self._spec, input_size=(images[0].shape[1], images[0].shape[0]))
        arrays = bound_inputs(Exported(spec, self._precision, frame, weights=""), images)
        if not self._on_gpu:
            answers = self._frame(*map(torch.from_numpy, arrays.values()))
            return {name: answers[name].numpy() for name in outputs}
        try:
            return self._captured_for(frame, arrays).run(arrays, outputs)
        except torch.cuda.OutOfMemoryError as error:
            raise SsmaError("the GPU is out of memory: end other programs on it, or choose a "
                            "smaller model or fp16") from error

    def _captured_for(self, frame: FrameFormat | None, arrays: Mapping[str, Array]) -> Captured:
        if frame not in self._captured:
            while len(self._captured) >= CAPTURED_FORMATS:
                self._captured.popitem(last=False)  # first: its memory may be needed
            self._captured[frame] = Captured(self._end_to_end(frame), arrays)
        self._captured.move_to_end(frame)
        return self._captured[frame]

    def _end_to_end(self, frame: FrameFormat | None) -> nn.Module:
        if frame is None:
            return self._frame
        return EndToEndWithLogits(self._frame, self._spec, frame).cuda()


class EndToEndWithLogits(EndToEnd):
    """The same, and "logits" as the frame gives them."""

    def forward(self, *arrays: Tensor) -> dict[str, Tensor]:
        return self.with_logits(*arrays)


class Captured:
    """A module on the GPU for arrays of one format: a CUDA graph and its memory.

    arrays: a frame of that format, in the order in which the module takes them.
    """

    def __init__(self, module: nn.Module, arrays: Mapping[str, Array]) -> None:
        self._staged = {name: torch.from_numpy(np.array(array)).pin_memory()
                        for name, array in arrays.items()}
        self._inputs = {name: staged.cuda() for name, staged in self._staged.items()}
        self._stream, self._graph = torch.cuda.Stream(), torch.cuda.CUDAGraph()
        # cuDNN times several algorithms of each convolution first; the fastest is captured.
        with _CAPTURING, torch.backends.cudnn.flags(enabled=True, benchmark=True):
            with torch.cuda.stream(self._stream):
                for _ in range(3):
                    module(*self._inputs.values())
            self._stream.synchronize()
            with torch.cuda.graph(self._graph, stream=self._stream,
                                  capture_error_mode="thread_local"):
                self._outputs = module(*self._inputs.values())
        self._answers = {name: torch.empty_like(output, device="cpu", pin_memory=True)
                         for name, output in self._outputs.items()}

    def run(self, arrays: Mapping[str, Array], outputs: Sequence[str]) -> dict[str, Array]:
        with torch.cuda.stream(self._stream):
            for name, array in arrays.items():
                np.copyto(self._staged[name].numpy(), array)
                self._inputs[name].copy_(self._staged[name], non_blocking=True)
            self._graph.replay()
            for name in outputs:
                self._answers[name].copy_(self._outputs[name], non_blocking=True)
        self._stream.synchronize()
        return {name: self._answers[name].numpy().copy() for name in outputs}


def _is_gpu(device: str | None) -> bool:
    if device not in (None, "cpu", "cuda"):
        raise SsmaError(f"the device is cpu or cuda, not {device!r}")
    if device == "cuda" and not torch.cuda.is_available():
        raise SsmaError(f"cuda cannot be chosen: PyTorch {torch.__version__} finds no NVIDIA GPU "
                        "here; leave it out, or install the driver and a PyTorch with CUDA")
    return device != "cpu" and torch.cuda.is_available()


def _can_be_end_to_end(spec: ModelSpec) -> bool:
    """Whether the sensors' arrays can be encoded on the GPU: see `Exported`."""
    first, sensor = spec.modalities[0], spec.modalities[-1]
    return sensor.encoding != "hha" and (first is sensor or first.encoding == "image")

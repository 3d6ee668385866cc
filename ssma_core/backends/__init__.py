"""What runs a model file: one backend for each library, chosen by the file's suffix."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy.typing as npt

from ssma_core.errors import SsmaError, needing
from ssma_core.model_files.exported import FrameFormat, Precision
from ssma_core.spec import ModelSpec


class Backend(Protocol):
    """Runs one model on one frame at a time.

    end_to_end: whether it takes the sensors' arrays and answers at their size; else it takes what
      `network_images` makes of them and answers at spec.input_size.
    frame: the format of these arrays that the file was exported for; None where it takes any.
    unimodal: the names of the modalities that it can label without the others.
    """

    name: str
    spec: ModelSpec
    precision: Precision
    end_to_end: bool
    frame: FrameFormat | None
    unimodal: tuple[str, ...]

    def run(self, images: Sequence[npt.NDArray[Any]],
            outputs: Sequence[str]) -> dict[str, npt.NDArray[Any]]:
        """images: the frame, as `end_to_end` says.
        outputs: some of "labels" (H×W uint8), "confidence" (H×W uint8, the network's own
        probability of the label, 255 = 1), "trust" (H×W uint8, 255 = only the second modality; of
        two modalities) and, unless end-to-end, "logits" (classes×H×W float32).
        Raises SsmaError when the file does not take such a frame."""

    def run_unimodal(self, modality: int, image: npt.NDArray[Any],
                     outputs: Sequence[str]) -> dict[str, npt.NDArray[Any]]:
        """One modality's expert labels its own image: "labels" and "confidence", as of `run`.
        Raises SsmaError as `run` does, and for a modality that is not in `unimodal`."""

    def close(self) -> None:
        """Frees the model's memory; nothing can be run after that. Closing again does nothing."""


def open_backend(model: Path, threads: int | None, device: str | None = None,
                 precision: str | None = None) -> Backend:
    """device, precision: only for checkpoints, as of `Segmenter`. Raises SsmaError when the file,
    its backend or its library is missing, or when it cannot run on that device or in that
    precision."""
    if not model.is_file():
        raise SsmaError(f"there is no model file {model}")
    if model.suffix in (".onnx", ".engine"):
        _refuse_choices(model, device, precision)
    with needing(model):
        if model.suffix == ".onnx":
            from ssma_core.backends.onnxruntime import OnnxRuntimeBackend
            return OnnxRuntimeBackend(model, threads)
        if model.suffix == ".engine":
            from ssma_core.backends.tensorrt import TensorRtBackend
            return TensorRtBackend(model)
        if model.suffix == ".safetensors":
            from ssma_core.backends.torch import TorchBackend
            return TorchBackend(model, threads, device, precision)
    raise SsmaError(f"{model}: a model file ends in .safetensors, .onnx or .engine, not "
                    f"{model.suffix or 'nothing'}")


def _refuse_choices(model: Path, device: str | None, precision: str | None) -> None:
    if precision is not None:
        raise SsmaError(f"{model} was written for one precision, and {precision} cannot be chosen "
                        "now: leave it out, or write another file with `ssma export --precision "
                        f"{precision}`")
    if device is not None:
        where = "the CPU" if model.suffix == ".onnx" else "the GPU it was built for"
        raise SsmaError(f"{model} runs on {where}, and {device} cannot be chosen: leave it out, or "
                        "give the .safetensors file")

"""What runs a model file: one backend a library, chosen by the file's suffix."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ssma_core.errors import SsmaError
from ssma_core.spec import ModelSpec


class Backend(Protocol):
    """Runs one model on one frame at a time."""

    name: str
    spec: ModelSpec

    def run(self, images: Sequence[npt.NDArray[np.uint8]],
            outputs: Sequence[str]) -> dict[str, npt.NDArray[Any]]:
        """images: h×w×3 uint8 BGR at spec.input_size, one a modality.
        outputs: of "labels" (h×w uint8), "confidence" (h×w uint8, 255 = certain) and "logits"
        (classes×h×w float32), those wanted."""


def open_backend(model: Path, threads: int | None) -> Backend:
    """Raises SsmaError when there is no such file, no backend for it, or its library is missing."""
    if not model.is_file():
        raise SsmaError(f"there is no model file {model}")
    try:
        if model.suffix == ".onnx":
            from ssma_core.backends.onnxruntime import OnnxRuntimeBackend
            return OnnxRuntimeBackend(model, threads)
        if model.suffix == ".safetensors":
            from ssma_core.backends.torch import TorchBackend
            return TorchBackend(model, threads)
    except ModuleNotFoundError as error:
        raise SsmaError(f"{model} needs the Python package {error.name!r}, which is not "
                        f"installed: pip install {error.name}") from error
    raise SsmaError(f"{model}: a model file ends in .onnx or .safetensors, not "
                    f"{model.suffix or 'nothing'}")

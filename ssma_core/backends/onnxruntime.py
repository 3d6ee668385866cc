"""ONNX files on the CPU: no torch."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from ssma_core.errors import SsmaError
from ssma_core.spec import ModelSpec


class OnnxRuntimeBackend:
    """See ssma_core.backends.Backend. The file is one that `ssma export` wrote."""

    name = "onnxruntime"

    def __init__(self, model: Path, threads: int | None) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                str(model), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime has a class of its own for each way to fail
            raise SsmaError(f"{model} is not an ONNX model, or it is cut short ({error}); write it "
                            "again with `ssma export`") from error
        metadata = self._session.get_modelmeta().custom_metadata_map
        if "spec" not in metadata:
            raise SsmaError(f"{model} is an ONNX model, but not one of ours: it carries no spec; "
                            "make one with `ssma export`")
        try:
            self.spec = ModelSpec.from_json(metadata["spec"])
        except SsmaError as error:
            raise SsmaError(f"{model}: {error}") from error

    def run(self, images: Sequence[npt.NDArray[np.uint8]],
            outputs: Sequence[str]) -> dict[str, npt.NDArray[Any]]:
        inputs = {m.name: image for m, image in zip(self.spec.modalities, images)}
        return dict(zip(outputs, self._session.run(list(outputs), inputs)))

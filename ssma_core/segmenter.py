"""The front door: two sensor arrays in, a label for every pixel out."""
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ssma_core.backends import open_backend
from ssma_core.errors import SsmaError
from ssma_core.modalities import network_images
from ssma_core.pictures import resize_labels


@dataclass(frozen=True)
class Segmentation:
    """One frame's answer. What is not asked for is None.

    labels: H×W uint8 class ids, at the colour image's size.
    confidence: H×W uint8, the winning class's probability, 255 = certain.
    trust: H×W uint8, how much the fusion leans on the second modality, 255 = on nothing else.
    logits: h×w×classes float32 before softmax, at the model's input size.
    """

    labels: npt.NDArray[np.uint8]
    confidence: npt.NDArray[np.uint8] | None = None
    trust: npt.NDArray[np.uint8] | None = None
    logits: npt.NDArray[np.float32] | None = None


class Segmenter:
    """A model file, ready to segment. One thread at a time may use it.

    model: a .safetensors file (runs in torch), an .onnx file (onnxruntime, no torch) or an .engine
      file (TensorRT, no torch).
    threads: CPU threads for one frame; None leaves the choice to the library.
    device, precision: of a .safetensors file; None: the GPU where torch has one, in fp32. The other
      files were written for one device and precision.
    Raises SsmaError when the file cannot be used, naming the file and why.
    """

    def __init__(self, model: str | Path, threads: int | None = None,
                 device: Literal["cpu", "cuda"] | None = None,
                 precision: Literal["fp32", "fp16", "bf16"] | None = None) -> None:
        self._model = Path(model)
        self._backend = open_backend(self._model, threads, device, precision)
        self.spec = self._backend.spec
        self.backend = self._backend.name
        self.precision = self._backend.precision

    def segment(self, rgb: npt.NDArray[Any], aux: npt.NDArray[Any] | None = None, *,
                confidence: bool = False, trust: bool = False,
                logits: bool = False) -> Segmentation:
        """Segments one frame.

        rgb: H×W×3 uint8, BGR (for a model of one modality: that modality's array; for a vegetation
          index alone: the colour image, and near infrared as aux).
        aux: the second sensor's array, H×W, registered to rgb: depth as uint16 millimetres or float
          metres (0, NaN and infinity = no return), disparity in the sensor's unit, near infrared,
          or an H×W×3 uint8 image that is encoded already.
        Raises SsmaError when the arrays do not fit the model or each other, or when the model has
        no such answer: trust where there is but one modality, logits where an exported file holds
        the frame's whole way and keeps only labels.
        """
        wanted = ["labels"] + ["confidence"] * confidence + ["trust"] * trust + ["logits"] * logits
        if trust and len(self.spec.modalities) == 1:
            raise SsmaError(f"{self._model} has one modality, and trust is between two")
        arrays = (rgb,) if aux is None else (rgb, aux)
        if not self._backend.fused:
            answer = self._backend.run(network_images(self.spec, *arrays), wanted)
            size = (rgb.shape[1], rgb.shape[0])
            answer |= {name: resize_labels(answer[name], size) for name in wanted
                       if name != "logits"}
        elif logits and self._model.suffix != ".safetensors":
            raise SsmaError(f"{self._model} goes all the way to labels of the camera's size, and "
                            "gives no logits: ask a file exported without --camera, or the "
                            ".safetensors file")
        else:
            answer = self._backend.run(arrays, wanted)
        if logits:
            answer["logits"] = answer["logits"].transpose(1, 2, 0)
        return Segmentation(**answer)

    def close(self) -> None:
        """Frees the model's memory; the segmenter cannot be used after that."""
        self._backend.close()

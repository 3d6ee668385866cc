"""The front door: two sensor arrays in, a label for every pixel out."""
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ssma_core.backends import open_backend
from ssma_core.modalities import network_images
from ssma_core.pictures import resize_labels


@dataclass(frozen=True)
class Segmentation:
    """One frame's answer.

    labels: H×W uint8 class ids, at the colour image's size.
    confidence: H×W uint8, the winning class's probability, 255 = certain; None unless asked for.
    logits: h×w×classes float32 before softmax, at the model's input size; None unless asked for.
    """

    labels: npt.NDArray[np.uint8]
    confidence: npt.NDArray[np.uint8] | None = None
    logits: npt.NDArray[np.float32] | None = None


class Segmenter:
    """A model file, ready to segment. One thread at a time may use it.

    model: a .safetensors file (runs in torch) or an .onnx file (runs in onnxruntime, no torch).
    threads: CPU threads for one frame; None leaves the choice to the library.
    Raises SsmaError when the file cannot be used, naming the file and why.
    """

    def __init__(self, model: str | Path, threads: int | None = None) -> None:
        self._backend = open_backend(Path(model), threads)
        self.spec = self._backend.spec
        self.backend = self._backend.name

    def segment(self, rgb: npt.NDArray[Any], aux: npt.NDArray[Any] | None = None, *,
                confidence: bool = False, logits: bool = False) -> Segmentation:
        """Segments one frame.

        rgb: H×W×3 uint8, BGR (for a model of one modality: that modality's array; for a vegetation
          index alone: the colour image, and near infrared as aux).
        aux: the second sensor's array, H×W, registered to rgb: depth as uint16 millimetres or float
          metres (0, NaN and infinity = no return), disparity in the sensor's unit, near infrared,
          or an H×W×3 uint8 image that is encoded already.
        Raises SsmaError when the arrays do not fit the model or each other.
        """
        images = network_images(self.spec, rgb, aux)
        wanted = ["labels"] + ["confidence"] * confidence + ["logits"] * logits
        answer = self._backend.run(images, wanted)
        size = (rgb.shape[1], rgb.shape[0])
        return Segmentation(
            labels=resize_labels(answer["labels"], size),
            confidence=resize_labels(answer["confidence"], size) if confidence else None,
            logits=answer["logits"].transpose(1, 2, 0) if logits else None)

    def close(self) -> None:
        """Frees the model's memory; the segmenter cannot be used after that."""
        del self._backend

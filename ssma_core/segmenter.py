"""The front door: two sensor arrays in, a label for every pixel out."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ssma_core.backends import open_backend
from ssma_core.errors import NoAnswer, SsmaError
from ssma_core.modalities import network_images
from ssma_core.pictures import regrouped, resize_nearest
from ssma_core.registration import Registration, read, registered
from ssma_core.spec import VEGETATION_INDICES, grouped_by_file

Array = npt.NDArray[Any]
_TRY_AGAIN = "start the program again, and if that does not help write the model file again"


@dataclass(frozen=True)
class Segmentation:
    """One frame's answer. What was not asked for is None.

    labels: H×W uint8 class ids, at the colour image's size.
    confidence: H×W uint8, the network's own probability of the label, 255 = 1; not calibrated.
    trust: H×W uint8, how much the fusion relies on the second modality, 255 = on it alone.
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
    device, precision: for a .safetensors file; None: the GPU where torch has one, in fp32. The
      other files were written for one device and precision.
    label_groups: a YAML file that joins the model's classes to groups, see
      `ssma_core.spec.grouped`. Labels and spec are then those of the groups; the confidence is
      still that of the model's own class, and the logits are of its own classes.
    registration: how the second sensor's images fit colour, or its file; None: they fit pixel by
      pixel. With one, segment takes the images of both cameras as they come.
    frame: the size and type of the arrays that the file takes; None where it takes any.
    Raises SsmaError, with the file and the reason, when the file cannot be used.
    """

    def __init__(self, model: str | Path, threads: int | None = None,
                 device: Literal["cpu", "cuda"] | None = None,
                 precision: Literal["fp32", "fp16", "bf16"] | None = None, *,
                 label_groups: str | Path | None = None,
                 registration: Registration | str | Path | None = None) -> None:
        if isinstance(registration, str | Path):
            registration = read(registration)
        self._registration = registration
        self._model = Path(model)
        self._backend = open_backend(self._model, threads, device, precision)
        try:
            self.grouped = grouped_by_file(self._backend.spec, label_groups)
            self.spec = self.grouped.spec
            self._check_registration()
        except SsmaError:
            self._backend.close()
            raise
        self._has_groups = label_groups is not None
        self.backend = self._backend.name
        self.precision = self._backend.precision
        self.frame = self._backend.frame
        self._closed = False

    def _check_registration(self) -> None:
        first, *others = self.spec.modalities
        if self._registration and not others and first.encoding not in VEGETATION_INDICES:
            raise SsmaError(f"{self._model} has one modality, and a registration is between two")

    @property
    def unimodal(self) -> tuple[bool, bool]:
        """Whether it can label the colour image without the second sensor's, and the second
        sensor's without colour. A vegetation index needs colour."""
        modalities = self.spec.modalities
        colour, second = (m.name in self._backend.unimodal and m.encoding not in VEGETATION_INDICES
                          for m in (modalities[0], modalities[-1]))
        return colour, second

    def segment(self, rgb: npt.NDArray[Any] | None, aux: npt.NDArray[Any] | None = None, *,
                confidence: bool = False, trust: bool = False,
                logits: bool = False) -> Segmentation:
        """Segments one frame.

        rgb: H×W×3 uint8, BGR (for a model of one modality: that modality's array; for a model of a
          vegetation index alone: the colour image, and near infrared as aux).
        aux: the second sensor's array, H×W, registered to rgb unless the segmenter has a
          registration (labels are then in the colour camera's view, also without rgb): depth as
          uint16 millimetres or float metres (0, NaN and infinity = no return), disparity in the
          sensor's unit, near infrared, or an H×W×3 uint8 image that is encoded already.
        One of the two may be None where `unimodal` says so: the other's expert then labels alone,
        and the trust is all 0 or all 255.
        Raises SsmaError when the arrays do not fit the model or each other, after `close`, or when
        the model has no such answer: trust of one modality, logits of an expert alone, logits of an
        end-to-end file, which has only labels; NoAnswer where what comes cannot be an answer.
        """
        if self._closed:
            raise SsmaError(f"{self._model} was closed: make another Segmenter of it")
        wanted = ["labels"] + ["confidence"] * confidence + ["trust"] * trust + ["logits"] * logits
        if aux is not None:
            aux = self.registered(rgb, aux)
        arrays = [array for array in (rgb, aux) if array is not None]
        modalities = len(self.spec.modalities)
        if trust and modalities == 1:
            raise SsmaError(f"{self._model} has one modality, and trust is between two")
        if not arrays:
            raise SsmaError("there is nothing to segment: both images are None")
        if len(arrays) < modalities:
            answer = self._segment_unimodal(0 if aux is None else 1, arrays[0], wanted)
        elif not self._backend.end_to_end:
            images = network_images(self.spec, *arrays)
            answer = self._at_size_of(arrays[0], self._checked(
                self._backend.run(images, wanted), images[0]))
        elif logits and self._model.suffix != ".safetensors":
            raise SsmaError(f"{self._model} goes all the way to labels of the camera's size, and "
                            "gives no logits: take a file exported without --camera, or the "
                            ".safetensors file")
        else:
            answer = self._checked(self._backend.run(arrays, wanted), arrays[0])
        if logits:
            answer["logits"] = answer["logits"].transpose(1, 2, 0)
        if self._has_groups:
            answer["labels"] = regrouped(answer["labels"], self.grouped.ids)
        return Segmentation(**answer)

    def registered(self, rgb: npt.NDArray[Any] | None, aux: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The second sensor's array as the model gets it: in the colour camera's view, where there
        is a registration. Arguments and errors as of `segment`."""
        return registered(self._registration, rgb, aux, self.spec.modalities[-1].no_measurement)

    def prepare(self, rgb: npt.NDArray[Any] | None, aux: npt.NDArray[Any] | None = None, *,
                confidence: bool = False, trust: bool = False) -> None:
        """Does now what the first frame of this format with these outputs would wait for: sessions
        are opened, CUDA graphs captured, memory allocated. Arguments and errors as of `segment`.

        It runs the frame once, since runtimes allocate in their first run. What needs preparing
        depends on the backend: on the outputs (ONNX), on the arrays' size and type (torch on a
        GPU), and on which of rgb and aux are None (both).
        """
        self.segment(rgb, aux, confidence=confidence, trust=trust)

    def _segment_unimodal(self, modality: int, array: Array,
                          wanted: Sequence[str]) -> dict[str, Array]:
        name = self.spec.modalities[modality].name
        if not self.unimodal[modality]:
            missing = self.spec.modalities[1 - modality].name
            raise SsmaError(f"{self._model} cannot label {name} without {missing}: "
                            + self._why_not_unimodal(modality))
        if "logits" in wanted:
            raise SsmaError(f"{self._model} gives no logits of the {name} alone: give both images")
        asked = [output for output in wanted if output != "trust"]
        if self._backend.end_to_end:
            answer = self._checked(self._backend.run_unimodal(modality, array, asked), array)
        else:
            (image,) = network_images(self.spec.of_expert(modality), array)
            answer = self._at_size_of(array, self._checked(
                self._backend.run_unimodal(modality, image, asked), image))
        if "trust" in wanted:
            answer["trust"] = np.full(array.shape[:2], 255 * modality, np.uint8)
        return answer

    def _why_not_unimodal(self, modality: int) -> str:
        if self.spec.modalities[modality].encoding in VEGETATION_INDICES:
            return "a vegetation index is made of both"
        return ("it has no decoders for its experts alone; train them by a stage that `trains: "
                "alone`")

    def _checked(self, answer: dict[str, Array], image: Array) -> dict[str, Array]:
        """The answer to an image. Raises NoAnswer where it cannot be one: a damaged library or GPU
        gives numbers too, and what is no class would be drawn and driven on."""
        for name, values in answer.items():
            if name == "logits":
                continue
            if values.dtype != np.uint8 or values.shape != image.shape[:2]:
                raise NoAnswer(f"{self._model} answers nonsense: {name} of {values.dtype} and "
                               f"{values.shape} for an image of {image.shape[:2]}; {_TRY_AGAIN}")
        last = len(self.grouped.ids) - 1  # of the model's own classes
        if (highest := int(answer["labels"].max())) > last:
            raise NoAnswer(f"{self._model} answers nonsense: the class {highest}, and its classes "
                           f"end at {last}; {_TRY_AGAIN}")
        return answer

    def _at_size_of(self, array: Array, answer: dict[str, Array]) -> dict[str, Array]:
        """Labels, confidence and trust at the array's size; logits unchanged."""
        size = (array.shape[1], array.shape[0])
        return {name: values if name == "logits" else resize_nearest(values, size)
                for name, values in answer.items()}

    def close(self) -> None:
        """Frees the model's memory; the segmenter cannot be used after that. Closing again does
        nothing."""
        self._closed = True
        self._backend.close()

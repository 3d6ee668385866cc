"""Inference over data: at one size or several, mirrored, with a modality lost."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from ssma_core.backends import Backend
from ssma_core.errors import SsmaError
from ssma_core.modalities import network_images
from ssma_core.spec import VEGETATION_INDICES, ModelSpec

Array = npt.NDArray[Any]
Image = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Options:
    """How a model labels a frame.

    resolution: where truth and prediction are compared: "label", at the label's own size, the
      prediction resized by nearest neighbour, as a robot gets it; or "network", at the network's
      size, the label resized by nearest neighbour, as the paper does.
    scales: of the network's size, rounded to multiples of 16; the probabilities of all are averaged
      at the network's size.
    flip: average over mirror images, too.
    without: the modality that is lost: its image is black, as one without any valid pixel is and as
      modality dropout trains with. None for none.
    alone: the modality whose expert is used in place of the fusion, with the decoder that it has
      for the case that the other sensor is dead. None for none.
    label_groups: a file of groups that the model's classes are joined to, before labels are
      compared. None for none.
    """

    resolution: Literal["label", "network"] = "label"
    scales: tuple[float, ...] = (1.0,)
    flip: bool = False
    without: str | None = None
    alone: str | None = None
    label_groups: str | None = None

    def __post_init__(self) -> None:
        if not self.scales or not all(0 < scale <= 8 for scale in self.scales):
            raise SsmaError("scales must be above 0 and at most 8, and there must be one at least; "
                            f"got {list(self.scales)}")

    def sizes(self, input_size: tuple[int, int]) -> list[tuple[int, int]]:
        """(width, height) of every scale."""
        return [(_sixteens(input_size[0] * scale), _sixteens(input_size[1] * scale))
                for scale in self.scales]

    def __str__(self) -> str:
        parts = [f"at the {self.resolution}'s size"]
        if self.scales != (1.0,):
            parts.append("scales " + " ".join(f"{scale:g}" for scale in self.scales))
        if self.flip:
            parts.append("with mirror images")
        if self.without:
            parts.append(f"without {self.without}")
        if self.alone:
            parts.append(f"{self.alone} alone")
        if self.label_groups:
            parts.append(f"in the groups of {self.label_groups}")
        return ", ".join(parts)


class InferenceBackend(Protocol):
    """The part of ssma_core.backends.Backend that is needed here."""

    name: str
    precision: Any
    spec: ModelSpec
    end_to_end: bool

    def run(self, images: Sequence[Array], outputs: Sequence[str]) -> dict[str, Array]: ...


class UnimodalExpert:
    """One modality's expert of a backend, used like a model of its own."""

    def __init__(self, backend: Backend, modality: str) -> None:
        if modality not in backend.unimodal:
            can = f"{' and '.join(backend.unimodal)} alone" if backend.unimodal else (
                "only what is fused: train decoders for its experts by a stage that `trains: "
                "alone`")
            raise SsmaError(f"the model cannot label {modality!r} alone; it can label {can}")
        names = [each.name for each in backend.spec.modalities]
        self._backend, self._modality = backend, names.index(modality)
        self.name, self.precision, self.end_to_end = (
            backend.name, backend.precision, backend.end_to_end)
        self.spec = backend.spec.of_expert(self._modality)

    def run(self, images: Sequence[Array], outputs: Sequence[str]) -> dict[str, Array]:
        (image,) = images
        return self._backend.run_unimodal(self._modality, image, outputs)


def check(options: Options, backend: InferenceBackend) -> None:
    """Raises SsmaError when the model cannot be used with these options."""
    spec = backend.spec
    if backend.end_to_end and backend.name != "torch":
        raise SsmaError("this model file goes all the way from the camera's arrays to labels of "
                        "their size, and gives none at the network's: evaluate the .safetensors "
                        "file, or one exported without --camera; `ssma parity` compares them")
    scales = set(options.sizes(spec.input_size)) != {spec.input_size}
    if scales and (backend.end_to_end or backend.name != "torch"):
        raise SsmaError("this model file runs at {}x{} only: evaluate the .safetensors file that "
                        "it was made from at other scales, on the CPU".format(*spec.input_size))
    if options.alone and options.flip and backend.name != "torch":
        raise SsmaError("this model file gives no probabilities of an expert alone: evaluate the "
                        ".safetensors file that it was made from, or leave out the mirror images")
    names = [modality.name for modality in spec.modalities]
    if options.without and (options.without not in names or len(names) == 1):
        raise SsmaError(f"the model cannot do without {options.without!r}: it takes "
                        f"{' and '.join(names)}")


def predict(backend: InferenceBackend, arrays: Sequence[Array], options: Options) -> Image:
    """The labels of one frame, h×w uint8 at the network's size.

    arrays: the sensors', as `Segmenter.segment` takes them.
    """
    size = backend.spec.input_size
    if options.sizes(size) == [size] and not options.flip:
        return backend.run(images(backend.spec, arrays, options.without), ["labels"])["labels"]
    total = np.zeros((size[1], size[0], backend.spec.classes), np.float32)
    for scaled in options.sizes(size):
        pictures = images(replace(backend.spec, input_size=scaled), arrays, options.without)
        total += _resized(_probabilities(backend, pictures), size)
        if options.flip:
            mirrored = [np.ascontiguousarray(picture[:, ::-1]) for picture in pictures]
            total += _resized(_probabilities(backend, mirrored)[:, ::-1], size)
    return total.argmax(axis=2).astype(np.uint8)


def images(spec: ModelSpec, arrays: Sequence[Array], without: str | None) -> list[Image]:
    """What the network sees, h×w×3 uint8 a modality at spec.input_size; a lost one is black."""
    return [np.zeros_like(image) if modality.name == without else image
            for modality, image in zip(spec.modalities, network_images(spec, *arrays))]


def arrays_for(model: ModelSpec, data: ModelSpec, rgb: Array, aux: Array) -> tuple[Array, ...]:
    """Those of a sample's two arrays that the model takes.

    data: spec of the data's two modalities. A vegetation index is made of both arrays, unless the
    sample holds it encoded already. Raises SsmaError when the data lack a modality of the model.
    """
    known = [modality.name for modality in data.modalities]
    names = [modality.name for modality in model.modalities]
    if set(names) - set(known):
        raise SsmaError(f"the model takes {' and '.join(names)}, the configuration's data have "
                        f"{' and '.join(known)}")
    if len(names) == 2:
        return rgb, aux
    if names[0] == known[0]:
        return (rgb,)
    if model.modalities[0].encoding in VEGETATION_INDICES and aux.ndim == 2:
        return rgb, aux
    return (aux,)


def _probabilities(backend: InferenceBackend, pictures: Sequence[Image]) -> npt.NDArray[np.float32]:
    """h×w×classes float32, at the pictures' size."""
    logits = backend.run(pictures, ["logits"])["logits"].transpose(1, 2, 0)
    weights = np.exp(logits - logits.max(axis=2, keepdims=True))
    return weights / weights.sum(axis=2, keepdims=True)


def _resized(probabilities: npt.NDArray[np.float32],
             size: tuple[int, int]) -> npt.NDArray[np.float32]:
    return cv2.resize(np.ascontiguousarray(probabilities), size, interpolation=cv2.INTER_LINEAR)


def _sixteens(side: float) -> int:
    return max(1, round(side / 16)) * 16

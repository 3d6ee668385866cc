"""The model as the node needs it: loaded, and every combination prepared before it is needed.

A combination is: the images, their sizes and types, and the wanted outputs. Its first run opens
sessions and captures CUDA graphs, and takes many times as long as the later ones. When a sensor
fails, the labels of the other one must not wait for that.

A new subscription or format makes new combinations. If a sensor fails within the two or three
labels after it, the combination without that sensor is still cold.
"""
from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack, closing
from typing import Any

import numpy as np
import numpy.typing as npt

from ssma_core import STREAMS, Registration, Segmenter, SsmaError, Stream, read_registration
from ssma_ros import distro
from ssma_ros.node.parameters import Parameters

Array = npt.NDArray[Any]
WantedOutputs = dict[str, bool]


def load(given: Parameters) -> Segmenter:
    """Opens the model file and runs it once in every mode. Raises SsmaError for a file that cannot
    be used here."""
    if not given.model:
        raise SsmaError("the parameter 'model' is empty: give the path of a model file")
    with ExitStack() as made:
        segmenter = made.enter_context(closing(Segmenter(
            given.model, given.threads or None, label_groups=given.label_groups or None)))
        names = [modality.name for modality in segmenter.spec.modalities]
        if len(names) != len(STREAMS):
            raise SsmaError(f"{given.model} takes {' and '.join(names)} alone, but this node pairs "
                            "two images: give it a model of two modalities")
        _warm_up(segmenter)
        made.pop_all()
    return segmenter


def load_registration(given: Parameters) -> Registration | None:
    """Reads the file and uses it once, as `load` does; None without a file. Raises SsmaError for
    one that cannot be used."""
    if not given.registration:
        return None
    registration = read_registration(given.registration)
    width, height = registration.aux_size
    registration.aligned(np.zeros((height, width), np.uint16))
    return registration


def in_words(path: str, segmenter: Segmenter) -> str:
    spec = segmenter.spec
    names = [modality.name for modality in spec.modalities]
    alone = [name for name, can in zip(names, segmenter.unimodal) if can]
    classes = f"{len(segmenter.grouped.ids)} classes"
    if spec.classes < len(segmenter.grouped.ids):
        classes += f" joined to {', '.join(spec.class_names)}"
    return (f"{path}: {' and '.join(names)}, {classes}, runs on {segmenter.backend}; "
            f"if one sensor fails, it labels from {' or '.join(alone) or 'neither'} alone; "
            f"{distro.CV_BRIDGE}, "
            f"{'' if distro.HAS_MESSAGE_FILTERS else 'no '}message_filters here")


def _warm_up(segmenter: Segmenter) -> None:
    """Prepares every set of images at the model's own size, with labels alone: before the first
    images come, it is not known how they will come. Raises SsmaError for a file that cannot run."""
    frame = segmenter.frame
    width, height = frame.size if frame else segmenter.spec.input_size
    rgb = aux = np.zeros((height, width, 3), np.uint8)
    if frame and frame.aux != "encoded":
        aux = np.zeros((height, width), frame.aux)
    for streams in _sets_of_images(segmenter):
        segmenter.prepare(rgb if "rgb" in streams else None, aux if "aux" in streams else None)


class WarmUp:
    """Knows which combinations were run, and prepares those that may be needed next.

    wanted: returns the outputs that would be asked for of images of these streams.
    """

    def __init__(self, segmenter: Segmenter,
                 wanted: Callable[[Collection[Stream]], WantedOutputs]) -> None:
        self._segmenter, self._wanted = segmenter, wanted
        self._newest: dict[Stream, Array] = {}
        self._ran: set[object] = set()

    def came(self, images: Mapping[Stream, Array]) -> None:
        """Takes the newest image of each stream, as an example of its size and type."""
        self._newest |= images

    def ran(self, images: Mapping[Stream, Array], outputs: WantedOutputs) -> bool:
        """Notes that a combination was run. Returns whether that was the first time."""
        combination = (frozenset((stream, image.shape, image.dtype)
                                 for stream, image in images.items()),
                       frozenset(outputs.items()))
        is_new = combination not in self._ran
        self._ran.add(combination)
        return is_new

    def prepare_one(self) -> None:
        """Prepares one new combination, if there is one. It is called after each label, so the next
        label waits for one at most. A combination that cannot be prepared raises SsmaError, once.
        """
        for streams in _sets_of_images(self._segmenter):
            images = {s: self._newest[s] for s in streams if s in self._newest}
            outputs = self._wanted(streams)
            if len(images) == len(streams) and self.ran(images, outputs):
                self._segmenter.prepare(images.get("rgb"), images.get("aux"), **outputs)
                return


def _sets_of_images(segmenter: Segmenter) -> list[tuple[Stream, ...]]:
    """Each stream that the model can label without the other: a failing sensor needs that first;
    then both."""
    alone = ((stream,) for stream, can in zip(STREAMS, segmenter.unimodal) if can)
    return [*alone, STREAMS]

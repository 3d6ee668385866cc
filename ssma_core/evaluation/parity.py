"""Whether two model files give the same labels: of another precision, library or graph."""
from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from ssma_core.bags.pairing import DEFAULT_PAIRING, PairingSettings
from ssma_core.datasets.inputs import Input, open_inputs
from ssma_core.errors import SsmaError
from ssma_core.evaluation.metrics import ConfusionMatrix
from ssma_core.segmenter import Segmenter
from ssma_core.spec import ModelSpec

Image = npt.NDArray[np.uint8]

LEAST_AGREEMENT = 0.995  # of all pixels
MOST_POINTS = 0.1  # that the mean IoU in percent may differ
MOST_POINTS_INT8 = 0.5  # where one of the models is int8
WORST = 8  # frames that are kept


@dataclass(frozen=True)
class Compared:
    """A frame and two models' labels for it, H×W uint8 of the frame's size."""

    given: Input
    a: Image
    b: Image

    @property
    def agreement(self) -> float:
        """The share of equal pixels, 0–1."""
        return float(np.mean(self.a == self.b))


class Agreement:
    """How far two models' labels agree, counted frame by frame.

    frames, labelled: how many frames there were, and how many of them had a label.
    pixels, equal: of all frames.
    a, b: each model's confusion with the labels.
    worst: the WORST frames with the lowest agreement, the lowest first; none in full agreement.
    """

    def __init__(self, classes: int, void_id: int) -> None:
        self.frames = self.labelled = self.pixels = self.equal = 0
        self.a, self.b = ConfusionMatrix(classes, void_id), ConfusionMatrix(classes, void_id)
        self.worst: list[Compared] = []

    def add(self, frame: Compared) -> None:
        self.frames += 1
        self.pixels += frame.a.size
        self.equal += int(np.count_nonzero(frame.a == frame.b))
        if frame.given.label is not None:
            self.labelled += 1
            self.a.add(frame.given.label, frame.a)
            self.b.add(frame.given.label, frame.b)
        if frame.agreement < 1:
            self.worst = sorted([*self.worst, frame], key=lambda f: f.agreement)[:WORST]

    @property
    def agreement(self) -> float:
        """The share of equal pixels, 0–1."""
        return self.equal / self.pixels

    @property
    def points(self) -> float | None:
        """How far apart the mean IoUs in percent are; None where nothing was labelled."""
        return 100 * abs(self.a.mean_iou() - self.b.mean_iou()) if self.labelled else None


@dataclass(frozen=True)
class ModelFile:
    """A model file, and the library and precision that computed its labels."""

    file: Path
    backend: str
    precision: str


@dataclass(frozen=True)
class ParityResult:
    """Two models, the frames that they were given, and how far they agree."""

    a: ModelFile
    b: ModelFile
    data: Path
    spec: ModelSpec
    parity: Agreement

    @property
    def most_points(self) -> float:
        """How far apart the mean IoUs in percent may be."""
        return MOST_POINTS_INT8 if "int8" in (self.a.precision, self.b.precision) else MOST_POINTS

    @property
    def holds(self) -> bool:
        """Whether one model can stand in for the other."""
        points = self.parity.points
        return self.parity.agreement >= LEAST_AGREEMENT and (
            points is None or points <= self.most_points)


def compare_models(a: Path, b: Path, data: Path, topics: Sequence[str] = (),
                   pairing: PairingSettings = DEFAULT_PAIRING) -> ParityResult:
    """Both models on every frame of the data, with a progress bar. In memory are one frame and the
    worst ones.

    data, topics, pairing: as `open_inputs` takes them.
    Raises SsmaError when a file cannot be used, the models do not have the same classes and
    sensors, or one does not take a frame.
    """
    with ExitStack() as opened:
        first, second = (opened.enter_context(closing(Segmenter(file))) for file in (a, b))
        _check_alike(a, first.spec, b, second.spec)
        frames = open_inputs(data, first.spec, topics, pairing)
        parity = Agreement(first.spec.classes, first.spec.void_id)
        for given in tqdm(frames, "comparing", unit="frame", leave=False, disable=None):
            parity.add(Compared(given, _labels(a, first, given), _labels(b, second, given)))
        return ParityResult(ModelFile(a, first.backend, first.precision),
                          ModelFile(b, second.backend, second.precision), data, first.spec, parity)


def _check_alike(a: Path, first: ModelSpec, b: Path, second: ModelSpec) -> None:
    for what, one, other in (
            ("knows the classes", first.class_names, second.class_names),
            ("takes", [m.name for m in first.modalities], [m.name for m in second.modalities]),
            ("calls void", [first.class_names[first.void_id]],
             [second.class_names[second.void_id]])):
        if one != other:
            raise SsmaError(f"{a} {what} {', '.join(one)}, and {b} {', '.join(other)}: only models "
                            "of the same classes and sensors can be compared")


def _labels(file: Path, segmenter: Segmenter, given: Input) -> Image:
    try:
        return segmenter.segment(*given.arrays).labels
    except SsmaError as error:
        raise SsmaError(f"{file} on the frame {given.name}: {error}") from error

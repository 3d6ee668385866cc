"""The candidates of a drive with their scores: whether they can be used, what they look like, and
how sure a model is of them."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from ssma_core.datasets.inputs import sensors_of
from ssma_core.errors import SsmaError
from ssma_core.extraction.drives import COLOUR, Drive, Source
from ssma_core.extraction.frames import Frame, pairs, spaced
from ssma_core.extraction.looks import looks, sharpness
from ssma_core.modalities.blank import MIN_VALID_DEPTH, looked_at, same_rows, shows_nothing
from ssma_core.model_files.specs import spec_of
from ssma_core.segmenter import Segmenter

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Candidate:
    """A frame that could be labelled. flaw: why it must not be, in words; "" where it may.

    sharpness: see `looks.sharpness`. looks: see `looks.looks`. uncertainty: 1 minus the model's
    mean confidence. disagreement: the share of pixels that the model's two unimodal experts label
    differently. None: not known.
    """

    drive: str
    stamp_ns: int
    flaw: str = ""
    sharpness: float | None = None
    looks: npt.NDArray[np.float32] | None = None
    uncertainty: float | None = None
    disagreement: float | None = None


class ScoreJob(NamedTuple):
    """A drive to score. every: seconds between candidates. also: stamps that are candidates in any
    case. model: a file, or None. threads: for the model."""

    drive: Drive
    source: Source
    every: float
    also: frozenset[int]
    model: Path | None
    threads: int


def check_model(model: Path, source: Source) -> None:
    """Raises SsmaError where a model's second sensor has another name."""
    modalities = spec_of(model).modalities
    second = modalities[-1]
    if second.name != source.name and (len(modalities) == 2 or second.encoding != "image"):
        raise SsmaError(f"{model} takes {second.name}, and the second sensor is called "
                        f"{source.name}: give its model, or --name {second.name}")


def score(job: ScoreJob, progress: Callable[[], Any]) -> list[Candidate]:
    """The candidates of a drive, in their order. Raises SsmaError where none of the images can be
    read."""
    cv2.setNumThreads(job.threads)
    opened = closing(Segmenter(job.model, job.threads)) if job.model else nullcontext()
    with opened as segmenter:
        return list(_candidates(job, segmenter, progress))


def _candidates(job: ScoreJob, segmenter: Segmenter | None, progress: Callable[[], Any]
                ) -> Iterator[Candidate]:
    before: dict[str, Array] = {}
    readable, error = False, None
    for pair in pairs(job.drive, job.source, spaced(job.every, job.also), progress):
        try:
            frame = Frame(pair, job.source)
            rows = {COLOUR: looked_at(frame.rgb), job.source.name: looked_at(frame.aux)}
        except SsmaError as reason:
            error = error or reason
            yield Candidate(job.drive.name, pair.rgb_stamp_ns, f"cannot be read: {reason}")
            continue
        readable = True
        yield _scored(job, frame, _flaw(rows, before, job.source), segmenter)
        before = rows
    if error and not readable:
        raise SsmaError(f"{job.drive.bag}: {error}")


def _scored(job: ScoreJob, frame: Frame, flaw: str, segmenter: Segmenter | None) -> Candidate:
    uncertainty, disagreement = (_doubts(segmenter, frame) if segmenter and not flaw
                                 else (None, None))
    return Candidate(job.drive.name, frame.stamp_ns, flaw, sharpness(frame.rgb),
                     looks(frame.rgb, frame.aux), uncertainty, disagreement)


def _flaw(rows: dict[str, Array], before: dict[str, Array], source: Source) -> str:
    """Blank, or the same as the candidate before: frozen, or of a robot that a simulation holds."""
    for name, shown in rows.items():
        is_map = name != COLOUR and (source.is_map or shown.dtype.kind == "f")
        if reason := shows_nothing(shown, is_map, MIN_VALID_DEPTH):
            return f"blank: of {name}, {reason}"
    for name, shown in rows.items():
        if same_rows(shown, before.get(name)):
            return f"frozen: {name} is the same as before"
    return ""


def _doubts(segmenter: Segmenter, frame: Frame) -> tuple[float, float | None]:
    modalities = segmenter.spec.modalities
    lone = frame.rgb if modalities[0].encoding == "image" else frame.aux
    arrays = (frame.rgb, frame.aux) if len(sensors_of(segmenter.spec)) == 2 else (lone, None)
    confidence = segmenter.segment(*arrays, confidence=True).confidence
    assert confidence is not None  # it was asked for
    uncertainty = 1 - float(confidence.mean()) / 255
    if len(modalities) == 1 or not all(segmenter.unimodal):
        return uncertainty, None
    colour = segmenter.segment(frame.rgb, None).labels
    second = segmenter.segment(None, frame.aux).labels
    return uncertainty, float(np.mean(colour != second))

"""Reports as evaluate_bag makes them, of made-up frames: for the tests of the pages."""
from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from ssma_core import ConfusionMatrix, FrameCounts, Modality, ModelSpec
from ssma_core.evaluation.metrics import frame_counts, stacked
from ssma_core.evaluation.report.shown_frames import ShownFrame, show_frame
from ssma_core.evaluation.results import (
    BagSource,
    DriveResult,
    FrameResult,
    Result,
    Timeline,
    TimelineEvent,
)

BEGIN, PERIOD = 1_700_000_000 * 10**9, 10**8
SIZE = (48, 96)  # height, width


def spec(classes: Sequence[str] = ("void", "trail", "grass"), second: str = "depth") -> ModelSpec:
    colours = tuple((90 * i % 256, 70 * i % 256, 40 * i % 256) for i in range(len(classes)))
    return ModelSpec("ssma", "tiny", tuple(classes), colours,
                     (Modality("rgb", "image"), Modality(second, "jet", 9000.0)), (96, 48))


@cache
def counts(classes: int, seed: int) -> FrameCounts:
    """A frame's, more right than wrong."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, SIZE)
    prediction = np.where(rng.random(SIZE) < 0.7, truth, rng.integers(0, classes, SIZE))
    return frame_counts(truth, prediction, spec([str(i) for i in range(classes)]))


def matrix(of: ModelSpec, seed: int) -> ConfusionMatrix:
    """Of the same frame."""
    return ConfusionMatrix.summed(counts(of.classes, seed).confusion[None], of.void_id)


def report(of: ModelSpec, bags: Sequence[str] = ("drive",), *, model: str = "model.onnx",
           topic: str = "/camera/image", drop: str = "colour unmatched", version: str = "numpy 2",
           live: bool = False, frames: int = 30, seed: int = 0) -> Result:
    def drive(bag: str) -> DriveResult:
        stamps = range(BEGIN, BEGIN + frames * PERIOD, PERIOD)
        confusion, boundaries = stacked(
            (counts(of.classes, 1000 * seed + i) for i in range(frames)), of.classes)
        return DriveResult(
            bag, tuple(FrameResult(stamp_ns=stamp, latency_ms=20.0 + i % 7)
                       for i, stamp in enumerate(stamps)),
            confusion,
            Timeline(BEGIN, stamps[-1],
                     (TimelineEvent(stamps[3], drop), TimelineEvent(stamps[7], drop)),
                     (TimelineEvent(BEGIN, "fused"), TimelineEvent(stamps[12], "colour only"))),
            {"rgb": {"paired": frames, "unmatched": 2}, "aux": {"paired": frames}},
            boundaries=boundaries)

    drives = tuple(map(drive, bags))
    return Result(model, of, BagSource(rgb=topic, aux=topic, label=topic), (version,), drives,
                  drives if live else (), "onnxruntime", "fp32", "a CPU", 1)


def looks(of: ModelSpec, bag: str = "drive", count: int = 2) -> list[ShownFrame]:
    rng = np.random.default_rng(0)
    return [show_frame(of, bag, BEGIN + i * PERIOD, matrix(of, i),
                    rgb=rng.integers(0, 256, (*SIZE, 3), np.uint8),
                    aux=rng.integers(0, 9000, SIZE, np.uint16),
                    labels=rng.integers(0, of.classes, SIZE, np.uint8),
                    truth=rng.integers(0, of.classes, SIZE, np.uint8)) for i in range(count)]

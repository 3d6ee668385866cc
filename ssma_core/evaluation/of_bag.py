"""A bag through the node's own functions (check, pair by stamp, segment) in one loop: no DDS, no
worker, nothing dropped."""
from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ssma_core.bags import recorded_images, rosbag2
from ssma_core.bags.ground_truth import GroundTruth, Recordings, TrueLabel, TrueLabels
from ssma_core.bags.image_messages import ImageMessage
from ssma_core.bags.pairing import STREAMS, Pair, Pairing, Stream
from ssma_core.datasets.masks import Masks, masks_of
from ssma_core.errors import SsmaError, naming
from ssma_core.evaluation.metrics import ConfusionMatrix, FrameCounts, frame_counts, stacked
from ssma_core.evaluation.report.shown_frames import FrameSelection, show_frame
from ssma_core.evaluation.results import (
    BagSource,
    DriveResult,
    FrameResult,
    Timeline,
    TimelineEvent,
)
from ssma_core.modalities import is_depth
from ssma_core.pictures import check_ids, regrouped
from ssma_core.segmenter import Segmenter
from ssma_core.spec import Grouped

SENSORS: dict[Stream, str] = {"rgb": "colour", "aux": "second sensor"}


class BagResult(NamedTuple):
    """What was found in a bag, and the frames to show of it."""

    drive: DriveResult
    sheet: FrameSelection


def evaluate(bag: str, source: BagSource, segmenter: Segmenter,
             progress: Callable[[], Any]) -> BagResult:
    """Segments every pair and scores it against the true label that has the colour image's stamp,
    or the nearest one within the slop; both are of the segmenter's groups. progress is called after
    every image.

    Raises SsmaError for the first image that cannot be used, for images whose sizes differ, for
    labels that are no class of the model, and when no pair could be scored.
    """
    walk = _Walk(bag, source, segmenter)
    for message, pairs in recorded_images.paired(bag, source.rgb, source.aux, walk.pairing,
                                                 walk.image):
        walk.take(message, pairs)
        progress()
    return walk.end()


def true_labels(bag: str, source: BagSource, grouped: Grouped,
                recordings: Recordings | None = None) -> TrueLabels:
    """Those of the source, of the model's own classes. recordings: of the colour images, if they
    were read already. Raises SsmaError as `Masks`."""
    if source.label:
        return GroundTruth(bag, source.label, source.slop, source.ignore, grouped.void_id)
    stamps_ns = (recordings or Recordings(bag, [source.rgb])).stamps_ns[source.rgb]
    assert source.truth  # as the source's own check says
    masks = masks_of(bag, source.truth)
    with naming(bag):
        return Masks(masks, stamps_ns, source.slop, source.ignore, grouped.void_id)


def score(truth: TrueLabel, prediction: npt.NDArray[Any], grouped: Grouped) -> FrameCounts:
    """The counts of one frame, H×W class ids, of groups if there are any. Raises SsmaError, naming
    the label's message or file, for another size or an id that is no class."""
    with naming(truth.where):
        return frame_counts(_in_groups(truth, grouped), prediction, grouped.spec)


def _in_groups(truth: TrueLabel, grouped: Grouped) -> npt.NDArray[np.uint8]:
    check_ids(truth.labels, len(grouped.ids), "the truth")
    return regrouped(truth.labels.astype(np.uint8, copy=False), grouped.ids)


class _Walk:
    """The way through a bag, and what was found until now."""

    def __init__(self, bag: str, source: BagSource, segmenter: Segmenter) -> None:
        self._bag, self._source, self._segmenter = bag, source, segmenter
        self.pairing: Pairing[ImageMessage] = Pairing(
            source.slop, source.queue_size, source.aux_delay)
        self._ended: dict[Stream, Counter[Any]] = {stream: Counter() for stream in STREAMS}
        self._as_depth = is_depth(segmenter.spec.modalities[-1])
        self._truth = true_labels(bag, source, segmenter.grouped)
        self._sheet = FrameSelection(rosbag2.seconds(bag))
        self._frames: list[FrameResult] = []
        self._counts: list[FrameCounts] = []  # of those that have a true label
        self._drops: list[TimelineEvent] = []
        self._newest: rosbag2.Recorded
        self._stamp_ns = 0  # of the newest
        self._begin_ns, self._end_ns = 2**63, 0

    def image(self, message: rosbag2.Recorded, stream: Stream) -> ImageMessage:
        return recorded_images.read(message, stream, as_depth=self._as_depth)

    def take(self, message: rosbag2.Recorded, pairs: Iterable[Pair[ImageMessage]]) -> None:
        self._newest = message
        self._stamp_ns = rosbag2.stamp_ns(message)
        self._begin_ns = min(self._begin_ns, self._stamp_ns)
        self._end_ns = max(self._end_ns, self._stamp_ns)
        self._go_on(pairs)

    def end(self) -> BagResult:
        """Raises SsmaError when there was no pair, or none with a true label."""
        apart = self.pairing.apart()
        self._go_on(self.pairing.flush())
        self._check(apart)
        ends = {str(stream): {str(cause): n for cause, n in counts.items()}
                for stream, counts in self.pairing.counts.items()}
        if isinstance(self._truth, Masks):
            ends["truth"] = self._truth.ends()
        timeline = Timeline(self._begin_ns, self._end_ns, tuple(self._drops))
        counts = stacked(self._counts, self._segmenter.spec.classes)
        return BagResult(DriveResult(
            self._bag, tuple(self._frames), counts.confusion, timeline, ends,
            self.pairing.clock_jumps, counts.boundaries), self._sheet)

    def _go_on(self, pairs: Iterable[Pair[ImageMessage]]) -> None:
        for pair in pairs:
            self._segment(pair.rgb_stamp_ns, pair.rgb.array(), pair.aux.array())
        for stream, counts in self.pairing.counts.items():
            new = Counter(counts) - self._ended[stream]
            self._drops += [TimelineEvent(self._stamp_ns, f"{SENSORS[stream]} {cause}")
                            for cause in new.elements() if cause != "paired"]
            self._ended[stream] = Counter(counts)

    def _segment(self, stamp_ns: int, rgb: npt.NDArray[Any], aux: npt.NDArray[Any]) -> None:
        with rosbag2.about(self._newest):
            if not self._frames:
                self._segmenter.segment(rgb, aux)  # warm up, as the node does before it starts
            begin = time.perf_counter()
            labels = self._segmenter.segment(rgb, aux).labels
        latency_ms = round(1000 * (time.perf_counter() - begin), 3)
        truth = self._truth.near(stamp_ns, self._newest.time_ns)
        self._frames.append(FrameResult(stamp_ns=stamp_ns, latency_ms=latency_ms,
                                        scored=truth is not None))
        if truth is None:
            return
        spec, grouped = self._segmenter.spec, self._segmenter.grouped
        counts = score(truth, labels, grouped)
        self._counts.append(counts)
        matrix = ConfusionMatrix.summed(counts.confusion[None], spec.void_id)
        self._sheet.offer(matrix.frame_score(), stamp_ns, lambda: show_frame(
            spec, self._bag, stamp_ns, matrix, rgb=rgb,
            aux=self._segmenter.registered(rgb, aux), labels=labels,
            truth=_in_groups(truth, grouped)))

    def _check(self, apart: float | None) -> None:
        source = self._source
        if not self._frames:
            raise recorded_images.nothing_paired(source.rgb, source.aux, self.pairing, apart)
        if not self._counts:
            where = f"on {source.label}" if source.label else f"in {source.truth}"
            if isinstance(self._truth, Masks):
                where += f" ({', '.join(f'{n} {end}' for end, n in self._truth.ends().items())})"
            raise SsmaError(
                f"none of the {len(self._frames)} pairs has a label {where} within "
                f"{source.slop:g} s of the stamp on {source.rgb}: labels must carry the stamp "
                "of their colour image"
                + (", and be recorded within 2 s of it" if source.label else ""))

"""The way of a frame: message, pair, worker, label. The node is the wiring around it."""
from __future__ import annotations

import re
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from ssma_core import Segmenter, SsmaError, overlay
from ssma_ros import messages
from ssma_ros.diagnostics import Record
from ssma_ros.messages import Frame
from ssma_ros.pairing import Pair, Pairing, Stream
from ssma_ros.worker import Worker


@dataclass(frozen=True)
class Outputs:
    """Where the pipeline's results go: publishers' methods, called in the worker's thread.

    label, overlay: publish a sensor_msgs/Image. overlay_wanted: whether anybody subscribes to it.
    error: logs a line.
    """

    label: Callable[[Any], None]
    overlay: Callable[[Any], None]
    overlay_wanted: Callable[[], bool]
    error: Callable[[str], None]


class Arrived(NamedTuple):
    """A frame, and when it came (time.perf_counter)."""

    frame: Frame
    time: float


class Pipeline:
    """Takes image messages of both topics and publishes a label image for the newest pair.

    Frames that cannot be used are counted and each reason is logged once; it always goes on.
    """

    def __init__(self, segmenter: Segmenter, pairing: Pairing[Arrived], outputs: Outputs) -> None:
        self.record = Record()
        self.pairing = pairing
        self._segmenter = segmenter
        self._outputs = outputs
        self._told: set[str] = set()
        self._idle_since = 0.0
        self.worker: Worker[Pair[Arrived]] = Worker(self._segment, self._failed)

    def receive(self, message: Any, stream: Stream, topic: str) -> None:
        """Takes an image in. Returns at once: the work is the worker's."""
        self.record.image_received(stream)
        try:
            frame = messages.frame(message, stream, topic)
            pairs = self.pairing.add(
                stream, frame.stamp_ns, Arrived(frame, time.perf_counter()))
        except SsmaError as error:
            self.record.refused += 1
            self._say_once(str(error))
            return
        for pair in pairs:
            self.record.last_paired = time.monotonic()
            self.worker.offer(pair)

    def _segment(self, pair: Pair[Arrived]) -> None:
        arrived = max(pair.rgb.time, pair.aux.time)
        begin = max(arrived, self._idle_since)
        header = pair.rgb.frame.message.header
        rgb, aux = pair.rgb.frame.image(), pair.aux.frame.image()
        before = time.perf_counter()
        labels = self._segmenter.segment(rgb, aux).labels
        inference = time.perf_counter() - before
        self._outputs.label(messages.image(labels, "mono8", header))
        published = time.perf_counter()
        self.record.label_published(
            published - arrived, inference, published - begin - inference)
        if self._outputs.overlay_wanted():
            picture = overlay(rgb, labels, self._segmenter.spec)
            self._outputs.overlay(messages.image(picture, "bgr8", header))
        self._idle_since = time.perf_counter()

    def _failed(self, error: Exception) -> None:
        self._idle_since = time.perf_counter()
        self.record.failed += 1
        if isinstance(error, SsmaError):
            self._say_once(str(error))
        else:  # a fault of ours: whoever mends it needs the traceback
            self._say_once(f"{type(error).__name__}: {error}",
                           details="".join(traceback.format_exception(error)))

    def _say_once(self, reason: str, details: str = "") -> None:
        """Logs each reason once, whatever its numbers; /diagnostics has it as long as it lasts."""
        self.record.error(reason)
        cause = re.sub(r"\d+", "#", reason)
        if cause not in self._told:
            self._told.add(cause)
            self._outputs.error(f"{reason} (said once, counted from now on)\n{details}".rstrip())

"""The way of a frame: message, pair, worker, label. The node is the wiring around it."""
from __future__ import annotations

import math
import threading
import time
import traceback
from typing import Any

from ssma_core import (
    OTHER,
    OVERTAKE_NS,
    NoAnswer,
    Pairing,
    Registration,
    Segmenter,
    SsmaError,
    Stream,
    image_messages,
)
from ssma_ros.node import messages, points
from ssma_ros.node.health.arrivals import Arrivals, Loss
from ssma_ros.node.health.delay import GRID, DelayEstimator
from ssma_ros.node.health.statistics import ALONE, RECEIVED, TAKEN, Statistics
from ssma_ros.node.health.throttle import REPEAT_S, Throttle
from ssma_ros.node.health.watchdog import Watchdog
from ssma_ros.node.labelling import Arrived, GivenUp, Labelling, Outputs, Work
from ssma_ros.node.parameters import Parameters
from ssma_ros.node.worker import Worker

NO_MODE = "none"
PATIENCE_S = 0.5  # for a thread whose time is over; it may be between two frames


class Pipeline:
    """Takes image messages of both topics and publishes a label image for the newest pair. While a
    stream is silent and the model can label without it, the other's newest image is labelled.

    Frames that cannot be used are counted, and the reason is logged, throttled; the pipeline always
    goes on. Labels never go back in time, unless the clock was set back.
    """

    def __init__(self, segmenter: Segmenter, given: Parameters, outputs: Outputs,
                 registration: Registration | None = None) -> None:
        self.statistics = Statistics()
        self.arrivals = Arrivals()
        self._delay_estimator = DelayEstimator()
        self.pairing: Pairing[Arrived] = Pairing(given.slop, given.queue_size, given.aux_delay)
        self._outputs, self._registration = outputs, registration
        self.labelling = self._labelling(segmenter, given)
        self._watchdog = Watchdog(time.monotonic())
        self._newest: dict[Stream, Arrived] = {}
        self._offered_ns: dict[Stream, int] = {}  # the newest stamps offered to the worker
        self._last_label = (NO_MODE, float("-inf"))
        self._published_mode = ""
        self._publishing_mode = threading.Lock()
        self._throttle = Throttle()
        self.worker: Worker[Work] = Worker(self._work, self._failed)

    def stop(self) -> bool:
        """Ends the worker. Returns whether it has ended: a thread that hangs is left behind, and
        uses its segmenter still."""
        left = self.given.inference_timeout - self.worker.at_work_for()
        ended = self.worker.stop(max(PATIENCE_S, left))
        self.labelling.given_up = not ended
        return ended

    def restart(self, segmenter: Segmenter) -> None:
        """After `stop`: labels by another segmenter, in another thread."""
        before = self.labelling
        self.labelling = self._labelling(segmenter, before.given)
        self.labelling.camera_info = before.camera_info
        self.labelling.colour_frame = before.colour_frame
        self.worker = Worker(self._work, self._failed)
        self.statistics.happened("model loaded again")

    def _labelling(self, segmenter: Segmenter, given: Parameters) -> Labelling:
        return Labelling(segmenter, given, self._outputs, self.statistics, self.report,
                         registration=self._registration)

    def is_stalled(self) -> bool:
        """Whether the model has given no answer for too long, though it was asked."""
        return self.worker.stalled_for() > self.given.inference_timeout

    @property
    def given(self) -> Parameters:
        return self.labelling.given

    def change(self, given: Parameters) -> None:
        """Uses other values from the next frame on. Raises SsmaError for values out of range."""
        self.pairing.change(given.slop, given.queue_size, given.aux_delay)
        self.labelling.given = given
        self._begin_anew()

    def camera_info(self, message: Any) -> None:
        """Takes the colour camera's sensor_msgs/CameraInfo, for the points."""
        self.labelling.camera_info = message
        self.statistics.wrong_calibration = points.wrong_calibration(message)

    def lost(self, stream: Stream) -> Loss | None:
        """See `Arrivals.lost`."""
        return self.arrivals.lost(stream, self.statistics.came_back.get(stream, -math.inf))

    def estimate_delay(self) -> None:
        """Looks how late the second sensor is; to be called every second."""
        self.statistics.aux_delay = self._delay_estimator.delay(self.given.aux_delay)

    def _begin_anew(self) -> None:
        """What was recent was of another state of things."""
        self.statistics.begin_anew()
        self.arrivals.begin_anew()
        self._delay_estimator.begin_anew()
        self.labelling.displacement.begin_anew()
        self.statistics.aux_delay = self.statistics.displaced = None

    @property
    def mode(self) -> str:
        """The last label's mode; "none" after the longer timeout and twice the last latency without
        a label. A mode is both modalities' names with a "+" between them, or the name of one."""
        mode, when = self._last_label
        timeout = max(self.given.aux_timeout, self.given.rgb_timeout)
        takes = self.statistics.latencies[-1] if self.statistics.latencies else 0.0
        return mode if time.monotonic() - when <= timeout + 2 * takes else NO_MODE

    def age(self, stream: Stream) -> float | None:
        """How many seconds ago a stream's newest image was stamped; None before there is one."""
        stamp_ns = self.statistics.last_stamp_ns.get(stream)
        return None if stamp_ns is None else (self._outputs.now_ns() - stamp_ns) / 1e9

    def timeout(self, stream: Stream) -> float:
        """How many seconds a stream's images wait for the other's."""
        return self.given.aux_timeout if stream == "rgb" else self.given.rgb_timeout

    def tick(self) -> None:
        """Labels the image whose partner did not come in time, and publishes the mode where it
        changed. To be called many times a second, in the thread that calls `receive`."""
        for stream, arrived in self._newest.items():
            if self._watchdog.is_over(stream, time.monotonic(), self.timeout(stream)):
                self._offer_unimodal(stream, arrived)
        self.publish_mode()

    def publish_mode(self) -> None:
        """Publishes the mode if it changed."""
        with self._publishing_mode:
            mode = self.mode
            if mode != self._published_mode:
                self._published_mode = mode
                self._outputs.mode(mode)

    def receive(self, message: Any, stream: Stream, topic: str) -> None:
        """Takes an image. Returns at once: the worker does the work."""
        self.statistics.happened(RECEIVED[stream])
        try:
            self._arrived(message, stream)
            image = messages.checked(message, stream, topic)
        except Exception as error:  # rclpy would end the node
            self.statistics.happened("refused")
            self.report(error)
            return
        try:
            self._pair(stream, Arrived(image, time.monotonic()))
        except Exception as error:  # a zero stamp, counted in the pairing; or a fault of ours
            self.report(error)

    def _arrived(self, message: Any, stream: Stream) -> None:
        """Notes when it came, whether it can be used or not."""
        stamp_ns = image_messages.stamp_ns(message)
        self.arrivals.came(stream, stamp_ns, size=len(message.data),
                           age=(self._outputs.now_ns() - self.pairing.time(stream, stamp_ns)) / 1e9)

    def _pair(self, stream: Stream, arrived: Arrived) -> None:
        """Offers the worker the pairs that this image completes, or the image alone."""
        image, now = arrived
        jumps = self.pairing.clock_jumps
        duplicates = self.pairing.counts[stream]["duplicate"]
        pairs = self.pairing.add(stream, image.stamp_ns, arrived)
        self._newest[stream] = arrived
        is_new = self.statistics.image_seen(stream, image.stamp_ns)
        if is_new and self.pairing.counts[stream]["duplicate"] == duplicates:
            self.statistics.happened(TAKEN[stream])
        alone = is_new and self._watchdog.image_came(
            stream, now, self.timeout(stream), blank=stream in self.statistics.blank)
        for pair in pairs:
            self.statistics.pair_made()
            self._watchdog.pair_came(now)
            if not self._offer({"rgb": pair.rgb, "aux": pair.aux}):
                self.statistics.happened("overtaken")
        if self.pairing.clock_jumps > jumps:  # the pairs are of the time before it
            self._begin_anew()
            self.statistics.happened("clock jump")
            self._offered_ns = {}
            self._newest = {stream: arrived}
        if alone and not pairs:
            self._offer_unimodal(stream, arrived)
        pixels = messages.some_pixels(image.message, *GRID)
        if pixels is not None:
            self._delay_estimator.look(stream, image.stamp_ns, pixels)

    def _offer_unimodal(self, stream: Stream, arrived: Arrived) -> None:
        if self.labelling.unimodal[stream] and self._offer({stream: arrived}):
            self.statistics.happened(ALONE[stream])

    def _offer(self, work: Work) -> bool:
        """Offers it to the worker if it is newer than all before. Returns whether it was."""
        stamps = {stream: arrived.image.stamp_ns for stream, arrived in work.items()}
        if any(self._is_past(stream, stamp_ns) for stream, stamp_ns in stamps.items()):
            return False
        self._offered_ns |= stamps
        self.statistics.happened("offered")
        if self.worker.offer(work):
            self.statistics.happened("overwritten")
        return True

    def _is_past(self, stream: Stream, stamp_ns: int) -> bool:
        """Whether that moment, or a later one, was offered already. The other stream's stamps count
        only where both can be of one clock: a stamp an hour ahead must not stop the labels for an
        hour."""
        time_ns = self.pairing.time(stream, stamp_ns)
        offered = {s: self.pairing.time(s, newest) for s, newest in self._offered_ns.items()}
        ahead_ns = offered.get(OTHER[stream], -math.inf) - time_ns
        return time_ns <= offered.get(stream, -math.inf) or 0 <= ahead_ns < OVERTAKE_NS

    def _work(self, work: Work) -> None:
        labelling = self.labelling
        try:
            mode = labelling.label(work)
        except NoAnswer:
            raise
        except SsmaError as error:  # that the model refuses an image is an answer
            self._failed(error)
            return
        if mode:
            self._last_label = mode, time.monotonic()
            self.publish_mode()
        labelling.prepare()

    def _failed(self, error: Exception) -> None:
        if not isinstance(error, GivenUp):
            self.statistics.happened("failed")
            self.report(error)

    def report(self, error: Exception) -> None:
        """Logs what went wrong, each cause every REPEAT_S seconds at most. It ends nothing."""
        if isinstance(error, SsmaError):
            self._log(str(error))
        else:  # a fault of ours: the traceback is needed
            self._log(f"{type(error).__name__}: {error}",
                      details="".join(traceback.format_exception(error)))

    def _log(self, reason: str, details: str = "") -> None:
        self.statistics.error(reason)  # /diagnostics shows it as long as it lasts
        if self._throttle.is_due(reason):
            self._outputs.error(f"{reason} (logged every {REPEAT_S:g} s while it lasts)\n{details}"
                                .rstrip())

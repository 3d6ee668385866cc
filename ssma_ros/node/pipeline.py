"""The way of a frame: message, pair, worker, label. The node is the wiring around it."""
from __future__ import annotations

import math
import threading
import time
import traceback
from typing import Any

from ssma_core import OTHER, OVERTAKE_NS, Pairing, Segmenter, SsmaError, Stream
from ssma_ros.node import messages
from ssma_ros.node.health.statistics import ALONE, RECEIVED, Statistics
from ssma_ros.node.health.throttle import REMIND_S, Throttle
from ssma_ros.node.health.watchdog import Watchdog
from ssma_ros.node.labelling import Arrived, Labelling, Outputs, Work
from ssma_ros.node.parameters import Parameters
from ssma_ros.node.worker import Worker

NO_MODE = "none"


class Pipeline:
    """Takes image messages of both topics and publishes a label image for the newest pair; while a
    stream is silent, and the model can label without it, for the other's newest image.

    Frames that cannot be used are counted, and why is logged at a calm rate; it always goes on.
    No label is of an earlier moment than one before it, unless the clock was set back.
    """

    def __init__(self, segmenter: Segmenter, given: Parameters, outputs: Outputs) -> None:
        self.statistics = Statistics()
        self.pairing: Pairing[Arrived] = Pairing(given.slop, given.queue_size, given.aux_delay)
        self.labelling = Labelling(segmenter, given, outputs, self.statistics, self.complain)
        self._outputs = outputs
        self._watchdog = Watchdog(time.monotonic())
        self._newest: dict[Stream, Arrived] = {}
        self._offered_ns: dict[Stream, int] = {}  # the newest stamps that the worker was offered
        self._last_label = (NO_MODE, float("-inf"))
        self._mode_said = ""
        self._saying = threading.Lock()
        self._throttle = Throttle()
        self.worker: Worker[Work] = Worker(self._work, self._failed)

    @property
    def given(self) -> Parameters:
        return self.labelling.given

    def change(self, given: Parameters) -> None:
        """Goes by other values from the next frame on. Raises SsmaError where they cannot be."""
        self.pairing.change(given.slop, given.queue_size, given.aux_delay)
        self.labelling.given = given

    def camera_info(self, message: Any) -> None:
        """Takes the colour camera's sensor_msgs/CameraInfo, for the points."""
        self.labelling.camera_info = message

    @property
    def mode(self) -> str:
        """What the last label was made from: both modalities' names with a "+" between them, the
        name of one, or "none" when nothing was labelled for longer than the longer timeout, and
        than two frames take."""
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
        """What time brings, while nothing comes: to be called many times a second, by who calls
        `receive`. Labels the image that has waited in vain, and publishes the mode where it is
        another than before."""
        for stream, arrived in self._newest.items():
            if self._watchdog.is_over(stream, time.monotonic(), self.timeout(stream)):
                self._offer_alone(stream, arrived)
        self.say_mode()

    def say_mode(self) -> None:
        """Publishes the mode if it is another than before."""
        with self._saying:
            mode = self.mode
            if mode != self._mode_said:
                self._mode_said = mode
                self._outputs.mode(mode)

    def receive(self, message: Any, stream: Stream, topic: str) -> None:
        """Takes an image in. Returns at once: the work is the worker's."""
        self.statistics.happened(RECEIVED[stream])
        self.say_mode()
        try:
            image = messages.checked(message, stream, topic)
        except Exception as error:  # rclpy would end the node
            self.statistics.happened("refused")
            self.complain(error)
            return
        try:
            self._pair(stream, Arrived(image, time.monotonic()))
        except Exception as error:  # a zero stamp, counted in the pairing; or a fault of ours
            self.complain(error)

    def _pair(self, stream: Stream, arrived: Arrived) -> None:
        """Offers the worker the pairs that the frame makes certain, or the frame alone."""
        image, now = arrived
        jumps = self.pairing.clock_jumps
        pairs = self.pairing.add(stream, image.stamp_ns, arrived)
        self._newest[stream] = arrived
        alone = (self.statistics.image_seen(stream, image.stamp_ns)
                 and self._watchdog.image_came(stream, now, self.timeout(stream),
                                              shows=stream not in self.statistics.dead))
        for pair in pairs:
            self.statistics.last_paired = now
            self.statistics.happened("paired")
            self._watchdog.pair_came(now)
            if not self._offer({"rgb": pair.rgb, "aux": pair.aux}):
                self.statistics.happened("overtaken")
        if self.pairing.clock_jumps > jumps:  # the pairs were of before
            self.statistics.happened("clock jump")
            self._offered_ns = {}
            self._newest = {stream: arrived}
        if alone and not pairs:
            self._offer_alone(stream, arrived)

    def _offer_alone(self, stream: Stream, arrived: Arrived) -> None:
        if self.labelling.unimodal[stream] and self._offer({stream: arrived}):
            self.statistics.happened(ALONE[stream])

    def _offer(self, work: Work) -> bool:
        """Whether it is newer than all before, and so was offered to the worker."""
        stamps = {stream: arrived.image.stamp_ns for stream, arrived in work.items()}
        if any(self._is_past(stream, stamp_ns) for stream, stamp_ns in stamps.items()):
            return False
        self._offered_ns |= stamps
        self.statistics.happened("offered")
        if self.worker.offer(work):
            self.statistics.happened("overwritten")
        return True

    def _is_past(self, stream: Stream, stamp_ns: int) -> bool:
        """Whether that moment, or a later one, was offered already. The other stream's clock counts
        for as long as it can be the same one: what is stamped an hour ahead must not end the labels
        of an hour."""
        time_ns = self.pairing.time(stream, stamp_ns)
        offered = {s: self.pairing.time(s, newest) for s, newest in self._offered_ns.items()}
        ahead_ns = offered.get(OTHER[stream], -math.inf) - time_ns
        return time_ns <= offered.get(stream, -math.inf) or 0 <= ahead_ns < OVERTAKE_NS

    def _work(self, work: Work) -> None:
        if mode := self.labelling.label(work):
            self._last_label = mode, time.monotonic()
            self.say_mode()
        self.labelling.prepare()

    def _failed(self, error: Exception) -> None:
        self.statistics.happened("failed")
        self.complain(error)

    def complain(self, error: Exception) -> None:
        """Logs what went wrong, each cause every REMIND_S at most. It ends nothing."""
        if isinstance(error, SsmaError):
            self._say(str(error))
        else:  # a fault of ours: whoever mends it needs the traceback
            self._say(f"{type(error).__name__}: {error}",
                      details="".join(traceback.format_exception(error)))

    def _say(self, reason: str, details: str = "") -> None:
        self.statistics.error(reason)  # /diagnostics has it as long as it lasts
        if self._throttle.is_due(reason):
            self._outputs.error(f"{reason} (said every {REMIND_S:g} s while it lasts)\n{details}"
                                .rstrip())

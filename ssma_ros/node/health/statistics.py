"""What happened in the node since activation: counts, rates, durations. diagnostics.py puts it into
words."""
from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Literal

from ssma_core import STREAMS, Stream

RECENT_S = 1.5  # within so many seconds; a stream without a recent image is silent
RATE_S = 5.0
FIRST_PERIODS_S = 3.0  # how slow a camera is nobody knows after its first image

# rgb received, aux received: images.
# rgb taken, aux taken: of these the ones that can be paired, each once: not refused, no duplicates.
# refused: images that cannot be used.
# paired: pairs.
# rgb alone, aux alone: images offered to the worker without a partner.
# offered: pairs, and images without a partner, offered to the worker.
# overtaken: pairs of which one image, or a newer one, was labelled alone before.
# overwritten: offered, but overwritten by a newer one before the worker took it.
# dead: blank images, see blank.py. /diagnostics shows this key, so it keeps its name.
# failed: could not be segmented.
# published: labels.
# aux left out: pairs that could not be labelled together; their colour image was labelled alone.
# clock jump: stamps went back.
# model loaded again: because it gave no answer for too long.
Event = Literal["rgb received", "aux received", "rgb taken", "aux taken", "refused", "paired",
                "rgb alone", "aux alone", "offered", "overtaken", "overwritten", "dead", "failed",
                "published", "aux left out", "clock jump", "model loaded again"]
RECEIVED: dict[Stream, Event] = {"rgb": "rgb received", "aux": "aux received"}
TAKEN: dict[Stream, Event] = {"rgb": "rgb taken", "aux": "aux taken"}
ALONE: dict[Stream, Event] = {"rgb": "rgb alone", "aux": "aux alone"}


def _now() -> float:
    """Seconds of the steady clock."""
    return time.monotonic()


def _recent() -> deque[float]:
    return deque(maxlen=1000)


@dataclass
class Statistics:
    """Written by the node's thread and the worker's. Durations in seconds, the newest thousand.

    latencies: from the arrival of a label's last image to its publish. ages: from its stamp.
    inferences: the model's part of the latency.
    own_shares: the node's part of the latency. Waiting for another pair or for preparation counts
      only as latency.
    last_seen, last_stamp_ns: when a stream's newest usable image came, and its stamp.
    came_back: when a stream's images began to come, the last time; no key before they ever came.
    activated: when that was. published_since: when somebody began to publish a stream's topic.
    blank: streams whose last image was blank, why, and when that was.
    unchanged: for how many seconds a stream's images did not change, to the byte.
    qos_mismatch: streams of which a publisher's QoS does not fit, and the policy's name.
    wrong_unit: in which the second sensor's depth seems to be, in words; "" while it seems right.
    wrong_calibration: what cannot be right in the colour camera's CameraInfo, in words, or "".
    displaced: by how many pixels to the right and down the second images do not fit the colour
      images; None while they seem to fit.
    aux_delay: what the parameter should be, in seconds; None while it seems right.
    """

    counts: Counter[Event] = field(default_factory=Counter)
    latencies: deque[float] = field(default_factory=_recent)
    ages: deque[float] = field(default_factory=_recent)
    inferences: deque[float] = field(default_factory=_recent)
    own_shares: deque[float] = field(default_factory=_recent)
    last_seen: dict[Stream, float] = field(
        default_factory=lambda: dict.fromkeys(STREAMS, _now()))
    last_stamp_ns: dict[Stream, int] = field(default_factory=dict)
    last_paired: float = field(default_factory=_now)
    came_back: dict[Stream, float] = field(default_factory=dict)
    activated: float = field(default_factory=_now)
    published_since: dict[Stream, float] = field(default_factory=dict)
    blank: dict[Stream, tuple[str, float]] = field(default_factory=dict)
    unchanged: Mapping[Stream, float] = field(default_factory=dict)
    qos_mismatch: dict[Stream, str] = field(default_factory=dict)
    wrong_unit: str = ""
    wrong_calibration: str = ""
    displaced: tuple[int, int] | None = None
    aux_delay: float | None = None
    last_error: tuple[str, float] = ("", float("-inf"))
    _since: float = float("-inf")  # rates and recent events are of after this
    _gaps: dict[Stream, deque[float]] = field(
        default_factory=lambda: {stream: deque(maxlen=5) for stream in STREAMS})
    _times: dict[Event, deque[float]] = field(default_factory=dict)

    def happened(self, event: Event) -> None:
        self.counts[event] += 1
        self._times.setdefault(event, _recent()).append(_now())

    def begin_anew(self) -> None:
        """Forgets what was recent: it was of another state of things, such as a dead sensor or
        another slop. Counts stay."""
        self._since = _now()

    def rate(self, event: Event) -> float:
        """How often a second it happened recently."""
        now, times = _now(), self._times_of(event)
        if not times or now == times[0]:
            return 0.0
        if now - times[0] < RATE_S:  # it began less than RATE_S ago: count the gaps
            return (len(times) - 1) / (now - times[0])
        return self.recent(event) / RATE_S

    def recent(self, event: Event) -> int:
        """How often it happened in the last RATE_S seconds."""
        now = _now()
        return sum(now - then < RATE_S for then in self._times_of(event))

    def _times_of(self, event: Event) -> list[float]:
        return [then for then in list(self._times.get(event, ())) if then >= self._since]

    def is_going_on(self, event: Event) -> bool:
        """Whether it happened within the last RECENT_S seconds."""
        times = self._times.get(event)
        return times is not None and is_recent(times[-1])

    def image_seen(self, stream: Stream, stamp_ns: int) -> bool:
        """Whether its stamp differs from the one before: a driver that hangs may repeat image and
        stamp."""
        if self.last_stamp_ns.get(stream) == stamp_ns:
            return False
        now = _now()
        if stream not in self.came_back or self.is_silent(stream):
            self.came_back[stream] = now
            self.begin_anew()
        else:
            self._gaps[stream].append(now - self.last_seen[stream])
        self.last_seen[stream] = now
        self.last_stamp_ns[stream] = stamp_ns
        self.qos_mismatch.pop(stream, None)
        return True

    def is_silent(self, stream: Stream) -> bool:
        """Whether no usable image came for long, also by what is usual for a slow camera."""
        return _now() - self.last_seen[stream] > self._patience(stream)

    def no_pairs(self) -> bool:
        """Whether no pair was made for long, while images of both streams came."""
        since = max([self.last_paired, *self.came_back.values()])
        return _now() - since > max(map(self._patience, STREAMS))

    def _patience(self, stream: Stream) -> float:
        """For how many seconds a stream may be silent."""
        if self._gaps[stream]:
            return max(RECENT_S, 2 * median(self._gaps[stream]))
        just_one = stream in self.came_back and not self.is_going_on(RECEIVED[stream])
        return FIRST_PERIODS_S if just_one else RECENT_S

    def is_starting(self) -> bool:
        """Whether a stream has not come yet, or has just begun, or begun again."""
        return len(self.came_back) < len(STREAMS) or any(map(is_recent, self.came_back.values()))

    def pair_made(self) -> None:
        if self.no_pairs():
            self.begin_anew()
        self.last_paired = _now()
        self.happened("paired")

    def looked_at(self, streams: Container[Stream], blank: Mapping[Stream, str]) -> None:
        """blank: which of the streams' images were blank, and why."""
        now = _now()
        others = {stream: known for stream, known in self.blank.items() if stream not in streams}
        # In one step: the node's thread may read it meanwhile.
        self.blank = others | {stream: (reason, now) for stream, reason in blank.items()}

    def label_published(self, *, latency: float, inference: float, own_share: float,
                        age: float) -> None:
        self.latencies.append(latency)
        self.inferences.append(inference)
        self.own_shares.append(own_share)
        self.ages.append(age)
        self.happened("published")

    def error(self, reason: str) -> None:
        self.last_error = (reason, _now())

    def recent_errors(self) -> list[str]:
        """The last error, while it is recent."""
        reason, when = self.last_error
        return [reason] if is_recent(when) else []


def is_recent(when: float) -> bool:
    """when: on the steady clock."""
    return _now() - when <= RECENT_S

"""What happened in the node since activation: counts, rates, durations. The words for it stand in
diagnostics.py."""
from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from typing import Literal

from ssma_core import STREAMS, Stream

NEWS_S = 1.5  # for so long something is news, and a stream without an image is not yet silent
RATE_S = 5.0

# rgb received, aux received: images. refused: images that cannot be used. paired: pairs. rgb alone,
# aux alone: images offered to the worker without a partner. offered: pairs and those. overtaken:
# pairs that came when one of their images, or a newer one, had been labelled alone. overwritten: by
# a newer one, before the worker's turn. dead: showed nothing, see content.py. failed: could not be
# segmented. published: labels. aux left out: pairs that could not be labelled together, of which
# colour was alone. clock jump: stamps went back.
Event = Literal["rgb received", "aux received", "refused", "paired", "rgb alone", "aux alone",
                "offered", "overtaken", "overwritten", "dead", "failed", "published",
                "aux left out", "clock jump"]
RECEIVED: dict[Stream, Event] = {"rgb": "rgb received", "aux": "aux received"}
ALONE: dict[Stream, Event] = {"rgb": "rgb alone", "aux": "aux alone"}


def _now() -> float:
    """By the steady clock: seconds."""
    return time.monotonic()


def _recent() -> deque[float]:
    return deque(maxlen=1000)


@dataclass
class Statistics:
    """Written by the node's thread and the worker's. Durations in seconds, the newest thousand.

    latencies: from the arrival of a label's last image to its publish. ages: from its stamp.
    inferences: what the model took of the latency.
    own_shares: the rest, that is the node's own; waiting while another pair was segmented is
      neither the node's work nor this pair's inference, and counts only as latency.
    last_seen, last_stamp_ns: when a stream's newest usable image came, and its stamp.
    dead: streams whose last image showed nothing, why, and when that was.
    unchanged: for how many seconds a stream's images have been the same, to the byte.
    qos_mismatch: streams of which a publisher's QoS does not fit, and the policy's name.
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
    dead: dict[Stream, tuple[str, float]] = field(default_factory=dict)
    unchanged: Mapping[Stream, float] = field(default_factory=dict)
    qos_mismatch: dict[Stream, str] = field(default_factory=dict)
    last_error: tuple[str, float] = ("", float("-inf"))
    _times: dict[Event, deque[float]] = field(default_factory=dict)

    def happened(self, event: Event) -> None:
        self.counts[event] += 1
        self._times.setdefault(event, _recent()).append(_now())

    def rate(self, event: Event) -> float:
        """How often a second it happened of late."""
        now = _now()
        times = list(self._times.get(event, ()))
        if not times or now == times[0]:
            return 0.0
        if now - times[0] < RATE_S:  # it has just begun: count the gaps
            return (len(times) - 1) / (now - times[0])
        return self.lately(event) / RATE_S

    def lately(self, event: Event) -> int:
        """How often it happened in the last RATE_S seconds."""
        now = _now()
        return sum(now - then < RATE_S for then in list(self._times.get(event, ())))

    def is_going_on(self, event: Event) -> bool:
        """Whether it happened so lately that it is news."""
        times = self._times.get(event)
        return times is not None and is_news(times[-1])

    def image_seen(self, stream: Stream, stamp_ns: int) -> bool:
        """Whether it has another stamp than the one before: a driver that hangs may repeat both."""
        if self.last_stamp_ns.get(stream) == stamp_ns:
            return False
        self.last_seen[stream] = _now()
        self.last_stamp_ns[stream] = stamp_ns
        self.qos_mismatch.pop(stream, None)
        return True

    def looked_at(self, streams: Container[Stream], dead: Mapping[Stream, str]) -> None:
        """dead: which of the streams' images showed nothing, and why."""
        now = _now()
        others = {stream: said for stream, said in self.dead.items() if stream not in streams}
        # In one step: the node's thread may be reading it.
        self.dead = others | {stream: (reason, now) for stream, reason in dead.items()}

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
        """The last error, while it is news."""
        reason, when = self.last_error
        return [reason] if is_news(when) else []


def is_news(when: float) -> bool:
    """when: on the steady clock."""
    return _now() - when <= NEWS_S

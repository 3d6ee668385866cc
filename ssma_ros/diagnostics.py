"""What /diagnostics says: counters by cause, latencies, and what keeps labels from coming."""
from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ssma_ros.pairing import STREAMS, Pairing, Stream

if TYPE_CHECKING:  # the record is kept where there is no ROS, too
    from diagnostic_msgs.msg import DiagnosticStatus

SILENT_S = 2.0


def _recent() -> deque[float]:
    return deque(maxlen=1000)


@dataclass
class Record:
    """What happened since activation. Durations in seconds, the newest thousand.

    refused: images that cannot be used; failed: pairs that cannot.
    latencies: from the arrival of a pair's second image to the publish of its label.
    inferences: what the model took of it.
    own_shares: the rest, that is the node's own; waiting while another pair was segmented is
      neither the node's work nor this pair's inference, and counts only as latency.
    """

    received: Counter[Stream] = field(default_factory=Counter)
    refused: int = 0
    failed: int = 0
    published: int = 0
    latencies: deque[float] = field(default_factory=_recent)
    inferences: deque[float] = field(default_factory=_recent)
    own_shares: deque[float] = field(default_factory=_recent)
    last_seen: dict[Stream, float] = field(
        default_factory=lambda: dict.fromkeys(STREAMS, time.monotonic()))
    last_paired: float = field(default_factory=time.monotonic)
    last_error: tuple[str, float] = ("", -SILENT_S)

    def image_received(self, stream: Stream) -> None:
        self.received[stream] += 1
        self.last_seen[stream] = time.monotonic()

    def label_published(self, latency: float, inference: float, own_share: float) -> None:
        self.latencies.append(latency)
        self.inferences.append(inference)
        self.own_shares.append(own_share)
        self.published += 1

    def error(self, reason: str) -> None:
        self.last_error = (reason, time.monotonic())

    def recent_errors(self) -> list[str]:
        """The last error, while it is news."""
        reason, when = self.last_error
        return [reason] if time.monotonic() - when < SILENT_S else []


def silences(record: Record, topics: Mapping[Stream, str], publishers: Mapping[Stream, int],
             pairing: Pairing) -> list[str]:
    """What has not come for SILENT_S, in words for whoever can mend it.

    topics: full names; publishers: how many there are of each.
    """
    now = time.monotonic()
    silent = [stream for stream in STREAMS if now - record.last_seen[stream] > SILENT_S]
    if not silent and now - record.last_paired > SILENT_S:
        return [f"images come on {topics['rgb']} and {topics['aux']}, but none pair: "
                + _why_none_pair(pairing)]
    return [f"no image on {topics[stream]} for {SILENT_S:g} s: " + (
        "somebody publishes it, so look at its rate and QoS with `ros2 topic info -v`"
        if publishers[stream] else
        "nobody publishes it; is the sensor's driver running, and the topic remapped to it?")
        for stream in silent]


def _why_none_pair(pairing: Pairing) -> str:
    apart = pairing.apart()
    if apart is None or apart <= pairing.slop:
        return "they were refused, or came late, as the counters say"
    return (f"the nearest stamps lie {apart:g} s apart, beyond the slop of {pairing.slop:g} s. Are "
            "both of one clock? Then a slop of that would pair them, or an aux_delay where the "
            "second sensor's stamps are always as late")


def status(name: str, facts: Mapping[str, str], record: Record, pairing: Pairing, *,
           overwritten: int, silent: Sequence[str]) -> DiagnosticStatus:
    """The node's line of /diagnostics. facts: what does not change, as the model's name."""
    from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

    troubles = [*silent, *record.recent_errors()]
    ended = sum(pairing.counts.values(), Counter())
    values = {
        **facts,
        **{f"{stream} received": record.received[stream] for stream in STREAMS},
        "paired": pairing.counts["rgb"]["paired"],
        "published": record.published,
        "overwritten": overwritten,
        "failed": record.failed,
        **{cause: ended[cause] for cause in ("unmatched", "late", "duplicate")},
        "refused": record.refused,
        "clock jumps": pairing.clock_jumps,
        "latency p50 ms": _milliseconds(record.latencies, 50),
        "latency p99 ms": _milliseconds(record.latencies, 99),
        "inference p50 ms": _milliseconds(record.inferences, 50),
        "own share p50 ms": _milliseconds(record.own_shares, 50),
    }
    return DiagnosticStatus(
        level=DiagnosticStatus.WARN if troubles else DiagnosticStatus.OK,
        name=name, message="; ".join(troubles) or f"{record.published} labels published",
        values=[KeyValue(key=key, value=str(value)) for key, value in values.items()])


def _milliseconds(seconds: deque[float], percentile: float) -> str:
    """"-" before there are any."""
    return f"{np.percentile(list(seconds), percentile) * 1e3:.2f}" if seconds else "-"

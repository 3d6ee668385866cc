"""What /diagnostics and the log say of the node: what keeps labels from coming, in words for
whoever can mend it, and the figures."""
from __future__ import annotations

import re
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ssma_ros.pairing import OTHER, STREAMS, Cause, Pairing, Stream
from ssma_ros.pipeline import NO_MODE, Pipeline
from ssma_ros.record import NEWS_S, RECEIVED, Event, Record, is_news

if TYPE_CHECKING:  # the words are needed where there is no ROS, too
    from diagnostic_msgs.msg import DiagnosticStatus

REMIND_S, CALM_S = 30.0, 10.0
BOTTLENECK = 0.05  # of what comes in; less is overwritten by mere chance


def troubles(pipeline: Pipeline, topics: Mapping[Stream, str],
             publishers: Mapping[Stream, int]) -> list[str]:
    """What is wrong now.

    topics: full names; publishers: how many there are of each.
    """
    record, names = pipeline.record, pipeline.labelling.names
    silent = [stream for stream in STREAMS if not is_news(record.last_seen[stream])]
    found = [_silent(record, stream, topics[stream], publishers[stream]) for stream in silent]
    dead = {stream: reason for stream, (reason, when) in record.dead.items() if is_news(when)}
    found += [f"the images on {topics[stream]} show nothing: {reason}"
              for stream, reason in dead.items()]
    if not silent and not is_news(record.last_paired):
        found.append(f"images come on {topics['rgb']} and {topics['aux']}, but none pair: "
                     + _why_none_pair(pipeline.pairing))
    found += [_slow(pipeline, stream, topics[stream]) for stream in STREAMS
              if _is_slow(pipeline, stream)]
    missing = {*silent, *dead}
    if len(missing) == 1:
        stream = missing.pop()
        if not pipeline.labelling.alone[OTHER[stream]]:
            found.append(f"this model cannot label {names[OTHER[stream]]} without {names[stream]}")
    if pipeline.mode in names.values():
        found.append(f"labels are made from {pipeline.mode} alone")
    return found + record.recent_errors()


def remarks(record: Record) -> list[str]:
    """What is as it must be, but good to know."""
    rates = {event: record.rate(event) for event in ("offered", "published", "overwritten")}
    if rates["overwritten"] <= BOTTLENECK * rates["offered"]:
        return []
    return [f"the model is the bottleneck: it holds {rates['published']:.1f} Hz of the "
            f"{rates['offered']:.1f} Hz that come in; the newest images are labelled, the others "
            "overwritten"]


class Reminder:
    """Says what is new at once and what lasts every REMIND_S, whatever the numbers in it; what
    comes and goes, no sooner than after CALM_S."""

    def __init__(self) -> None:
        self._said: dict[str, float] = {}
        self._lasts: set[str] = set()

    def due(self, texts: Sequence[str]) -> list[str]:
        """Which of what holds now is to be said now."""
        now = time.monotonic()
        causes = {re.sub(r"\d+(\.\d+)?", "#", text): text for text in texts}
        due = [cause for cause in causes if now - self._said.get(cause, -np.inf)
               >= (REMIND_S if cause in self._lasts else CALM_S)]
        self._said |= dict.fromkeys(due, now)
        self._lasts = set(causes)
        return [causes[cause] for cause in due]


def status(name: str, facts: Mapping[str, str], pipeline: Pipeline,
           troubles: Sequence[str]) -> DiagnosticStatus:
    """The node's line of /diagnostics: an error while nothing is labelled, a warning while
    something is wrong. facts: what does not change, as the model's name."""
    from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

    record = pipeline.record
    mode = pipeline.mode
    level = (DiagnosticStatus.ERROR if mode == NO_MODE
             else DiagnosticStatus.WARN if troubles else DiagnosticStatus.OK)
    message = "; ".join([*troubles, *remarks(record)])
    values = {**facts, "mode": mode, **_streams(pipeline), **_counters(pipeline),
              **_durations(record)}
    return DiagnosticStatus(
        level=level, name=name,
        message=message or f"{record.counts['published']} labels published",
        values=[KeyValue(key=key, value=str(value)) for key, value in values.items()])


def _silent(record: Record, stream: Stream, topic: str, publishers: int) -> str:
    said = f"no new image on {topic} for {NEWS_S:g} s: "
    if stream in record.qos_mismatch:
        policy = record.qos_mismatch[stream]
        return said + (
            f"a publisher's QoS does not fit this node's ({policy}). `ros2 topic info -v {topic}` "
            f"shows both; set qos_overrides.{topic}.subscription.{policy.lower()} to what is "
            "offered")
    if publishers:
        return said + (f"{publishers} publisher{'s are' if publishers > 1 else ' is'} there, so "
                       "look at rate and QoS with `ros2 topic info -v`")
    return said + ("nobody publishes it; is the sensor's driver running, and the topic remapped to "
                   "it?")


def _is_slow(pipeline: Pipeline, stream: Stream) -> bool:
    """Whether the other stream's images, which come more often, do not wait for this one's."""
    period, others = map(pipeline.pairing.period, (stream, OTHER[stream]))
    timeout = pipeline.timeout(OTHER[stream])
    return period is not None and others is not None and others <= timeout < period


def _slow(pipeline: Pipeline, stream: Stream, topic: str) -> str:
    period, timeout = pipeline.pairing.period(stream), pipeline.timeout(OTHER[stream])
    return (f"images come on {topic} every {period:.2g} s, but {stream}_timeout is {timeout:g} s: "
            "the sensor counts as dead between two of them. Set it to more than that")


def _why_none_pair(pairing: Pairing) -> str:
    apart = pairing.apart()
    if apart is None or apart <= pairing.slop:
        return "they were refused, or came late, as the counters say"
    return (f"the nearest stamps lie {apart:g} s apart, beyond the slop of {pairing.slop:g} s. Are "
            "both of one clock? Then a slop of that would pair them, or an aux_delay where the "
            "second sensor's stamps are always as late")


def _streams(pipeline: Pipeline) -> dict[str, object]:
    """age: of the newest image's stamp."""
    values: dict[str, object] = {}
    for stream in STREAMS:
        event = RECEIVED[stream]
        age = pipeline.age(stream)
        values |= {f"{stream} received": pipeline.record.counts[event],
                   f"{stream} Hz": f"{pipeline.record.rate(event):.1f}",
                   f"{stream} age ms": "-" if age is None else f"{1e3 * age:.1f}"}
    return values


def _counters(pipeline: Pipeline) -> dict[str, int]:
    counts = pipeline.record.counts
    ended = sum(pipeline.pairing.counts.values(), Counter())
    causes: tuple[Cause, ...] = ("unmatched", "late", "duplicate", "zero stamp")
    events: tuple[Event, ...] = ("rgb alone", "aux alone", "published", "overwritten", "overtaken",
                                 "dead", "failed")
    return {"refused": counts["refused"], **{cause: ended[cause] for cause in causes},
            "clock jumps": pipeline.pairing.clock_jumps,
            "paired": pipeline.pairing.counts["rgb"]["paired"],
            **{event: counts[event] for event in events}}


def _durations(record: Record) -> dict[str, str]:
    values = {"label Hz": f"{record.rate('published'):.1f}"}
    for name, seconds in (("latency", record.latencies), ("stamp to label", record.ages)):
        values |= {f"{name} p{p} ms": _milliseconds(seconds, p) for p in (50, 90, 99)}
    return values | {"inference p50 ms": _milliseconds(record.inferences, 50),
                     "own share p50 ms": _milliseconds(record.own_shares, 50)}


def _milliseconds(seconds: deque[float], percentile: float) -> str:
    """"-" before there are any."""
    return f"{np.percentile(list(seconds), percentile) * 1e3:.2f}" if seconds else "-"

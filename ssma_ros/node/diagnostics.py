"""The node's messages and figures on /diagnostics and in the log."""
from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ssma_core import STREAMS, Cause
from ssma_ros.node.health.statistics import RECEIVED, Event, Statistics
from ssma_ros.node.pipeline import NO_MODE, Pipeline

if TYPE_CHECKING:  # `bottleneck` is needed without ROS too
    from diagnostic_msgs.msg import DiagnosticStatus

BOTTLENECK = 0.05  # of the offered images; fewer are overwritten by chance
SLOWEST_HZ = 0.3  # below it a rate over seconds says little


def jumped(statistics: Statistics) -> list[str]:
    """That stamps went back: not wrong, but good to know each time."""
    if not statistics.is_going_on("clock jump"):
        return []
    return ["the images' stamps went back, as when a bag begins again or a clock was set: pairing "
            "began again"]


def namesakes(name: str, namespace: str, nodes: Sequence[tuple[str, str]]) -> list[str]:
    """That another node has this node's name. nodes: name and namespace of all."""
    same = list(nodes).count((name, namespace))
    if same < 2:
        return []
    return [f"{same} nodes are named {namespace.rstrip('/')}/{name}: services, parameters and "
            "outputs of one are taken for the other's. End one, or give it another namespace. (One "
            "that crashed is still listed for 20 s.)"]


def bottleneck(statistics: Statistics) -> list[str]:
    """That the model is slower than the images: not wrong, and good to know once."""
    rates = {event: statistics.rate(event) for event in ("offered", "published", "overwritten")}
    if rates["overwritten"] <= BOTTLENECK * rates["offered"] or not statistics.inferences:
        return []
    if rates["published"] < SLOWEST_HZ:
        labels = f"one takes {np.median(statistics.inferences):.2g} s"
    else:
        labels = f"it labels {rates['published']:.1f} of {rates['offered']:.1f} images a second"
    return [f"the model is too slow: {labels}; only the newest are labelled"]


def status(name: str, facts: Mapping[str, str], pipeline: Pipeline,
           troubles: Sequence[str], news: Sequence[str] = ()) -> DiagnosticStatus:
    """The node's status for /diagnostics: an error while nothing is labelled, a warning while
    something is wrong. facts: what does not change, such as the model's name. troubles: what is
    wrong; news: what is good to know."""
    from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

    statistics = pipeline.statistics
    mode = pipeline.mode
    wrong = [*troubles, *statistics.recent_errors()]
    level = (DiagnosticStatus.ERROR if mode == NO_MODE
             else DiagnosticStatus.WARN if wrong else DiagnosticStatus.OK)
    message = "; ".join([*wrong, *news])
    values = {**facts, "mode": mode, **_streams(pipeline), **_counters(pipeline),
              **_durations(statistics)}
    return DiagnosticStatus(
        level=level, name=name,
        message=message or f"{statistics.counts['published']} labels published",
        values=[KeyValue(key=key, value=str(value)) for key, value in values.items()])


def _streams(pipeline: Pipeline) -> dict[str, object]:
    """age: of the newest image's stamp."""
    values: dict[str, object] = {}
    for stream in STREAMS:
        event = RECEIVED[stream]
        age = pipeline.age(stream)
        values |= {f"{stream} received": pipeline.statistics.counts[event],
                   f"{stream} Hz": f"{pipeline.statistics.rate(event):.1f}",
                   f"{stream} age ms": "-" if age is None else f"{1e3 * age:.1f}"}
    return values


def _counters(pipeline: Pipeline) -> dict[str, int]:
    counts = pipeline.statistics.counts
    ended = sum(pipeline.pairing.counts.values(), Counter())
    causes: tuple[Cause, ...] = ("unmatched", "late", "duplicate", "zero stamp")
    events: tuple[Event, ...] = ("rgb alone", "aux alone", "published", "overwritten", "overtaken",
                                 "dead", "failed", "aux left out", "model loaded again")
    return {"refused": counts["refused"], **{cause: ended[cause] for cause in causes},
            "clock jumps": pipeline.pairing.clock_jumps,
            "paired": pipeline.pairing.counts["rgb"]["paired"],
            **{event: counts[event] for event in events}}


def _durations(statistics: Statistics) -> dict[str, str]:
    values = {"label Hz": f"{statistics.rate('published'):.1f}"}
    for name, seconds in (("latency", statistics.latencies), ("stamp to label", statistics.ages)):
        values |= {f"{name} p{p} ms": _milliseconds(seconds, p) for p in (50, 90, 99)}
    return values | {"inference p50 ms": _milliseconds(statistics.inferences, 50),
                     "own share p50 ms": _milliseconds(statistics.own_shares, 50)}


def _milliseconds(seconds: deque[float], percentile: float) -> str:
    """"-" before there are any."""
    return f"{np.percentile(list(seconds), percentile) * 1e3:.2f}" if seconds else "-"

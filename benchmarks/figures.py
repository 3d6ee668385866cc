"""Computes the figures of a run from its times. Does not import ROS."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from statistics import mean, median
from typing import Any

import numpy as np

from ssma_core import SsmaError

FIRST = 3  # the first labels are ignored: the node allocates memory then
AT_ONCE_NS = 20_000_000  # a free model begins at most this long after an image came


@dataclass(frozen=True)
class Figures:
    """The figures of one run of one node. Durations in milliseconds.

    inference: the model's time, p50.
    own, own_p90: the time that the node adds: from when the model is free and the pair's last image
      is in the process until the label is published, without the inference.
    latency, latency_p99: from the stamp to the publication. added: the same without the inference:
      DDS, waiting for the model, and the node's own time.
    arrival_p99: from the arrival of the pair's last image in the process to the publication: the
      part for which the node is responsible.
    bound: one inference and one period of the camera.
    labels_hz: labels per second. held: the same as a share of the possible rate, which is the lower
      one of the camera's rate and the model's.
    lost: share of the sent images that did not arrive in the node's process.
    """

    inference: float
    own: float
    own_p90: float
    latency: float
    latency_p99: float
    added: float
    arrival_p99: float
    bound: float
    labels_hz: float
    held: float
    lost: float


def figures(log: Mapping[str, Sequence[Sequence[int]]], pairs: int, rate_hz: float) -> Figures:
    """log: as node_process.py writes it: lists "rgb", "aux" (stamp, arrival), "inferences" (begin,
    end) and "labels" (stamp, publication), in nanoseconds. pairs, rate_hz: what the camera sent.

    Raises SsmaError when too few labels came.
    """
    labels, inferences = log["labels"], log["inferences"]
    if len(labels) != len(inferences):
        raise SsmaError(f"{len(inferences)} inferences gave {len(labels)} labels")
    # Inferences that begin after the camera's last image had to wait, and no newer image came.
    last = max((time for stream in ("rgb", "aux") for _, time in log[stream]), default=0)
    labels = [label for label, (begin, _) in zip(labels, inferences) if begin <= last + AT_ONCE_NS]
    if len(labels) < FIRST + 2:
        raise SsmaError(f"only {len(labels)} labels came for {pairs} pairs: run it for longer")
    arrivals = {stream: {stamp: time for stamp, time in log[stream]} for stream in ("rgb", "aux")}
    own, since_arrival, latency, inference = [], [], [], []
    free = 0
    for (stamp, published), (begin, end) in zip(labels, inferences):
        # If an image was lost, the label is of the other one alone, or of it and a near one.
        arrived = max(came[stamp] for came in arrivals.values() if stamp in came)
        own.append((published - max(free, arrived) - (end - begin)) / 1e6)
        since_arrival.append((published - arrived) / 1e6)
        latency.append((published - stamp) / 1e6)
        inference.append((end - begin) / 1e6)
        free = published
    own, since_arrival, latency, inference = (
        each[FIRST:] for each in (own, since_arrival, latency, inference))
    typical = median(inference)
    labels_hz = (len(own) - 1) / ((labels[-1][1] - labels[FIRST][1]) / 1e9)
    return Figures(
        inference=typical, own=median(own), own_p90=float(np.percentile(own, 90)),
        latency=median(latency), latency_p99=float(np.percentile(latency, 99)),
        added=median(whole - model for whole, model in zip(latency, inference)),
        arrival_p99=float(np.percentile(since_arrival, 99)),
        bound=typical + 1000 / rate_hz, labels_hz=labels_hz,
        held=labels_hz / min(rate_hz, 1000 / mean(inference)),
        lost=1 - sum(map(len, arrivals.values())) / (2 * pairs))


def of_rounds(rounds: Sequence[Figures]) -> Figures:
    """The median of each figure."""
    return Figures(**{field.name: median(getattr(one, field.name) for one in rounds)
                      for field in fields(Figures)})


def table(rows: Sequence[tuple[str, str, Figures]]) -> str:
    """The figures as text, one line per case and node."""
    lines = [f"{'camera':33}{'node':>6}{'inference':>10}{'own p50':>9}{'p90':>7}"
             f"{'stamp→label p50':>17}{'p99':>8}{'arrival→label p99':>19}{'bound':>8}"
             f"{'labels/s':>10}{'held':>6}{'lost':>7}"]
    for case, node, one in rows:
        lines.append(
            f"{case:33}{node:>6}{one.inference:10.1f}{one.own:9.2f}{one.own_p90:7.2f}"
            f"{one.latency:17.1f}{one.latency_p99:8.1f}{one.arrival_p99:19.1f}{one.bound:8.1f}"
            f"{one.labels_hz:10.2f}{one.held:6.0%}{one.lost:7.1%}")
    return "\n".join(lines)


def plain(case: str, node: str, rounds: Sequence[Figures]) -> dict[str, Any]:
    """The figures for JSON: the medians, and every round."""
    return {"case": case, "node": node, "median": asdict(of_rounds(rounds)),
            "rounds": [asdict(one) for one in rounds]}

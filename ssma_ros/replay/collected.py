"""What the node publishes while a bag is replayed: collected as it comes, then counted."""
from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy.typing as npt
from diagnostic_msgs.msg import DiagnosticArray
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image
from std_msgs.msg import String

from ssma_core import SsmaError
from ssma_ros.node import messages
from ssma_ros.node.pipeline import NO_MODE

# Gets a label's stamp, the bag's time when it came (both in nanoseconds), and its class ids, H×W.
TakeLabel = Callable[[int, int, npt.NDArray[Any]], None]


@dataclass
class Collected:
    """What the node published.

    take: gets each label. tick: gets the bag's time, in nanoseconds, 40 times a second.
    bag_time_ns: at first, when its first colour image was recorded: labels may come before the
      first message of /clock.
    arrivals_ns: when each label came, by the stamp of its image, on this process's monotonic clock.
    clock_offset_ns: that clock less the replay's; the smallest seen, since every message of /clock
      is late by its own way through DDS.
    counters: the node's line of /diagnostics; settled once it counts the same twice, and the model
      has nothing left to do.
    modes: the node's modes since the first label, each with the label's stamp that began it, or the
      bag's time when labels ended.
    """

    take: TakeLabel
    tick: Callable[[int], None]
    bag_time_ns: int
    arrivals_ns: dict[int, int] = field(default_factory=dict)
    clock_offset_ns: float = math.inf
    counters: dict[str, str] = field(default_factory=dict)
    settled: bool = False
    modes: list[tuple[int, str]] = field(default_factory=list)
    newest_ns: int = 0

    @property
    def has_clock(self) -> bool:
        return math.isfinite(self.clock_offset_ns)

    def take_label(self, message: Image) -> None:
        arrival = time.monotonic_ns()
        label = messages.checked(message, "aux", "semantic/label")
        self.arrivals_ns[label.stamp_ns] = arrival
        self.newest_ns = label.stamp_ns
        self.take(label.stamp_ns, self.bag_time_ns, label.array())

    def take_clock(self, message: Clock) -> None:
        self.bag_time_ns = message.clock.sec * 10**9 + message.clock.nanosec
        self.clock_offset_ns = min(self.clock_offset_ns, time.monotonic_ns() - self.bag_time_ns)
        self.tick(self.bag_time_ns)

    def take_diagnostics(self, message: DiagnosticArray) -> None:
        before = self._counts()
        self.counters = {pair.key: pair.value for pair in message.status[0].values}
        self.settled = before == self._counts() and self._at_work() == 0

    def take_mode(self, message: String) -> None:
        if message.data != NO_MODE and self.arrivals_ns:
            self.modes.append((self.newest_ns, message.data))
        elif self.arrivals_ns and self.has_clock:
            ended_ns = time.monotonic_ns() - int(self.clock_offset_ns)  # also after the last /clock
            self.modes.append((ended_ns, message.data))

    def latency_ms(self, stamp_ns: int) -> float:
        """From the moment the replay's clock shows a frame's stamp to its label's arrival here."""
        return (self.arrivals_ns[stamp_ns] - self.clock_offset_ns - stamp_ns) / 1e6

    def causes_of_drops(self, sent: int) -> dict[str, int]:
        """How many of the colour frames that were sent got no label, by cause.

        What the node counts (overwritten, failed, unmatched …) is checked against what follows from
        frames sent, received, paired, published and collected. Images of the second sensor that
        were labelled alone count as tried, too. Raises SsmaError where they disagree.
        """
        node = self._counts()
        labelled, published, overtaken = len(self.arrivals_ns), node["published"], node["overtaken"]
        waiting = node["rgb received"] + node["aux received"] - 2 * node["paired"] - sum(
            node[key] for key in ("unmatched", "late", "duplicate", "zero stamp", "refused"))
        causes = {
            "lost before the node": sent - node["rgb received"],
            "without a partner within the slop":
                node["rgb received"] - (node["paired"] - overtaken) - node["rgb alone"],
            "overwritten by a newer pair": node["overwritten"],
            "failed": node["failed"],
            "without anything to see": node["dead"],
            "lost after the node": published - labelled,
        }
        tried = sent + node["aux alone"]
        if sum(causes.values()) != tried - labelled or waiting < 0 or min(causes.values()) < 0:
            raise SsmaError(f"the counts do not add up: {sent} colour frames sent, {labelled} "
                            f"labels, {node}")
        return causes

    def _at_work(self) -> int:
        """How many of the images and pairs that the worker was offered are not finished."""
        node = self._counts()
        offered = node["paired"] - node["overtaken"] + node["rgb alone"] + node["aux alone"]
        return offered - sum(node[end] for end in ("overwritten", "dead", "failed", "published"))

    def _counts(self) -> dict[str, int]:
        return {key: int(value) for key, value in self.counters.items() if value.isdigit()}

"""A bag over real DDS, at its own pace: node and replay as processes of their own, the labels
collected here.

Call `ssma_ros.dds.isolate` before this is imported.
"""
from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy.typing as npt
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.signals import SignalHandlerOptions
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image
from std_msgs.msg import String

from ssma_core import ModelSpec, SsmaError, bags
from ssma_ros import messages
from ssma_ros.pipeline import NO_MODE
from ssma_ros.report.record import (
    Counts,
    Event,
    Labelled,
    Mode,
    Run,
    Settings,
    Timeline,
    plain_counts,
)
from ssma_ros.truths import Truths

PATIENCE_S = 30
LATCHED = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)

# Gets a label's stamp, the bag's time when it came (both in nanoseconds), and its class ids, H×W.
TakeLabel = Callable[[int, int, npt.NDArray[Any]], None]


@dataclass
class Collected:
    """What came out of the node.

    take: gets each label. tick: gets the bag's time, in nanoseconds, 40 times a second.
    arrivals_ns: when each label came, by the stamp of its image, on this process's monotonic clock.
    clock_offset_ns: that clock less the replay's; the smallest seen, since every message of /clock
      is late by its own way through DDS.
    counters: the node's line of /diagnostics; settled once it counts the same twice.
    modes: the node's modes since the first label, each with the label's stamp that began it, or the
      bag's time when labels ended.
    """

    take: TakeLabel
    tick: Callable[[int], None]
    arrivals_ns: dict[int, int] = field(default_factory=dict)
    clock_offset_ns: float = float("inf")
    counters: dict[str, str] = field(default_factory=dict)
    settled: bool = False
    modes: list[tuple[int, str]] = field(default_factory=list)
    newest_ns: int = 0
    bag_time_ns: int = 0

    def take_label(self, message: Image) -> None:
        arrival = time.monotonic_ns()
        frame = messages.frame(message, "aux", "semantic/label")
        self.arrivals_ns[frame.stamp_ns] = arrival
        self.newest_ns = frame.stamp_ns
        self.take(frame.stamp_ns, self.bag_time_ns, frame.image())

    def take_clock(self, message: Clock) -> None:
        self.bag_time_ns = message.clock.sec * 10**9 + message.clock.nanosec
        self.clock_offset_ns = min(self.clock_offset_ns, time.monotonic_ns() - self.bag_time_ns)
        self.tick(self.bag_time_ns)

    def take_diagnostics(self, message: DiagnosticArray) -> None:
        before = self._counts()
        self.counters = {pair.key: pair.value for pair in message.status[0].values}
        self.settled = before == self._counts()

    def take_mode(self, message: String) -> None:
        if self.arrivals_ns and self.bag_time_ns:
            ended_ns = time.monotonic_ns() - int(self.clock_offset_ns)  # also after the last /clock
            begin_ns = ended_ns if message.data == NO_MODE else self.newest_ns
            self.modes.append((begin_ns, message.data))

    def latency_ms(self, stamp_ns: int) -> float:
        """From the moment the replay's clock shows a frame's stamp to its label's arrival here."""
        return (self.arrivals_ns[stamp_ns] - self.clock_offset_ns - stamp_ns) / 1e6

    def causes_of_drops(self, sent: int) -> dict[str, int]:
        """How many of the colour frames sent came to no label, by cause.

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

    def _counts(self) -> dict[str, int]:
        return {key: int(value) for key, value in self.counters.items() if value.isdigit()}


@dataclass(frozen=True)
class Program:
    """One of ssma_ros's programs, running, and where it says what it has to say."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def check(self) -> None:
        """Raises SsmaError with the end of its log when it has failed."""
        if self.process.poll():
            raise SsmaError(f"{self.name} ended with status {self.process.returncode}\n"
                            + self.last_words())

    def last_words(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()[-10:]
        return "\n".join([f"the end of {self.log}:", *lines])


def evaluate(bag: str, model: Path, spec: ModelSpec, settings: Settings,
             tick: Callable[[int], None]) -> Run:
    """What becomes of a bag's frames, and when. The labels are scored as they come, so that none
    has to be kept. tick, and errors: as of `replay_through_node`."""
    truths = Truths(bag, settings.label, settings.slop)
    counts: dict[int, Counts | None] = {}

    def take(stamp_ns: int, bag_time_ns: int, labels: npt.NDArray[Any]) -> None:
        truth = truths.near(stamp_ns, bag_time_ns)
        counts[stamp_ns] = plain_counts(truth.matrix(labels, spec)) if truth else None

    with tempfile.TemporaryDirectory(prefix="evaluate_bag.") as logs:
        collected = replay_through_node(bag, model, settings, Path(logs, "live"), take=take,
                                        tick=tick)
    sent = [bags.stamp_ns(message) for message in bags.messages(bag, [settings.rgb])]
    causes = {cause: n for cause, n in collected.causes_of_drops(len(sent)).items() if n}
    drops = tuple(Event(stamp, "no label") for stamp in sent if stamp not in counts)
    frames = tuple(Labelled(stamp, round(collected.latency_ms(stamp), 3), counts[stamp])
                   for stamp in sorted(counts))
    modes = tuple(_modes(collected.modes, spec, max(sent)))
    return Run(bag, Timeline(min(sent), max(sent), drops, modes),
               {"rgb": {"labelled": len(counts), **causes}}, frames)


def _modes(modes: Iterable[tuple[int, str]], spec: ModelSpec, end_ns: int) -> Iterator[Event]:
    """In the report's words."""
    colour, second = (modality.name for modality in spec.modalities)
    words: dict[str, Mode] = {f"{colour}+{second}": "fused", colour: "colour only",
                              second: "second only", NO_MODE: "none"}
    return (Event(stamp_ns, words[mode]) for stamp_ns, mode in modes if stamp_ns < end_ns)


def replay_through_node(bag: str | Path, model: Path, settings: Settings, logs: Path, *,
                        take: TakeLabel,
                        tick: Callable[[int], None] = lambda _: None) -> Collected:
    """Starts node and replay; collects until the bag is over and the node has nothing left to do.

    logs: path and beginning of the name of the two log files. take, tick: see `Collected`.
    Raises SsmaError, with the end of a program's log, when one of them fails, and when not a label
    comes.
    """
    collected = Collected(take, tick)
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    here = Node("evaluation", enable_rosout=False, start_parameter_services=False)
    here.create_subscription(Image, "semantic/label", collected.take_label, 100)
    here.create_subscription(String, "semantic/mode", collected.take_mode, LATCHED)
    here.create_subscription(Clock, "/clock", collected.take_clock, 100)
    here.create_subscription(DiagnosticArray, "/diagnostics", collected.take_diagnostics, 10)
    try:
        with _running(logs, "segmentation_node", *_node_arguments(model, settings)) as node:
            _bring_up(here, node)
            with _running(logs, "replay", str(bag), "--clock", "--topics", settings.rgb,
                          settings.aux, "--wait-for-subscribers", str(PATIENCE_S)) as replay:
                _spin(here, node, lambda: replay.process.poll() is not None, float("inf"))
                replay.check()
            collected.counters.clear()
            _spin(here, node, lambda: collected.settled and bool(collected.counters))
        if not collected.arrivals_ns:
            raise SsmaError(f"no label came\n{node.last_words()}")
    finally:
        here.destroy_node()
        rclpy.try_shutdown()
    return collected


def _node_arguments(model: Path, settings: Settings) -> list[str]:
    parameters = {"model": str(model), "slop": f"{settings.slop:.9f}",
                  "queue_size": str(settings.queue_size),
                  "aux_delay": f"{settings.aux_delay:.9f}",
                  "check_frame_id": "false"}  # as without DDS: the bag is what it is
    return ["--ros-args", "-r", f"rgb/image:={settings.rgb}", "-r", f"aux/image:={settings.aux}",
            *(part for name, value in parameters.items() for part in ("-p", f"{name}:={value}"))]


@contextmanager
def _running(logs: Path, name: str, *arguments: str) -> Iterator[Program]:
    """The program is over when the block is, however it ends."""
    log = logs.with_name(f"{logs.name}_{name}.log")
    process = None
    try:
        with log.open("wb") as output, _signals_wait():
            process = subprocess.Popen([sys.executable, "-m", f"ssma_ros.{name}", *arguments],
                                       stdout=output, stderr=subprocess.STDOUT)
        yield Program(name, process, log)
    finally:
        if process:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        with suppress(subprocess.TimeoutExpired):
            process.wait(5)
    finally:  # also when a second Ctrl-C comes meanwhile
        process.kill()
        process.wait()


@contextmanager
def _signals_wait() -> Iterator[None]:
    """Ctrl-C and SIGTERM come after the block: in the midst of it they would lose a process that
    has just begun."""
    came: list[int] = []
    handlers = {number: signal.signal(number, lambda number, _: came.append(number))
                for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])


def _bring_up(here: Node, node: Program) -> None:
    client = here.create_client(ChangeState, "segmentation_node/change_state")
    _spin(here, node, client.service_is_ready)
    for transition in (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE):
        request = ChangeState.Request()
        request.transition.id = transition
        answer = client.call_async(request)
        _spin(here, node, answer.done)
        if not answer.result().success:
            raise SsmaError(f"{node.name} refused to start\n{node.last_words()}")


def _spin(here: Node, node: Program, done: Callable[[], bool],
          patience_s: float = PATIENCE_S) -> None:
    """Takes in what arrives until done() is true, as long as the node lives."""
    end = time.monotonic() + patience_s
    while not done():
        rclpy.spin_once(here, timeout_sec=0.05)
        node.check()
        if time.monotonic() > end:
            raise SsmaError(f"{node.name} did not answer in {patience_s} s\n{node.last_words()}")

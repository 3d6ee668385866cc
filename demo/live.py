"""A bag over real DDS: node and replay as processes of their own, the labels collected here."""
from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from recordings import AUX, RGB
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image

from ssma_core import SsmaError
from ssma_ros import messages

PATIENCE_S = 30


@dataclass
class Collected:
    """What came out of the node.

    labels: H×W uint8, by the stamp of their colour image in nanoseconds.
    arrivals_ns: when each came, on this process's monotonic clock.
    clock_offset_ns: that clock less the replay's; the smallest seen, since every message of /clock
      is late by its own way through DDS.
    counters: the node's line of /diagnostics; settled once it says the same twice.
    """

    labels: dict[int, npt.NDArray[np.uint8]] = field(default_factory=dict)
    arrivals_ns: dict[int, int] = field(default_factory=dict)
    clock_offset_ns: float = float("inf")
    counters: dict[str, str] = field(default_factory=dict)
    settled: bool = False

    def take_label(self, message: Image) -> None:
        frame = messages.frame(message, "aux", "semantic/label")
        self.arrivals_ns[frame.stamp_ns] = time.monotonic_ns()
        self.labels[frame.stamp_ns] = frame.image()

    def take_clock(self, message: Clock) -> None:
        shown_ns = message.clock.sec * 10**9 + message.clock.nanosec
        self.clock_offset_ns = min(self.clock_offset_ns, time.monotonic_ns() - shown_ns)

    def take_diagnostics(self, message: DiagnosticArray) -> None:
        counters = {pair.key: pair.value for pair in message.status[0].values}
        self.settled = counters == self.counters
        self.counters = counters

    def stamp_to_label_ms(self) -> npt.NDArray[np.float64]:
        """From the moment the replay's clock shows a frame's stamp to its label's arrival here."""
        return np.array([(arrival - self.clock_offset_ns - stamp) / 1e6
                         for stamp, arrival in self.arrivals_ns.items()])


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


def replay_through_node(bag: Path, model: Path, logs: Path) -> Collected:
    """Starts node and replay; collects until the bag is over and the node has nothing left to do.

    logs: path and beginning of the name of the two log files.
    Raises SsmaError, with the end of a program's log, when one of them fails.
    """
    collected = Collected()
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    here = Node("demo", enable_rosout=False, start_parameter_services=False)
    here.create_subscription(Image, "semantic/label", collected.take_label, 100)
    here.create_subscription(Clock, "/clock", collected.take_clock, 100)
    here.create_subscription(DiagnosticArray, "/diagnostics", collected.take_diagnostics, 10)
    remapped = ["-r", f"rgb/image:={RGB}", "-r", f"aux/image:={AUX}"]
    try:
        with _running(logs, "segmentation_node", "--ros-args", "-p", f"model:={model}",
                      *remapped) as node:
            _bring_up(here, node)
            with _running(logs, "replay", str(bag), "--clock", "--topics", RGB, AUX,
                          "--wait-for-subscribers", str(PATIENCE_S)) as replay:
                _spin(here, node, lambda: replay.process.poll() is not None, float("inf"))
                replay.check()
            collected.counters.clear()
            _spin(here, node, lambda: collected.settled and bool(collected.counters))
        if not collected.labels:
            raise SsmaError(f"no label came\n{node.last_words()}")
    finally:
        here.destroy_node()
        rclpy.try_shutdown()
    return collected


@contextmanager
def _running(logs: Path, name: str, *arguments: str) -> Iterator[Program]:
    """The program is over when the block is, however it ends."""
    log = logs.with_name(f"{logs.name}_{name}.log")
    with log.open("wb") as output:
        process = subprocess.Popen([sys.executable, "-m", f"ssma_ros.{name}", *arguments],
                                   stdout=output, stderr=subprocess.STDOUT)
    try:
        yield Program(name, process, log)
    finally:
        process.terminate()
        try:
            with suppress(subprocess.TimeoutExpired):
                process.wait(5)
        finally:  # also when a second Ctrl-C comes meanwhile
            process.kill()
            process.wait()


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

"""ssma_ros's programs as processes of their own, which end with the block that started them."""
from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ssma_core import SsmaError
from ssma_ros import signals

MODULES = {"segmentation_node": "ssma_ros.node.program", "replay": "ssma_ros.replay.bag_to_topics"}


@dataclass(frozen=True)
class Program:
    """A running program of ssma_ros, and its log file."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def check(self) -> None:
        """Raises SsmaError with the end of its log when it has failed."""
        if self.process.poll():
            raise SsmaError(f"{self.name} ended with status {self.process.returncode}\n"
                            + self.end_of_log())

    def end_of_log(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()[-10:]
        return "\n".join([f"the end of {self.log}:", *lines])


@contextmanager
def running(logs: Path, name: str, *arguments: str) -> Iterator[Program]:
    """The program ends when the block ends, also after an error."""
    log = logs.with_name(f"{logs.name}_{name}.log")
    process = None
    try:
        # A signal during its start would lose the process that has just begun.
        with log.open("wb") as output, signals.wait():
            process = subprocess.Popen([sys.executable, "-m", MODULES[name], *arguments],
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

"""`make reliability`: what lasts and what is killed, in the long form. See docs/reliability.md.

    python test/reliability.py --kills 50                # of each program
    python test/reliability.py --kills 50 --programs train export
    python test/reliability.py --soak 3600               # seconds, at 30 Hz
    python test/reliability.py --cycles 20               # configure, activate, deactivate, cleanup

Prints tables, and every problem in a line of its own; ends with status 1 if there is one.
"""
from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]
from killed import PROGRAMS, Killer, Outcome  # noqa: E402

if TYPE_CHECKING:
    from robot import Robot

HZ = 30.0
WARM_S = 60.0  # until memory has its size
LOOK_S = 2.0  # between two looks at it
MOST_MIB = 1.0  # of growth for 1,000 pairs
SIZE = (192, 384)  # of the images, height and width: the model's own
MODEL = HERE.parent / "models" / "tiny_forest.onnx"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, metavar="N", help="of each program")
    parser.add_argument("--programs", nargs="+", choices=PROGRAMS, default=list(PROGRAMS),
                        help="default: all")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (%(default)s)")
    parser.add_argument("--soak", type=float, metavar="SECONDS", help="the node at 30 Hz")
    parser.add_argument("--cycles", type=int, metavar="N", help="the node's transitions")
    options = parser.parse_args()
    if not (options.kills or options.soak or options.cycles):
        parser.error("give --kills, --soak or --cycles")
    problems: list[str] = []
    if options.kills:
        problems += kills(options.programs, options.kills, options.seed)
    if options.cycles:
        problems += with_robot(lambda robot: cycles(robot, options.cycles))
    if options.soak:
        problems += with_robot(lambda robot: soak(robot, options.soak))
    print(*problems or ["no problem"], sep="\n")
    return 1 if problems else 0


# Killed

def kills(names: list[str], times: int, seed: int) -> list[str]:
    problems = []
    print("| program | undisturbed | files | killed | folders compared | problems |\n"
          "| --- | --- | --- | --- | --- | --- |", flush=True)
    with tempfile.TemporaryDirectory(prefix="reliability.") as folder:
        given = in_a_process(Path(folder), names)
        for name in names:
            found = Killer(name, given, Path(folder, "work"), seed=seed).kill(times)
            print(row(name, found), flush=True)
            problems += [f"{name}: {problem}" for problem in found.problems]
    return problems


def in_a_process(folder: Path, names: list[str]) -> Path:
    """The inputs; what makes them leaves no thread and no memory here."""
    process = multiprocessing.get_context("spawn").Process(target=_inputs, args=(folder, names))
    process.start()
    process.join()
    if process.exitcode:
        sys.exit("the inputs could not be made")
    return folder


def _inputs(folder: Path, names: list[str]) -> None:
    from killed_inputs import inputs
    inputs(folder, names)


def row(name: str, found: Outcome) -> str:
    cells = (name, f"{found.seconds:.1f} s", found.files, found.kills, found.compared,
             len(found.problems))
    return f"| {' | '.join(map(str, cells))} |"


# The node

def with_robot(work: Callable[[Robot], list[str]]) -> list[str]:
    """Over real DDS, in a domain where no robot listens."""
    import robot

    os.environ.update(robot.ENVIRONMENT)
    with tempfile.TemporaryDirectory(prefix="reliability.") as folder:
        node = robot.Robot(Path(folder, "output.txt"), "-p", f"model:={MODEL}", "-p", "threads:=1")
        try:
            found = work(node)
            errors = [line for line in node.said().splitlines() if "[ERROR]" in line]
            return found + [f"the node logged: {line}" for line in errors]
        finally:
            node.close()


def cycles(robot: Robot, times: int) -> list[str]:
    """In each one label. The first two load libraries."""
    from robot import ACTIVATE, CLEANUP, CONFIGURE, DEACTIVATE

    held = []
    for _ in range(times):
        robot.change(CONFIGURE, ACTIVATE)
        robot.label()
        robot.change(DEACTIVATE, CLEANUP)
        held.append(in_use(robot.process.pid))
    (memory, threads, files), last = held[2], held[-1]
    print(f"{times} cycles: memory {memory:.1f} → {last[0]:.1f} MiB, threads {threads} → "
          f"{last[1]}, open files {files} → {last[2]}")
    return ["threads or open files are left behind"] if last[1:] != (threads, files) else []


def soak(robot: Robot, seconds: float) -> list[str]:
    """Pairs at HZ, one after another different; memory against pairs."""
    from robot import ACTIVATE, CONFIGURE

    robot.change(CONFIGURE, ACTIVATE)
    begin, labels, sent = time.monotonic(), 0, 0
    looks: list[tuple[int, float]] = []  # pairs sent, MiB
    while (ran := time.monotonic() - begin) < seconds and robot.process.poll() is None:
        if ran >= sent / HZ:
            robot.send_pair(time.time(), *images(sent))
            sent += 1
        robot.executor.spin_once(timeout_sec=max(0.0, sent / HZ - ran))
        labels += len(robot.labels)
        robot.labels.clear()
        robot.diagnostics[:-1] = []
        if ran > WARM_S + LOOK_S * len(looks):
            looks.append((sent, in_use(robot.process.pid)[0]))
    if len(looks) < 2:
        return [f"the node ended, or {seconds:g} s are too short: more than {WARM_S + LOOK_S:g}"]
    slope = growth(looks)
    print(f"{ran:.0f} s: {sent} pairs sent, {labels} labels; memory {looks[0][1]:.1f} → "
          f"{looks[-1][1]:.1f} MiB over {looks[-1][0] - looks[0][0]} pairs, {slope:+.3f} MiB for "
          "1,000")
    return [f"memory grows by {slope:.2f} MiB for 1,000 pairs"] if slope > MOST_MIB else []


def images(number: int) -> tuple[object, object]:
    """Colour, H×W×3 uint8, and depth, H×W uint16 millimetres: noise that moves."""
    import numpy as np

    random = np.random.default_rng(number % 50)
    return (random.integers(0, 255, (*SIZE, 3), np.uint8),
            random.integers(1, 9000, SIZE, np.uint16))


def growth(looks: list[tuple[int, float]]) -> float:
    """MiB for 1,000 pairs: the slope of the line that fits best. looks: pairs and MiB."""
    import numpy as np

    pairs, memory = np.array(looks).T
    return float(1000 * np.polyfit(pairs, memory, 1)[0])


def in_use(process: int) -> tuple[float, int, int]:
    """A process's resident memory in MiB, its threads, and its open files."""
    status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    facts = dict(line.split(":", 1) for line in status.splitlines())
    return (int(facts["VmRSS"].split()[0]) / 1024, int(facts["Threads"]),
            len(os.listdir(f"/proc/{process}/fd")))


if __name__ == "__main__":
    sys.exit(main())

"""Measures the time that a node adds to its model's inference, also with more images than the model
can process: ours and a naive node, with the same model, in turns.

    python benchmarks/node_overhead.py --output runs/node_overhead.json

Camera and node are two processes, over DDS with the shipped Fast DDS profile. The camera's rate is
fixed. Each inference is extended by sleeping, as if a GPU did it, until the camera is as many times
faster as the case says. Two cores are enough, but nothing else should run.
"""
from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from figures import Figures, figures, of_rounds, plain, table

from ssma_core import SsmaError, atomic_write, cpu, versions
from ssma_ros.replay import dds

HERE = Path(__file__).resolve().parent
NODES = ("ours", "naive")
PATIENCE_S = 60


class Case(NamedTuple):
    """A camera's size ("768x384") and rate, and how many times faster it is than the model. None:
    the model is not slowed down."""

    size: str
    rate_hz: float
    times: float | None

    def __str__(self) -> str:
        times = "model as it is" if self.times is None else f"{self.times:g}× the model"
        return f"{self.size} {self.rate_hz:g} Hz, {times}"

    @property
    def inference_s(self) -> float:
        return (self.times or 0.0) / self.rate_hz


def main() -> None:
    options = _parser().parse_args()
    dds.isolate()  # before anything imports rclpy
    cases = [Case(size, options.rate, times) for size in options.sizes for times in options.times]
    cases += [Case("1280x720", 30.0, None)] * options.loss
    try:
        measured = _measure(cases, options)
    except SsmaError as error:
        sys.exit(f"node_overhead: {error}")
    print(table([(str(case), node, of_rounds(rounds))
                 for (case, node), rounds in measured.items()]))
    for case in cases:
        ours, naive = (of_rounds(measured[case, node]) for node in NODES)
        print(f"{case}: in the process ours adds {ours.own:.2f} ms to inference, naive "
              f"{naive.own:.2f}; from stamp to label {ours.added:.1f} ms, naive {naive.added:.1f} "
              f"(ratio {ours.added / naive.added:.2f})")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path,
                        default=HERE.parent / "models" / "tiny_forest.onnx")
    parser.add_argument("--sizes", nargs="+", default=["768x384", "1920x1080"], metavar="WxH")
    parser.add_argument("--times", nargs="+", type=float, default=[0.5, 2, 5, 10],
                        help="camera's rate, as a multiple of the model's (default: 0.5 2 5 10)")
    parser.add_argument("--rate", type=float, default=15.0, help="of the camera, Hz (default: 15)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each node (default: 3)")
    parser.add_argument("--seconds", type=float, default=20.0, help="per run (default: 20)")
    parser.add_argument("--threads", type=int, default=1, help="the model's (default: 1)")
    parser.add_argument("--no-loss", dest="loss", action="store_false",
                        help="skip 1280x720 at 30 Hz, which measures the share of lost images")
    parser.add_argument("--output", type=Path, help="JSON file for all figures")
    return parser


def _measure(cases: list[Case], options: argparse.Namespace
             ) -> dict[tuple[Case, str], list[Figures]]:
    """All figures, by case and node. The nodes run in turns, so that a slow moment of the machine
    affects both."""
    measured: dict[tuple[Case, str], list[Figures]] = {
        (case, node): [] for case in cases for node in NODES}
    for turn in range(options.rounds):
        for case in cases:
            for node in NODES[::-1] if turn % 2 else NODES:
                one = _run(case, node, options)
                measured[case, node].append(one)
                print(f"{case}, {node}: adds {one.own:.2f} ms, {one.labels_hz:.2f} labels/s",
                      file=sys.stderr)
                if options.output:  # after each run, so that nothing is lost if the program ends
                    _write(measured, options)
    return measured


def _write(measured: dict[tuple[Case, str], list[Figures]], options: argparse.Namespace) -> None:
    with atomic_write(options.output) as path:
        path.write_text(json.dumps({
            "cpu": cpu(), "versions": versions("onnxruntime"), "model": options.model.name,
            "threads": options.threads, "seconds": options.seconds,
            "runs": [plain(str(case), node, rounds)
                     for (case, node), rounds in measured.items() if rounds]}, indent=1))


def _run(case: Case, name: str, options: argparse.Namespace) -> Figures:
    with tempfile.TemporaryDirectory(prefix="node_overhead.") as folder:
        log, errors = Path(folder, "log.json"), Path(folder, "errors.txt")
        with errors.open("w") as output:
            node = subprocess.Popen(
                [sys.executable, str(HERE / "node_process.py"), name, str(options.model), str(log),
                 "--threads", str(options.threads), "--inference", str(case.inference_s)],
                stdout=subprocess.PIPE, stderr=output, text=True)
        try:
            assert node.stdout
            if node.stdout.readline() != "ready\n":
                raise SsmaError(f"the {name} node did not start:\n{errors.read_text()}")
            sent = send(case, round(options.seconds * case.rate_hz))
            node.send_signal(signal.SIGINT)
            node.wait(PATIENCE_S)
        finally:
            node.kill()
            node.wait()
        if not log.exists():
            raise SsmaError(f"the {name} node ended early:\n{errors.read_text()}")
        if sent["labels"] == 0:
            raise SsmaError(f"the {name} node published no label:\n{errors.read_text()}")
        return figures(json.loads(log.read_text()), sent["pairs"],
                       sent["pairs"] / sent["seconds"])


def send(case: Case, pairs: int) -> dict[str, float]:
    """Runs camera.py until it has sent all pairs. Returns what it printed."""
    ran = subprocess.run(
        [sys.executable, str(HERE / "camera.py"), case.size, str(case.rate_hz), str(pairs)],
        capture_output=True, text=True, timeout=PATIENCE_S + 3 * pairs / case.rate_hz, check=False)
    if ran.returncode:
        raise SsmaError(f"the camera failed:\n{ran.stderr}")
    return dict(json.loads(ran.stdout))


if __name__ == "__main__":
    main()

"""Times models that take turns: a process for each, in several rounds, so that neither the moods of
the machine nor the waiting threads of another model decide who is faster.

    python benchmarks/in_turns.py models/tiny_forest.onnx models/forest.onnx --rounds 7

Prints a table: the milliseconds that `Segmenter` takes for a frame of 768×384, the median over the
rounds (and their range), and the median of the rounds' ratios to the first model.
"""
from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence

import numpy as np

from ssma_core import Segmenter

FRAMES, WARM_UP = 40, 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", metavar="MODEL")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(milliseconds(arguments.models[0]))
    else:
        print(table(arguments.models, [
            [in_own_process(model) for model in arguments.models]
            for _ in range(arguments.rounds)]))


def in_own_process(model: str) -> float:
    return float(subprocess.run([sys.executable, __file__, model, "--one"], check=True,
                                stdout=subprocess.PIPE, text=True).stdout)


def milliseconds(model: str) -> float:
    """The median of a frame."""
    segmenter = Segmenter(model)
    rng = np.random.default_rng(0)
    colour = rng.integers(0, 256, (384, 768, 3), dtype=np.uint8)
    second = rng.integers(0, 20000, (384, 768), dtype=np.uint16)
    durations = []
    for _ in range(WARM_UP + FRAMES):
        begun = time.perf_counter()
        segmenter.segment(colour, second)
        durations.append(1000 * (time.perf_counter() - begun))
    return statistics.median(durations[WARM_UP:])


def table(models: Sequence[str], rounds: Sequence[Sequence[float]]) -> str:
    rows = ["| | ms | of the first |", "| --- | --- | --- |"]
    for number, model in enumerate(models):
        times = [each[number] for each in rounds]
        ratio = statistics.median(each[number] / each[0] for each in rounds)
        rows.append(f"| {model} | {statistics.median(times):.1f} "
                    f"({min(times):.1f}–{max(times):.1f}) | {ratio:.2f} |")
    return "\n".join(rows)


if __name__ == "__main__":
    main()

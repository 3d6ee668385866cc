"""Times models that take turns of a few frames, so that a slow moment of the machine affects them
all; `ssma benchmark` times one model after the other.

    python benchmarks/in_turns.py models/tiny_forest.onnx models/forest.onnx

Prints a table: the milliseconds that `Segmenter` takes for a camera's frame of 768×384, and their
ratio to those of the first model.
"""
from __future__ import annotations

import argparse
from pathlib import Path

from ssma_core import Segmenter
from ssma_core.benchmark.clock import Call, take_turns
from ssma_core.benchmark.frames import camera_frames

CAMERA = (768, 384)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs="+", metavar="MODEL")
    parser.add_argument("--frames", type=int, default=200)
    arguments = parser.parse_args()
    latencies = take_turns({model: labelling(model) for model in arguments.models},
                           arguments.frames)
    first = latencies[arguments.models[0]].p50
    print("| | p50, ms | p90 | p99 | of the first |\n| --- | --- | --- | --- | --- |")
    for model, ms in latencies.items():
        print(f"| {model} | {ms.p50:.1f} | {ms.p90:.1f} | {ms.p99:.1f} | {ms.p50 / first:.2f} |")


def labelling(model: Path) -> Call:
    segmenter = Segmenter(model)
    frames = camera_frames(segmenter.spec, CAMERA)
    return Call(lambda index: segmenter.segment(*frames[index % len(frames)]))


if __name__ == "__main__":
    main()

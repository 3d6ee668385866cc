"""Prints whether a stage's frames come as fast as its network can learn from them.

    python training/benchmark.py --config config/training/tiny_forest.yaml \\
        --output runs/tiny_forest --stage expert_rgb --set workers=2

Trains in memory only; the output folder is where the stage finds what it starts from.
"""
import argparse
import sys
from pathlib import Path

from ssma_core import SsmaError
from ssma_core.commands import count
from ssma_core.datasets.frames import Streamed, preload
from ssma_core.training.benchmark import measure
from ssma_core.training.stages import chosen, read_training


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, required=True, help="YAML file of the run")
    parser.add_argument("--output", type=Path, required=True, help="its folder")
    parser.add_argument("--stage", required=True, help="for example fusion or expert_rgb")
    parser.add_argument("--steps", type=count, default=50,
                        help="to measure (default: %(default)s)")
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE",
                        help="a value instead of the configuration's, for example workers=4")
    options = parser.parse_args()
    try:
        run(options)
    except SsmaError as error:
        sys.exit(f"benchmark: {error}")


def run(options: argparse.Namespace) -> None:
    training = read_training(options.config, options.set)
    (stage,) = chosen(training, options.stage)
    samples = training.data.train.samples()
    frames = (preload(samples, training.model, "reading frames") if training.data.in_memory
              else Streamed(samples, training.model))
    print(measure(training, stage, frames, options.output, options.steps))


if __name__ == "__main__":
    main()

"""Measures whether the data path makes a stage's frames as fast as its network learns.

    python training/benchmark.py --config config/training/forest.yaml \\
        --output runs/forest --stage expert_rgb --set workers=2

Trains in memory only. The output folder contains the models that the stage starts from.
"""
import argparse
import sys
from pathlib import Path

from ssma_core import SsmaError
from ssma_core.commands import count
from ssma_core.datasets.frames import Streamed, preload
from ssma_core.processes import begin_program
from ssma_core.training.benchmark import measure
from ssma_core.training.stages import read_training, select_stages


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, required=True, help="YAML file of the run")
    parser.add_argument("--output", type=Path, required=True, help="folder of the run")
    parser.add_argument("--stage", required=True, help="name, for example fusion or expert_rgb")
    parser.add_argument("--steps", type=count, default=50,
                        help="number of steps to measure (default: %(default)s)")
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE",
                        help="replace a value of the configuration, for example workers=4")
    options = parser.parse_args()
    begin_program()
    try:
        run(options)
    except SsmaError as error:
        sys.exit(f"benchmark: {error}")
    except KeyboardInterrupt:
        sys.exit("benchmark: interrupted")


def run(options: argparse.Namespace) -> None:
    training = read_training(options.config, options.set)
    (stage,) = select_stages(training, options.stage)
    samples = training.samples("train")
    frames = (preload(samples, training.model, "reading frames") if training.data.in_memory
              else Streamed(samples, training.model))
    print(measure(training, stage, frames, options.output, options.steps))


if __name__ == "__main__":
    main()

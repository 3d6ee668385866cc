"""Trains the stages of a configuration: experts, then the fusion. See docs/training.md.

    python training/train.py --config config/training/tiny_forest.yaml --output runs/tiny_forest
    torchrun --nproc-per-node 2 training/train.py --config ... --output ...

The same command again goes on where a run was stopped.
"""
import argparse
import sys
from pathlib import Path

from ssma_core import SsmaError
from ssma_core.training.loop import train
from ssma_core.training.stages import read_training


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, required=True, help="YAML file of the run")
    parser.add_argument("--output", type=Path, required=True, help="folder for models and logs")
    parser.add_argument("--stage", help="only this one, for example fusion or expert_rgb")
    parser.add_argument("--seed", type=int, help="instead of the configuration's")
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE",
                        help="a value instead of the configuration's, for example workers=4")
    parser.add_argument("--restart", action="store_true",
                        help="throw away what these stages have left in the folder, begin anew")
    options = parser.parse_args()
    settings = options.set if options.seed is None else [*options.set, f"seed={options.seed}"]
    try:
        train(read_training(options.config, settings), options.output, options.stage,
              options.restart)
    except SsmaError as error:
        sys.exit(f"train: {error}")
    except KeyboardInterrupt:
        sys.exit("train: stopped; the same command goes on from the last checkpoint")


if __name__ == "__main__":
    main()

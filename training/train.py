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
from ssma_core.training.preview import write_preview
from ssma_core.training.stages import read_training


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, required=True, help="YAML file of the run")
    parser.add_argument("--output", type=Path, help="folder for models and logs")
    parser.add_argument("--augmented", type=Path, metavar="FILE.png",
                        help="only make a picture of frames as augmentation changes them")
    parser.add_argument("--stage", help="only this one, for example fusion or expert_rgb")
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE",
                        help="a value instead of the configuration's, for example seed=1")
    parser.add_argument("--restart", action="store_true",
                        help="throw away what these stages have left in the folder, begin anew")
    options = parser.parse_args()
    if not (options.output or options.augmented):
        parser.error("give --output, or --augmented")
    try:
        training = read_training(options.config, options.set)
        if options.augmented:
            write_preview(training, options.augmented, options.stage)
        else:
            train(training, options.output, options.stage, options.restart)
    except (SsmaError, OSError) as error:  # such as a disk without room
        sys.exit(f"train: {error}")
    except KeyboardInterrupt:
        sys.exit("train: stopped; the same command goes on from the last checkpoint")


if __name__ == "__main__":
    main()

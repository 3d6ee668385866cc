"""Trains the stages of a configuration: experts, then the fusion. See docs/training.md.

    python training/train.py --config config/training/forest.yaml --output runs/forest
    torchrun --nproc-per-node 2 training/train.py --config ... --output ...

The same command, given again, resumes a run that was stopped.
"""
import argparse
import sys
from pathlib import Path

from ssma_core import SsmaError
from ssma_core.processes import begin_program
from ssma_core.training.loop import train
from ssma_core.training.preview import write_preview
from ssma_core.training.stages import read_training


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, required=True, help="YAML file of the run")
    parser.add_argument("--output", type=Path, help="folder for models and logs")
    parser.add_argument("--augmented", type=Path, metavar="FILE.png",
                        help="only write a picture of augmented frames")
    parser.add_argument("--stage", help="run only this stage, for example fusion or expert_rgb")
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE",
                        help="replace a value of the configuration, for example seed=1")
    parser.add_argument("--restart", action="store_true",
                        help="delete the files of these stages in the folder and start again")
    options = parser.parse_args()
    if not (options.output or options.augmented):
        parser.error("give --output, or --augmented")
    begin_program()
    try:
        training = read_training(options.config, options.set)
        if options.augmented:
            write_preview(training, options.augmented, options.stage)
        else:
            train(training, options.output, options.stage, options.restart)
    except (SsmaError, OSError) as error:
        sys.exit(f"train: {error}")
    except KeyboardInterrupt:
        sys.exit("train: stopped; the same command resumes from the last checkpoint")


if __name__ == "__main__":
    main()

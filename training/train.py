"""Trains the stages of a configuration: experts, then the fusion.

    python training/train.py --config config/training/tiny_forest.yaml --output runs/tiny_forest

Every stage leaves NAME.safetensors and its log NAME.json in the output folder.
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
    options = parser.parse_args()
    try:
        train(read_training(options.config), options.output, options.stage)
    except SsmaError as error:
        sys.exit(f"train: {error}")


if __name__ == "__main__":
    main()

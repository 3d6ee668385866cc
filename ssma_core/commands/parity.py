"""`ssma parity`: whether one model file can replace another."""
from __future__ import annotations

import argparse
from pathlib import Path

from ssma_core.commands import add_bag_arguments, pairing_settings
from ssma_core.export.gate import gate


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("a", type=Path, metavar="A", help="the model to replace: "
                        ".safetensors, .onnx or .engine")
    parser.add_argument("b", type=Path, metavar="B", help="the model that is to replace it")
    parser.add_argument("--data", required=True, type=Path, help="frames, with or without labels: "
                        "a folder as `ssma synthesize` writes it, a list file (.txt), TFRecords "
                        "(.tfrecord) or a rosbag2")
    add_bag_arguments(parser, "--data")
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="write the figures "
                        "(parity.json) and the frames that agree least (worst.png) there")


def run(options: argparse.Namespace) -> None:
    print(gate(options.a, options.b, options.data, options.topics, pairing_settings(options),
               output=options.output))

"""`ssma predict`: one pair of pictures to a label picture."""
from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from ssma_core.files import read_colour, read_sensor, write_picture, written_whole
from ssma_core.pictures import overlay
from ssma_core.segmenter import Segmenter


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", required=True, type=Path, help=".safetensors or .onnx")
    parser.add_argument("--rgb", required=True, type=Path, help="the colour picture")
    parser.add_argument("--aux", type=Path, help="the second sensor's picture: 16-bit depth in "
                        "millimetres, disparity, near infrared, or an encoded 3-channel picture")
    parser.add_argument("--output", required=True, type=Path,
                        help="label picture to write: 8 bits, class ids (.png)")
    parser.add_argument("--overlay", type=Path, help="colour picture with the class colours on it")
    parser.add_argument("--logits", type=Path, help="height x width x classes float32 (.npy), at "
                        "the model's input size, before softmax")


def run(options: argparse.Namespace) -> None:
    segmenter = Segmenter(options.model)
    # A lone depth expert takes its 16-bit picture where others take the colour picture.
    takes_colour = options.aux or segmenter.spec.modalities[0].encoding == "image"
    rgb = read_colour(options.rgb) if takes_colour else read_sensor(options.rgb)
    aux = read_sensor(options.aux) if options.aux else None
    result = segmenter.segment(rgb, aux, logits=options.logits is not None)
    if result.logits is not None:
        with written_whole(options.logits) as temporary, temporary.open("wb") as file:
            np.save(file, result.logits)
    if options.overlay:
        picture = rgb if takes_colour else read_colour(options.rgb)
        write_picture(options.overlay, overlay(picture, result.labels, segmenter.spec))
    write_picture(options.output, result.labels)
    counts = np.bincount(result.labels.ravel(), minlength=segmenter.spec.classes)
    for name, count in zip(segmenter.spec.class_names, counts):
        if count:
            print(f"{name:<16} {100 * count / result.labels.size:5.1f} %")

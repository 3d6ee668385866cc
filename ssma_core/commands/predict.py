"""`ssma predict`: one pair of pictures to a label picture."""
from __future__ import annotations

import argparse
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ssma_core.errors import SsmaError
from ssma_core.files import (
    atomic_write,
    check_writable,
    encoded,
    read_colour,
    read_sensor,
)
from ssma_core.pictures import overlay
from ssma_core.segmenter import Segmentation, Segmenter
from ssma_core.spec import ModelSpec

LOSSLESS = (".png", ".bmp", ".tif", ".tiff")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", required=True, type=Path, help=".safetensors or .onnx")
    parser.add_argument("--rgb", required=True, type=Path, help="the colour picture")
    parser.add_argument("--aux", type=Path, help="the second sensor's picture: 16-bit depth in "
                        "millimetres, disparity, near infrared, or an encoded 3-channel picture")
    parser.add_argument("--output", required=True, type=Path,
                        help=f"label picture to write: 8 bits, class ids ({', '.join(LOSSLESS)})")
    parser.add_argument("--overlay", type=Path, help="colour picture with the class colours on it")
    parser.add_argument("--logits", type=Path, help="height x width x classes float32 (.npy), at "
                        "the model's input size, before softmax")


def run(options: argparse.Namespace) -> None:
    check_targets(options)
    segmenter = Segmenter(options.model)
    # A depth expert alone takes its 16-bit picture where others take the colour picture.
    takes_colour = options.aux or segmenter.spec.modalities[0].encoding == "image"
    rgb = read_colour(options.rgb) if takes_colour else read_sensor(options.rgb)
    aux = read_sensor(options.aux) if options.aux else None
    result = segmenter.segment(rgb, aux, logits=options.logits is not None)
    with ExitStack() as outputs:  # all files or none
        output, painted, logits = (
            path and outputs.enter_context(atomic_write(path))
            for path in (options.output, options.overlay, options.logits))
        output.write_bytes(encoded(output, result.labels))
        if painted:
            picture = rgb if takes_colour else _for_people(rgb)
            painted.write_bytes(encoded(painted, overlay(picture, result.labels, segmenter.spec)))
        if logits and result.logits is not None:
            with logits.open("wb") as file:  # np.save would add a suffix to a name
                np.save(file, result.logits)
    print_shares(result, segmenter.spec)


def _for_people(array: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """A sensor's array as H×W×3 uint8: depth in greys, from its least to its largest value."""
    if array.ndim == 3:
        return array
    grey = cv2.normalize(np.nan_to_num(array), None, 0, 255, cv2.NORM_MINMAX, cv2.CV_8U)
    return cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)


def check_targets(options: argparse.Namespace) -> None:
    """Raises SsmaError where a file cannot be written, or its format cannot hold the data."""
    if options.output.suffix.lower() not in LOSSLESS:
        raise SsmaError(f"cannot write labels to {options.output}: they are class ids, which only "
                        f"a lossless format keeps; name the file {', '.join(LOSSLESS)}")
    if options.overlay and not cv2.haveImageWriter(options.overlay.name):
        raise SsmaError(f"cannot write {options.overlay}: no picture format for "
                        f"{options.overlay.suffix!r}; use .png or .jpg")
    for path in filter(None, (options.output, options.overlay, options.logits)):
        check_writable(path)


def print_shares(result: Segmentation, spec: ModelSpec) -> None:
    """Prints the share of the picture that each class takes."""
    counts = np.bincount(result.labels.ravel(), minlength=spec.classes)
    for name, count in zip(spec.class_names, counts):
        if count:
            print(f"{name:<16} {100 * count / result.labels.size:5.1f} %")

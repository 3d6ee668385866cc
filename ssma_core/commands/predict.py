"""`ssma predict`: pictures, data sets and bags to labels, a labelled bag, or a video."""
from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ssma_core.commands import add_bag_arguments, pairing_settings
from ssma_core.errors import SsmaError
from ssma_core.files import (
    atomic_write,
    check_picture,
    check_writable,
    encoded,
    read_colour,
    read_pair,
    read_sensor,
)
from ssma_core.prediction.frames import EXTRAS, painted
from ssma_core.segmenter import Segmentation, Segmenter
from ssma_core.spec import ModelSpec

LOSSLESS = (".png", ".bmp", ".tif", ".tiff")
OF_A_PAIR = ("rgb", "aux", "logits")
OF_MANY = ("topics", "into", "video", "confidence", "trust")
TARGETS = ("output", "into", "video")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = ("ssma predict --model MODEL INPUT [--topics TOPIC...] (--output FOLDER |\n"
                    "         --into BAG.mcap | --video FILE.mp4) [--confidence] [--trust] "
                    "[--overlay]\n         [--registration FILE] [--groups FILE.yaml]\n"
                    "       ssma predict --model MODEL --rgb PICTURE [--aux PICTURE] --output "
                    "PICTURE\n         [--overlay PICTURE] [--logits FILE.npy] "
                    "[--registration FILE] [--groups FILE.yaml]")
    parser.add_argument("--model", required=True, type=Path, help=".safetensors, .onnx or .engine")
    parser.add_argument("input", nargs="?", type=Path, metavar="INPUT",
                        help="many frames: a folder of pictures or of drives, a list file, "
                        "TFRecords, or a rosbag2")
    parser.add_argument("--output", type=Path, help="of INPUT: the folder for "
                        "<drive>/label/<name>.png; of a pair: the label picture to write "
                        f"({', '.join(LOSSLESS)}). 8 bits, class ids")
    parser.add_argument("--overlay", nargs="?", const=True, metavar="PICTURE",
                        help="also colour with the class colours on it; of a pair: to this file")
    parser.add_argument("--registration", type=Path, metavar="FILE", help="how the second "
                        "sensor's images fit colour, as `ssma register` writes it; without, they "
                        "must fit pixel by pixel")
    parser.add_argument("--groups", type=Path, metavar="FILE.yaml", help="groups of the model's "
                        "classes, such as {drivable: [trail, grass]}: labels are of these")
    many = parser.add_argument_group("many frames")
    many.add_argument("--into", type=Path, metavar="BAG.mcap", help="write a copy of the bag, with "
                      "the labels on /semantic/label")
    many.add_argument("--video", type=Path, metavar="FILE.mp4", help="write a video of sensors, "
                      "labels and trust")
    many.add_argument("--confidence", action="store_true",
                      help="also the network's own probability of each label, 255 = 1")
    many.add_argument("--trust", action="store_true", help="also how much the fusion relies on the "
                      "second sensor, 255 = on it alone")
    add_bag_arguments(parser, "INPUT", labels=False)
    pair = parser.add_argument_group("one pair of pictures")
    pair.add_argument("--rgb", type=Path, help="the colour picture")
    pair.add_argument("--aux", type=Path, help="the second sensor's picture: 16-bit depth in "
                      "millimetres, disparity, near infrared, or an encoded 3-channel picture")
    pair.add_argument("--logits", type=Path, help="height x width x classes float32 (.npy), at "
                      "the model's input size, before softmax")


def run(options: argparse.Namespace) -> None:
    check_mixture(options)
    if options.input:
        label_many(options)
    else:
        label_pair(options)


def check_mixture(options: argparse.Namespace) -> None:
    """Raises SsmaError unless the options belong together."""
    if not options.input and not options.rgb:
        raise SsmaError("give INPUT (a folder, a list file, TFRecords or a bag) before --overlay "
                        "and --topics, or --rgb with a picture")
    foreign = _given(options, OF_A_PAIR if options.input else OF_MANY)
    if foreign:
        raise SsmaError(f"{' and '.join(foreign)} cannot be given with "
                        + ("INPUT: it is for one pair of pictures" if options.input else
                           "--rgb: it is for the many frames of INPUT"))
    targets = _given(options, TARGETS)
    if len(targets) != 1:
        raise SsmaError(f"give one of --output, --into and --video, not {' and '.join(targets)}: "
                        "several commands make several" if targets else
                        "say where to write to: --output, or --into or --video for INPUT")
    if isinstance(options.overlay, str) and options.input:
        raise SsmaError(f"with INPUT, --overlay takes no file, and {options.overlay!r} was given")
    if options.overlay is True and options.rgb:
        raise SsmaError("name the file: --overlay PICTURE")
    if options.video and (extras := _given(options, EXTRAS)):
        raise SsmaError(f"{' and '.join(extras)} cannot be given with --video, which shows all of "
                        "it but the confidence")


def _given(options: argparse.Namespace, names: Sequence[str]) -> list[str]:
    return [f"--{name}" for name in names if getattr(options, name)]


def label_many(options: argparse.Namespace) -> None:
    from ssma_core.datasets.inputs import is_bag, open_inputs
    from ssma_core.extraction.drives import is_registered
    from ssma_core.prediction import folder, labelled_bag, video

    source, extras = options.input, [extra for extra in EXTRAS if getattr(options, extra)]
    if options.registration and source.is_dir() and is_registered(source):
        raise SsmaError(f"{source} was extracted with a registration, and its images fit: leave "
                        "out --registration")
    if options.into and not is_bag(source):
        raise SsmaError(f"{source} is no bag, and --into copies one: give --output FOLDER")
    if options.into:
        labelled_bag.check(source, options.into, extras)
    if options.video:
        video.check(options.video)
    segmenter = open_model(options)
    if "trust" in extras and len(segmenter.spec.modalities) == 1:
        raise SsmaError(f"{options.model} has one modality, and trust is between two")
    inputs = open_inputs(source, segmenter.spec, options.topics, pairing_settings(options),
                         labels=False, alone=segmenter.unimodal[0])
    if options.output:
        pairing = (*options.topics, *map(str, vars(pairing_settings(options)).values()))
        done = folder.write_folder(segmenter, inputs, options.output, extras,
                                   folder.Origin(options.model, source, options.groups,
                                                 options.registration,
                                                 pairing if options.topics else ()))
        print(f"{done.now} frames labelled, {done.before} were there already: {options.output}")
        if done.alone:
            first, second = (modality.name for modality in segmenter.spec.modalities)
            print(f"{done.alone} of them from {first} alone: there is no picture of {second} for "
                  "them")
    elif options.into:
        labelled_bag.write_bag(segmenter, source, inputs, options.into, extras)
        print(f"{len(inputs)} frames labelled: {options.into}")
    else:
        video.write_video(segmenter, inputs, options.video)
        print(f"{len(inputs)} frames labelled: {options.video}")


def open_model(options: argparse.Namespace) -> Segmenter:
    return Segmenter(options.model, label_groups=options.groups,
                     registration=options.registration)


def label_pair(options: argparse.Namespace) -> None:
    check_targets(options)
    segmenter = open_model(options)
    arrays = read_arrays(options, segmenter.spec)
    result = segmenter.segment(*arrays, logits=options.logits is not None)
    with ExitStack() as outputs:  # all files or none
        output, overlay, logits = (
            path and outputs.enter_context(atomic_write(path))
            for path in (options.output, options.overlay, options.logits))
        output.write_bytes(encoded(output, result.labels))
        if overlay:
            overlay.write_bytes(encoded(overlay, painted(arrays[0], result.labels, segmenter.spec)))
        if logits and result.logits is not None:
            with logits.open("wb") as file:  # np.save would add a suffix to a name
                np.save(file, result.logits)
    print_shares(result, segmenter.spec)


def read_arrays(options: argparse.Namespace, spec: ModelSpec) -> tuple[npt.NDArray[Any], ...]:
    if options.aux:
        return read_pair(options.rgb, options.aux)
    # A depth expert alone takes its 16-bit picture where others take the colour picture.
    read = read_colour if spec.modalities[0].encoding == "image" else read_sensor
    return (read(options.rgb),)


def check_targets(options: argparse.Namespace) -> None:
    """Raises SsmaError where a file cannot be written, or its format cannot hold the data."""
    if options.output.suffix.lower() not in LOSSLESS:
        raise SsmaError(f"cannot write labels to {options.output}: they are class ids, which only "
                        f"a lossless format keeps; name the file {', '.join(LOSSLESS)}")
    inputs = [path for path in (options.model, options.rgb, options.aux, options.groups,
                                options.registration) if path]
    options.overlay = options.overlay and Path(options.overlay)
    if options.overlay:
        check_picture(options.overlay, inputs)
    for path in filter(None, (options.output, options.logits)):
        check_writable(path, inputs)


def print_shares(result: Segmentation, spec: ModelSpec) -> None:
    """Prints the share of the picture that each class takes."""
    counts = np.bincount(result.labels.ravel(), minlength=spec.classes)
    for name, count in zip(spec.class_names, counts):
        if count:
            print(f"{name:<16} {100 * count / result.labels.size:5.1f} %")

"""`ssma export`: a checkpoint to ONNX."""
from __future__ import annotations

import argparse
from pathlib import Path
from typing import get_args

from ssma_core.commands import add_bag_arguments, pairing_settings, percent, size
from ssma_core.errors import SsmaError
from ssma_core.files import check_new
from ssma_core.model_files import onnx_parts
from ssma_core.model_files.exported import AUX_FORMATS, FrameFormat, Precision


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", required=True, type=Path, help="checkpoint (.safetensors)")
    parser.add_argument("--output", required=True, type=Path, help="file to write (.onnx)")
    add_graph_arguments(parser)
    add_bag_arguments(parser, "--calibrate")


def add_graph_arguments(parser: argparse.ArgumentParser) -> None:
    """The options for the graph, which `ssma build-engine` has too; None where not given."""
    parser.add_argument("--camera", type=size, metavar="WIDTHxHEIGHT",
                        help="size of the camera's images: the file then takes the sensors' arrays "
                        "unchanged and gives labels of that size (default: it takes the "
                        "images that the network sees)")
    parser.add_argument("--aux", choices=AUX_FORMATS,
                        help="the second sensor's array: of that type (float32: depth in "
                        "metres), or encoded as an image; with --camera")
    parser.add_argument("--precision", choices=get_args(Precision),
                        help="of the network (default fp32)")
    parser.add_argument("--calibrate", type=Path, metavar="DATA", help="frames for int8, like those"
                        " that the model will see: as for `ssma parity`; labels are not needed")
    parser.add_argument("--agreement", type=percent, metavar="PERCENT", help="how many of the "
                        "labels on these frames must be those of fp32 (default 99.5); a lower "
                        "value lets more of the network compute in int8")


def run(options: argparse.Namespace) -> None:
    check_new(options.output, onnx_parts.is_exported)
    write(options, options.output)
    print(f"wrote {options.output} ({options.output.stat().st_size / 1e6:.1f} MB)")


def write(options: argparse.Namespace, output: Path) -> None:
    """The model as ONNX, as the arguments say."""
    check_calibration(options)
    # Here, since a robot without torch builds engines of ONNX files.
    from ssma_core.export.onnx import export
    from ssma_core.model_files import checkpoint

    frame = wanted_frame(options)
    network, spec = checkpoint.load(options.model)
    if options.precision != "int8":
        export(network, spec, output, frame, options.precision or "fp32")
        return
    from ssma_core.datasets.inputs import open_inputs
    from ssma_core.export.int8 import export_int8

    data = open_inputs(options.calibrate, spec, options.topics, pairing_settings(options))
    asked = {} if options.agreement is None else {"agreement": options.agreement / 100}
    print(export_int8(network, spec, output, data, frame=frame, **asked).in_words())


def check_calibration(options: argparse.Namespace) -> None:
    """Raises SsmaError where int8 lacks data, or options for int8 are given without int8."""
    is_int8, data = options.precision == "int8", options.calibrate
    if is_int8 != (data is not None) or (options.agreement is not None and not is_int8):
        raise SsmaError("--precision int8 and --calibrate DATA belong together, and --agreement is "
                        "for them: int8 is measured on frames like those that the model will see")


def wanted_frame(options: argparse.Namespace) -> FrameFormat | None:
    if options.aux and not options.camera:
        raise SsmaError("--aux describes the camera's arrays: give their size too, with "
                        "--camera WIDTHxHEIGHT")
    return FrameFormat(options.camera, options.aux) if options.camera else None

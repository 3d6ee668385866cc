"""`ssma export`: a checkpoint to ONNX."""
from __future__ import annotations

import argparse
from pathlib import Path

from ssma_core import checkpoint
from ssma_core.commands import size
from ssma_core.errors import SsmaError
from ssma_core.export.onnx import TYPES, export
from ssma_core.exported import AUX_FORMATS, FrameFormat


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", required=True, type=Path, help="checkpoint (.safetensors)")
    parser.add_argument("--output", required=True, type=Path, help="file to write (.onnx)")
    parser.add_argument("--camera", type=size, metavar="WIDTHxHEIGHT",
                        help="size of the camera's images: the file then takes the sensors' arrays "
                        "as they come and gives labels of that size (default: it takes the images "
                        "the network sees)")
    parser.add_argument("--aux", choices=AUX_FORMATS,
                        help="how the second sensor's array comes: of that type (float32: depth in "
                        "metres), or encoded as an image; with --camera")
    parser.add_argument("--precision", choices=TYPES, default="fp32",
                        help="of the network (default fp32)")


def run(options: argparse.Namespace) -> None:
    if options.aux and not options.camera:
        raise SsmaError("--aux says how the camera's arrays come: give their size too, with "
                        "--camera WIDTHxHEIGHT")
    network, spec = checkpoint.load(options.model)
    frame = FrameFormat(options.camera, options.aux) if options.camera else None
    export(network, spec, options.output, frame, options.precision)
    print(f"wrote {options.output} ({options.output.stat().st_size / 1e6:.1f} MB)")

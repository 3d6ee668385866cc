"""`ssma export`: a checkpoint to ONNX."""
from __future__ import annotations

import argparse
from pathlib import Path

from ssma_core import checkpoint
from ssma_core.export.onnx import export


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", required=True, type=Path, help="checkpoint (.safetensors)")
    parser.add_argument("--output", required=True, type=Path, help="file to write (.onnx)")


def run(options: argparse.Namespace) -> None:
    network, spec = checkpoint.load(options.model)
    export(network, spec, options.output)
    print(f"wrote {options.output} ({options.output.stat().st_size / 1e6:.1f} MB)")

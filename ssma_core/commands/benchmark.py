"""`ssma benchmark`: the same frames in every way to run a model, in one process."""
from __future__ import annotations

import argparse
import os
import tempfile
from contextlib import ExitStack
from pathlib import Path

from ssma_core.benchmark.files import Setting
from ssma_core.benchmark.measure import benchmark
from ssma_core.benchmark.report import BenchmarkReport, write_json
from ssma_core.benchmark.text import figures_text, read_document, write_into
from ssma_core.commands import add_bag_arguments, count, pairing_settings, size
from ssma_core.errors import SsmaError
from ssma_core.evaluation.provenance import gpu
from ssma_core.files import make_folder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", required=True, action="append", metavar="MODEL",
                        help="a checkpoint (.safetensors), which is exported and built for "
                        "every way; an .onnx or .engine file, which is used unchanged; or full or "
                        "tiny, a network that is not trained yet; may be given several times")
    parser.add_argument("--size", default=(768, 384), type=size, metavar="WIDTHxHEIGHT",
                        help="of the camera's images (default 768x384)")
    parser.add_argument("--frames", default=100, type=count, help="timed in each way "
                        "(default %(default)s)")
    parser.add_argument("--threads", default=len(os.sched_getaffinity(0)), type=count,
                        help="of the CPU, the same for every way (default: all)")
    parser.add_argument("--calibrate", type=Path, metavar="DATA", help="frames for int8: a folder "
                        "as `ssma synthesize` writes it, a list file (.txt), TFRecords "
                        "(.tfrecord) or a rosbag2")
    add_bag_arguments(parser, "--calibrate")
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="write the figures "
                        "(benchmark.json), a chart (benchmark.png) and the exported and built "
                        "files there")
    parser.add_argument("--docs", type=Path, metavar="FILE.md", help="write the figures between "
                        "its marks for a machine with a GPU or without, and a chart beside it")


def run(options: argparse.Namespace) -> None:
    if options.docs:
        read_document(options.docs, gpu() is not None)  # before the work, not after it
    with ExitStack() as stack:
        folder = options.output
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        make_folder(folder)
        setting = Setting(options.size, options.threads, options.calibrate, folder,
                          tuple(options.topics), pairing_settings(options))
        report = benchmark(options.model, setting, options.frames)
    print(figures_text(report))
    if options.output:
        write_json(report, options.output / "benchmark.json")
        _write_chart(report, options.output / "benchmark.png")
    if options.docs:
        device = "gpu" if report.machine.gpu else "cpu"
        chart = options.docs.with_name(f"{options.docs.stem}_{device}.png")
        _write_chart(report, chart)
        write_into(options.docs, report, chart.name)


def _write_chart(report: BenchmarkReport, path: Path) -> None:
    try:
        from ssma_core.benchmark.chart import write_chart
    except ModuleNotFoundError as error:
        raise SsmaError(f"the chart {path} needs the Python package {error.name!r}: pip install "
                        f"{error.name}") from error
    write_chart(report, path)

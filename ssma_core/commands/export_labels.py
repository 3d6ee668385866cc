"""`ssma export-labels`: labels, most often a model's, for an annotation tool to correct them."""
from __future__ import annotations

import argparse
from pathlib import Path

from ssma_core.commands import number_to
from ssma_core.datasets.annotations.classes import read_classes
from ssma_core.datasets.annotations.exporting import FILES, FOLDERS, export_labels
from ssma_core.errors import SsmaError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", type=Path, metavar="DATA",
                        help="folder with <drive>/rgb and <drive>/label, as `ssma extract` and "
                        "`ssma predict` write them")
    parser.add_argument("--format", required=True, choices=[*FILES, *FOLDERS],
                        help="the tool; cvat is its 'Segmentation mask 1.1'")
    parser.add_argument("--classes", required=True, type=Path, metavar="MODEL_OR_YAML",
                        help="what the labels' ids are: a model file, a training's YAML, or one "
                        "with class_names and class_colours")
    parser.add_argument("--labels", type=Path, metavar="FOLDER",
                        help="where <drive>/label is (default: DATA)")
    parser.add_argument("--output", required=True, type=Path,
                        help="for cvat a .zip, for coco a .json, for the others a new folder")
    parser.add_argument("--tolerance", type=number_to(100), default=0, metavar="PIXELS",
                        help="for labelme: outlines of fewer points, at most so far from the "
                        "labels' own (default: 0, every corner of a pixel)")


def run(options: argparse.Namespace) -> None:
    if options.tolerance and options.format != "labelme":
        raise SsmaError(f"--tolerance is for the polygons of labelme, and {options.format} has "
                        "masks: leave it out")
    done = export_labels(options.data, options.labels or options.data,
                          read_classes(options.classes), options.format, options.output,
                          tolerance=options.tolerance)
    print(f"{options.output}: {done.frames} labelled frames")
    if done.left_out:
        print(f"void, since --classes does not have them: {', '.join(done.left_out)}")

"""`ssma import-labels`: finished masks of an annotation tool, into a data folder."""
from __future__ import annotations

import argparse
from pathlib import Path

from ssma_core.datasets.annotations.classes import read_classes
from ssma_core.datasets.annotations.importing import import_labels

_MOST_NAMED = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("export", type=Path, metavar="EXPORT",
                        help="of CVAT (Segmentation mask 1.1), Label Studio (JSON), labelme or "
                        "COCO, or PNG masks with a labelmap.txt: a file, a folder or a zip")
    parser.add_argument("--data", required=True, type=Path,
                        help="folder with <drive>/rgb; <drive>/label is written")
    parser.add_argument("--classes", required=True, type=Path, metavar="MODEL_OR_YAML",
                        help="a model file, a training's YAML, or one with class_names and "
                        "class_colours")
    parser.add_argument("--ignore", nargs="+", default=(), metavar="NAME_OR_ID",
                        help="classes, ids or colours (red,green,blue) of the export that are void")
    parser.add_argument("--map", nargs="+", default=(), metavar="THEIRS=OURS",
                        help="classes, ids or colours of the export that are one of ours")


def run(options: argparse.Namespace) -> None:
    classes = read_classes(options.classes, options.ignore, options.map)
    done = import_labels(options.export, options.data, classes)
    print(f"{options.data}: {len(done.written)} labels written, {done.replaced} of them in place "
          "of older ones")
    if done.by_name:
        drives = ", ".join(sorted({frame.drive for frame in done.by_name}))
        print(f"{len(done.by_name)} of the masks name no drive, and went to the only frame of "
              f"their name, in {drives}")
    if done.without:
        names = ", ".join(frame.name for frame in done.without[:_MOST_NAMED])
        more = ", …" if len(done.without) > _MOST_NAMED else ""
        print(f"{len(done.without)} frames have no mask in the export, and keep what they had: "
              f"{names}{more}")
    for name, share in zip(classes.class_names, done.share):
        if share:
            print(f"{100 * share:6.2f} % {name}")

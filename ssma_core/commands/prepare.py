"""`ssma prepare`: a public data set, from the published folders to list files."""
from __future__ import annotations

import argparse
import os
from pathlib import Path

from ssma_core.commands import count_to
from ssma_core.datasets.prepare import DATA_SETS
from ssma_core.datasets.prepare.classes import VOID
from ssma_core.datasets.prepare.data_set import DataSet
from ssma_core.datasets.prepare.loop import Prepared, prepare
from ssma_core.processes import MOST_WORKERS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    data_sets = parser.add_subparsers(dest="data_set", required=True, metavar="data_set")
    for name, data_set in DATA_SETS.items():
        _add_data_set(data_sets.add_parser(
            name, help=data_set.title, formatter_class=argparse.RawDescriptionHelpFormatter,
            description=f"Expects below --root\n{data_set.layout}\n\nWrites list files, labels "
            "and the encoded second modality. The same\ncommand continues where a run stopped."),
            data_set)


def _add_data_set(parser: argparse.ArgumentParser, data_set: DataSet) -> None:
    parser.add_argument("--root", required=True, type=Path, help="the data set as published")
    parser.add_argument("--output", required=True, type=Path,
                        help="folder for the files that are made; another one for each choice of "
                        "the two options below")
    parser.add_argument("--classes", type=int, choices=data_set.classes,
                        default=next(iter(data_set.classes)),
                        help="how many, without void (default: %(default)s)")
    parser.add_argument("--modality", choices=[each.name for each in data_set.seconds],
                        default=data_set.seconds[0].name,
                        help="the second modality (default: %(default)s)")
    parser.add_argument("--workers", type=count_to(MOST_WORKERS), default=os.cpu_count() or 1,
                        help="processes (default: one a core, %(default)s)")


def run(options: argparse.Namespace) -> None:
    data_set = DATA_SETS[options.data_set]
    classes = data_set.classes[options.classes]
    done = prepare(data_set, options.root, options.output, classes,
                   data_set.second(options.modality), workers=options.workers)
    print(_summary(data_set, done, [VOID.name, *(each.name for each in classes)]))
    print(f"{options.output}: train.txt and validation.txt for the data section of a training's "
          "YAML, model.yaml for its model section")


def _summary(data_set: DataSet, done: Prepared, names: list[str]) -> str:
    lines = []
    for split, frames in done.frames.items():
        published = data_set.published.get(split, frames)
        note = "" if frames == published else f" (of {published} that were published)"
        lines.append(f"{split}: {frames} frames{note}")
    lines.append(f"{done.new} second images made, {sum(done.frames.values()) - done.new} were "
                 "there already")
    lines += [f"{100 * share:6.2f} % {name}" for name, share in zip(names, done.share)]
    return "\n".join(lines)

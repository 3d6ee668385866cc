"""Evaluates forest models on frames of real robots, which no model was trained on, and prints the
tables of docs/results.md.

    python benchmarks/real_robots.py --depth models/forest.onnx --evi models/forest_evi.onnx \\
        --output runs/real_robots

Give the models of several seeds for their mean. --output writes sheets to look at: colour, second
sensor, prediction and ground truth of every frame.
"""
from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ssma_core import SsmaError
from ssma_core.backends import open_backend
from ssma_core.datasets.folders import Folders
from ssma_core.evaluation.inference import Options
from ssma_core.evaluation.metrics import ConfusionMatrix
from ssma_core.evaluation.of_data_set import Evaluation
from ssma_core.files import make_folder, read_colour, write_picture
from ssma_core.modalities import network_images
from ssma_core.pictures import resize_nearest

DATA = Path("../shared/data")


@dataclass(frozen=True)
class RealSet:
    """Frames in folders. aux: of the second sensor; None: there is none."""

    name: str
    aux: str | None


OF_DEPTH = (RealSet("husky", "depth"), RealSet("orfd", "depth"), RealSet("orfd_rgb", None))
OF_EVI = (RealSet("rgbnir", "nir"),)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--depth", type=Path, nargs="+", default=[], metavar="MODEL")
    parser.add_argument("--evi", type=Path, nargs="+", default=[], metavar="MODEL")
    parser.add_argument("--output", type=Path, metavar="FOLDER")
    arguments = parser.parse_args()
    try:
        for models, sets in ((arguments.depth, OF_DEPTH), (arguments.evi, OF_EVI)):
            for each in sets if models else ():
                print(table(models, each, arguments.output))
        if arguments.evi:
            print(agreement(arguments.evi))
    except SsmaError as error:
        sys.exit(f"real_robots: {error}")


def table(models: Sequence[Path], real: RealSet, output: Path | None) -> str:
    """Markdown: IoU in percent, the mean over the models. Classes that are in no ground truth have
    none, and do not count in the mean over the classes."""
    folder = DATA / "real_forest" / real.name
    samples = Folders(str(folder), "rgb/*", real.aux or "rgb", "label").samples()
    spec = open_backend(models[0], None).spec
    names = [modality.name for modality in spec.modalities]
    modes = [None, *names] if real.aux else names[:1]
    lines = [f"\n{real.name}, {len(samples)} frames\n",
             "| | " + " | ".join((*spec.class_names[1:], "mean")) + " |",
             "| --- " * (len(spec.class_names) + 1) + "|"]
    for alone in modes:
        matrices = []
        for i, model in enumerate(models):
            evaluation = Evaluation(model, spec, Options(alone=alone))
            matrix = ConfusionMatrix(spec.classes, spec.void_id)
            for counts in evaluation.frames(samples):
                matrix.counts += counts.confusion
            matrices.append(matrix)
            if output and i == 0:
                make_folder(output)
                sheet = evaluation.sheet(samples, [Path(each.name).stem for each in samples])
                write_picture(output / f"{real.name}_{alone or 'fused'}.png", sheet)
        there = matrices[0].counts.sum(1) > 0
        each = np.mean([100 * np.where(there, matrix.iou(), np.nan) for matrix in matrices], axis=0)
        ious = [*each[1:], np.nanmean(each[1:])]
        cells = ("–" if np.isnan(iou) else f"{iou:.1f}" for iou in ious)
        lines.append(f"| {f'{alone} alone' if alone else ' + '.join(names)} | "
                     + " | ".join(cells) + " |")
    return "\n".join(lines)


def agreement(models: Sequence[Path]) -> str:
    """The share of the pixels of the authors' picture that get the label of their network."""
    folder = DATA / "forest_sample"
    rgb, evi, answer = (read_colour(folder / name) for name in (
        "rgb.jpg", "evi_jet.jpg", "reference_prediction.png"))
    shares = []
    for model in models:
        backend = open_backend(model, None)
        labels = backend.run(network_images(backend.spec, rgb, evi), ["labels"])["labels"]
        shares.append(float((labels == nearest_class(answer, backend.spec.input_size,
                                                     backend.spec.class_colours)).mean()))
    return (f"\nforest_sample, 1 frame: {100 * statistics.mean(shares):.1f} % of the pixels as the "
            "authors' network")


def nearest_class(picture: npt.NDArray[np.uint8], size: tuple[int, int],
                  colours: Sequence[tuple[int, int, int]]) -> npt.NDArray[np.intp]:
    """The class whose colour is nearest to each pixel's (BGR), at another size."""
    palette = np.array(colours, np.int64)[:, ::-1]
    distances = np.abs(resize_nearest(picture, size)[..., None, :].astype(np.int64) - palette)
    return distances.sum(-1).argmin(-1)


if __name__ == "__main__":
    main()

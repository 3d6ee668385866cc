"""Evaluates fusions while the second sensor fails in many ways, beside what each sensor reaches
alone, and prints the table of docs/results.md.

    python benchmarks/second_sensor.py --model models/forest.onnx \\
        --config config/training/forest.yaml

Give the models of several seeds for their mean. With --set, any other data:
--set data.validation.root=../shared/data/real_forest/husky --set 'data.validation.rgb=rgb/*'.
"""
from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from ssma_core import SsmaError
from ssma_core.backends import open_backend
from ssma_core.datasets.samples import Sample
from ssma_core.evaluation.metrics import ConfusionMatrix
from ssma_core.modalities import network_images
from ssma_core.pictures import resize_nearest
from ssma_core.training.stages import read_training

Array = npt.NDArray[Any]


def within(metres: float) -> Callable[[Array], Array]:
    return lambda values: np.where(values <= 1000 * metres, values, 0).astype(values.dtype)


def lines(count: int) -> Callable[[Array], Array]:
    """Only `count` rows of pixels, as a LiDAR's."""
    def keep(values: Array) -> Array:
        rows = np.linspace(0, len(values) - 1, count).astype(int)
        kept = np.zeros_like(values)
        kept[rows] = values[rows]
        return kept
    return keep


def left_half_missing(values: Array) -> Array:
    kept = values.copy()
    kept[:, :values.shape[1] // 2] = 0
    return kept


def lower_half_missing(values: Array) -> Array:
    kept = values.copy()
    kept[values.shape[0] // 2:] = 0
    return kept


def shifted(values: Array) -> Array:
    """By 8 pixels to the right."""
    moved = np.zeros_like(values)
    moved[:, 8:] = values[:, :-8]
    return moved


FAILURES: dict[str, Callable[[Array], Array]] = {
    "as it is": lambda values: values, "left half missing": left_half_missing,
    "lower half missing": lower_half_missing, "all missing": np.zeros_like,
    "shifted by 8 pixels": shifted}
OF_DEPTH = {"within 10 m": within(10), "within 4 m": within(4), "32 lines": lines(32),
            "64 lines": lines(64)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, nargs="+", required=True)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only each N-th frame")
    arguments = parser.parse_args()
    try:
        samples = read_training(arguments.config, arguments.set).data.validation.samples()
        print(table(arguments.model, samples[::arguments.every]))
    except SsmaError as error:
        sys.exit(f"second_sensor: {error}")


def table(models: Sequence[Path], samples: Sequence[Sample]) -> str:
    """Markdown: mIoU in percent, the mean over the models."""
    first, second = (m.name for m in open_backend(models[0], None).spec.modalities)
    failures = FAILURES | (OF_DEPTH if second == "depth" else {})
    rows = [f"{len(samples)} frames, {len(models)} model(s)\n",
            f"| {second} | fused | {first} alone | {second} alone | fused − the better |",
            "| --- | --- | --- | --- | --- |"]
    results = [reached(model, samples, list(failures.values())) for model in models]
    for name, (fused, alone, other) in zip(failures, np.mean(results, axis=0)):
        rows.append(f"| {name} | {fused:.1f} | {alone:.1f} | {other:.1f} | "
                    f"{fused - max(alone, other):+.1f} |")
    return "\n".join(rows)


def reached(model: Path, samples: Sequence[Sample],
            failures: Sequence[Callable[[Array], Array]]) -> list[list[float]]:
    """For each failure mIoU in percent: fused, of the first sensor alone, of the second alone."""
    backend = open_backend(model, None)
    spec = backend.spec
    matrices = [[ConfusionMatrix(spec.classes, spec.void_id) for _ in range(3)] for _ in failures]
    for sample in tqdm(samples, leave=False):
        rgb, aux, truth = sample.read(spec.classes)
        size = truth.shape[1], truth.shape[0]
        first = None
        for of_failure, failure in zip(matrices, failures):
            images = network_images(spec, rgb, failure(aux))
            if first is None:  # its image is the same for all of them
                first = backend.run_unimodal(0, images[0], ["labels"])["labels"]
            for matrix, labels in zip(of_failure, (
                    backend.run(images, ["labels"])["labels"], first,
                    backend.run_unimodal(1, images[1], ["labels"])["labels"])):
                matrix.add(truth, resize_nearest(labels, size))
    return [[100 * matrix.mean_iou() for matrix in of_failure] for of_failure in matrices]


if __name__ == "__main__":
    main()

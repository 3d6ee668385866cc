"""How good a model file is: the paper's metric at the labels' own size."""
from __future__ import annotations

from collections.abc import Sequence

from tqdm import tqdm

from ssma_core.datasets.folders import Sample, read
from ssma_core.errors import SsmaError
from ssma_core.metrics import ConfusionMatrix
from ssma_core.segmenter import Segmenter
from ssma_core.spec import ModelSpec


def evaluate(segmenter: Segmenter, samples: Sequence[Sample]) -> dict[str, ConfusionMatrix]:
    """Segments every sample as a robot would; the counts are kept apart by the samples' drives.

    A model of one modality gets that one's array. Raises SsmaError naming the file that is wrong.
    """
    spec = segmenter.spec
    drives: dict[str, ConfusionMatrix] = {}
    for sample in tqdm(samples, "evaluating", unit="frame", leave=False):
        rgb, aux, label = read(sample, spec.classes)
        if spec.architecture == "ssma":
            answer = segmenter.segment(rgb, aux)
        else:
            answer = segmenter.segment(rgb if spec.modalities[0].encoding == "image" else aux)
        drive = drives.setdefault(sample.drive, ConfusionMatrix(spec.classes, spec.void_id))
        drive.add(label, answer.labels)
    return drives


def total(drives: dict[str, ConfusionMatrix], spec: ModelSpec) -> ConfusionMatrix:
    """All drives' counts as one."""
    matrix = ConfusionMatrix(spec.classes, spec.void_id)
    for drive in drives.values():
        matrix.counts += drive.counts
    return matrix


def check_same_classes(model: ModelSpec, data: ModelSpec) -> None:
    """Raises SsmaError when a model's answers and the data's labels mean different things."""
    if (model.class_names, model.void_id) != (data.class_names, data.void_id):
        raise SsmaError(f"the model knows the classes {', '.join(model.class_names)}, the "
                        f"configuration has {', '.join(data.class_names)}")

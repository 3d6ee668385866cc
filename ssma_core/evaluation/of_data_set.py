"""A model on a data set: its labels counted frame by frame."""
from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from ssma_core.backends import open_backend
from ssma_core.datasets.samples import LabelledArrays, Sample
from ssma_core.errors import SsmaError, naming
from ssma_core.evaluation import inference
from ssma_core.evaluation.inference import InferenceBackend, Options, UnimodalExpert
from ssma_core.evaluation.metrics import FrameCounts, frame_counts, stacked
from ssma_core.evaluation.provenance import machine, versions
from ssma_core.evaluation.report.confusion import confusion_picture
from ssma_core.evaluation.result_file import write_result
from ssma_core.evaluation.results import (
    DatasetSource,
    DriveResult,
    FrameResult,
    Result,
)
from ssma_core.files import own_folder, write_picture
from ssma_core.pictures import colourize, contact_sheet, legend, regrouped, resize_nearest
from ssma_core.spec import ModelSpec, grouped_by_file

Image = npt.NDArray[np.uint8]
WORST = 8  # frames on the sheet


class Evaluation:
    """A model file that labels a data set's samples.

    data: the spec of the configuration that names the samples: their two modalities and classes,
      which are the model's, or the groups to which the options join these.
    Raises SsmaError when the model cannot be opened, does not fit the data, or cannot do
    what the options ask.
    """

    def __init__(self, model: Path, data: ModelSpec, options: Options) -> None:
        backend = open_backend(model, None)
        self._backend: InferenceBackend = (
            UnimodalExpert(backend, options.alone) if options.alone else backend)
        self._grouped = grouped_by_file(self._backend.spec, options.label_groups)
        self.spec = self._grouped.spec
        self.backend, self.precision = self._backend.name, self._backend.precision
        self.options = options
        self._data = replace(data, input_size=self.spec.input_size)
        inference.check(options, self._backend)
        own, known = self._backend.spec, (data.class_names, data.void_id)
        if known == (own.class_names, own.void_id):
            self._truth_ids = self._grouped.ids
        elif known == (self.spec.class_names, self.spec.void_id):  # groups already
            self._truth_ids = tuple(range(self.spec.classes))
        else:
            joined = f", joined to {', '.join(self.spec.class_names)}"
            raise SsmaError(
                f"{model} knows the classes {', '.join(own.class_names)}"
                f"{joined if options.label_groups else ''}, the configuration "
                f"has {', '.join(data.class_names)}: join the model's classes to these by groups, "
                "or give another configuration")

    def frames(self, samples: Sequence[Sample]) -> Iterator[FrameCounts]:
        """The samples' counts, with a progress bar. Raises SsmaError naming the file that
        is wrong."""
        for sample in tqdm(samples, "evaluating", unit="frame", leave=False):
            rgb, aux, truth = self._read(sample)
            with naming(sample.name):
                prediction = self._answer(rgb, aux)
            if self.options.resolution == "label":
                prediction = resize_nearest(prediction, (truth.shape[1], truth.shape[0]))
            else:
                truth = resize_nearest(truth, self.spec.input_size)
            yield frame_counts(truth, prediction, self.spec)

    def sheet(self, samples: Sequence[Sample], titles: Sequence[str]) -> Image:
        """Samples as the network sees them: both modalities, prediction and truth, in rows."""
        rows = []
        for sample in samples:
            rgb, aux, truth = self._read(sample)
            labels = self._answer(rgb, aux), resize_nearest(truth, self.spec.input_size)
            rows.append(inference.images(self._data, (rgb, aux), self.options.without)
                        + [colourize(label, self.spec) for label in labels])
        names = [modality.name for modality in self._data.modalities]
        sheet = contact_sheet(rows, [*names, "prediction", "ground truth"], row_titles=titles)
        return np.vstack([sheet, legend(self.spec, sheet.shape[1])])

    def _read(self, sample: Sample) -> LabelledArrays:
        rgb, aux, truth = sample.read(len(self._truth_ids))
        return rgb, aux, regrouped(truth, self._truth_ids)

    def _answer(self, rgb: npt.NDArray[Any], aux: npt.NDArray[Any]) -> Image:
        arrays = inference.arrays_for(self.spec, self._data, rgb, aux)
        labels = inference.predict(self._backend, arrays, self.options)
        return regrouped(labels, self._grouped.ids)


def evaluate(evaluation: Evaluation, samples: Sequence[Sample], folder: Path | None, *,
             model: str, configuration: str, split: str,
             show: Callable[[Result], object] = bool) -> Result:
    """Evaluates the samples and, where a folder is given, writes there result.json, confusion.png
    and worst.png: the frames with the lowest mean IoU.

    model, configuration, split: names, for the result.
    show: gets the result before the files are written, so that a full disk does not lose it.
    Raises SsmaError where the folder cannot be written, or another process writes into it.
    """
    with own_folder(folder) if folder else nullcontext():  # before the work, not after it
        result = _evaluated(evaluation, samples, model, configuration, split)
        show(result)
        if folder:
            _write(folder, result, evaluation, samples)
    return result


def _evaluated(evaluation: Evaluation, samples: Sequence[Sample], model: str, configuration: str,
               split: str) -> Result:
    counts = dict(zip((sample.name for sample in samples), evaluation.frames(samples)))
    return Result(
        model, evaluation.spec, DatasetSource(configuration, split, evaluation.options),
        versions(evaluation.backend), _drives(samples, counts, evaluation.spec.classes),
        backend=evaluation.backend, precision=evaluation.precision,
        machine=machine(evaluation.backend))


def _drives(samples: Sequence[Sample], counts: Mapping[str, FrameCounts],
            classes: int) -> tuple[DriveResult, ...]:
    drives: dict[str, list[Sample]] = {}
    for sample in samples:
        drives.setdefault(sample.drive, []).append(sample)
    found = []
    for name, of_drive in drives.items():
        confusion, boundaries = stacked((counts[sample.name] for sample in of_drive), classes)
        frames = tuple(FrameResult(sample.name, sample.condition) for sample in of_drive)
        found.append(DriveResult(name, frames, confusion, boundaries=boundaries))
    return tuple(found)


def _write(folder: Path, result: Result, evaluation: Evaluation,
           samples: Sequence[Sample]) -> None:
    write_result(result, folder / "result.json")
    write_picture(folder / "confusion.png", confusion_picture(result.total(), result.spec))
    scores = dict(zip((frame.name for _, frame in result.scored), result.frame_scores().tolist()))
    known = [sample for sample in samples if not np.isnan(scores[sample.name])]
    worst = sorted(known, key=lambda sample: scores[sample.name])[:WORST]
    titles = [f"{each.name}   mIoU {100 * scores[each.name]:.1f} %" for each in worst]
    write_picture(folder / "worst.png", evaluation.sheet(worst, titles))

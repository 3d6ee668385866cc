"""A picture of augmented frames, to look at before training."""
from __future__ import annotations

from pathlib import Path

from ssma_core.datasets.frames import Streamed
from ssma_core.files import write_picture
from ssma_core.pictures import colourize, contact_sheet
from ssma_core.training.batches import loader
from ssma_core.training.stages import ALONE, Training, select_stages


def write_preview(training: Training, path: Path, only: str | None = None) -> None:
    """Writes a contact sheet of a stage's first batch, with augmentation: one row per frame, with
    every modality's image and the label.

    only: the stage's name; None: the last stage that trains an expert or a fusion.
    Raises SsmaError for wrong data, when there is no such stage, or when the picture cannot be
    written.
    """
    stages = select_stages(training, only)
    stage = next((stage for stage in reversed(stages) if stage.trains != ALONE), stages[-1])
    frames = Streamed(training.samples("train"), training.model)
    images, labels = next(loader(training, stage, frames))
    names = [training.model.modalities[i].name for i in training.inputs(stage)]
    rows = [[*(image[i].numpy() for image in images), colourize(label.numpy(), training.model)]
            for i, label in enumerate(labels)]
    write_picture(path, contact_sheet(rows, [*names, "label"]))

"""A picture of what augmentation makes of the data, to be looked at before training."""
from __future__ import annotations

from pathlib import Path

from ssma_core.datasets.frames import Streamed
from ssma_core.files import write_picture
from ssma_core.pictures import colourize, contact_sheet
from ssma_core.training.batches import loader
from ssma_core.training.stages import Training


def write_preview(training: Training, path: Path) -> None:
    """Writes a contact sheet of the first frames that the last stage is going to see, as it sees
    them: a row each of every modality's image and the label.

    Raises SsmaError for wrong data, or when the picture cannot be written.
    """
    stage = training.stages[-1]
    frames = Streamed(training.data.train.samples(), training.model)
    images, labels = next(iter(loader(training, stage, frames)))
    names = [training.model.modalities[i].name for i in training.inputs(stage)]
    rows = [[*(image[i].numpy() for image in images), colourize(label.numpy(), training.model)]
            for i, label in enumerate(labels)]
    write_picture(path, contact_sheet(rows, [*names, "label"]))

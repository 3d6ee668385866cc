"""A picture of what augmentation makes of the data, to be looked at before training."""
from __future__ import annotations

import numpy as np

from ssma_core.datasets.frames import Frames, Image
from ssma_core.pictures import colourize, contact_sheet
from ssma_core.training.batches import loader
from ssma_core.training.stages import Training


def preview(training: Training, frames: Frames) -> Image:
    """The first frames that the last stage is going to see, as it sees them: a row each of every
    modality's image and the label, H×W×3 uint8 BGR."""
    stage = training.stages[-1]
    images, labels = next(iter(loader(training, stage, frames)))
    names = [training.model.modalities[i].name for i in training.inputs(stage)]
    rows = [[*(image[i].numpy() for image in images),
             colourize(np.asarray(labels[i]), training.model)] for i in range(len(labels))]
    return contact_sheet(rows, [*names, "label"])

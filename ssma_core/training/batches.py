"""From frames in memory to the batches of a stage."""
from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch

from ssma_core.datasets.cache import Cache
from ssma_core.training.augment import augment
from ssma_core.training.stages import Stage, Training

Batch = tuple[list[torch.Tensor], torch.Tensor]


def batches(training: Training, stage: Stage, frames: Cache,
            device: torch.device) -> Iterator[Batch]:
    """The stage's batches: a tensor N×3×H×W float32, 0–255, for each input of the stage's model,
    and labels N×H×W uint8. What a batch holds depends on seed and step alone."""
    inputs = training.inputs(stage)
    for step in range(stage.steps):
        rng = np.random.default_rng((training.seed, step))
        changed = [
            augment([images[i] for images in frames.images], frames.labels[i],
                    training.model.void_id, training.augmentation, rng)
            for i in batch_indices(len(frames), stage.batch_size, step, training.seed)]
        images = [image_tensor(np.stack([images[k] for images, _ in changed]), device)
                  for k in inputs]
        yield images, torch.from_numpy(np.stack([label for _, label in changed])).to(device)


def batch_indices(count: int, batch_size: int, step: int, seed: int) -> list[int]:
    """Which of `count` frames the batch of `step` holds: every frame once before any frame again,
    in an order drawn anew each time."""
    indices = []
    for position in range(step * batch_size, (step + 1) * batch_size):
        epoch, place = divmod(position, count)
        indices.append(int(np.random.default_rng((seed, epoch)).permutation(count)[place]))
    return indices


def image_tensor(images: npt.NDArray[np.uint8], device: torch.device) -> torch.Tensor:
    """N×H×W×3 uint8 as N×3×H×W float32; the memory stays channels last."""
    return torch.from_numpy(images).to(device).permute(0, 3, 1, 2).float()

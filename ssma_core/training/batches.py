"""From frames to the batches of a stage, in worker processes."""
from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader, Dataset

from ssma_core.datasets.frames import Image, TrainingFrames
from ssma_core.errors import SsmaError
from ssma_core.training.augment import augment
from ssma_core.training.stages import Stage, Training

Batch = tuple[list[torch.Tensor], torch.Tensor]

VALIDATION_BATCH = 8


@dataclass(frozen=True)
class Batches(Dataset[Batch]):
    """What one of `world` processes gets of a stage: `stage.accumulate` items a step, each images
    (a tensor n×H×W×3 uint8 for each input of the stage's model) and labels (n×H×W uint8).

    Every frame is changed by random numbers that depend on seed, step and its place in the batch
    alone: neither the number of workers nor that of processes changes what the network sees.
    """

    training: Training
    stage: Stage
    frames: TrainingFrames
    rank: int
    world: int

    def __getitem__(self, item: int) -> Batch:
        step, part = divmod(item, self.stage.accumulate)
        share = share_of_part(self.stage, self.world)
        first = (part * self.world + self.rank) * share
        indices = batch_indices(len(self.frames), self.stage.batch_size, step, self.training.seed)
        return _stacked([self._frame(indices[place], step, place)
                         for place in range(first, first + share)])

    def _frame(self, index: int, step: int, place: int) -> tuple[list[Image], Image]:
        spec, inputs = self.training.model, self.training.inputs(self.stage)
        rng = np.random.default_rng((self.training.seed, step, place))
        images, label = self.frames[index]
        # The colour image is the first modality. Another of encoding "image" came encoded (HHA, an
        # index in jet colours): its values are measurements, not light.
        changed, label = augment([images[k] for k in inputs], label, self.training.augmentation,
                                 rng, colour=0 if 0 in inputs else None, void_id=spec.void_id)
        if rng.uniform() < self.stage.modality_dropout:
            changed[rng.integers(len(changed))][:] = 0  # black: what a dead sensor gives
        return changed, label


@dataclass(frozen=True)
class HeldOut(Dataset[Batch]):
    """What one of `world` processes gets of a stage's validation: the frames as they are, some at a
    time, laid out as those of `Batches`."""

    training: Training
    stage: Stage
    frames: TrainingFrames
    rank: int
    world: int

    def __len__(self) -> int:
        return math.ceil(len(self._mine()) / VALIDATION_BATCH)

    def __getitem__(self, item: int) -> Batch:
        inputs = self.training.inputs(self.stage)
        first = item * VALIDATION_BATCH
        read = (self.frames[index] for index in self._mine()[first:first + VALIDATION_BATCH])
        return _stacked([([images[k] for k in inputs], label) for images, label in read])

    def _mine(self) -> range:
        return range(self.rank, len(self.frames), self.world)


def _stacked(frames: Sequence[tuple[Sequence[Image], Image]]) -> Batch:
    images = [torch.from_numpy(np.stack(same)) for same in zip(*(images for images, _ in frames))]
    return images, torch.from_numpy(np.stack([label for _, label in frames]))


def loader(training: Training, stage: Stage, frames: TrainingFrames, *, first_step: int = 0,
           rank: int = 0, world: int = 1) -> Iterator[Batch]:
    """The items of `Batches` from `first_step` on: see `prefetch`.

    Raises SsmaError as `share_of_part`.
    """
    share_of_part(stage, world)
    items = range(first_step * stage.accumulate, stage.steps * stage.accumulate)
    return prefetch(Batches(training, stage, frames, rank, world), items, training.workers)


def prefetch(batches: Dataset[Batch], items: Sequence[int], workers: int) -> Iterator[Batch]:
    """These items, in order, made ahead by so many processes (0: by this one, when they are asked
    for). Raises what they raise."""
    for made in DataLoader(_Handed(batches), batch_size=None, sampler=items, num_workers=workers,
                           pin_memory=torch.cuda.is_available(),
                           # Forked workers share the frames in memory instead of copying them.
                           multiprocessing_context="fork" if workers else None,
                           # Its own, or the first batch of a run that goes on would take a number
                           # from those of that step.
                           generator=torch.Generator(), worker_init_fn=_one_thread):
        if isinstance(made, SsmaError):
            raise made
        yield made


@dataclass(frozen=True)
class _Handed(Dataset["Batch | SsmaError"]):
    """A user's mistake comes out of a worker as it is: raised there, torch would tell it with the
    worker's traceback."""

    batches: Dataset[Batch]

    def __getitem__(self, item: int) -> Batch | SsmaError:
        try:
            return self.batches[item]
        except SsmaError as error:
            return error


def share_of_part(stage: Stage, world: int) -> int:
    """How many frames of a batch's part each of `world` processes gets.

    Raises SsmaError when a batch cannot be dealt out evenly.
    """
    if stage.batch_size % (world * stage.accumulate):
        raise SsmaError(f"stage {stage.name}: a batch of {stage.batch_size} cannot be dealt out to "
                        f"{world} processes in {stage.accumulate} part(s) each; change batch_size "
                        "or accumulate, or run this stage with --stage on fewer processes")
    return stage.batch_size // (world * stage.accumulate)


def _one_thread(worker: int) -> None:
    cv2.setNumThreads(0)  # its threads do not survive a fork
    torch.set_num_threads(1)


def batch_indices(count: int, batch_size: int, step: int, seed: int) -> list[int]:
    """Which of `count` frames the batch of `step` holds: every frame once before any frame again,
    in an order drawn anew each time."""
    places = (divmod(at, count) for at in range(step * batch_size, (step + 1) * batch_size))
    return [int(_order(count, epoch, seed)[place]) for epoch, place in places]


@lru_cache(maxsize=2)
def _order(count: int, epoch: int, seed: int) -> npt.NDArray[np.int64]:
    return np.random.default_rng((seed, epoch)).permutation(count)


def image_tensor(images: torch.Tensor, device: torch.device) -> torch.Tensor:
    """n×H×W×3 uint8 as n×3×H×W float32, 0–255, on `device`; the memory stays channels last."""
    return images.to(device, non_blocking=True).permute(0, 3, 1, 2).float()

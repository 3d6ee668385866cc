"""Makes the batches of a stage from frames, in worker processes."""
from __future__ import annotations

import math
import signal
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
    """The training data of one of `world` processes: `stage.accumulate` items per step. An item is
    (images, labels): for each input of the stage's model n×H×W×3 uint8, and n×H×W uint8.

    The random numbers of a frame's augmentation depend only on seed, step and its place in the
    batch. So the network gets the same data with any number of workers and processes.
    """

    training: Training
    stage: Stage
    frames: TrainingFrames
    rank: int
    world: int

    def __getitem__(self, item: int) -> Batch:
        step, part = divmod(item, self.stage.accumulate)
        share = micro_batch_size(self.stage, self.world)
        first = (part * self.world + self.rank) * share
        indices = batch_indices(len(self.frames), self.stage.batch_size, step, self.training.seed)
        return _stack([self._frame(indices[place], step, place)
                       for place in range(first, first + share)])

    def _frame(self, index: int, step: int, place: int) -> tuple[list[Image], Image]:
        spec, inputs = self.training.model, self.training.inputs(self.stage)
        rng = np.random.default_rng((self.training.seed, step, place))
        images, label = self.frames[index]
        # The colour image is the first modality. Another one of encoding "image" was encoded before
        # (HHA, an index in jet colours): its values are measurements, not light.
        changed, label = augment([images[k] for k in inputs], label, self.training.augmentation,
                                 rng, colour=0 if 0 in inputs else None, void_id=spec.void_id)
        if rng.uniform() < self.stage.modality_dropout:
            changed[rng.integers(len(changed))][:] = 0  # black, as from a dead sensor
        elif rng.uniform() < self.stage.region_dropout:
            changed[rng.integers(len(changed))][_region(label.shape, rng)] = 0
        elif rng.uniform() < self.stage.row_dropout:
            changed[-1][_between_rows(len(label), rng)] = 0
        return changed, label


def _region(shape: tuple[int, ...], rng: np.random.Generator) -> tuple[slice, ...]:
    """A rectangle of the image; each side is 0.2 to 1 of the image's."""
    lengths = (rng.uniform(0.2, 1, 2) * shape).astype(int)
    first = (rng.uniform(0, 1, 2) * (np.array(shape) - lengths)).astype(int)
    return tuple(slice(a, a + n) for a, n in zip(first, lengths))


def _between_rows(height: int, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Which rows lie between those that a LiDAR sees: every second to sixteenth row is one."""
    step = rng.integers(2, 17)
    return np.arange(height) % step != rng.integers(step)


@dataclass(frozen=True)
class ValidationBatches(Dataset[Batch]):
    """The validation data of one of `world` processes: frames without augmentation, at most
    VALIDATION_BATCH per item. Items are as those of `Batches`."""

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
        return _stack([([images[k] for k in inputs], label) for images, label in read])

    def _mine(self) -> range:
        return range(self.rank, len(self.frames), self.world)


def _stack(frames: Sequence[tuple[Sequence[Image], Image]]) -> Batch:
    images = [torch.from_numpy(np.stack(same)) for same in zip(*(images for images, _ in frames))]
    return images, torch.from_numpy(np.stack([label for _, label in frames]))


def loader(training: Training, stage: Stage, frames: TrainingFrames, *, first_step: int = 0,
           rank: int = 0, world: int = 1) -> Iterator[Batch]:
    """Prefetches the items of `Batches` from `first_step` (counted from 0) on: see `prefetch`.

    Raises SsmaError as `micro_batch_size` does.
    """
    micro_batch_size(stage, world)
    items = range(first_step * stage.accumulate, stage.steps * stage.accumulate)
    return prefetch(Batches(training, stage, frames, rank, world), items, training.workers)


def prefetch(batches: Dataset[Batch], items: Sequence[int], workers: int) -> Iterator[Batch]:
    """Yields these items, in order, prefetched by `workers` processes (0: made by this process when
    needed). Raises the SsmaError that an item raises."""
    for batch in DataLoader(_CaughtErrors(batches), batch_size=None, sampler=items,
                            num_workers=workers, pin_memory=torch.cuda.is_available(),
                            # Forked workers share the frames in memory instead of copying them.
                            multiprocessing_context="fork" if workers else None,
                            # Its own generator: from torch's default one it would take a number
                            # when a run is resumed, and change the random numbers of that step.
                            generator=torch.Generator(), worker_init_fn=_one_thread):
        if isinstance(batch, SsmaError):
            raise batch
        yield batch


@dataclass(frozen=True)
class _CaughtErrors(Dataset["Batch | SsmaError"]):
    """Returns an SsmaError instead of raising it: if a worker raised it, torch would add the
    worker's traceback to the message."""

    batches: Dataset[Batch]

    def __getitem__(self, item: int) -> Batch | SsmaError:
        try:
            return self.batches[item]
        except SsmaError as error:
            return error


def micro_batch_size(stage: Stage, world: int) -> int:
    """The number of frames that each of `world` processes computes at once: one of `accumulate`
    parts of its share of a batch.

    Raises SsmaError when a batch cannot be divided equally.
    """
    if stage.batch_size % (world * stage.accumulate):
        raise SsmaError(f"stage {stage.name}: a batch of {stage.batch_size} cannot be divided "
                        f"equally among {world} processes in {stage.accumulate} part(s) each; "
                        "change batch_size or accumulate, or run this stage with --stage on fewer "
                        "processes")
    return stage.batch_size // (world * stage.accumulate)


def _one_thread(worker: int) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # not the program's own, which cleans up
    cv2.setNumThreads(0)  # its threads do not survive a fork
    torch.set_num_threads(1)


def batch_indices(count: int, batch_size: int, step: int, seed: int) -> list[int]:
    """The indices (of `count` frames) of the batch of `step`: every frame once before any frame
    again, in a new random order each time."""
    places = (divmod(at, count) for at in range(step * batch_size, (step + 1) * batch_size))
    return [int(_order(count, epoch, seed)[place]) for epoch, place in places]


@lru_cache(maxsize=2)
def _order(count: int, epoch: int, seed: int) -> npt.NDArray[np.int64]:
    return np.random.default_rng((seed, epoch)).permutation(count)


def image_tensor(images: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Converts n×H×W×3 uint8 to n×3×H×W float32, 0–255, on `device`, in channels-last memory."""
    return images.to(device, non_blocking=True).permute(0, 3, 1, 2).float()

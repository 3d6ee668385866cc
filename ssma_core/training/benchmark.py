"""Measures whether the data path makes a stage's frames as fast as its network learns."""
from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from ssma_core.datasets.frames import TrainingFrames
from ssma_core.training.batches import loader
from ssma_core.training.distributed import process_group
from ssma_core.training.stages import Stage, Training
from ssma_core.training.trainer import Trainer, check_precision, make_deterministic


@dataclass(frozen=True)
class Throughput:
    """Frames per second.

    data: of the data path only. learning: of the network only, which gets the same batch again and
    again. together: of both, as in training.
    """

    data: float
    learning: float
    together: float

    def __str__(self) -> str:
        return (f"data alone      {self.data:8.1f} frames/s, {self.data / self.learning:.1f} times "
                "what the network learns\n"
                f"network alone   {self.learning:8.1f} frames/s\n"
                f"both together   {self.together:8.1f} frames/s: the network is busy "
                f"{min(self.together / self.learning, 1):.0%} of the time")


def measure(training: Training, stage: Stage, frames: TrainingFrames, output: Path,
            steps: int) -> Throughput:
    """Measures `steps` steps of each kind, after a warm-up. Batches that workers prefetched during
    the warm-up should not matter, so `steps` should be many times `training.workers`.

    output: the folder with the models that the stage starts from. Nothing is written there.
    """
    warm_up = 2 + training.workers
    long_enough = replace(stage, steps=steps + warm_up)
    with process_group() as processes:
        check_precision(training, processes.device)
        make_deterministic(processes.device)
        trainer = Trainer(training, stage, output, processes)

        def rate(step: Callable[[int], object]) -> float:
            for number in range(steps + warm_up):
                if number == warm_up:
                    begun = _now(processes.device)
                step(number)
            return steps * stage.batch_size / (_now(processes.device) - begun)

        batches = loader(training, long_enough, frames)
        some = list(itertools.islice(batches, stage.accumulate))
        same = itertools.cycle(some)
        learning = rate(lambda number: trainer.step(number, same))
        batches = loader(training, long_enough, frames)
        together = rate(lambda number: trainer.step(number, batches))
        batches = loader(training, long_enough, frames)
        data = rate(lambda number: list(itertools.islice(batches, stage.accumulate)))
    return Throughput(data, learning, together)


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()

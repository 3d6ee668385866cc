"""Shows the progress of a stage: a progress bar, and scalars for TensorBoard."""
from __future__ import annotations

from types import TracebackType

import numpy as np
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from ssma_core.training.loss import learning_rate
from ssma_core.training.resume import History, StageFiles
from ssma_core.training.stages import Stage

# The bar shows the mean loss of this many steps.
SMOOTHED = 20


class TrainingReport:
    """Progress bar and TensorBoard writer of one stage; a context manager.

    shown: False in all processes except the first: nothing is shown or written.
    """

    def __init__(self, files: StageFiles, stage: Stage, history: History, shown: bool) -> None:
        self._stage, self._history, self._written = stage, history, history.step
        self._bar = tqdm(desc=stage.name, total=stage.steps, initial=history.step, unit="step",
                         disable=not shown)
        # Removes what the stopped run wrote after the state from which this one resumes.
        self._writer = SummaryWriter(str(files.tensorboard),
                                     purge_step=history.step + 1) if shown else None

    def __enter__(self) -> TrainingReport:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._bar.close()
        if self._writer:
            self._writer.close()

    def step(self) -> None:
        """To be called after each step; shows what is new in the history."""
        self._bar.update()
        first, self._written = self._written, self._history.step
        if first == self._history.step:
            return
        validation = self._history.validation
        miou = f"{100 * validation[-1]['miou']:.1f}" if validation else "–"
        self._bar.set_postfix(loss=f"{np.mean(self._history.losses[-SMOOTHED:]):.3f}", mIoU=miou,
                              refresh=False)
        if self._writer:
            self._write(self._writer, first)

    def _write(self, writer: SummaryWriter, first: int) -> None:
        """Writes the history from step `first` on, counted from 0."""
        for step, loss in enumerate(self._history.losses[first:], start=first):
            writer.add_scalar("loss", loss, step + 1)
            rate = learning_rate(self._stage.learning_rate, step, self._stage.steps)
            writer.add_scalar("learning_rate", rate, step + 1)
        for result in self._history.validation:
            if result["step"] > first:
                writer.add_scalar("mIoU", result["miou"], result["step"])
                for name, iou in result["iou"].items():
                    if iou is not None:
                        writer.add_scalar(f"IoU/{name}", iou, result["step"])

"""The training loop: the stages of a run, each from its start to its model file."""
from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ssma_core.datasets.frames import Streamed, TrainingFrames, check, preload
from ssma_core.datasets.sources import Source
from ssma_core.errors import SsmaError
from ssma_core.evaluation.metrics import ConfusionMatrix
from ssma_core.files import make_folder
from ssma_core.model import build
from ssma_core.model_files import checkpoint
from ssma_core.training import curves
from ssma_core.training.batches import (
    HeldOut,
    batch_indices,
    image_tensor,
    loader,
    prefetch,
    share_of_part,
)
from ssma_core.training.distributed import Processes, joined
from ssma_core.training.report import TrainingReport
from ssma_core.training.resume import (
    History,
    StageFiles,
    configuration,
    durable_write,
    is_finished,
    load_state,
    save_state,
)
from ssma_core.training.stages import Stage, Training, chosen
from ssma_core.training.start import check_start, starts
from ssma_core.training.trainer import Trainer, check_precision, compute_repeatably

# After so many steps their losses are fetched. Not after each: a GPU would wait for us every time.
REPORT_EVERY = 10


def train(training: Training, output: Path, only: str | None = None, restart: bool = False) -> None:
    """Runs the stages in order. Each leaves in the folder `output`, when it ends,
    `<stage>.safetensors`, the weights after the last step; `<stage>.best.safetensors`, those of the
    best validation; `<stage>.json`, its log; `<stage>.png`, its curves. A stage that has ended is
    not run again, one that was stopped goes on from its last state.

    only: the name of the one stage to run; what it starts from is then in `output` already.
    restart: throws away what these stages have left and begins them anew.
    Raises SsmaError, before any training, for wrong data, for any stage that could not begin when
    its turn comes, and for what another configuration has left in `output`; and when the loss is
    not finite.
    """
    stages = chosen(training, only)
    with torch.device("meta"):
        build(training.model)  # an expert that does not exist is named before any frame is read
    with joined() as processes:
        if processes.first:
            _prepare(output, stages)
        processes.wait()
        ahead = [stage for stage in stages
                 if restart or not _is_over(training, stage, output, processes)]
        if not ahead:
            return
        _check_ahead(training, ahead, output, processes)
        compute_repeatably(processes.device)
        frames = _frames(training.data.train, training, "training", processes)
        held_out = _frames(training.data.validation, training, "validation", processes)
        if restart and processes.first:  # not before all is known to be well
            for stage in ahead:
                StageFiles(output, stage.name).remove()
        processes.wait()
        for stage in ahead:
            train_stage(Trainer(training, stage, output, processes), frames, held_out, output)
            processes.wait()  # for the first one to have written what the next stage starts from


def train_stage(trainer: Trainer, frames: TrainingFrames, held_out: TrainingFrames,
                output: Path) -> None:
    """Trains one stage to its end, from its last state where there is one, and writes its files."""
    training, stage, processes = trainer.training, trainer.stage, trainer.processes
    files, settings = StageFiles(output, stage.name), configuration(training, stage, output)
    history = load_state(files, trainer, settings)
    started = time.monotonic() - history.seconds
    batches = loader(training, stage, frames, first_step=history.step,
                     rank=processes.rank, world=processes.world)
    unseen: list[torch.Tensor] = []  # losses that are still on the device

    with TrainingReport(files, stage, history, shown=processes.first) as report:
        for step in range(history.step + 1, stage.steps + 1):
            unseen.append(trainer.step(step - 1, batches))
            validates, keeps, reports = (
                step % every == 0 or step == stage.steps
                for every in (training.validate_every, training.checkpoint_every, REPORT_EVERY))
            if validates or keeps or reports:
                history.losses += _seen(unseen, trainer, history)
            if validates:
                _validate(trainer, held_out, history, files)
            if keeps and processes.first:
                history.seconds = time.monotonic() - started
                save_state(files, trainer, history, settings)
            report.step()
    if processes.first:
        _finish(files, trainer, history, settings)


def _prepare(output: Path, stages: Sequence[Stage]) -> None:
    make_folder(output)
    for stage in stages:
        StageFiles(output, stage.name).remove_halves()


def _check_ahead(training: Training, ahead: Sequence[Stage], output: Path,
                 processes: Processes) -> None:
    """A mistake in the last stage is not to be found when the first ones have taken days."""
    check_precision(training, processes.device)
    coming: set[Path] = set()
    for stage in ahead:
        share_of_part(stage, processes.world)
        for file, wanted in starts(training, stage, output):
            if file.resolve() not in coming:
                check_start(file, wanted)
        files = StageFiles(output, stage.name)
        coming |= {files.model.resolve(), files.best.resolve()}


def _is_over(training: Training, stage: Stage, output: Path, processes: Processes) -> bool:
    over = is_finished(StageFiles(output, stage.name), configuration(training, stage, output))
    if over and processes.first:
        print(f"{stage.name} is finished already; --restart begins it anew")
    return over


def _frames(source: Source, training: Training, what: str, processes: Processes) -> TrainingFrames:
    """All of a data set. Raises SsmaError naming the first file that is wrong."""
    samples, title = source.samples(), f"reading {what} frames"
    if training.data.in_memory:
        return preload(samples, training.model, title)
    check(samples[processes.rank::processes.world], training.model, title)
    return Streamed(samples, training.model)


def _seen(unseen: list[torch.Tensor], trainer: Trainer, history: History) -> list[float]:
    """The losses of the steps since the history's last, over all processes. Empties `unseen`.

    Raises SsmaError when one is not finite.
    """
    losses = trainer.processes.sum(torch.stack(unseen)) / trainer.processes.world
    unseen.clear()
    for step, loss in enumerate(losses.tolist(), start=history.step):
        if not math.isfinite(loss):
            training, stage = trainer.training, trainer.stage
            samples = training.data.train.samples()
            chosen = batch_indices(len(samples), stage.batch_size, step, training.seed)
            raise SsmaError(f"the loss of {stage.name} is {loss} at step {step + 1}, on the frames "
                            f"{', '.join(samples[i].name for i in chosen)}. Training ends here: "
                            "lower learning_rate or look at these frames, then begin anew with "
                            "--restart")
    return losses.tolist()


@torch.no_grad()
def _validate(trainer: Trainer, frames: TrainingFrames, history: History,
              files: StageFiles) -> None:
    """Adds to the history how good the network is on `frames`, counted at its own size, shared out
    among the processes; writes the model file when it is the best so far."""
    spec, processes = trainer.training.model, trainer.processes
    matrix = ConfusionMatrix(spec.classes, spec.void_id)
    trainer.network.eval()
    mine = HeldOut(trainer.training, trainer.stage, frames, processes.rank, processes.world)
    for images, label in prefetch(mine, range(len(mine)), trainer.training.workers):
        tensors = [image_tensor(image, processes.device) for image in images]
        for logits in trainer.answers(*tensors):
            matrix.add(label.numpy(), logits.argmax(1).cpu().numpy())
    trainer.network.train()
    counts = torch.from_numpy(matrix.counts).to(processes.device)
    matrix.counts = processes.sum(counts).cpu().numpy()
    best = max((result["miou"] for result in history.validation), default=-1.0)
    history.validation.append({"step": history.step, **matrix.to_dict(spec.class_names)})
    if processes.first and matrix.mean_iou() > best:
        _save_model(files.best, trainer)


def _save_model(path: Path, trainer: Trainer) -> None:
    # A copy in plain memory, which is all that safetensors writes; training goes on in channels
    # last.
    network = copy.deepcopy(trainer.network).cpu().to(memory_format=torch.contiguous_format)
    checkpoint.save(path, network, trainer.training.spec(trainer.stage), write=durable_write)


def _finish(files: StageFiles, trainer: Trainer, history: History,
            settings: dict[str, Any]) -> None:
    """The stage's files; its state has done its service."""
    spec, device = trainer.training.model, trainer.processes.device
    matrix = ConfusionMatrix.summed(np.array([history.validation[-1]["counts"]]), spec.void_id)
    print(f"{files.name}, validation:\n{matrix.table(spec.class_names)}")
    _save_model(files.model, trainer)
    curves.draw(files, history)
    log = {"loss": history.losses, "validation": history.validation,
           "seconds": round(history.seconds), "configuration": settings,
           "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
           "processes": trainer.processes.world, "threads": torch.get_num_threads(),
           "versions": {"torch": torch.__version__, "numpy": np.__version__}}
    # Last of all: the stage with a log is finished.
    with durable_write(files.log) as temporary:
        temporary.write_text(json.dumps(log, indent=1))
    files.state.unlink()

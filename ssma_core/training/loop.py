"""The training loop: runs the stages, each from its start to its model file.

Own code on purpose: a run is repeatable, resumes exactly, and is short enough to read.
"""
from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from tqdm import tqdm

from ssma_core.datasets.frames import Streamed, TrainingFrames, check, preload
from ssma_core.datasets.sources import Split
from ssma_core.errors import SsmaError
from ssma_core.evaluation.metrics import ConfusionMatrix
from ssma_core.files import make_folder
from ssma_core.model import build
from ssma_core.model_files import checkpoint
from ssma_core.training import curves
from ssma_core.training.batches import (
    ValidationBatches,
    batch_indices,
    image_tensor,
    loader,
    micro_batch_size,
    prefetch,
)
from ssma_core.training.distributed import Processes, process_group
from ssma_core.training.loss import median_frequency
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
from ssma_core.training.stages import Stage, Training, select_stages
from ssma_core.training.start import check_imagenet, check_start, start_models
from ssma_core.training.trainer import Trainer, answers, check_precision, make_deterministic

# Losses are fetched from the device after this many steps; after each step, a GPU would have to
# wait every time.
REPORT_EVERY = 10


def train(training: Training, output: Path, only: str | None = None, restart: bool = False) -> None:
    """Runs the stages in order. At its end each has written to the folder `output`:
    `<stage>.safetensors`, the weights after the last step; `<stage>.best.safetensors`, those of the
    best validation; `<stage>.json`, its log; `<stage>.png`, its curves. A finished stage is not run
    again; a stopped one is resumed from its last state.

    only: the name of the one stage to run. The models that it starts from must be in `output`.
    restart: deletes the files of these stages and starts them again.
    Raises SsmaError before any training while another process trains one of the stages in `output`,
    for wrong data, for any stage that cannot start when its turn comes, and for files of another
    configuration in `output`. Raises it later when the loss is not finite or a file cannot be
    written.
    """
    stages = select_stages(training, only)
    with torch.device("meta"):
        build(training.model)  # raises for an unknown expert, before any frame is read
    with process_group() as processes, ExitStack() as owned:
        if processes.first:
            make_folder(output)
            for stage in stages:
                owned.enter_context(StageFiles(output, stage.name).own())
        processes.wait()
        remaining = [stage for stage in stages
                     if restart or not _is_finished(training, stage, output, processes)]
        if not remaining:
            return
        _check_stages(training, remaining, output, processes)
        make_deterministic(processes.device)
        frames = _frames(training, "train", processes)
        validation = _frames(training, "validation", processes)
        if restart and processes.first:  # only after all checks
            for stage in remaining:
                StageFiles(output, stage.name).remove()
        processes.wait()
        weights: dict[str, npt.NDArray[np.float32] | None] = {"none": None}
        if any(stage.class_weights == "median_frequency" for stage in remaining):
            weights["median_frequency"] = median_frequency(
                _labels(frames), training.model.classes, training.model.void_id)
        for stage in remaining:
            train_stage(Trainer(training, stage, output, processes, weights[stage.class_weights]),
                        frames, validation, output)
            processes.wait()  # until the first one has written what the next stage starts from


def train_stage(trainer: Trainer, frames: TrainingFrames, validation: TrainingFrames,
                output: Path) -> None:
    """Trains one stage to its end, from its last state if there is one, and writes its files."""
    training, stage, processes = trainer.training, trainer.stage, trainer.processes
    files, settings = StageFiles(output, stage.name), configuration(training, stage, output)
    history = load_state(files, trainer, settings)
    started = time.monotonic() - history.seconds
    batches = loader(training, stage, frames, first_step=history.step,
                     rank=processes.rank, world=processes.world)
    pending: list[torch.Tensor] = []  # losses that are still on the device

    with TrainingReport(files, stage, history, shown=processes.first) as report:
        for step in range(history.step + 1, stage.steps + 1):
            pending.append(trainer.step(step - 1, batches))
            validates, saves, reports = (
                step % every == 0 or step == stage.steps
                for every in (training.validate_every, training.checkpoint_every, REPORT_EVERY))
            if validates or saves or reports:
                history.losses += _fetch_losses(pending, trainer, history)
            if validates:
                _validate(trainer, validation, history, files)
            if saves and processes.first:
                history.seconds = time.monotonic() - started
                save_state(files, trainer, history, settings)
            report.step()
        if stage.steps == 0:
            _validate(trainer, validation, history, files)
    if processes.first:
        _finish(files, trainer, history, settings)


def _check_stages(training: Training, stages: Sequence[Stage], output: Path,
                  processes: Processes) -> None:
    """Checks all stages now, so that a mistake in the last one is not found days later."""
    check_precision(training, processes.device)
    future: set[Path] = set()  # files that an earlier one of these stages will write
    for stage in stages:
        micro_batch_size(stage, processes.world)
        check_imagenet(training, stage, output)
        for start in start_models(training, stage, output):
            if start.file.resolve() in future:
                continue
            new = check_start(start)
            if new and processes.first:
                print(f"{stage.name} starts from {start.file}, which lacks {', '.join(new)}")
        files = StageFiles(output, stage.name)
        future |= {files.model.resolve(), files.best.resolve()}


def _labels(frames: TrainingFrames) -> Iterator[npt.NDArray[np.uint8]]:
    for i in tqdm(range(len(frames)), "counting classes", unit="frame", leave=False):
        yield frames[i][1]


def _is_finished(training: Training, stage: Stage, output: Path, processes: Processes) -> bool:
    finished = is_finished(StageFiles(output, stage.name), configuration(training, stage, output))
    if finished and processes.first:
        print(f"{stage.name} is finished already; --restart starts it again")
    return finished


def _frames(training: Training, split: Split, processes: Processes) -> TrainingFrames:
    """All frames of a data set. Raises SsmaError naming the first file that is wrong."""
    samples, title = training.samples(split), f"reading {split} frames"
    if processes.first and (without := getattr(training.data, split).without_label()):
        print(f"{split} frames: {len(samples)} with a label; left out, without one: {without}")
    if training.data.in_memory:
        return preload(samples, training.model, title)
    check(samples[processes.rank::processes.world], training.model, title)
    return Streamed(samples, training.model)


def _fetch_losses(pending: list[torch.Tensor], trainer: Trainer, history: History) -> list[float]:
    """The losses of the steps since the history's last step, averaged over all processes. Empties
    `pending`.

    Raises SsmaError when a loss is not finite.
    """
    losses = trainer.processes.sum(torch.stack(pending)) / trainer.processes.world
    pending.clear()
    for step, loss in enumerate(losses.tolist(), start=history.step):
        if not math.isfinite(loss):
            training, stage = trainer.training, trainer.stage
            samples = training.samples("train")
            batch = batch_indices(len(samples), stage.batch_size, step, training.seed)
            raise SsmaError(f"the loss of {stage.name} is {loss} at step {step + 1}, on the frames "
                            f"{', '.join(samples[i].name for i in batch)}. Training ends here: "
                            "lower learning_rate or look at these frames, then start again with "
                            "--restart")
    return losses.tolist()


@torch.no_grad()
def _validate(trainer: Trainer, frames: TrainingFrames, history: History,
              files: StageFiles) -> None:
    """Evaluates the network on `frames`, at its input size, divided among the processes, and adds
    the result to the history. Writes the model file when the result is the best so far."""
    spec, processes = trainer.training.model, trainer.processes
    matrix = ConfusionMatrix(spec.classes, spec.void_id)
    network = trainer.result.eval()
    mine = ValidationBatches(trainer.training, trainer.stage, frames, processes.rank,
                             processes.world)
    for images, label in prefetch(mine, range(len(mine)), trainer.training.workers):
        tensors = [image_tensor(image, processes.device) for image in images]
        for logits in answers(network, trainer.stage, tensors):
            matrix.add(label.numpy(), logits.argmax(1).cpu().numpy())
    network.train()
    counts = torch.from_numpy(matrix.counts).to(processes.device)
    matrix.counts = processes.sum(counts).cpu().numpy()
    best = max((result["miou"] for result in history.validation), default=-1.0)
    history.validation.append({"step": history.step, **matrix.to_dict(spec.class_names)})
    if processes.first and matrix.mean_iou() > best:
        _save_model(files.best, trainer)


def _save_model(path: Path, trainer: Trainer) -> None:
    # A copy with contiguous memory, because safetensors cannot write channels last; the network
    # itself stays channels last.
    network = copy.deepcopy(trainer.result).cpu()
    network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    checkpoint.save(path, network, trainer.training.spec(trainer.stage), write=durable_write)


def _finish(files: StageFiles, trainer: Trainer, history: History,
            settings: dict[str, Any]) -> None:
    """Writes the stage's files and deletes its state, which is no longer needed."""
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
    # Written last: a stage with a log is finished.
    with durable_write(files.log) as temporary:
        temporary.write_text(json.dumps(log, indent=1))
    files.state.unlink(missing_ok=True)  # a stage of 0 steps has none

"""The training loop: one stage from its start to its model file."""
from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from ssma_core import checkpoint
from ssma_core.datasets.cache import Cache, preload
from ssma_core.errors import SsmaError
from ssma_core.files import written_whole
from ssma_core.metrics import ConfusionMatrix
from ssma_core.model import AdapNetPP, Ssma, build
from ssma_core.spec import ModelSpec
from ssma_core.training.batches import batches, image_tensor
from ssma_core.training.loss import poly, segmentation_loss
from ssma_core.training.stages import Stage, Training, expert_name, expert_spec

Network = AdapNetPP | Ssma

VALIDATION_BATCH = 8


def train(training: Training, output: Path, only: str | None = None) -> None:
    """Runs the stages in order. Each writes `<stage>.safetensors` and `<stage>.json`, its log, into
    the folder `output` when it ends.

    only: the name of the one stage to run; the fusion then finds the experts in `output`.
    Raises SsmaError for wrong data, before any training, and for experts that are not there.
    """
    stages = [stage for stage in training.stages if only in (None, stage.name)]
    if not stages:
        names = ", ".join(stage.name for stage in training.stages)
        raise SsmaError(f"there is no stage {only!r}; there are {names}")
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SsmaError(f"cannot make the folder {output}: {error.strerror}") from error
    frames = preload(training.data.train.samples(), training.model, "reading training frames")
    held_out = preload(training.data.validation.samples(), training.model,
                       "reading validation frames")
    for stage in stages:
        network, log = train_stage(training, stage, frames, held_out, output)
        checkpoint.save(output / f"{stage.name}.safetensors", network, training.spec(stage))
        with written_whole(output / f"{stage.name}.json") as temporary:
            temporary.write_text(json.dumps(log, indent=1))


def train_stage(training: Training, stage: Stage, frames: Cache, held_out: Cache,
                experts: Path) -> tuple[Network, dict[str, Any]]:
    """Trains one stage on `frames`. experts: the folder of the model files a fusion starts from.

    Returns the network in evaluation mode, on the CPU, and the log: {"loss": one value a step,
    "validation": [{"step", "miou", "iou", "counts"}], "seconds"}.
    """
    started = time.monotonic()
    spec = training.spec(stage)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(training.seed)
    # Channels last: two to four times faster on a CPU.
    network = _start(training, stage, experts).to(device)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.Adam(_parameter_groups(network, stage))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: poly(s, stage.steps))
    losses: list[float] = []
    validation: list[dict[str, Any]] = []
    progress = tqdm(batches(training, stage, frames, device), stage.name, stage.steps, unit="step")
    for step, (images, label) in enumerate(progress, start=1):
        loss = _loss(network, images, label, stage, spec.void_id)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        if step % training.validate_every == 0 or step == stage.steps:
            matrix = _validate(network, spec, held_out, training.inputs(stage), device)
            validation.append({"step": step, **matrix.to_dict(spec.class_names)})
        miou = f"{100 * validation[-1]['miou']:.1f}" if validation else "–"
        progress.set_postfix(loss=f"{np.mean(losses[-20:]):.3f}", mIoU=miou)
    print(f"{stage.name}, validation:\n{matrix.table(spec.class_names)}")
    # safetensors writes plain memory only.
    network.cpu().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    seconds = round(time.monotonic() - started)
    return network.eval(), {"loss": losses, "validation": validation, "seconds": seconds}


def _start(training: Training, stage: Stage, experts: Path) -> Network:
    """The network as the stage finds it: random weights, or a fusion of trained experts."""
    network = build(training.spec(stage))
    network.set_dropout(stage.dropout_keep)
    if not isinstance(network, Ssma):
        return network
    trained = []
    for index, modality in enumerate(training.model.modalities):
        path = experts / f"{expert_name(modality.name)}.safetensors"
        if not path.exists():
            raise SsmaError(f"the fusion starts from {path}, which is not there; train the stage "
                            f"{expert_name(modality.name)} first")
        expert, spec = checkpoint.load(path)
        if spec != expert_spec(training.model, index):
            raise SsmaError(f"{path} was trained for another model or other classes than this "
                            "configuration's; train it again")
        assert isinstance(expert, AdapNetPP)  # its spec says so
        trained.append(expert)
    network.load_experts(*trained)
    if stage.encoder_learning_rate == 0:
        network.freeze_experts()
    return network


def _parameter_groups(network: Network, stage: Stage) -> list[dict[str, Any]]:
    """For Adam: a fusion's experts learn at a rate of their own, all else at the stage's."""
    if not isinstance(network, Ssma):
        return [{"params": list(network.parameters()), "lr": stage.learning_rate}]
    inside = list(network.experts.parameters())
    others = [p for name, p in network.named_parameters() if not name.startswith("experts.")]
    groups = [{"params": others, "lr": stage.learning_rate}]
    if stage.encoder_learning_rate:
        groups.append({"params": inside, "lr": stage.encoder_learning_rate})
    return groups


def _loss(network: Network, images: list[torch.Tensor], label: torch.Tensor, stage: Stage,
          void_id: int) -> torch.Tensor:
    if stage.auxiliary_weights is None:
        return segmentation_loss(network(*images), label, void_id)
    logits, *auxiliary = network.forward_with_auxiliary(*images)
    loss = segmentation_loss(logits, label, void_id)
    for weight, head in zip(stage.auxiliary_weights, auxiliary):
        loss = loss + weight * segmentation_loss(head, label, void_id)
    return loss


@torch.no_grad()
def _validate(network: Network, spec: ModelSpec, frames: Cache, inputs: tuple[int, ...],
              device: torch.device) -> ConfusionMatrix:
    """The network's answers on `frames`, counted at the network's own size. Leaves the network in
    training mode."""
    matrix = ConfusionMatrix(spec.classes, spec.void_id)
    network.eval()
    for first in range(0, len(frames), VALIDATION_BATCH):
        some = slice(first, first + VALIDATION_BATCH)
        logits = network(*(image_tensor(frames.images[i][some], device) for i in inputs))
        matrix.add(frames.labels[some], logits.argmax(1).cpu().numpy())
    network.train()
    return matrix

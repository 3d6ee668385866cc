"""The network of a stage with its optimizer, and one training step."""
from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ssma_core.errors import SsmaError
from ssma_core.model import Ssma
from ssma_core.training.batches import Batch, image_tensor
from ssma_core.training.distributed import Processes
from ssma_core.training.loss import cross_entropy, learning_rate, lovasz_softmax
from ssma_core.training.stages import ALONE, Stage, Training
from ssma_core.training.start import Network, starting_network

AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Trainer:
    """A stage's network on its device, with Adam and the gradient scaler for fp16.

    class_weights: one for each class; None: all are 1.

    Step s depends only on the weights and Adam's moments before it, the batch, the seed and s:
    neither the schedule nor a random generator has a state.
    Raises SsmaError when a model that the stage starts from does not exist or is the wrong one.
    """

    def __init__(self, training: Training, stage: Stage, output: Path,
                 processes: Processes,
                 class_weights: npt.NDArray[np.float32] | None = None) -> None:
        self.training, self.stage, self.processes = training, stage, processes
        device = processes.device
        torch.manual_seed(training.seed)
        network = processes.share_batch_norm(starting_network(training, stage, output))
        # Channels last: two to four times faster on a CPU, and the layout for tensor cores.
        self.network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = torch.optim.Adam(_parameter_groups(self.network, stage))
        self.scaler = torch.amp.GradScaler(device.type, enabled=training.precision == "fp16")
        self.averaged = AveragedModel(
            self.network, use_buffers=True, multi_avg_fn=get_ema_multi_avg_fn(stage.average)
            ) if stage.average else None
        self.class_weights = (None if class_weights is None
                              else torch.from_numpy(class_weights).to(device))
        self._logits = torch.compile(self._eager_logits) if training.compile else self._eager_logits

    def step(self, step: int, batches: Iterator[Batch]) -> torch.Tensor:
        """Does step `step`, counted from 0, with the next `accumulate` items of `batches`. Returns
        this process's loss, a scalar on its device."""
        seed = np.random.SeedSequence((self.training.seed, step, self.processes.rank))
        torch.manual_seed(int(seed.generate_state(1, np.uint64)[0]))  # dropout's
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(group["first_lr"], step, self.stage.steps,
                                        self.stage.warm_up)
        total = torch.zeros((), device=self.processes.device)
        for _ in range(self.stage.accumulate):
            loss = self._loss(*next(batches)) / self.stage.accumulate
            self.scaler.scale(loss).backward()
            total += loss.detach()
        self.processes.average_gradients(self.network)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad()
        if self.averaged is not None:
            self.averaged.update_parameters(self.network)
        return total

    @property
    def result(self) -> Network:
        """The network that is evaluated and saved: the average of the weights, if the stage asks
        for it."""
        return self.network if self.averaged is None else cast(Network, self.averaged.module)

    def _loss(self, images: list[torch.Tensor], label: torch.Tensor) -> torch.Tensor:
        device = self.processes.device
        dtype = AUTOCAST.get(self.training.precision)
        with torch.autocast(device.type, dtype, enabled=dtype is not None):
            logits = self._logits(*(image_tensor(image, device) for image in images))
        label = label.to(device, non_blocking=True)
        weights = ((1.0, 1.0) if self.stage.trains == ALONE
                   else (1.0, *(self.stage.auxiliary_weights or ())))
        void_id, stage = self.training.model.void_id, self.stage
        losses = [weight * cross_entropy(one.float(), label, void_id, self.class_weights,
                                         stage.label_smoothing)
                  for weight, one in zip(weights, logits)]
        if stage.lovasz:
            answers = logits if stage.trains == ALONE else logits[:1]
            losses += [stage.lovasz * lovasz_softmax(one.float(), label, void_id)
                       for one in answers]
        return torch.stack(losses).sum()

    def _eager_logits(self, *images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The logits for the stage's losses: those of `answers`, and those of the auxiliary heads
        if the stage uses them."""
        if self.stage.auxiliary_weights is not None:
            return self.network.forward_with_auxiliary(*images)
        return answers(self.network, self.stage, images)

    def state(self) -> dict[str, Any]:
        """Everything that changes from step to step."""
        return {"network": self.network.state_dict(), "optimizer": self.optimizer.state_dict(),
                "scaler": self.scaler.state_dict(),
                "averaged": None if self.averaged is None else self.averaged.state_dict()}

    def load_state(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        if self.averaged is not None:
            self.averaged.load_state_dict(state["averaged"])


def answers(network: Network, stage: Stage,
            images: Sequence[torch.Tensor]) -> tuple[torch.Tensor, ...]:
    """The logits that the stage trains, N×classes×H×W each: the network's, or in a stage "alone"
    those of each unimodal expert."""
    if stage.trains == ALONE:
        assert isinstance(network, Ssma)
        return tuple(network.unimodal_logits(i, image) for i, image in enumerate(images))
    return (network(*images),)


def check_precision(training: Training, device: torch.device) -> None:
    """Raises SsmaError for fp16 without a GPU."""
    if training.precision == "fp16" and device.type == "cpu":
        raise SsmaError("precision fp16 needs an NVIDIA GPU, and there is none; use fp32 or bf16")


# The functions of the loss and of Adam for which a CPU uses MKL's vector functions.
BY_MKL = (torch.log, torch.sqrt)


def make_deterministic(device: torch.device) -> None:
    """Makes results repeatable from run to run. A GPU's fastest algorithms add in a different order
    each time, so deterministic ones are used.

    On a CPU, MKL selects a function's kernel at the first call. If several threads call it first at
    the same time, one of them may get a much less exact kernel once (PyTorch issue 188792; seen
    with MKL 2024.2: a loss that was wrong by 2e-6). So one thread calls the functions here.
    """
    for function in BY_MKL:
        function(torch.ones(1))
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
        torch.use_deterministic_algorithms(True, warn_only=True)


def _parameter_groups(network: Network, stage: Stage) -> list[dict[str, Any]]:
    """Adam's parameter groups: a fusion's experts have their own learning rate, everything else has
    the stage's."""
    if not isinstance(network, Ssma):
        return [{"params": list(network.parameters()), "first_lr": stage.learning_rate}]
    if network.alone is not None:
        return [{"params": list(network.alone.parameters()), "first_lr": stage.learning_rate}]
    inside = list(network.experts.parameters())
    others = [p for name, p in network.named_parameters() if not name.startswith("experts.")]
    groups = [{"params": others, "first_lr": stage.learning_rate}]
    if stage.encoder_learning_rate:
        groups.append({"params": inside, "first_lr": stage.encoder_learning_rate})
    return groups

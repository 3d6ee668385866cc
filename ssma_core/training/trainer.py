"""What learns in a stage, and one step of it."""
from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ssma_core.errors import SsmaError
from ssma_core.model import Ssma
from ssma_core.training.batches import Batch, image_tensor
from ssma_core.training.distributed import Processes
from ssma_core.training.loss import learning_rate, segmentation_loss
from ssma_core.training.stages import ALONE, Stage, Training
from ssma_core.training.start import Network, starting_network

AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Trainer:
    """A stage's network on its device, with Adam and what 16-bit gradients need.

    Step s depends on the weights and Adam's moments before it, the batch, the seed and s, and on
    nothing else: no schedule and no random generator has a state of its own.
    Raises SsmaError when a model that the stage starts from is missing or another than needed.
    """

    def __init__(self, training: Training, stage: Stage, output: Path,
                 processes: Processes) -> None:
        self.training, self.stage, self.processes = training, stage, processes
        device = processes.device
        torch.manual_seed(training.seed)
        network = processes.share_batch_norm(starting_network(training, stage, output))
        # Channels last: two to four times faster on a CPU, and what tensor cores want.
        self.network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = torch.optim.Adam(_parameter_groups(self.network, stage))
        self.scaler = torch.amp.GradScaler(device.type, enabled=training.precision == "fp16")
        self._logits = torch.compile(self._eager_logits) if training.compile else self._eager_logits

    def step(self, step: int, batches: Iterator[Batch]) -> torch.Tensor:
        """Learns step `step`, counted from 0, from the next `accumulate` items of `batches`.
        Returns this process's loss, a scalar on its device."""
        seed = np.random.SeedSequence((self.training.seed, step, self.processes.rank))
        torch.manual_seed(int(seed.generate_state(1, np.uint64)[0]))  # dropout's
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(group["first_lr"], step, self.stage.steps)
        total = torch.zeros((), device=self.processes.device)
        for _ in range(self.stage.accumulate):
            loss = self._loss(*next(batches)) / self.stage.accumulate
            self.scaler.scale(loss).backward()
            total += loss.detach()
        self.processes.average_gradients(self.network)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad()
        return total

    def _loss(self, images: list[torch.Tensor], label: torch.Tensor) -> torch.Tensor:
        device = self.processes.device
        dtype = AUTOCAST.get(self.training.precision)
        with torch.autocast(device.type, dtype, enabled=dtype is not None):
            logits = self._logits(*(image_tensor(image, device) for image in images))
        label = label.to(device, non_blocking=True)
        weights = ((1.0, 1.0) if self.stage.trains == ALONE
                   else (1.0, *(self.stage.auxiliary_weights or ())))
        losses = [weight * segmentation_loss(one.float(), label, self.training.model.void_id)
                  for weight, one in zip(weights, logits)]
        return torch.stack(losses).sum()

    def _eager_logits(self, *images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """What the stage's losses look at: the network's own, with its auxiliary heads' where the
        stage has a use for them; or those of its experts alone."""
        if self.stage.auxiliary_weights is not None:
            return self.network.forward_with_auxiliary(*images)
        return self.answers(*images)

    def answers(self, *images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The logits that the stage is about: the network's, or each of its experts' alone."""
        if self.stage.trains == ALONE:
            assert isinstance(self.network, Ssma)
            return tuple(self.network.unimodal_logits(i, image) for i, image in enumerate(images))
        return (self.network(*images),)

    def state(self) -> dict[str, Any]:
        """All that changes from step to step."""
        return {"network": self.network.state_dict(), "optimizer": self.optimizer.state_dict(),
                "scaler": self.scaler.state_dict()}

    def load_state(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])


def check_precision(training: Training, device: torch.device) -> None:
    """Raises SsmaError for fp16 without a GPU."""
    if training.precision == "fp16" and device.type == "cpu":
        raise SsmaError("precision fp16 needs an NVIDIA GPU, and there is none; use fp32 or bf16")


# What a step computes by MKL's vector functions on a CPU: the loss and Adam.
BY_MKL = (torch.log, torch.sqrt)


def compute_repeatably(device: torch.device) -> None:
    """A GPU's fastest ways to add up round differently from run to run.

    On a CPU, MKL looks for a function's kernel when it is first called. Where several threads do so
    at once, one of them may get a far less exact one that time (pytorch's issue 188792; seen with
    MKL 2024.2: a loss that was off by 2e-6). So one thread calls them here.
    """
    for function in BY_MKL:
        function(torch.ones(1))
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
        torch.use_deterministic_algorithms(True, warn_only=True)


def _parameter_groups(network: Network, stage: Stage) -> list[dict[str, Any]]:
    """For Adam: a fusion's experts learn at a rate of their own, all else at the stage's."""
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

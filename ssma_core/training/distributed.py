"""Several processes, one per GPU, that train one network with the result of a single process."""
from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import distributed, nn

from ssma_core.errors import SsmaError


@dataclass(frozen=True)
class Processes:
    """This process and the number of processes, `world`, that train together. rank: 0 to world − 1.
    Only the first process writes files and prints."""

    rank: int
    world: int
    device: torch.device

    @property
    def first(self) -> bool:
        return self.rank == 0

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        """Replaces `values` by their sum over all processes, and returns them."""
        if self.world > 1:
            distributed.all_reduce(values)
        return values

    def wait(self) -> None:
        """Waits until every process has called this."""
        if self.world > 1:
            distributed.barrier()

    def average_gradients(self, network: nn.Module) -> None:
        """Replaces every gradient by its mean over all processes. All gradients are one tensor, so
        that it is one message, always in the same order, so that a run is repeatable."""
        gradients = [p.grad for p in network.parameters() if p.grad is not None]
        if self.world == 1 or not gradients:
            return
        together = self.sum(torch.cat([gradient.flatten() for gradient in gradients])) / self.world
        for gradient, mean in zip(gradients, together.split([g.numel() for g in gradients])):
            gradient.copy_(mean.view(gradient.shape))

    def share_batch_norm(self, network: nn.Module) -> nn.Module:
        """Returns the network with synchronized batch norms, which use the batches of all
        processes."""
        if self.world == 1:
            return network
        if self.device.type == "cuda":
            return nn.SyncBatchNorm.convert_sync_batchnorm(network)
        for module in network.modules():
            if type(module) is nn.BatchNorm2d:
                module.__class__ = SharedBatchNorm  # its parameters and buffers are kept
        return network


@contextmanager
def process_group() -> Iterator[Processes]:
    """Connects the processes that torchrun started, or uses only this one. On GPUs, if there are
    any.

    Raises SsmaError when there are more processes than GPUs.
    """
    local, world = int(os.environ.get("LOCAL_RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    device = torch.device("cpu")
    if torch.cuda.is_available():
        if local >= torch.cuda.device_count():
            raise SsmaError(f"process {local + 1} of this machine has no GPU of its own, there are "
                            f"{torch.cuda.device_count()}; give torchrun a smaller "
                            "--nproc-per-node")
        device = torch.device("cuda", local)
        torch.cuda.set_device(device)
    if world == 1:
        yield Processes(0, 1, device)
        return
    if device.type == "cuda":
        distributed.init_process_group("nccl", device_id=device)
    else:
        distributed.init_process_group("gloo")
    yield Processes(distributed.get_rank(), world, device)
    # Not after an error: the other processes have not ended yet; torchrun stops them.
    distributed.destroy_process_group()


class _Sum(torch.autograd.Function):
    """The sum over all processes. Its gradient is the sum of the gradients of all processes."""

    @staticmethod
    def forward(ctx: Any, values: torch.Tensor) -> torch.Tensor:
        total = values.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        return _Sum.forward(ctx, gradient)


class SharedBatchNorm(nn.BatchNorm2d):
    """Synchronized batch norm for CPUs. Own code on purpose: torch's SyncBatchNorm needs GPUs. In
    training, mean and variance are those of the batches of all processes, which have one size."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return super().forward(x)
        assert self.running_mean is not None and self.running_var is not None
        assert self.num_batches_tracked is not None and self.momentum is not None
        world = distributed.get_world_size()
        wide = x.to(self.running_mean.dtype)
        mean = _Sum.apply(wide.mean((0, 2, 3))) / world
        centred = wide - mean[:, None, None]
        variance = _Sum.apply(centred.square().mean((0, 2, 3))) / world
        with torch.no_grad():
            count = world * x.numel() // x.shape[1]
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * count / (count - 1), self.momentum)
            self.num_batches_tracked += 1
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return (centred * scale[:, None, None] + self.bias[:, None, None]).to(x.dtype)

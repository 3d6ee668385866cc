"""Measures the time of the experts on one thread, and prints the table of docs/experts.md.

    OMP_NUM_THREADS=1 python benchmarks/experts.py
"""
from __future__ import annotations

import statistics
import time
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ssma_core import Modality, ModelSpec
from ssma_core.model import AdapNetPP, build
from ssma_core.model.experts.efficientnet_lite import WIDTH_AND_DEPTH

ROUNDS = {"full": 5, "tiny": 40}
WARM_UP = 2
EXPERTS = ("adapnet++", "light", *WIDTH_AND_DEPTH)
KINDS = ("expert", "network of one modality", "SSMA of two alike")  # alike: of the same kind


@torch.no_grad()
def main() -> None:
    torch.set_num_threads(1)
    image = (255 * torch.rand(1, 3, 192, 384)).to(memory_format=torch.channels_last)
    for size, rounds in ROUNDS.items():
        modules = {(kind, expert): module for expert in EXPERTS
                   for kind, module in zip(KINDS, build_modules(size, expert))}
        times: dict[tuple[str, str], list[float]] = {way: [] for way in modules}
        for _ in range(rounds + WARM_UP):
            # In turns, so that a moment when the machine is busy affects all of them.
            for way, module in modules.items():
                times[way].append(seconds(module, [image] * (2 if way[0] == KINDS[-1] else 1)))
        for kind in KINDS:
            medians = (1000 * statistics.median(times[kind, expert][WARM_UP:])
                       for expert in EXPERTS)
            print(f"| {size} | {kind} | {' | '.join(f'{ms:.1f} ms' for ms in medians)} |")


def build_modules(size: str, expert: str) -> tuple[nn.Module, ...]:
    """One module of each of KINDS."""
    modalities = tuple(Modality(name, "image", expert=expert) for name in ("rgb", "other"))
    spec = ModelSpec("ssma", size, tuple("abcdef"), ((0, 0, 0),) * 6, modalities, (384, 192))
    single, fusion = (build(s, auxiliary_heads=False).eval().to(memory_format=torch.channels_last)
                      for s in (spec.of_expert(0), spec))
    assert isinstance(single, AdapNetPP)
    return single.expert, single, fusion


def seconds(module: nn.Module, images: Sequence[Tensor]) -> float:
    begun = time.perf_counter()
    module(*images)
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()

"""PyTorch that believes to run on a GPU, without one: what is captured is run on the CPU."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy.typing as npt
import pytest
import torch

from ssma_core.backends import torch as torch_backend

Array = npt.NDArray[Any]


def torch_on_a_fake_gpu(monkeypatch: pytest.MonkeyPatch) -> list[tuple[tuple[int, ...], ...]]:
    """Returns the shapes of the frames for which a graph was captured, in order."""
    captured: list[tuple[tuple[int, ...], ...]] = []

    class Captured:
        def __init__(self, module: torch.nn.Module, arrays: Mapping[str, Array]) -> None:
            self.module = module
            captured.append(tuple(array.shape for array in arrays.values()))

        def run(self, arrays: Mapping[str, Array], outputs: Sequence[str]) -> dict[str, Array]:
            answers = self.module(*map(torch.from_numpy, arrays.values()))
            return {name: answers[name].numpy() for name in outputs}

    monkeypatch.setattr(torch_backend, "_is_gpu", lambda device: True)
    monkeypatch.setattr(torch_backend, "Captured", Captured)
    monkeypatch.setattr(torch.nn.Module, "cuda", lambda module: module)
    return captured

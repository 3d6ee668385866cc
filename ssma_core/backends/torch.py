"""Checkpoints in PyTorch."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ssma_core import checkpoint
from ssma_core.export.graph import Frame


class TorchBackend:
    """See ssma_core.backends.Backend."""

    name = "torch"

    def __init__(self, model: Path, threads: int | None) -> None:
        if threads:
            torch.set_num_threads(threads)
        network, self.spec = checkpoint.load(model)
        self._frame = Frame(network).eval()

    @torch.inference_mode()
    def run(self, images: Sequence[npt.NDArray[np.uint8]],
            outputs: Sequence[str]) -> dict[str, npt.NDArray[Any]]:
        answers = self._frame(*(torch.from_numpy(np.ascontiguousarray(i)) for i in images))
        return {name: answers[name].numpy() for name in outputs}

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
from ssma_core.exported import Precision


class TorchBackend:
    """See ssma_core.backends.Backend."""

    name = "torch"
    precision: Precision = "fp32"
    fused = False

    def __init__(self, model: Path, threads: int | None, device: str | None = None,
                 precision: str | None = None) -> None:
        if threads:
            torch.set_num_threads(threads)
        network, self.spec = checkpoint.load(model)
        self._frame = Frame(network).eval()

    @torch.inference_mode()
    def run(self, images: Sequence[npt.NDArray[np.uint8]],
            outputs: Sequence[str]) -> dict[str, npt.NDArray[Any]]:
        answers = self._frame(*(torch.from_numpy(np.ascontiguousarray(i)) for i in images))
        return {name: answers[name].numpy() for name in outputs}

    def close(self) -> None:
        del self._frame

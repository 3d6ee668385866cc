"""The naive ways: a frame through PyTorch as a first script would do it."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ssma_core import checkpoint
from ssma_core.exported import Precision
from ssma_core.modalities import network_images
from ssma_core.pictures import resize_labels

Arrays = Sequence[npt.NDArray[Any]]
_TYPES = {"fp32": torch.float32, "fp16": torch.float16}


class Eager:
    """Preprocessing with OpenCV, the network as it was trained, on the GPU where PyTorch finds one,
    and the logits brought to the CPU for their argmax.

    channels_last: tensors lie in memory as images do; else as torch has them unless told otherwise.
    """

    def __init__(self, model: Path, threads: int, precision: Precision,
                 channels_last: bool) -> None:
        torch.set_num_threads(threads)
        network, self._spec = checkpoint.load(model)
        self._to: dict[str, Any] = {
            "device": "cuda" if torch.cuda.is_available() else "cpu", "dtype": _TYPES[precision],
            "memory_format": torch.channels_last if channels_last else torch.contiguous_format}
        self._network = network.to(**self._to)

    def segment(self, *arrays: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
        """Labels of the arrays' size."""
        return self.segment_together([arrays])[0]

    @torch.inference_mode()
    def segment_together(self, frames: Sequence[Arrays]) -> list[npt.NDArray[np.uint8]]:
        """The same, all in one batch."""
        images = [network_images(self._spec, *arrays) for arrays in frames]
        batches = [torch.from_numpy(np.stack(modality)).permute(0, 3, 1, 2).to(**self._to)
                   for modality in zip(*images)]
        labels = self._network(*batches).float().cpu().argmax(1).numpy().astype(np.uint8)
        return [resize_labels(each, (arrays[0].shape[1], arrays[0].shape[0]))
                for each, arrays in zip(labels, frames)]

    def close(self) -> None:
        del self._network

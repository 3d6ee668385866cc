"""A frame through PyTorch as a first script would do it, and as a second would."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ssma_core.end_to_end.graph import TYPES
from ssma_core.modalities import network_images
from ssma_core.model_files import checkpoint
from ssma_core.model_files.exported import Precision
from ssma_core.pictures import resize_nearest

Arrays = Sequence[npt.NDArray[Any]]


class Eager:
    """Preprocessing with OpenCV, and the network as it was trained, on the GPU where PyTorch finds
    one.

    naive: tensors lie in memory as PyTorch has them unless told otherwise, and the logits are
      brought to the CPU for their argmax. Else they lie as images do, channels last, and what is
      brought to the CPU are labels.
    """

    def __init__(self, model: Path, threads: int, precision: Precision, naive: bool) -> None:
        torch.set_num_threads(threads)
        network, self._spec = checkpoint.load(model)
        self._to: dict[str, Any] = {
            "device": "cuda" if torch.cuda.is_available() else "cpu", "dtype": TYPES[precision],
            "memory_format": torch.contiguous_format if naive else torch.channels_last}
        self._network = network.to(**self._to)
        self._naive = naive

    def segment(self, *arrays: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
        """Labels of the arrays' size."""
        return self.segment_together([arrays])[0]

    @torch.inference_mode()
    def segment_together(self, frames: Sequence[Arrays]) -> list[npt.NDArray[np.uint8]]:
        """The same, all in one batch."""
        images = [network_images(self._spec, *arrays) for arrays in frames]
        batches = [torch.from_numpy(np.stack(modality)).permute(0, 3, 1, 2).to(**self._to)
                   for modality in zip(*images)]
        logits = self._network(*batches)
        labels = (logits.cpu() if self._naive else logits).argmax(1).to(torch.uint8).cpu().numpy()
        return [resize_nearest(each, (arrays[0].shape[1], arrays[0].shape[0]))
                for each, arrays in zip(labels, frames)]

    def close(self) -> None:
        del self._network

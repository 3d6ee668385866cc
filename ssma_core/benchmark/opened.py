"""A model that is ready for frames: through Segmenter, in PyTorch as a script would run it, or as
an engine by itself."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from ssma_core.modalities import network_images
from ssma_core.model_files.exported import Precision
from ssma_core.pictures import resize_nearest
from ssma_core.segmenter import Segmenter

Array = npt.NDArray[Any]
Labels = npt.NDArray[np.uint8]


class OpenedModel(Protocol):
    """segment: as Segmenter's. segment_together: several frames, as Way.together says."""

    def segment(self, *arrays: Array) -> Labels: ...

    def segment_together(self, frames: Sequence[Sequence[Array]]) -> list[Labels]: ...

    def close(self) -> None: ...


class SegmenterModel:
    """What all users call: one frame after the other."""

    def __init__(self, path: Path, threads: int,
                 precision: Literal["fp32", "fp16", "bf16"] | None = None) -> None:
        self._segmenter = Segmenter(path, threads, precision=precision)

    def segment(self, *arrays: Array) -> Labels:
        return self._segmenter.segment(*arrays).labels

    def segment_together(self, frames: Sequence[Sequence[Array]]) -> list[Labels]:
        return [self.segment(*arrays) for arrays in frames]

    def close(self) -> None:
        self._segmenter.close()


class EngineModel:
    """An end-to-end engine, called directly: while it computes one frame, it gets the next."""

    def __init__(self, path: Path) -> None:
        from ssma_core.backends.tensorrt import TensorRtBackend

        self._backend = TensorRtBackend(path)

    def segment(self, *arrays: Array) -> Labels:
        return self._backend.run(arrays, ["labels"])["labels"]

    def segment_together(self, frames: Sequence[Sequence[Array]]) -> list[Labels]:
        return [answer["labels"] for answer in self._backend.run_each(frames, ["labels"])]

    def close(self) -> None:
        self._backend.close()


class EagerModel:
    """A frame through PyTorch as a first script would do it, or as a second would: preprocessing
    with OpenCV, and the network as it was trained, on the GPU where PyTorch finds one.

    naive: tensors lie in memory as PyTorch has them by default, and the logits are brought to the
      CPU for their argmax. Else they lie as images do, channels last, and labels are brought to the
      CPU.
    """

    def __init__(self, model: Path, threads: int, precision: Precision, naive: bool) -> None:
        import torch

        from ssma_core.end_to_end.graph import TYPES
        from ssma_core.model_files import checkpoint

        torch.set_num_threads(threads)
        network, self._spec = checkpoint.load(model)
        self._to: dict[str, Any] = {
            "device": "cuda" if torch.cuda.is_available() else "cpu", "dtype": TYPES[precision],
            "memory_format": torch.contiguous_format if naive else torch.channels_last}
        self._network = network.to(**self._to)
        self._naive = naive

    def segment(self, *arrays: Array) -> Labels:
        return self.segment_together([arrays])[0]

    def segment_together(self, frames: Sequence[Sequence[Array]]) -> list[Labels]:
        """All in one batch."""
        import torch

        images = [network_images(self._spec, *arrays) for arrays in frames]
        with torch.inference_mode():
            batches = [torch.from_numpy(np.stack(modality)).permute(0, 3, 1, 2).to(**self._to)
                       for modality in zip(*images)]
            logits = self._network(*batches)
            logits = logits.cpu() if self._naive else logits
            labels = logits.argmax(1).to(torch.uint8).cpu().numpy()
        return [resize_nearest(each, (arrays[0].shape[1], arrays[0].shape[0]))
                for each, arrays in zip(labels, frames)]

    def close(self) -> None:
        del self._network

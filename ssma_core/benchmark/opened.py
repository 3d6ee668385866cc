"""A model that is ready to answer frames: by the front door, or by an engine itself."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from ssma_core.segmenter import Segmenter

Array = npt.NDArray[Any]
Labels = npt.NDArray[np.uint8]


class OpenedModel(Protocol):
    """segment: as Segmenter's. segment_together: several frames, as Way.together says."""

    def segment(self, *arrays: Array) -> Labels: ...

    def segment_together(self, frames: Sequence[Sequence[Array]]) -> list[Labels]: ...

    def close(self) -> None: ...


class SegmenterModel:
    """What everybody uses: one frame after the other."""

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
    """An end-to-end engine, asked itself: while it computes one frame, it gets the next."""

    def __init__(self, path: Path) -> None:
        from ssma_core.backends.tensorrt import TensorRtBackend

        self._backend = TensorRtBackend(path)

    def segment(self, *arrays: Array) -> Labels:
        return self._backend.run(arrays, ["labels"])["labels"]

    def segment_together(self, frames: Sequence[Sequence[Array]]) -> list[Labels]:
        return [answer["labels"] for answer in self._backend.run_each(frames, ["labels"])]

    def close(self) -> None:
        self._backend.close()

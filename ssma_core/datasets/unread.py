"""Frames that are read when they are needed."""
from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from ssma_core.errors import SsmaError

Origin = TypeVar("Origin")


class Header(NamedTuple):
    """Of the first sensor's image. recorded_ns: when the bag had recorded all of the frame."""

    stamp_ns: int
    frame_id: str
    recorded_ns: int


@dataclass(frozen=True)
class Input:
    """A frame. name: where it came from. arrays: as `Segmenter.segment` takes them.
    label: class ids, H×W uint8 of the first array's size; None without a label.
    header: of a bag's frame."""

    name: str
    arrays: tuple[npt.NDArray[Any], ...]
    label: npt.NDArray[np.uint8] | None
    header: Header | None = None


@dataclass(frozen=True)
class Unread:
    """A frame that is read when it is needed. drive, stem: of files that are made of it.
    files: that it is read from, where it has its own."""

    drive: str
    stem: str
    read: Callable[[], Input]
    files: tuple[Path, ...] = ()


class Inputs(Protocol):
    """Inputs that are read one after the other in each iteration. Raises SsmaError where one cannot
    be read."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Input]: ...

    def unread(self) -> Iterator[Unread]: ...


@dataclass(frozen=True)
class Read(Generic[Origin]):
    """places: drive and stem of each source. files: of each source, where it has its own."""

    sources: Sequence[Origin]
    read: Callable[[Origin], Input]
    places: Sequence[tuple[str, str]]
    files: Sequence[tuple[Path, ...]] = ()

    def __len__(self) -> int:
        return len(self.sources)

    def __iter__(self) -> Iterator[Input]:
        return map(self.read, self.sources)

    def unread(self) -> Iterator[Unread]:
        for (drive, stem), frames in Counter(self.places).items():
            if frames > 1:
                raise SsmaError(f"{frames} frames are called {stem} in {drive}, and files that are "
                                "made of them would have one name: rename all but one")
        for source, place, files in zip(self.sources, self.places,
                                        self.files or repeat(())):
            yield Unread(*place, partial(self.read, source), files)

"""Frames as the network sees them: in memory, or read when they are needed."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from ssma_core.datasets.samples import Sample
from ssma_core.errors import naming
from ssma_core.modalities import network_images
from ssma_core.pictures import resize_nearest
from ssma_core.spec import ModelSpec

Image = npt.NDArray[np.uint8]

READERS = 4


class TrainingFrames(Protocol):
    """Frame i: its images, H×W×3 uint8 BGR, one for each modality, and its label, H×W uint8, all at
    the model's input size."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> tuple[tuple[Image, ...], Image]: ...


@dataclass(frozen=True)
class InMemory:
    """images: N×H×W×3 uint8, one array for each modality; labels: N×H×W uint8. A frame of two
    modalities takes 7 bytes a pixel: 0.5 MB at 384×192."""

    images: tuple[Image, ...]
    labels: Image

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[tuple[Image, ...], Image]:
        return tuple(images[index] for images in self.images), self.labels[index]


@dataclass(frozen=True)
class Streamed:
    """Reads, encodes and resizes a frame each time it is needed."""

    samples: Sequence[Sample]
    spec: ModelSpec

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[tuple[Image, ...], Image]:
        sample = self.samples[index]
        rgb, aux, label = sample.read(self.spec.classes)
        with naming(sample.name):
            images = network_images(self.spec, rgb, aux)
        return images, resize_nearest(label, self.spec.input_size)


def preload(samples: Sequence[Sample], spec: ModelSpec, title: str) -> InMemory:
    """Reads all samples, with a progress bar called `title`. Decoding and encoding take longer than
    a small network's step, so they are done once.

    Raises SsmaError naming the first file that is wrong: its size, its labels, or unreadable.
    """
    width, height = spec.input_size
    images = tuple(np.empty((len(samples), height, width, 3), np.uint8) for _ in spec.modalities)
    labels = np.empty((len(samples), height, width), np.uint8)
    streamed = Streamed(samples, spec)

    def fill(index: int) -> None:
        frame, labels[index] = streamed[index]
        for all_images, image in zip(images, frame):
            all_images[index] = image

    _for_each(fill, len(samples), title)
    return InMemory(images, labels)


def check(samples: Sequence[Sample], spec: ModelSpec, title: str) -> Streamed:
    """Reads all samples once and keeps none, with a progress bar called `title`, so that errors
    appear before training: raises SsmaError as `preload` does."""
    streamed = Streamed(samples, spec)
    _for_each(streamed.__getitem__, len(samples), title)
    return streamed


def _for_each(do: Callable[[int], object], count: int, title: str) -> None:
    """Calls `do` with 0 to count − 1, several at a time."""
    with ThreadPoolExecutor(READERS) as readers:
        done = readers.map(do, range(count))
        for _ in tqdm(done, title, count, unit="frame", leave=False):
            pass

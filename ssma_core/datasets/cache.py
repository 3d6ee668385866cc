"""A whole set in memory, as the network sees it."""
from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from ssma_core.datasets.folders import Sample, read
from ssma_core.modalities import network_images
from ssma_core.spec import ModelSpec


@dataclass(frozen=True)
class Cache:
    """Frames encoded and at the model's input size.

    Decoding and encoding takes longer than a small network's step, so it is done once. A frame
    takes 7 bytes a pixel: 0.5 MB at 384×192.

    images: N×H×W×3 uint8 BGR, one array a modality; labels: N×H×W uint8.
    """

    images: tuple[npt.NDArray[np.uint8], ...]
    labels: npt.NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.labels)


def preload(samples: Sequence[Sample], spec: ModelSpec, title: str) -> Cache:
    """Reads all samples, two at a time, with a progress bar called `title`.

    Raises SsmaError naming the first file that is wrong: sizes, labels, unreadable.
    """
    width, height = spec.input_size
    images = tuple(np.empty((len(samples), height, width, 3), np.uint8) for _ in spec.modalities)
    labels = np.empty((len(samples), height, width), np.uint8)

    def fill(index: int) -> None:
        rgb, aux, label = read(samples[index], spec.classes)
        for all_images, image in zip(images, network_images(spec, rgb, aux)):
            all_images[index] = image
        labels[index] = cv2.resize(label, spec.input_size, interpolation=cv2.INTER_NEAREST)

    with ThreadPoolExecutor(2) as readers:
        done = readers.map(fill, range(len(samples)))
        for _ in tqdm(done, title, len(samples), unit="frame", leave=False):
            pass
    return Cache(images, labels)

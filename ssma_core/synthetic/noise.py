"""Noise that tiles, so that a texture can be repeated over an endless world."""
from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Plane = npt.NDArray[np.float32]


def tile(rng: np.random.Generator, size: int, first: int, last: int,
         persistence: float = 0.5) -> Plane:
    """Noise of several octaves: size×size float32, 0–1, periodic in both directions.

    first, last: cells across the tile of the coarsest and of the finest octave, powers of two.
    persistence: each octave's weight, as a share of the coarser one's.
    """
    total = np.zeros((size, size), np.float32)
    cells, weight = first, 1.0
    while cells <= min(last, size):
        total += np.float32(weight) * _octave(rng, size, cells)
        cells, weight = cells * 2, weight * persistence
    low, high = np.percentile(total[::4, ::4], (0.5, 99.5))
    return np.clip((total - low) / max(high - low, 1e-6), 0, 1, out=total)


def _octave(rng: np.random.Generator, size: int, cells: int) -> Plane:
    grid = rng.random((cells, cells), dtype=np.float32)
    if cells == size:
        return grid
    margin = min(2, cells)
    padded = np.pad(grid, margin, mode="wrap")
    across = size * (cells + 2 * margin) // cells
    large = cv2.resize(padded, (across, across), interpolation=cv2.INTER_CUBIC)
    start = size * margin // cells
    return large[start:start + size, start:start + size]


def smoothstep(low: float, high: float, value: Plane) -> Plane:
    """0 below low, 1 above high, smooth in between (elementwise)."""
    t = np.clip((value - np.float32(low)) / np.float32(high - low), 0, 1)
    return t * t * (3 - 2 * t)

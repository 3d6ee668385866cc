"""Measures the time of HHA, and that of a loop over pixels that fits the same planes.

    OMP_NUM_THREADS=1 python benchmarks/hha.py
"""
from __future__ import annotations

import timeit

import cv2
import numpy as np

from ssma_core.modalities.hha import DRAWN_RADIUS, in_hha
from ssma_core.spec import Camera
from ssma_core.synthetic.forest import drive

CAMERA = Camera(520, 520, 319.5, 239.5, (640, 480))
ROW = 400  # with a measurement in every pixel


def main() -> None:
    cv2.setNumThreads(1)
    depth = cv2.resize(next(drive(3, 1)).depth, CAMERA.size, interpolation=cv2.INTER_NEAREST)
    rows, columns = np.mgrid[:depth.shape[0], :depth.shape[1]]
    rays = np.dstack([(columns - CAMERA.cx) / CAMERA.fx, (rows - CAMERA.cy) / CAMERA.fy,
                      np.ones(depth.shape)])
    inverse = np.divide(1000, depth, out=np.zeros(depth.shape), where=depth > 0)

    def one_row() -> None:
        """Least squares for n·(x, y, z) = 1, i.e. n·(x/z, y/z, 1) = 1/z, around every pixel."""
        for column in range(depth.shape[1]):
            window = tuple(slice(max(at - DRAWN_RADIUS, 0), at + DRAWN_RADIUS + 1)
                           for at in (ROW, column))
            known = inverse[window] > 0
            np.linalg.lstsq(rays[window][known], inverse[window][known], rcond=None)

    ours = min(timeit.repeat(lambda: in_hha(depth, CAMERA), number=10, repeat=5)) / 10
    loop = min(timeit.repeat(one_row, number=1, repeat=5)) * depth.shape[0]
    print(f"HHA at {CAMERA.size[0]}x{CAMERA.size[1]}: {1000 * ours:.0f} ms; only its planes, by a "
          f"loop over pixels: {loop:.1f} s (a row's time × {depth.shape[0]}), "
          f"{loop / ours:.0f} times as long")


if __name__ == "__main__":
    main()

"""A spinning LiDAR's points in the camera's picture."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ssma_core.synthetic.robots.rig import DepthCamera

Plane = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Scan:
    """line: H×W int, the number of the line that meets the pixel (0 the lowest), or -1.
    above, below: H×W, the rows of the nearest lines in the same column, for scans that are filled;
    weight: H×W float32, the share of the line above."""

    line: npt.NDArray[np.int16]
    above: Indices | None = None
    below: Indices | None = None
    weight: Plane | None = None

    def kept(self, depth: Plane) -> Plane:
        """Of a full depth picture (0: nothing came back) what the LiDAR has."""
        if self.above is None or self.below is None or self.weight is None:
            return np.where(self.line >= 0, depth, np.float32(0))
        upper = np.take_along_axis(depth, self.above, axis=0)
        lower = np.take_along_axis(depth, self.below, axis=0)
        mixed = upper * self.weight + lower * (1 - self.weight)
        known = np.where(upper > 0, np.where(lower > 0, mixed, upper), lower)
        return np.where(self.weight >= 0, known, np.float32(0))


def scan(camera: DepthCamera, elevation: Plane, azimuth: Plane) -> Scan:
    """Where the lines lie. elevation, azimuth: H×W radians of each pixel's ray.

    A line is where its elevation lies between a pixel and the one below it; points follow each
    other along it in steps of camera.turn.
    """
    step = (camera.highest - camera.lowest) / (camera.lines - 1)
    number = np.ceil((elevation - camera.lowest) / step).astype(np.int64)
    under = np.concatenate([number[1:], number[-1:]])
    line = np.where(number > under, number - 1, -1)
    line[(line >= camera.lines) | (line < 0)] = -1
    if camera.filled:
        return Scan(line.astype(np.int16), *_neighbours(line >= 0))
    point = np.floor(azimuth / camera.turn).astype(np.int64)
    line[:, 1:][point[:, 1:] == point[:, :-1]] = -1
    for _ in range(int(camera.thick * line.shape[1])):
        upper = np.concatenate([np.full_like(line[:1], -1), line[:-1]])
        line = np.where(line < 0, upper, line)
    return Scan(line.astype(np.int16))


def _neighbours(on_line: npt.NDArray[np.bool_]) -> tuple[Indices, Indices, Plane]:
    height = on_line.shape[0]
    rows = np.arange(height)[:, None]
    above = np.maximum.accumulate(np.where(on_line, rows, -1), axis=0)
    below = np.minimum.accumulate(np.where(on_line, rows, height)[::-1], axis=0)[::-1]
    weight = (below - rows) / np.maximum(below - above, 1)
    weight = np.where(above == below, 1.0, weight)
    weight[(above < 0) | (below >= height)] = -1  # outside all lines
    return (np.maximum(above, 0), np.minimum(below, height - 1), weight.astype(np.float32))

"""cv2.resize as graph operations, with the same results. Images are H×W×3 float32 with whole levels
0–255; results are 3×H×W. Sizes are (width, height)."""
from __future__ import annotations

import math

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from ssma_core.pictures import nearest_places

ImageSize = tuple[int, int]


def colour_resize(before: ImageSize, after: ImageSize) -> nn.Module:
    """The resize that `network_images` uses: INTER_AREA if no side grows, else INTER_LINEAR."""
    if before == after:
        return Planar()
    shrinks = before[0] >= after[0] and before[1] >= after[1]
    return AreaResize(before, after) if shrinks else LinearResize(before, after)


class Planar(nn.Module):
    """H×W×3 to 3×H×W, without resizing."""

    def forward(self, image: Tensor) -> Tensor:
        return image.permute(2, 0, 1)


class AreaResize(nn.Module):
    """INTER_AREA: every pixel is the mean of the area that it covers.

    On each axis this is a product with a matrix. With g the greatest common divisor of the two
    sides, the matrix has g equal blocks of after/g × before/g on its diagonal and zeros elsewhere.
    """

    columns: Tensor
    rows: Tensor

    def __init__(self, before: ImageSize, after: ImageSize) -> None:
        super().__init__()
        columns, rows = (_area_block(*sides) for sides in zip(before, after))
        self.register_buffer("columns", columns.T.contiguous())
        self.register_buffer("rows", rows)
        self.after = after
        # cv2 rounds half a level up if four pixels become one, otherwise to the even level.
        self.rounds_up = before == (2 * after[0], 2 * after[1])

    def forward(self, image: Tensor) -> Tensor:
        width, height = self.after
        # Rows first: then there is less to permute.
        image = self.rows @ image.reshape(height // len(self.rows), self.rows.shape[1], -1)
        planes = image.reshape(height, -1, 3).permute(2, 0, 1)
        planes = (planes.reshape(-1, len(self.columns)) @ self.columns).reshape(3, height, width)
        return (planes + 0.5).floor() if self.rounds_up else planes.round()


def _area_block(before: int, after: int) -> Tensor:
    """The block after/g × before/g: cv2's resize of a unit matrix."""
    common = math.gcd(before, after)
    before, after = before // common, after // common
    unit = np.eye(before, dtype=np.float32)
    return torch.from_numpy(cv2.resize(unit, (before, after), interpolation=cv2.INTER_AREA))


class LinearResize(nn.Module):
    """INTER_LINEAR with cv2's fixed-point arithmetic: 11-bit weights and truncated intermediate
    values. With exact arithmetic, one value in eight would differ by one level, and therefore one
    label in a thousand.
    """

    columns: Tensor
    column_weights: Tensor
    rows: Tensor
    row_weights: Tensor

    def __init__(self, before: ImageSize, after: ImageSize) -> None:
        super().__init__()
        for name, *sides in zip(("column", "row"), before, after):
            places, weights = _linear(*sides)
            self.register_buffer(f"{name}s", places)
            self.register_buffer(f"{name}_weights", weights[:, :, None, None])

    def forward(self, image: Tensor) -> Tensor:
        # Whole rows are gathered, see Nearest; for the columns, from the transposed image.
        left, right = (image.transpose(0, 1).index_select(0, place) for place in self.columns)
        left_weight, right_weight = self.column_weights / 2**4
        image = (left * left_weight + right * right_weight).floor().transpose(0, 1)
        upper, lower = (image.index_select(0, place) for place in self.rows)
        upper_weight, lower_weight = self.row_weights / 2**16
        quarters = (upper * upper_weight).floor() + (lower * lower_weight).floor()
        return ((quarters + 2) / 4).floor().permute(2, 0, 1)


def _linear(before: int, after: int) -> tuple[Tensor, Tensor]:
    """For each output pixel the two input pixels around it, 2×after, and their weights, which add
    up to 2048."""
    centre = (torch.arange(after, dtype=torch.float64) + 0.5) * (before / after) - 0.5
    place = centre.float().floor()
    far = centre.float() - place
    places = torch.stack([place, place + 1]).clamp(0, before - 1).long()
    return places, (torch.stack([1 - far, far]) * 2048).round()


class Nearest(nn.Module):
    """`pictures.resize_nearest` of a map, H×W of any dtype."""

    columns: Tensor
    rows: Tensor

    def __init__(self, before: ImageSize, after: ImageSize) -> None:
        super().__init__()
        self.same = before == after
        self.rows_first = after[1] < before[1]  # then there is less to gather
        for name, *sides in zip(("columns", "rows"), before, after):
            self.register_buffer(name, torch.from_numpy(nearest_places(*sides).copy()).long())

    def forward(self, values: Tensor) -> Tensor:
        if self.same:
            return values
        # Whole rows are gathered; for the columns, from the transposed map. On CPUs this is several
        # times faster than pixel by pixel.
        if self.rows_first:
            return values.index_select(0, self.rows).T.index_select(0, self.columns).T
        return values.T.index_select(0, self.columns).T.index_select(0, self.rows)

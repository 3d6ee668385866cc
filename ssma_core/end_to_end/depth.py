"""ssma_core.modalities.depth in torch operations that ONNX and TensorRT have. Maps are H×W float32.
"""
from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

LARGEST, TINY = torch.finfo(torch.float32).max, torch.finfo(torch.float32).tiny
NOTHING = -LARGEST


def measured(values: Tensor) -> Tensor:
    """Where a value is above zero, not NaN, not infinite; bool."""
    return (values > 0) & (values <= LARGEST)


def has_value(values: Tensor, is_float: bool) -> Tensor:
    """As `ssma_core.modalities.scale.has_value`. is_float: whether the sensor's values were."""
    return values.abs() <= LARGEST if is_float else values != 0


def fill_holes(values: Tensor, widest: int, larger_is_nearer: bool) -> Tensor:
    """As `ssma_core.modalities.depth.fill_holes`. That one grows its windows until nothing is left
    to fill; here they grow a fixed number of times, enough for the widest gap."""
    known = measured(values)
    sign = 1 if larger_is_nearer else -1
    spread = torch.where(known, sign * values, NOTHING)
    side = min(widest + 1, max(values.shape))
    for doubling in range(math.ceil(math.log2(side))):
        radius = 2**doubling
        nearest = window_maximum(padded(spread, radius, NOTHING), 2 * radius + 1)
        spread = torch.where(spread == NOTHING, nearest, spread)
    filled = (spread > NOTHING) & ~_wide(known, widest)
    return torch.where(filled, sign * spread, 0)


def _wide(known: Tensor, widest: int) -> Tensor:
    """The pixels that are covered by a square of unknown pixels, `widest` + 1 wide and inside the
    image; bool."""
    side = widest + 1
    if side > min(known.shape):
        return torch.zeros_like(known)
    squares = 1 - window_maximum(known.float(), side)
    return window_maximum(padded(squares, widest, 0), side) > 0


def window_maximum(values: Tensor, side: int) -> Tensor:
    """The maximum of every side×side window inside the map: (H−side+1)×(W−side+1)."""
    return _column_maximum(_column_maximum(values, side).T, side).T


def _column_maximum(values: Tensor, side: int) -> Tensor:
    """The maximum of every column of `side` pixels, from up to eight shorter windows that lie
    `step` rows apart, repeatedly.

    When `step` rows are reshaped to one, rows that were `step` apart become neighbours, so that a
    max-pool compares them. (TensorRT takes minutes or longer to build a chain of shifted maps and
    their maxima.)
    """
    reach = 1
    while reach < side:
        step = min(reach, side - reach)
        windows = min(8, 1 + (side - reach) // step)
        rows, columns = values.shape
        values = F.pad(values, (0, 0, 0, -rows % step), value=NOTHING)
        values = F.max_pool2d(values.reshape(1, 1, -1, step * columns), (windows, 1), stride=1)
        grown = step * (windows - 1)
        values = values.reshape(-1, columns)[:rows - grown]
        reach += grown
    return values


def padded(values: Tensor, margin: int, value: float) -> Tensor:
    return F.pad(values, (margin, margin, margin, margin), value=value)


def shift_median(values: Tensor, level: float, highest: float, steps: int) -> Tensor:
    """As `ssma_core.modalities.depth.shift_median`.

    highest, steps: the median is searched between −1 and `highest` with `steps` bisections. It is
    exact for whole numbers up to 2^steps − 1.
    """
    known = measured(values)
    median = _median(torch.where(known, values, LARGEST), known.float().sum(), highest, steps)
    return torch.where(known, (values + (level - median)).clamp(min=TINY), 0)


def _median(values: Tensor, number: Tensor, highest: float, steps: int) -> Tensor:
    """The median of the `number` values that are not LARGEST."""
    high = _bisected(values, number / 2, number.new_tensor(-1), number.new_tensor(highest), steps)
    # For an even number of values, the median is the mean of the two in the middle.
    other = torch.where(values > high, values, LARGEST).min()
    return torch.where(2 * _up_to(values, high) > number, high, (high + other) / 2)


def percentile(values: Tensor, known: Tensor, share: float, steps: int) -> Tensor:
    """As `ssma_core.modalities.scale.percentiles`, of the values that are known.

    steps: of bisection between the lowest and the highest. It is exact for whole numbers that
      differ by up to 2^steps − 1, and otherwise where no other value is within 2^−steps of their
      span.
    """
    number = known.float().sum()
    values = torch.where(known, values, LARGEST)
    low = torch.where(number > 0, values.min(), 0) - 1
    high = torch.where(known, values, low).max()
    high = _bisected(values, (number * (share / 100)).clamp(min=1), low, high, steps)
    return torch.where(number > 0, torch.where(values <= high, values, low).max(), 0)


def _bisected(values: Tensor, wanted: Tensor, low: Tensor, high: Tensor, steps: int) -> Tensor:
    """The limit between low and high that `wanted` of the values do not exceed, from above.
    Bisection, because ONNX and TensorRT cannot sort whole images."""
    for _ in range(steps):
        middle = (low + high) / 2
        enough = _up_to(values, middle) >= wanted
        low, high = torch.where(enough, low, middle), torch.where(enough, middle, high)
    return high


def _up_to(values: Tensor, limit: Tensor) -> Tensor:
    return (values <= limit).float().sum()

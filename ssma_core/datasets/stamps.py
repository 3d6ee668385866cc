"""Which of a recording's messages belong together, by their stamps."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Stamps = npt.NDArray[np.int64]

APART_NS = 50_000_000  # the most that the stamps of what belongs together lie apart


def together(columns: Sequence[Stamps], needed: int) -> list[tuple[int | None, ...]]:
    """Which messages make a frame: their places among those of their topic, for every frame.

    columns: the stamps on each topic, in nanoseconds, in the order they were recorded.
    needed: how many topics, from the first on, a frame must have a message of; it may have one of
      the others, None where not.
    In the result every column ascends, so that a bag can be read from its begin to its end: where a
    recording jumps back in time, what would have to be read again is left out.
    """
    partners = [_partners(columns[0], column) for column in columns[1:]]
    frames: list[tuple[int | None, ...]] = []
    last = [-1] * len(columns)
    for place in range(len(columns[0])):
        row = [place, *(partner.get(place) for partner in partners)]
        row = [p if p is not None and p > before else None for p, before in zip(row, last)]
        if None not in row[:needed]:
            frames.append(tuple(row))
            last = [before if p is None else p for p, before in zip(row, last)]
    return frames


def _partners(stamps: Stamps, others: Stamps) -> dict[int, int]:
    """By place in `stamps` the place in `others`, for those that are each other's nearest."""
    if not len(stamps) or not len(others):
        return {}
    there, back = _nearest(stamps, others), _nearest(others, stamps)
    return {i: int(j) for i, j in enumerate(there)
            if back[j] == i and abs(int(stamps[i]) - int(others[j])) <= APART_NS}


def _nearest(stamps: Stamps, others: Stamps) -> npt.NDArray[np.intp]:
    """For each stamp the place in `others` of the nearest one."""
    order = np.argsort(others, kind="stable")
    ascending = others[order]
    right = np.searchsorted(ascending, stamps).clip(max=len(others) - 1)
    left = (right - 1).clip(min=0)
    is_left = stamps - ascending[left] <= ascending[right] - stamps
    return order[np.where(is_left, left, right)]

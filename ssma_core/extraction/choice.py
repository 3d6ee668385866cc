"""Which candidates to label: far apart in looks and time, and rather those that a model doubts."""
from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ssma_core.errors import SsmaError
from ssma_core.extraction.looks import CELLS, MAPS
from ssma_core.extraction.scores import Candidate

BLURRED = 0.8  # of its drive's median sharpness: the camera moved by some 5 of 640 pixels

Floats = npt.NDArray[np.float64]


class Chosen(NamedTuple):
    """places: of the chosen candidates, the kept ones first, then in the order of choice. novelty:
    of every candidate, how far the nearest other chosen one is: 1 as two that are drawn at random
    from all; NaN where it cannot be told."""

    places: list[int]
    novelty: Floats


def without_blurred(candidates: Sequence[Candidate]) -> list[Candidate]:
    """The candidates, with a flaw added to those that are much less sharp than their drive."""
    by_drive: dict[str, list[float]] = {}
    for each in candidates:
        if each.sharpness is not None and not each.flaw:
            by_drive.setdefault(each.drive, []).append(each.sharpness)
    least = {drive: BLURRED * float(np.median(values)) for drive, values in by_drive.items()}
    return [replace(each, flaw="blurred") if not each.flaw and each.sharpness is not None
            and each.sharpness < least[each.drive] else each for each in candidates]


def choose(candidates: Sequence[Candidate], count: int, kept: Collection[tuple[str, int]]
           ) -> Chosen:
    """`count` candidates without a flaw, those of `kept` (drive, stamp) among them in any case.

    The farthest-point rule (Gonzalez, "Clustering to minimize the maximum intercluster distance",
    1985; as core-sets for labelling by Sener and Savarese, 2018): always the candidate that is
    farthest from all chosen ones, which is the least covered kind of scene. The first is the one
    nearest to the mean. A model's doubts, as ranks from 0 to 1, weigh up to twice: the larger one
    of its uncertainty and its experts' disagreement.
    Raises SsmaError where there are fewer candidates without a flaw.
    """
    usable = np.array([not each.flaw for each in candidates])
    places = [i for i, each in enumerate(candidates) if (each.drive, each.stamp_ns) in kept]
    usable[places] = True
    if usable.sum() < count:
        raise SsmaError(f"{count} frames are wanted, and there are {usable.sum()} to choose from: "
                        f"of {len(candidates)} candidates {len(candidates) - usable.sum()} are "
                        "blank, frozen, blurred or cannot be read; give a smaller --select or "
                        "--every")
    space = _Space(candidates, count)
    weight = 1 + _doubts(candidates)
    nearest = np.full(len(candidates), np.inf)
    for place in places:
        nearest = np.minimum(nearest, space.from_(place))
    if not places and count:
        places.append(int(np.argmin(np.where(usable, space.from_mean(), np.inf))))
        nearest = space.from_(places[0])
    while len(places) < count:
        value = np.where(usable, weight * nearest, -1)
        value[places] = -1
        places.append(int(value.argmax()))
        nearest = np.minimum(nearest, space.from_(places[-1]))
    return Chosen(places, np.where(np.isfinite(nearest) & space.known, nearest, np.nan))


class _Space:
    """Distances between candidates: of their looks, and of their time in the same drive."""

    def __init__(self, candidates: Sequence[Candidate], count: int) -> None:
        blank = np.full((MAPS, CELLS ** 2), np.nan)
        maps = np.stack([blank if each.looks is None else each.looks for each in candidates])
        self.known = np.isfinite(maps).all(axis=(1, 2))
        mean = maps[self.known].mean(axis=0) if self.known.any() else np.zeros_like(blank)
        maps = np.where(self.known[:, None, None], maps - mean, 0)
        # Each map counts the same; two candidates drawn at random are 1 apart (root mean square).
        spread = (maps ** 2).sum(axis=(0, 2)) / max(1, self.known.sum())
        scale = np.divide(1, 2 * spread, out=np.zeros_like(spread), where=spread > 1e-12)
        scale /= max(1, np.count_nonzero(scale))
        self._looks: Floats = (maps * np.sqrt(scale)[:, None]).reshape(len(maps), -1)
        self._seconds = np.array([each.stamp_ns for each in candidates]) / 1e9
        names = sorted({each.drive for each in candidates})
        self._drive = np.array([names.index(each.drive) for each in candidates])
        spans = [np.ptp(self._seconds[self._drive == i]) for i in range(len(names))]
        self._far_apart = max(float(sum(spans)) / max(1, count), 1e-9)  # seconds

    def from_(self, place: int) -> Floats:
        """Of each candidate from this one; its own is infinite."""
        looks = ((self._looks - self._looks[place]) ** 2).sum(axis=1)
        apart = np.abs(self._seconds - self._seconds[place]) / self._far_apart
        time = np.where(self._drive == self._drive[place], np.minimum(apart, 1), 1)
        distance = np.asarray(np.sqrt((looks + time ** 2) / 2))
        distance[place] = np.inf
        return distance

    def from_mean(self) -> Floats:
        return np.asarray((self._looks ** 2).sum(axis=1))


def _doubts(candidates: Sequence[Candidate]) -> Floats:
    found = [_ranks([each.uncertainty for each in candidates]),
             _ranks([each.disagreement for each in candidates])]
    return np.maximum(*found)


def _ranks(values: Sequence[float | None]) -> Floats:
    """From 0, the least, to 1; 0 where nothing is known."""
    given = np.array([np.nan if value is None else value for value in values], float)
    known = np.flatnonzero(~np.isnan(given))
    ranks = np.zeros(len(given))
    ranks[known[np.argsort(given[known], kind="stable")]] = np.linspace(0, 1, len(known))
    return ranks

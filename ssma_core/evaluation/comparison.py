"""Whether one of two results is better than chance explains."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

from ssma_core.errors import SsmaError
from ssma_core.evaluation import boundary
from ssma_core.evaluation.boundary import Boundaries
from ssma_core.evaluation.metrics import (
    ConfusionMatrix,
    frame_scores,
    intersection_and_union,
    iou,
    mean_iou,
)
from ssma_core.evaluation.result_file import pooled
from ssma_core.evaluation.results import (
    Counts,
    DatasetSource,
    FrameResult,
    Result,
)

RESAMPLES = 10_000
LEVEL = 95  # percent
SEED = 0
# Of 5 drives, all favour the same model by chance once in 16 times; of 6, once in 32.
ENOUGH_DRIVES = 6
_AT_ONCE = 500  # resamples, to bound memory


@dataclass(frozen=True)
class Interval:
    """B minus A in IoU, and the bounds of 95 % of the resamples; all −1…1, NaN where a class occurs
    for neither."""

    difference: float
    low: float
    high: float

    @property
    def excludes_0(self) -> bool:
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Comparison:
    """mean: of the mean IoU. classes: of each class's IoU; void's is NaN.
    units: how many were drawn from. kind: of what."""

    mean: Interval
    classes: tuple[Interval, ...]
    units: int
    kind: Literal["drives", "frames", "frames of one drive"]

    @property
    def few(self) -> bool:
        """Whether there are too few drives to speak of others."""
        return self.kind == "frames of one drive" or (
            self.kind == "drives" and self.units < ENOUGH_DRIVES)

    def verdict(self, interval: Interval) -> str:
        if not interval.excludes_0:
            return "not told apart"
        better = "B is better" if interval.difference > 0 else "A is better"
        return better + (" (few drives)" if self.few else "")

    def drawn_from(self) -> str:
        """What the intervals are computed from."""
        text = f"drawn {RESAMPLES:,} times from {self.units} "
        if self.kind == "drives":
            return text + "whole drives, whose frames resemble each other"
        why = "no drives are known" if self.kind == "frames" else "they are all of one drive"
        return (f"{text}single frames, since {why}: if they resemble each other, the intervals are "
                "too narrow")

    def conclusion(self) -> str:
        """What follows from the mean's interval."""
        mean = self.mean
        interval = f"The interval, {100 * mean.low:+.2f} to {100 * mean.high:+.2f} points of mIoU,"
        if not mean.excludes_0:
            return f"{interval} includes 0: these frames do not tell A and B apart."
        better, worse = ("B", "A") if mean.difference > 0 else ("A", "B")
        if self.few:
            return (f"{interval} excludes 0: {better} is better than {worse} on these frames; "
                    f"fewer than {ENOUGH_DRIVES} drives are too few to say so of others.")
        return f"{interval} excludes 0: {better} is better than {worse}."


@dataclass(frozen=True)
class MatchedResults:
    """Two results, A and B, and the frames that both scored, in A's order.

    file_a, file_b: where they were read. frames: each one's drive, of `Result.names`, and its
    record in A and in B. counts_a, counts_b, boundaries_a, boundaries_b: theirs; boundaries may not
    be known.
    """

    file_a: str
    file_b: str
    a: Result
    b: Result
    frames: list[tuple[str, FrameResult, FrameResult]]
    counts_a: Counts
    counts_b: Counts
    boundaries_a: Boundaries | None = None
    boundaries_b: Boundaries | None = None

    @cached_property
    def matrices(self) -> tuple[ConfusionMatrix, ConfusionMatrix]:
        void = self.a.spec.void_id
        return (ConfusionMatrix.summed(self.counts_a, void),
                ConfusionMatrix.summed(self.counts_b, void))

    @cached_property
    def comparison(self) -> Comparison:
        return compare(self.counts_a, self.counts_b, [drive for drive, _, _ in self.frames],
                       self.a.spec.void_id)

    @cached_property
    def boundary(self) -> tuple[float, float, Interval] | None:
        """The mean boundary F of A and of B, 0–1, within `boundary.COMPARED` pixels, and their
        difference; None where one of the two is not known."""
        if self.boundaries_a is None or self.boundaries_b is None:
            return None
        return compare_boundaries(self.boundaries_a, self.boundaries_b,
                                  [drive for drive, _, _ in self.frames])

    @cached_property
    def scores(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """`ConfusionMatrix.frame_score` of each frame, float64[F] each."""
        void = self.a.spec.void_id
        return frame_scores(self.counts_a, void), frame_scores(self.counts_b, void)

    def conditions(self) -> dict[str, MatchedResults]:
        """The frames of each condition of A's, as results of their own."""
        names = [frame.condition for _, frame, _ in self.frames]
        return {name: self._part([i for i, other in enumerate(names) if other == name])
                for name in dict.fromkeys(names) if name is not None}

    def _part(self, chosen: list[int]) -> MatchedResults:
        return MatchedResults(self.file_a, self.file_b, self.a, self.b,
                              [self.frames[i] for i in chosen], self.counts_a[chosen],
                              self.counts_b[chosen])


def compare_files(first: str, second: str) -> MatchedResults:
    """first, second: files as `result_file.pooled` takes them. Raises SsmaError naming what is
    wrong with a file, or the first thing that keeps the two from being compared."""
    return matched(pooled(first), pooled(second), first, second)


def matched(a: Result, b: Result, first: str, second: str) -> MatchedResults:
    """The same frames of two results. first, second: the results' files.

    Results on data sets must have the same frames; of bags, whose frames are found by bag and
    stamp, those in common are taken. Raises SsmaError naming the first difference in classes,
    frames and true labels.
    """
    if (a.spec.class_names, a.spec.void_id) != (b.spec.class_names, b.spec.void_id):
        raise SsmaError(f"{first} is about the classes {', '.join(a.spec.class_names)}, {second} "
                        f"about {', '.join(b.spec.class_names)}: they cannot be compared")
    if a.of_bags != b.of_bags:
        bags, others = (first, second) if a.of_bags else (second, first)
        raise SsmaError(f"{bags} is about bags, {others} about a data set: they have no frame in "
                        "common")
    places_a, places_b = _places(a), _places(b)
    if a.of_bags:
        common = [key for key in places_a if key in places_b]
        if not common:
            raise SsmaError(f"{first} and {second} have no frame in common: compare what two "
                            "models, or one with other settings, made of the same bags")
    else:
        _check_same_frames(places_a, places_b, first, second)
        _check_same_frames(places_b, places_a, second, first)
        common = list(places_a)
    in_a, in_b = ([places[key] for key in common] for places in (places_a, places_b))
    frames = [(*a.scored[i], b.scored[j][1]) for i, j in zip(in_a, in_b)]
    found = MatchedResults(first, second, a, b, frames, a.counts[in_a], b.counts[in_b],
                           a.boundaries_of(in_a), b.boundaries_of(in_b))
    _check_same_ground_truth(found)
    return found


def _places(result: Result) -> dict[tuple[str, str | int | None], int]:
    """Where among the scored frames each is: by its name; of bags by bag and stamp."""
    return {(drive, frame.stamp_ns) if result.of_bags else ("", frame.name): i
            for i, (drive, frame) in enumerate(result.scored)}


def _check_same_frames(places: dict[tuple[str, str | int | None], int],
                       others: dict[tuple[str, str | int | None], int],
                       first: str, second: str) -> None:
    for key in places:
        if key not in others:
            raise SsmaError(f"{first} has the frame {key[1]}, {second} has not: only results on "
                            "the same frames can be compared")


def _check_same_ground_truth(found: MatchedResults) -> None:
    differs = (found.counts_a.sum(axis=2) != found.counts_b.sum(axis=2)).any(axis=1)
    if found.boundaries_a is not None and found.boundaries_b is not None:
        true_a, true_b = (each[:, :, 0, -1] for each in (found.boundaries_a, found.boundaries_b))
        differs |= (true_a != true_b).any(axis=1)
    if not differs.any():
        return
    drive, frame, _ = found.frames[int(differs.argmax())]
    a, b = found.a.source, found.b.source
    if isinstance(a, DatasetSource) and isinstance(b, DatasetSource):
        which = str(frame)
        advice = ("evaluate both on the same labels, at one resolution (they were: "
                  f"{a.options}; {b.options})")
    else:
        which, advice = f"{drive} {frame}", "they cannot be compared"
    raise SsmaError(f"the true labels of {which} are not the same in {found.file_a} and "
                    f"{found.file_b}: {advice}")


def compare(a: Counts, b: Counts, drives: Sequence[str], void_id: int) -> Comparison:
    """The paired bootstrap's percentile interval (B. Efron and R. J. Tibshirani, An Introduction to
    the Bootstrap, Chapman & Hall 1993, chapters 8 and 13).

    a, b: the same F frames' counts for two models, F×N×N each. drives: each frame's.
    Frames of a drive resemble each other, so whole drives are drawn, with replacement, as many as
    there are; the same for both models, so that what is hard for both cancels out. Where there is
    only one drive, or none is known ("."), frames are drawn.
    """
    number = _units(drives)
    sums = [_summed(part, number) for counts in (a, b)
            for part in intersection_and_union(counts, void_id)]
    whole = _differences(*(part.sum(axis=0, keepdims=True) for part in sums))[0]
    drawn = _differences(*_resampled(sums))
    mean, *classes = map(_interval, whole.tolist(), drawn.T)
    return Comparison(mean, tuple(classes), int(number.max()) + 1, _kind(drives))


def compare_boundaries(a: Boundaries, b: Boundaries,
                       drives: Sequence[str]) -> tuple[float, float, Interval]:
    """See `MatchedResults.boundary`; by the bootstrap of `compare`. a, b: F×N×2×4 each."""
    number = _units(drives)
    drawn_a, drawn_b = (boundary.mean_at(drawn.reshape(-1, *a.shape[1:])) for drawn in _resampled(
        [_summed(counts.reshape(len(counts), -1), number) for counts in (a, b)]))
    of_a, of_b = (float(boundary.mean_at(counts.sum(axis=0))) for counts in (a, b))
    return of_a, of_b, _interval(of_b - of_a, drawn_b - drawn_a)


def _units(drives: Sequence[str]) -> npt.NDArray[np.intp]:
    """The number of what each frame is drawn with: its drive, or itself where there is only one."""
    names, number = np.unique(np.array(drives), return_inverse=True)
    return np.arange(len(drives)) if len(names) == 1 else number


def _kind(drives: Sequence[str]) -> Literal["drives", "frames", "frames of one drive"]:
    names = {*drives}
    if len(names) > 1:
        return "drives"
    return "frames" if names == {"."} else "frames of one drive"


def _summed(values: npt.NDArray[np.int64], number: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
    """F×N → units×N: the frames' values summed by their unit's number."""
    sums = np.zeros((number.max() + 1, values.shape[1]))
    np.add.at(sums, number, values)
    return sums


def _resampled(sums: Sequence[npt.NDArray[np.float64]]) -> list[npt.NDArray[np.float64]]:
    """units×N each → resamples×N each: sums over units drawn with replacement, the same for all."""
    rng = np.random.default_rng(SEED)
    units, parts = len(sums[0]), np.concatenate(sums, axis=1)
    drawn = []
    for _ in range(RESAMPLES // _AT_ONCE):
        picks = rng.integers(units, size=(_AT_ONCE, units)) + units * np.arange(_AT_ONCE)[:, None]
        times = np.bincount(picks.ravel(), minlength=_AT_ONCE * units).reshape(_AT_ONCE, units)
        drawn.append(times.astype(np.float64) @ parts)
    return np.split(np.concatenate(drawn), len(sums), axis=1)


def _differences(intersection_a: npt.NDArray[np.float64], union_a: npt.NDArray[np.float64],
                 intersection_b: npt.NDArray[np.float64], union_b: npt.NDArray[np.float64],
                 ) -> npt.NDArray[np.float64]:
    """…×N each → …×(1 + N): B minus A of the mean IoU, then of each class's."""
    a, b = iou(intersection_a, union_a), iou(intersection_b, union_b)
    return np.concatenate([(mean_iou(b) - mean_iou(a))[..., None], b - a], axis=-1)


def _interval(difference: float, drawn: npt.NDArray[np.float64]) -> Interval:
    """Of the resamples in which there is a difference."""
    drawn = drawn[~np.isnan(drawn)]
    if not drawn.size:
        return Interval(difference, np.nan, np.nan)
    low, high = np.percentile(drawn, [50 - LEVEL / 2, 50 + LEVEL / 2])
    return Interval(difference, float(low), float(high))

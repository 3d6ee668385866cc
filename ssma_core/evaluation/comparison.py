"""Whether one result is better than another, or only luckier with its frames."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from ssma_core.errors import SsmaError
from ssma_core.evaluation.metrics import ConfusionMatrix, intersection_and_union, iou, mean_iou
from ssma_core.evaluation.results import Result, columns, pooled

Counts = npt.NDArray[np.int64]
Pair = tuple[Counts, Counts]

RESAMPLES = 10_000
LEVEL = 95  # percent
SEED = 0
# Of 5 drives, all favour the same model by chance once in 16 times; of 6, once in 32.
ENOUGH_DRIVES = 6
_AT_ONCE = 500  # resamples, to bound memory


@dataclass(frozen=True)
class Interval:
    """B minus A in IoU, and what 95 % of the resamples lie between; all −1…1, NaN where a class
    occurs for neither."""

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
        """What the intervals rest on."""
        text = f"drawn anew {RESAMPLES:,} times from {self.units} "
        if self.kind == "drives":
            return text + "whole drives, whose frames resemble each other"
        why = "no drives are known" if self.kind == "frames" else "they are all of one drive"
        return (f"{text}single frames, since {why}: if they resemble each other, the intervals are "
                "too narrow")

    def conclusion(self) -> str:
        """What the mean's interval allows to say."""
        mean = self.mean
        interval = f"The interval, {100 * mean.low:+.2f} to {100 * mean.high:+.2f} points of mIoU,"
        if not mean.excludes_0:
            return f"{interval} includes 0: these frames do not tell A and B apart."
        better, worse = ("B", "A") if mean.difference > 0 else ("A", "B")
        if self.few:
            return (f"{interval} excludes 0: {better} is better than {worse} on these frames; "
                    f"fewer than {ENOUGH_DRIVES} drives are too few to say so of others.")
        return f"{interval} excludes 0: {better} is better than {worse}."


def compare(a: Counts, b: Counts, drives: Sequence[str], void_id: int) -> Comparison:
    """The paired bootstrap's percentile interval (B. Efron and R. J. Tibshirani, An Introduction to
    the Bootstrap, Chapman & Hall 1993, chapters 8 and 13).

    a, b: the same F frames' counts for two models, F×N×N each. drives: each frame's.
    Frames of a drive resemble each other, so whole drives are drawn, with replacement, as many as
    there are; the same for both models, so that what is hard for both cancels out. Where there is
    only one drive, or nobody knows of any ("."), frames are drawn.
    """
    names, number = np.unique(np.array(drives), return_inverse=True)
    if len(names) == 1:
        number = np.arange(len(a))
    sums = [_summed(part, number) for counts in (a, b)
            for part in intersection_and_union(counts, void_id)]
    whole = _differences(*(part.sum(axis=0, keepdims=True) for part in sums))[0]
    drawn = _differences(*_resampled(sums))
    mean, *classes = map(_interval, whole.tolist(), drawn.T)
    return Comparison(mean, tuple(classes), int(number.max()) + 1, _kind(names.tolist()))


def compare_files(first: str, second: str) -> str:
    """Two results, A and B, in words; files as `results.pooled` takes them.

    Raises SsmaError naming what is wrong with a file, or the first thing that keeps them from being
    compared."""
    a, b = pooled(first), pooled(second)
    order = matched(a, b, first, second)
    counts = a.counts, b.counts[order]
    drives = [frame.drive for frame in a.frames]
    void = a.spec.void_id
    everything = compare(*counts, drives, void)
    lines = [f"A: {first} ({a.model}, {a.options})", f"B: {second} ({b.model}, {b.options})",
             f"{len(a.frames)} frames, {everything.drawn_from()}", "",
             *_class_table(counts, everything, a.spec.class_names, void)]
    conditions = a.groups("condition")
    if conditions:
        parts = {name: (counts[0][chosen], counts[1][chosen])
                 for name, chosen in conditions.items()}
        compared = {name: compare(*parts[name], [drives[i] for i in chosen], void)
                    for name, chosen in conditions.items()}
        lines += ["", *_condition_table(parts, compared, void)]
    return "\n".join([*lines, "", everything.conclusion()])


def _kind(drives: list[str]) -> Literal["drives", "frames", "frames of one drive"]:
    if len(drives) > 1:
        return "drives"
    return "frames" if drives == ["."] else "frames of one drive"


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


def _differences(both_a: npt.NDArray[np.float64], either_a: npt.NDArray[np.float64],
                 both_b: npt.NDArray[np.float64], either_b: npt.NDArray[np.float64],
                 ) -> npt.NDArray[np.float64]:
    """…×N each → …×(1 + N): B minus A of the mean IoU, then of each class's."""
    a, b = iou(both_a, either_a), iou(both_b, either_b)
    return np.concatenate([(mean_iou(b) - mean_iou(a))[..., None], b - a], axis=-1)


def _interval(difference: float, drawn: npt.NDArray[np.float64]) -> Interval:
    """Of the resamples in which there is a difference."""
    drawn = drawn[~np.isnan(drawn)]
    if not drawn.size:
        return Interval(difference, np.nan, np.nan)
    low, high = np.percentile(drawn, [50 - LEVEL / 2, 50 + LEVEL / 2])
    return Interval(difference, float(low), float(high))


def matched(a: Result, b: Result, first: str, second: str) -> list[int]:
    """The places in B of A's frames. first, second: the results' files.

    Raises SsmaError naming the first difference in classes, frames and true labels."""
    if (a.spec.class_names, a.spec.void_id) != (b.spec.class_names, b.spec.void_id):
        raise SsmaError(f"{first} is about the classes {', '.join(a.spec.class_names)}, {second} "
                        f"about {', '.join(b.spec.class_names)}: they cannot be compared")
    places = {frame.name: i for i, frame in enumerate(b.frames)}
    for frame in a.frames:
        if frame.name not in places:
            raise SsmaError(f"{first} has the frame {frame.name}, {second} has not: only results "
                            "on the same frames can be compared")
    known = {frame.name for frame in a.frames}
    for frame in b.frames:
        if frame.name not in known:
            raise SsmaError(f"{second} has the frame {frame.name}, {first} has not: only results "
                            "on the same frames can be compared")
    order = [places[frame.name] for frame in a.frames]
    other_truth = (a.counts.sum(axis=2) != b.counts[order].sum(axis=2)).any(axis=1)
    if other_truth.any():
        raise SsmaError(f"the true labels of {a.frames[int(other_truth.argmax())].name} are not "
                        f"the same in {first} and {second}: evaluate both on the same labels, at "
                        f"one resolution (they were: {a.options}; {b.options})")
    return order


def _class_table(counts: Pair, comparison: Comparison, names: Sequence[str],
                 void: int) -> list[str]:
    a, b = (ConfusionMatrix.summed(part, void) for part in counts)
    rows = [_row("mean", a.mean_iou(), b.mean_iou(), comparison.mean, comparison)]
    rows += [_row(name, float(a.iou()[i]), float(b.iou()[i]), comparison.classes[i], comparison)
             for i, name in enumerate(names) if i != void]
    return columns([("IoU %", "A", "B", "B − A", f"{LEVEL} % interval", ""), *rows])


def _condition_table(parts: dict[str, Pair], compared: dict[str, Comparison],
                     void: int) -> list[str]:
    rows = []
    for name, comparison in compared.items():
        a, b = (ConfusionMatrix.summed(part, void).mean_iou() for part in parts[name])
        rows.append((*_row(name, a, b, comparison.mean, comparison),
                     f"{comparison.units} {comparison.kind}"))
    return columns([("mIoU %", "A", "B", "B − A", f"{LEVEL} % interval", "", "drawn from"), *rows])


def _row(name: str, a: float, b: float, interval: Interval,
         comparison: Comparison) -> tuple[str, ...]:
    values = ["–" if np.isnan(value) else f"{100 * value:.1f}" for value in (a, b)]
    if np.isnan(interval.difference):
        return name, *values, "–", "–", ""
    return (name, *values, f"{100 * interval.difference:+.2f}",
            f"{100 * interval.low:+.2f} to {100 * interval.high:+.2f}",
            comparison.verdict(interval))

"""What several trainings of one model reach: the mean, and how far seeds differ from it."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ssma_core.errors import SsmaError
from ssma_core.evaluation import boundary
from ssma_core.evaluation.comparison import matched
from ssma_core.evaluation.report.words import columns
from ssma_core.evaluation.result_file import pooled
from ssma_core.evaluation.results import Result


def over_seeds(files: Sequence[str]) -> str:
    """A table of IoU in percent, mean ± standard deviation (of a sample: n − 1) over the results,
    of the mean IoU in each condition, and of the mean boundary F where it is known. files: as
    `result_file.pooled` takes them.

    Raises SsmaError for fewer than two, for a file given twice, and for results of another model or
    options than the first, or on other frames, labels or conditions.
    """
    if len(files) < 2:
        raise SsmaError("a mean over seeds needs at least two results")
    _check_once(files)
    results = [pooled(file) for file in files]
    for file, result in zip(files[1:], results[1:]):
        _check_alike(results[0], result, files[0], file)
    names, void = results[0].spec.class_names, results[0].spec.void_id
    rows = [("mean", [result.total().mean_iou() for result in results])]
    rows += [(name, [float(result.total().iou()[i]) for result in results])
             for i, name in enumerate(names) if i != void]
    conditions = [result.groups("condition") for result in results]
    rows += [(name, [result.confusion_of(frames[name]).mean_iou()
                     for result, frames in zip(results, conditions)]) for name in conditions[0]]
    return "\n".join([f"{len(results)} results, {len(results[0].scored)} frames, "
                      f"{results[0].settings}",
                      *columns([("IoU %", "mean", "± sd"), *(_row(*row) for row in rows)]),
                      *_boundary_table(results)])


def _boundary_table(results: Sequence[Result]) -> list[str]:
    """Of the mean over the classes, by distance; empty where a result does not know it."""
    found = [result.boundaries for result in results]
    known = [each for each in found if each is not None]
    if len(known) < len(found):
        return []
    means = np.array([boundary.mean(boundary.f_score(each.sum(axis=0))) for each in known])
    return ["", *columns([("boundary F %", "mean", "± sd"), *(
        _row(f"mean, {distance} px", values)
        for distance, values in zip(boundary.DISTANCES, means.T.tolist()))])]


def _check_once(files: Sequence[str]) -> None:
    seen: set[Path] = set()
    for name in "+".join(files).split("+"):
        path = Path(name).resolve()
        if path in seen:
            raise SsmaError(f"{name} is given twice: it would count as two seeds")
        seen.add(path)


def _check_alike(a: Result, b: Result, first: str, second: str) -> None:
    if (a.spec, a.settings) != (b.spec, b.settings):
        raise SsmaError(f"{second} ({b.model}, {b.settings}) is of another model or other options "
                        f"than {first} ({a.model}, {a.settings}): their mean means nothing")
    frames = matched(a, b, first, second).frames
    if not len(frames) == len(a.scored) == len(b.scored):
        raise SsmaError(f"{first} and {second} have only {len(frames)} frames in common: a mean "
                        "over seeds is of the same frames")
    for _, frame, other in frames:
        if frame.condition != other.condition:
            raise SsmaError(f"{frame} is of the condition {frame.condition} in {first}, of "
                            f"{other.condition} in {second}: evaluate both on the same data")


def _row(name: str, values: list[float]) -> tuple[str, str, str]:
    if np.isnan(values).any():
        return name, "–", "–"
    return name, f"{100 * np.mean(values):.1f}", f"{100 * np.std(values, ddof=1):.1f}"

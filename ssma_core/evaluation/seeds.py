"""What several trainings of one model reach: the mean, and how far seeds scatter around it."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ssma_core.errors import SsmaError
from ssma_core.evaluation.results import Result, columns, pooled


def over_seeds(files: Sequence[str]) -> str:
    """A table of IoU in percent, mean ± standard deviation (of a sample: n − 1) over the results,
    and of the mean IoU in each condition. files: as `results.pooled` takes them.

    Raises SsmaError for fewer than two, and for results of other frames or classes than the first.
    """
    results = [pooled(file) for file in files]
    if len(results) < 2:
        raise SsmaError("a mean over seeds needs at least two results")
    for file, result in zip(files[1:], results[1:]):
        if _asked(result) != _asked(results[0]):
            raise SsmaError(f"{file} is not about the same frames, classes and options as "
                            f"{files[0]}: their mean means nothing")
    names, void = results[0].spec.class_names, results[0].spec.void_id
    rows = [("mean", [result.total().mean_iou() for result in results])]
    rows += [(name, [float(result.total().iou()[i]) for result in results])
             for i, name in enumerate(names) if i != void]
    rows += [(condition, [result.matrices("condition")[condition].mean_iou()
                          for result in results]) for condition in results[0].groups("condition")]
    return "\n".join([f"{len(results)} results, {len(results[0].frames)} frames, "
                      f"{results[0].options}",
                      *columns([("IoU %", "mean", "± sd"), *(_row(*row) for row in rows)])])


def _asked(result: Result) -> tuple[object, ...]:
    return (result.spec.class_names, result.options, {frame.name for frame in result.frames})


def _row(name: str, values: list[float]) -> tuple[str, str, str]:
    if np.isnan(values).any():
        return name, "–", "–"
    return name, f"{100 * np.mean(values):.1f}", f"{100 * np.std(values, ddof=1):.1f}"

"""What follows from drives: their sums, latencies and how their frames ended."""
from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ssma_core.evaluation import boundary
from ssma_core.evaluation.boundary import Boundaries
from ssma_core.evaluation.metrics import ConfusionMatrix
from ssma_core.evaluation.results import GROUPS, DriveResult, Result, joined_boundaries
from ssma_core.spec import ModelSpec


def of_result(result: Result) -> dict[str, Any]:
    """What a file holds under "figures". Of bags: `of_bags` in total, "bags" by name, and "live".
    Of a data set "total", and by name "drives" and "conditions": `ConfusionMatrix.to_dict` and,
    where boundaries are known, "boundary_f": `boundary.to_dict`."""
    spec = result.spec
    if result.of_bags:
        found = of_bags(result.drives, spec) | {"bags": {
            name: of_bags([drive], spec) for name, drive in zip(result.names, result.drives)}}
        return found | ({"live": of_bags(result.live, spec)} if result.live else {})
    def of(matrix: ConfusionMatrix, boundaries: Boundaries | None) -> dict[str, Any]:
        return matrix.to_dict(spec.class_names) | _boundary_f(boundaries, spec)

    return {"total": of(result.total(), result.boundaries)} | {
        f"{group}s": {name: of(result.confusion_of(chosen), result.boundaries_of(chosen))
                      for name, chosen in result.groups(group).items()}
        for group in GROUPS}


def of_bags(drives: Sequence[DriveResult], spec: ModelSpec) -> dict[str, Any]:
    """For JSON: {"frames": `ends`, "labelled", "scored", "clock_jumps", "latency_ms": {"p50",
    "p99"}}, what `ConfusionMatrix.to_dict` says, and "boundary_f" as of a data set."""
    latencies = latencies_ms(drives)
    p50, p99 = np.percentile(latencies, [50, 99]).tolist() if len(latencies) else (None, None)
    return {"frames": ends(drives), "labelled": sum(len(drive.frames) for drive in drives),
            "scored": sum(len(drive.scored) for drive in drives),
            "clock_jumps": sum(drive.clock_jumps for drive in drives),
            "latency_ms": {"p50": p50, "p99": p99},
            **total(drives, spec).to_dict(spec.class_names),
            **_boundary_f(joined_boundaries(drives), spec)}


def _boundary_f(boundaries: Boundaries | None, spec: ModelSpec) -> dict[str, Any]:
    if boundaries is None:
        return {}
    return {"boundary_f": boundary.to_dict(boundaries.sum(axis=0), spec.class_names, spec.void_id)}


def total(drives: Iterable[DriveResult], spec: ModelSpec) -> ConfusionMatrix:
    matrix = ConfusionMatrix(spec.classes, spec.void_id)
    for drive in drives:
        matrix.counts += drive.counts.sum(axis=0)
    return matrix


def latencies_ms(drives: Iterable[DriveResult]) -> npt.NDArray[np.float64]:
    """Of the frames whose latency is known, float64[F]."""
    return np.array([frame.latency_ms for drive in drives for frame in drive.frames
                     if frame.latency_ms is not None])


def ends(drives: Iterable[DriveResult]) -> dict[str, dict[str, int]]:
    """How the frames of all drives ended."""
    summed: dict[str, Counter[str]] = {}
    for drive in drives:
        for stream, counts in drive.ends.items():
            summed.setdefault(stream, Counter()).update(counts)
    return {stream: dict(counts) for stream, counts in summed.items()}

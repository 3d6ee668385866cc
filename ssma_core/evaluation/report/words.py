"""Results and comparisons in words, for a terminal."""
from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from ssma_core.evaluation import boundary, figures
from ssma_core.evaluation.comparison import LEVEL, Comparison, Interval, MatchedResults
from ssma_core.evaluation.results import (
    GROUPS,
    BagSource,
    DatasetSource,
    DriveResult,
    Group,
    Result,
)
from ssma_core.spec import ModelSpec

_DIFFERENCE = ("A", "B", "B − A", f"{LEVEL} % interval", "")


def in_words(found: Result | MatchedResults) -> str:
    """The figures of a result, or of two that are compared."""
    if isinstance(found, MatchedResults):
        return _comparison(found)
    source = found.source
    return "\n".join(_of_bags(found) if isinstance(source, BagSource)
                     else _of_data_set(found, source))


def _of_data_set(result: Result, source: DatasetSource) -> list[str]:
    lines = [f"{result.model} on {source.configuration}, {source.split}: {len(result.scored)} "
             f"frames, {source.options}", *_classes(result)]
    for group in reversed(GROUPS):
        frames = result.groups(group)
        if frames and (group == "condition" or len(frames) > 1):
            lines += ["", *_group_table(group, frames, result)]
    return lines


def _classes(result: Result) -> list[str]:
    """IoU and, where it is known, boundary F by class."""
    lines = result.total().table(result.spec.class_names).splitlines()
    if result.boundaries is None:
        return lines
    more = _boundary_columns(result.boundaries.sum(axis=0), result.spec.void_id)
    width = max(map(len, lines))
    return [f"{line:<{width}}  {text}" for line, text in zip(lines, more)]


def _boundary_columns(counts: npt.NDArray[np.int64], void_id: int) -> list[str]:
    """To stand beside `ConfusionMatrix.table`, of summed counts, N×2×4."""
    scores = boundary.f_score(counts)
    rows = [*np.delete(scores, void_id, axis=0), boundary.mean(scores)]
    return ["boundary F %: 1 px   2 px   4 px", *(
        f"{' ' * 12}" + "".join(f"{_percent(value):>7}" for value in row) for row in rows)]


def _group_table(group: Group, frames: dict[str, npt.NDArray[np.intp]],
                 result: Result) -> list[str]:
    """frames: `Result.groups`. A class that does not occur counts as 0 in the mean IoU, so it is
    named."""
    known = result.boundaries is not None
    rows = [(group, "mIoU %", *([f"F {boundary.COMPARED} px %"] if known else []), "frames")]
    absent: list[Sequence[str]] = [()]
    for name, chosen in frames.items():
        matrix, found = result.confusion_of(chosen), result.boundaries_of(chosen)
        score = [] if found is None else [_percent(boundary.mean_at(found.sum(axis=0)).item())]
        rows.append((name, _percent(matrix.mean_iou()), *score, str(len(chosen))))
        absent.append(matrix.absent(result.spec.class_names))
    return [line + (f"  no {', no '.join(missing)}" if missing else "")
            for line, missing in zip(columns(rows), absent)]


def _of_bags(result: Result) -> list[str]:
    several = ["", *_by_bag(result)] if len(result.drives) > 1 else []
    live = ["", "over DDS, at the bags' own pace", *_figures(result.live, result.spec)
            ] if result.live else []
    return [*(f"bag      {drive.name}" for drive in result.drives),
            f"model    {result.model} ({result.backend}, {result.precision})",
            *_figures(result.drives, result.spec), "",
            *_classes(result), *several, *live]


def _figures(drives: Sequence[DriveResult], spec: ModelSpec) -> list[str]:
    found = figures.of_bags(drives, spec)
    latency = found["latency_ms"]
    words = {"rgb": "colour", "aux": "second"}
    ends = [f"{words.get(stream, stream):<9}"
            + ", ".join(f"{count} {cause}" for cause, count in counts.items())
            for stream, counts in found["frames"].items()]
    jumps = found["clock_jumps"]
    return [*ends, *_foreign_masks(drives),
            *([f"clock    set back {jumps} times"] if jumps else []),
            f"scored   {found['scored']} of {found['labelled']} labelled, "
            f"mIoU {_percent(found['miou'])} %",
            f"latency  p50 {latency['p50']:.1f} ms, p99 {latency['p99']:.1f} ms"]


def _foreign_masks(drives: Sequence[DriveResult]) -> Iterator[str]:
    """A line for each bag that most of its masks do not belong to."""
    for drive in drives:
        masks = drive.ends.get("truth", {})
        strange, total = masks.get("unmatched", 0), sum(masks.values())
        if 2 * strange > total:
            yield (f"         {strange} of {total} masks are of no image of {drive.name}: are they "
                   "another drive's?")


def _by_bag(result: Result) -> list[str]:
    width = max(map(len, [*result.names, "bag"]))
    lines = [f"{'bag':<{width}}  mIoU %  frames  p50 ms"]
    for name, drive in zip(result.names, result.drives):
        found = figures.of_bags([drive], result.spec)
        lines.append(f"{name:<{width}}  {_percent(found['miou']):>6}  {found['scored']:>6}  "
                     f"{found['latency_ms']['p50']:>6.1f}")
    return lines


def _percent(share: float | None) -> str:
    return "–" if share is None or np.isnan(share) else f"{100 * share:.1f}"


def _comparison(found: MatchedResults) -> str:
    a, b, comparison = found.a, found.b, found.comparison
    which = "frames of both" if a.of_bags else "frames"
    lines = [f"A: {found.file_a} ({a.model}, {a.settings})",
             f"B: {found.file_b} ({b.model}, {b.settings})",
             f"{len(found.frames)} {which}, {comparison.drawn_from()}", "", *_class_table(found)]
    if found.boundary:
        row = _row(f"mean, {boundary.COMPARED} px", *found.boundary, comparison)
        lines += ["", *columns([("boundary F %", *_DIFFERENCE), row])]
    if conditions := found.conditions():
        lines += ["", *_condition_table(conditions)]
    return "\n".join([*lines, "", comparison.conclusion()])


def _class_table(found: MatchedResults) -> list[str]:
    spec, comparison = found.a.spec, found.comparison
    a, b = found.matrices
    rows = [_row("mean", a.mean_iou(), b.mean_iou(), comparison.mean, comparison)]
    rows += [_row(name, float(a.iou()[i]), float(b.iou()[i]), comparison.classes[i], comparison)
             for i, name in enumerate(spec.class_names) if i != spec.void_id]
    return columns([("IoU %", *_DIFFERENCE), *rows])


def _condition_table(conditions: dict[str, MatchedResults]) -> list[str]:
    rows = []
    for name, part in conditions.items():
        a, b = (matrix.mean_iou() for matrix in part.matrices)
        comparison = part.comparison
        rows.append((*_row(name, a, b, comparison.mean, comparison),
                     f"{comparison.units} {comparison.kind}"))
    return columns([("mIoU %", *_DIFFERENCE, "drawn from"), *rows])


def _row(name: str, a: float, b: float, interval: Interval,
         comparison: Comparison) -> tuple[str, ...]:
    values = [_percent(value) for value in (a, b)]
    if np.isnan(interval.difference):
        return name, *values, "–", "–", ""
    return (name, *values, f"{100 * interval.difference:+.2f}",
            f"{100 * interval.low:+.2f} to {100 * interval.high:+.2f}",
            comparison.verdict(interval))


def columns(rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a table: the first column to the left, the others to the right."""
    cells = [list(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells)]
    return ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip()
            for row in cells]

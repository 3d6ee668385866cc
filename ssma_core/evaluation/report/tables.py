"""What the tables and figures of both pages hold."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ssma_core.evaluation import boundary
from ssma_core.evaluation.boundary import Boundaries
from ssma_core.evaluation.figures import latencies_ms
from ssma_core.evaluation.metrics import ConfusionMatrix
from ssma_core.evaluation.report import charts
from ssma_core.evaluation.report.render import milliseconds, percent
from ssma_core.evaluation.results import BagSource, DatasetSource, Result
from ssma_core.spec import ModelSpec

TableRow = dict[str, Any]


def class_rows(matrix: ConfusionMatrix, boundaries: Boundaries | None,
               spec: ModelSpec) -> list[TableRow]:
    """For each class: colour, name, iou, its boundary_f at each distance (empty where that is not
    known), its share of all pixels, and what it is mostly taken for. The mean comes last: its name,
    iou and boundary_f."""
    rows, columns, taken = matrix.row_normalised()
    ious, shares = matrix.iou(), matrix.shares()
    scores = (np.zeros((spec.classes, 0)) if boundaries is None
              else boundary.f_score(boundaries.sum(axis=0)))
    found = []
    for i, row in zip(rows, taken):
        others = [(share, c) for share, c in zip(row.tolist(), columns) if c != i and share > 0]
        lost = max(others, default=None)
        found.append({
            "colour": spec.class_colours[i], "name": spec.class_names[i], "iou": ious[i],
            "boundary_f": scores[i], "share": shares[i],
            "most_confused_with":
                f"{spec.class_names[lost[1]]} {percent(lost[0])}" if lost else "–"})
    return [*found, {"name": "mean", "iou": matrix.mean_iou(), "boundary_f": boundary.mean(scores)}]


def confusion(matrix: ConfusionMatrix, spec: ModelSpec) -> dict[str, Any]:
    """columns: names. rows: colour, name and cells; a cell is its share of the row, 0–1, and
    whether it is right."""
    rows, columns, taken = matrix.row_normalised()
    return {
        "columns": [spec.class_names[c] for c in columns],
        "rows": [{"colour": spec.class_colours[i],
                  "name": spec.class_names[i]
                  + ("" if matrix.counts[i].any() else " (does not occur)"),
                  "cells": [(share, c == i) for c, share in zip(columns, row)]}
                 for i, row in zip(rows, taken.tolist())]}


def latencies(result: Result, end: float | None = None, css_class: str = "a") -> list[TableRow]:
    """A title, histogram and note each, without and with DDS, as far as known.

    end: of the axis, in milliseconds; None for as long as these values need."""
    found = []
    for name, drives in (("model", result.drives), ("over DDS, stamp to label", result.live)):
        values = latencies_ms(drives)
        if len(values):
            found.append({
                "title": name if result.live else "",
                "histogram": charts.histogram(values, end or charts.nice_end(values), "ms",
                                              css_class),
                "note": f"{len(values):,} frames; the slowest took "
                        f"{milliseconds(float(values.max()))}"})
    return found


def about(result: Result) -> dict[str, str]:
    """What computed a result, by name."""
    spec, source = result.spec, result.source
    facts = {
        "model": result.model,
        "network": f"{spec.architecture}, {spec.size}, {spec.rates} rates, "
                   "{}×{}".format(*spec.input_size),
        "modalities": " and ".join(f"{m.name} ({m.encoding})" for m in spec.modalities),
        "classes": ", ".join(spec.class_names),
        "runs on": ", ".join(filter(None, [result.backend, result.precision])) or "–",
        "machine": result.machine or "–",
        "versions": ", ".join(result.versions),
    }
    if isinstance(source, DatasetSource):
        return facts | {"configuration": source.configuration, "split": source.split,
                        "labelled": str(source.options)}
    return facts | _about_bags(result, source)


def _about_bags(result: Result, source: BagSource) -> dict[str, str]:
    ignored = f" without {', '.join(map(str, source.ignore))}" if source.ignore else ""
    return {
        "bags": "\n".join(drive.name for drive in result.drives),
        "topics": f"{source.rgb}, {source.aux}",
        "truth": f"{source.label or source.truth}{ignored}",
        **({"groups": source.label_groups} if source.label_groups else {}),
        **({"registration": source.registration} if source.registration else {}),
        "pairing": f"slop {source.slop:g} s, queue {source.queue_size}, "
                   f"aux delay {source.aux_delay:g} s",
    }


def links(*left_out: str) -> Sequence[str]:
    """The page's sections."""
    sections = ("classes", "confusion", "latency", "timeline", "frames", "about")
    return [section for section in sections if section not in left_out]

"""The report on bags as one HTML page."""
from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

import numpy as np

from ssma_core.evaluation import figures
from ssma_core.evaluation.boundary import DISTANCES
from ssma_core.evaluation.report import charts, render, tables
from ssma_core.evaluation.report.charts import Mark
from ssma_core.evaluation.report.render import Tile, milliseconds, percent
from ssma_core.evaluation.report.shown_frames import ShownFrame
from ssma_core.evaluation.results import DriveResult, Result, Timeline

# What may lie over the colour image, by name in `ShownFrame`; the second sensor has the model's
# name.
LAYERS = {"label": "label", "truth": "ground truth", "wrong": "errors", "second": ""}
BOUNDARY_LEAD = (
    " Boundary F: precision is the share of a class's predicted boundary pixels that lie within so "
    "many pixels of a true one, recall that of the true ones near a predicted one.")


def report_page(result: Result, worst: Sequence[ShownFrame], typical: Sequence[ShownFrame]) -> str:
    """A whole document. worst, typical: the frames to show."""
    spec, matrix = result.spec, result.total()
    drives = result.drives
    name = result.names[0] if len(drives) == 1 else f"{len(drives)} bags"
    return render.page(
        "report.html", title=f"{name} · {result.model_name}", name=name,
        facts=[result.model_name, _when(drives)], links=tables.links(), tiles=_tiles(result),
        bags=_bag_rows(result) if len(drives) > 1 else [],
        classes=tables.class_rows(matrix, result.boundaries, spec),
        distances=[] if result.boundaries is None else DISTANCES, boundary_lead=BOUNDARY_LEAD,
        confusion=tables.confusion(matrix, spec), latencies=tables.latencies(result),
        latency_lead=_latency_lead(result), about=tables.about(result), spec=spec.to_json(),
        timelines=[_timeline(result, i, worst) for i in range(len(drives))],
        worst=_cards(result, worst), typical=_cards(result, typical),
        layers=[(layer, words or spec.modalities[-1].name) for layer, words in LAYERS.items()],
        key=[(spec.class_colours[i], spec.class_names[i]) for i in range(spec.classes)
             if i != spec.void_id])


def timeline_of(drive: DriveResult) -> Timeline:
    assert drive.timeline is not None, "`Result` has checked that a bag has one"
    return drive.timeline


def _tiles(result: Result) -> list[Tile]:
    found = figures.of_bags(result.drives, result.spec)
    ious = {name: iou for name, iou in found["iou"].items() if iou is not None}
    weakest = min(ious, key=lambda name: ious[name]) if ious else None
    over_dds = figures.total(result.live, result.spec).mean_iou()
    colour = sum(found["frames"].get("rgb", {}).values())
    shown: list[Tile] = [
        ("Mean IoU", percent(found["miou"]), [
            f"weakest: {weakest}, {percent(ious[weakest])}" if weakest else "",
            f"over DDS {percent(over_dds)}" if result.live else ""]),
        ("Frames labelled", f"{found['labelled']:,}", [
            f"of {colour:,} colour images", f"{found['scored']:,} with a true label"]),
        _latency_tile("Latency, model", found)]
    if not result.live:
        return [*shown, _drop_tile("Dropped", result.drives)]
    return [*shown, _latency_tile("Latency, over DDS", figures.of_bags(result.live, result.spec),
                                  "stamp to label"),
            _drop_tile("Dropped, over DDS", result.live)]


def _latency_tile(name: str, found: dict[str, Any], *more: str) -> Tile:
    latency = found["latency_ms"]
    return name, milliseconds(latency["p50"]), [f"p99 {milliseconds(latency['p99'])}", *more]


def _drop_tile(name: str, drives: Sequence[DriveResult]) -> Tile:
    causes = _drops(drives)
    return name, f"{sum(causes.values()):,}", [
        f"{count:,} {cause}" for cause, count in causes.items()]


def _drops(drives: Sequence[DriveResult]) -> dict[str, int]:
    """How many colour frames got no label, by cause."""
    return {cause: count for cause, count in figures.ends(drives).get("rgb", {}).items()
            if cause not in ("paired", "labelled") and count}


def _bag_rows(result: Result) -> list[tuple[str, list[str]]]:
    rows = []
    for name, drive in zip(result.names, result.drives):
        found = figures.of_bags([drive], result.spec)
        rows.append((name, [
            charts.clock(timeline_of(drive).seconds), f"{found['scored']:,}",
            percent(found["miou"]), milliseconds(found["latency_ms"]["p50"]),
            f"{sum(_drops([drive]).values()):,}"]))
    return rows


def _when(drives: Sequence[DriveResult]) -> str:
    length = charts.clock(sum(timeline_of(drive).seconds for drive in drives))
    begin = datetime.fromtimestamp(timeline_of(drives[0]).begin_ns / 1e9, timezone.utc)
    # A simulation's time begins at 0.
    return f"recorded {begin:%Y-%m-%d %H:%M} UTC, {length}" if begin.year > 1970 else length


def _latency_lead(result: Result) -> str:
    lead = "One call of Segmenter.segment a frame, preprocessing included."
    if (result.processes or 1) > 1:
        lead += (f" {result.processes} bags were segmented at once, each on its share of the CPU: "
                 "alone a frame takes less.")
    return lead


def _timeline(result: Result, i: int, worst: Sequence[ShownFrame]) -> dict[str, Any]:
    """The title of a bag, its lanes (a heading, its CSS class and the lanes below it), and the
    axis."""
    drive, void = result.drives[i], result.spec.void_id
    timeline = timeline_of(drive)
    stamps = np.array([frame.stamp_ns for frame in drive.scored], np.int64)
    marks = [Mark(look.stamp_ns, look.score, str(n), f"worst-{n}")
             for n, look in enumerate(worst, 1) if look.bag == drive.name]
    lanes = [("", "", charts.score_lane(timeline, [("a", stamps, drive.scores(void))], marks)
              + _events(timeline))]
    if result.live:
        live = timeline_of(result.live[i])
        heading = "over DDS" if live.drops else "over DDS: every frame labelled"
        lanes.append((heading, "", _events(live)))
    return {"title": result.names[i] if len(result.drives) > 1 else "", "lanes": lanes,
            "axis": charts.time_axis(timeline)}


def _events(timeline: Timeline) -> render.Markup:
    drops = charts.drop_lanes(timeline)
    return charts.mode_lane(timeline) + drops if timeline.modes else drops


def _cards(result: Result, looks: Sequence[ShownFrame]) -> list[dict[str, Any]]:
    bags = [drive.name for drive in result.drives]
    names, cards = result.spec.class_names, []
    for look in looks:
        i = bags.index(look.bag)
        begin_ns = timeline_of(result.drives[i]).begin_ns
        weakest = sorted(look.ious, key=lambda c: look.ious[c])[:2]
        cards.append({
            "look": look, "at": charts.clock((look.stamp_ns - begin_ns) / 1e9),
            "bag": result.names[i] if len(bags) > 1 else "",
            "weakest": ", ".join(f"{names[c]} {percent(look.ious[c])}" for c in weakest)})
    return cards

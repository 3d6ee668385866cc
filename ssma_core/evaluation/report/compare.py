"""Two results on one HTML page."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from ssma_core.evaluation import figures
from ssma_core.evaluation.boundary import COMPARED
from ssma_core.evaluation.comparison import Comparison, Interval, MatchedResults
from ssma_core.evaluation.report import charts, render, tables
from ssma_core.evaluation.report.render import Tile, milliseconds, percent
from ssma_core.evaluation.results import DatasetSource, Result

MOST_CHANGED = 5


def comparison_page(found: MatchedResults) -> str:
    """A whole document. What only bags have, latencies and timelines, is left out for others."""
    a, b = found.a, found.b
    matrices, spec = found.matrices, a.spec
    latencies = _latencies(a, b)
    timelines = _timelines(found)
    left_out = ["latency"] * (not latencies) + ["timeline"] * (not timelines)
    latencies_a, latencies_b = latencies or ([], [])
    confusion_a, confusion_b = (tables.confusion(matrix, spec) for matrix in matrices)
    about_a, about_b = tables.about(a), tables.about(b)
    bags = a.of_bags
    return render.page(
        "comparison.html", title=f"{a.model_name} | {b.model_name}",
        kind="Two bag reports" if bags else "Two results",
        name=" and ".join(dict.fromkeys(name for name, _, _ in found.frames)) if bags
        else " and ".join(dict.fromkeys(_data_of(result) for result in (a, b))),
        facts=[f"A: {a.model_name}", f"B: {b.model_name}"], links=tables.links(*left_out),
        conclusion=found.comparison.conclusion(), tiles=_tiles(found),
        classes_lead=f"IoU on the {len(found.frames):,} frames that both scored, and what 95 % of "
                     f"the differences lie between: {found.comparison.drawn_from()}.",
        **_classes(found), confusion_a=confusion_a, confusion_b=confusion_b,
        latencies_a=latencies_a, latencies_b=latencies_b, timelines=timelines,
        drive="bag" if bags else "drive", frame="at" if bags else "frame", **_frames(found),
        about=[(name, value, about_b[name]) for name, value in about_a.items()])


def _data_of(result: Result) -> str:
    source = result.source
    return f"{source.configuration}, {source.split}" if isinstance(source, DatasetSource) else ""


def _tiles(found: MatchedResults) -> list[Tile]:
    a, b = (figures.of_bags(result.drives, result.spec) for result in (found.a, found.b))
    shown: list[Tile] = [
        ("Mean IoU", _from_to(*(percent(m.mean_iou()) for m in found.matrices)),
         [f"{_points(found.comparison.mean.difference).strip()} points"]),
        ("Frames labelled", _from_to(f"{a['labelled']:,}", f"{b['labelled']:,}"),
         [f"{len(found.frames):,} scored by both"])]
    if found.boundary:
        of_a, of_b, interval = found.boundary
        shown.insert(1, (f"Boundary F, {COMPARED} px", _from_to(percent(of_a), percent(of_b)), [
            f"{_points(interval.difference).strip()} points",
            _verdict(found.comparison, interval)]))
    if found.a.of_bags:
        shown.append(_latency_tile("Latency, model", a, b))
    if found.a.live and found.b.live:
        a, b = (figures.of_bags(result.live, result.spec) for result in (found.a, found.b))
        shown.append(_latency_tile("Latency, over DDS", a, b))
    return shown


def _latency_tile(name: str, a: dict[str, Any], b: dict[str, Any]) -> Tile:
    p50, p99 = (_from_to(*(milliseconds(figures["latency_ms"][which]) for figures in (a, b)))
                for which in ("p50", "p99"))
    return name, p50, [f"p99 {p99}"]


def _classes(found: MatchedResults) -> dict[str, Any]:
    """reach: what the whiskers' column shows, in words. classes: a row each, the mean last."""
    spec, comparison = found.a.spec, found.comparison
    a, b = found.matrices
    chosen = [i for i in range(spec.classes) if i != spec.void_id]
    intervals = [comparison.classes[i] for i in chosen] + [comparison.mean]
    reach = max((abs(end) for interval in intervals for end in (interval.low, interval.high)
                 if not np.isnan(end)), default=0.0) or 0.01
    names = [(spec.class_colours[i], spec.class_names[i]) for i in chosen]
    values = [(a.iou()[i], b.iou()[i]) for i in chosen] + [(a.mean_iou(), b.mean_iou())]
    return {
        "reach": f"−{100 * reach:.1f} … +{100 * reach:.1f} points",
        "classes": [
            {"colour": colour, "name": name, "a": of_a, "b": of_b,
             "difference": _points(interval.difference), "whisker": _whisker(interval, reach),
             "verdict": _verdict(comparison, interval)}
            for (colour, name), (of_a, of_b), interval in zip(
                [*names, (None, "mean")], values, intervals)]}


def _verdict(comparison: Comparison, interval: Interval) -> str:
    return "" if np.isnan(interval.low) else comparison.verdict(interval)


def _whisker(interval: Interval, reach: float) -> dict[str, str] | None:
    if np.isnan(interval.low):
        return None
    low, middle, high = (50 + 50 * value / reach
                         for value in (interval.low, interval.difference, interval.high))
    side = "b" if interval.low > 0 else "a" if interval.high < 0 else ""
    return {"side": side, "interval": f"left:{low:.1f}%;width:{high - low:.1f}%",
            "middle": f"left:{middle:.1f}%"}


def _latencies(a: Result, b: Result) -> tuple[list[Any], list[Any]] | None:
    values = np.concatenate([figures.latencies_ms([*r.drives, *r.live]) for r in (a, b)])
    if not len(values):
        return None
    end = charts.nice_end(values)
    return tables.latencies(a, end, "a"), tables.latencies(b, end, "b")


def _timelines(found: MatchedResults) -> list[dict[str, Any]]:
    shown = []
    drives_b = dict(zip(found.b.names, found.b.drives))
    for name, drive in zip(found.a.names, found.a.drives):
        other = drives_b.get(name)
        if other is None or drive.timeline is None or other.timeline is None:
            continue
        series = [(css_class, np.array([frame.stamp_ns for frame in each.scored], np.int64),
                   each.scores(found.a.spec.void_id))
                  for css_class, each in (("a", drive), ("b", other))]
        lanes = [("", "", charts.score_lane(drive.timeline, series))]
        for side, timeline in (("A", drive.timeline), ("B", other.timeline)):
            if timeline.drops:
                lanes.append((side, side.lower(), charts.drop_lanes(timeline)))
        shown.append({"title": name, "lanes": lanes, "axis": charts.time_axis(drive.timeline)})
    return shown


def _frames(found: MatchedResults) -> dict[str, Markup | list[Any]]:
    """scatter: the chart. changed: titles, and the frames that differ most."""
    a, b = found.scores
    order = [int(i) for i in np.argsort(b - a) if not np.isnan(b[i] - a[i])]
    begins = {name: drive.timeline.begin_ns if drive.timeline else 0
              for name, drive in zip(found.a.names, found.a.drives)}

    def rows(chosen: Sequence[int]) -> list[tuple[str, str, float, float]]:
        shown = []
        for i in chosen:
            drive, frame, _ = found.frames[i]
            at = frame.name if frame.stamp_ns is None else charts.clock(
                (frame.stamp_ns - begins[drive]) / 1e9)
            shown.append((drive, at or "", a[i], b[i]))
        return shown

    better = [i for i in reversed(order) if b[i] > a[i]][:MOST_CHANGED]
    worse = [i for i in order if b[i] < a[i]][:MOST_CHANGED]
    return {"scatter": charts.scatter(a[order], b[order]),
            "changed": [("Where B is better most", rows(better)),
                        ("Where A is better most", rows(worse))]}


def _from_to(a: str, b: str) -> str:
    """Two figures of one unit."""
    if a == b:
        return a
    unit = " " + b.split(" ")[1] if " " in b else ""
    return f"{a.removesuffix(unit)} → {b}"


def _points(share: float) -> str:
    """A difference, in percent: five characters, aligned to the right."""
    return "    –" if np.isnan(share) else f"{100 * share:+5.1f}"

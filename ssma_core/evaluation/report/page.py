"""The report as one HTML page."""
from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone

import numpy as np

from ssma_core.evaluation import bag_results
from ssma_core.evaluation.bag_results import Report, Run
from ssma_core.evaluation.metrics import ConfusionMatrix
from ssma_core.evaluation.report import cards, charts, html
from ssma_core.evaluation.report.charts import Mark
from ssma_core.evaluation.report.html import Html, joined, tag
from ssma_core.evaluation.report.looks import Look
from ssma_core.evaluation.report.parts import (
    bar,
    header,
    milliseconds,
    percent,
    scrolled,
    section,
    swatch,
    table_head,
    tile,
)
from ssma_core.spec import ModelSpec


def report_page(report: Report, worst: Sequence[Look], typical: Sequence[Look]) -> str:
    """A whole document. worst, typical: the frames to show."""
    spec, matrix = report.spec, bag_results.total(report.runs, report.spec)
    title = report.names[0] if len(report.runs) == 1 else f"{len(report.runs)} bags"
    bags = [section("bags", "Bags", "", _bag_table(report))] if len(report.runs) > 1 else []
    sections = [
        *bags,
        section("classes", "Classes", "IoU over all scored frames, as in the paper.",
                class_table(matrix, spec)),
        section("confusion", "What is taken for what",
                "A row is a true class, a column what its pixels were taken for, in percent.",
                confusion_table(matrix, spec)),
        section("latency", "Latency", _latency_lead(report), *latency_charts(report)),
        section("timeline", "Timeline", "Stamps since the bag's first; click a number to see the "
                "frame." if worst else "Stamps since the bag's first.",
                *(_timeline(report, i, worst) for i in range(len(report.runs)))),
        section("frames", "Frames", "Drag across a picture, or use the arrow keys: to the left is "
                "the colour image, to the right what you choose here. A frame's figure is its mean "
                "IoU over the classes that occur in it.",
                cards.frames(report, worst, typical)),
        section("about", "About", "", about(report)),
    ]
    return html.page(f"{title} · {report.model_name}",
                     header("Bag report", title, report.model_name, _when(report)),
                     tag("main", tag("div", *tiles(report), class_="tiles"), *sections))


def tiles(report: Report) -> list[Html]:
    found = bag_results.figures(report.runs, report.spec)
    latency = found["latency_ms"]
    ious = {name: iou for name, iou in found["iou"].items() if iou is not None}
    weakest = min(ious, key=lambda name: ious[name]) if ious else None
    colour = sum(found["frames"].get("rgb", {}).values())
    shown = [
        tile("Mean IoU", percent(found["miou"]),
             f"weakest: {weakest}, {percent(ious[weakest])}" if weakest else "",
             f"over DDS {percent(bag_results.total(report.live, report.spec).mean_iou())}"
             if report.live else ""),
        tile("Frames labelled", f"{found['labelled']:,}", f"of {colour:,} colour images",
             f"{found['scored']:,} with a true label"),
        tile("Latency, model", milliseconds(latency["p50"]), f"p99 {milliseconds(latency['p99'])}"),
    ]
    if not report.live:
        return [*shown, tile("Dropped", *_dropped(report.runs))]
    live = bag_results.figures(report.live, report.spec)
    return [*shown,
            tile("Latency, over DDS", milliseconds(live["latency_ms"]["p50"]),
                 f"p99 {milliseconds(live['latency_ms']['p99'])}", "stamp to label"),
            tile("Dropped, over DDS", *_dropped(report.live))]


def class_table(matrix: ConfusionMatrix, spec: ModelSpec) -> Html:
    rows, columns, taken = matrix.row_normalised()
    ious, shares = matrix.iou(), matrix.shares()
    lines = []
    for i, row in zip(rows, taken):
        others = [(share, c) for share, c in zip(row.tolist(), columns) if c != i and share > 0]
        lost = max(others, default=None)
        lines.append(tag(
            "tr", tag("th", tag("span", swatch(spec, i), spec.class_names[i]), scope="row"),
            tag("td", bar(ious[i]), class_="wide"), tag("td", percent(ious[i]), class_="number"),
            tag("td", percent(shares[i]), class_="number"),
            tag("td", f"{spec.class_names[lost[1]]} {percent(lost[0])}" if lost else "–")))
    mean = tag("tr", tag("th", "mean", scope="row"), tag("td", bar(matrix.mean_iou())),
               tag("td", percent(matrix.mean_iou()), class_="number"), tag("td"), tag("td"),
               class_="mean")
    return scrolled(tag("table", table_head("class", "", "IoU", "of all pixels", "most taken for"),
                        tag("tbody", *lines, mean), class_="classes"))


def _bag_table(report: Report) -> Html:
    rows = []
    for name, run in zip(report.names, report.runs):
        found = bag_results.figures([run], report.spec)
        rows.append(tag("tr", tag("th", tag("span", name), scope="row"),
                        *(tag("td", value, class_="number") for value in (
                            charts.clock(run.timeline.seconds), f"{found['scored']:,}",
                            percent(found["miou"]), milliseconds(found["latency_ms"]["p50"]),
                            _dropped([run])[0]))))
    names = ("length", "frames scored", "mIoU", "latency p50", "dropped")
    return scrolled(tag("table", tag("thead", tag(
        "tr", tag("th", "bag", scope="col"),
        *(tag("th", name, scope="col", class_="number") for name in names))),
        tag("tbody", *rows)))


def confusion_table(matrix: ConfusionMatrix, spec: ModelSpec) -> Html:
    rows, columns, taken = matrix.row_normalised()
    top = tag("tr", tag("td", "truth ↓  prediction →"),
              *(tag("th", tag("span", spec.class_names[c]), scope="col") for c in columns))
    lines = []
    for i, row in zip(rows, taken.tolist()):
        cells = [tag("td", f"{100 * share:.1f}" if share >= 0.0005 else "·",
                     class_="right" if c == i else "wrong", style=f"--share:{share:.4f}")
                 for c, share in zip(columns, row)]
        name = spec.class_names[i] + ("" if matrix.counts[i].any() else " (does not occur)")
        lines.append(tag("tr", tag("th", tag("span", swatch(spec, i), name), scope="row"), *cells))
    return scrolled(tag("table", tag("thead", top), tag("tbody", *lines), class_="confusion"))


def latency_charts(report: Report, end: float | None = None, css_class: str = "a") -> list[Html]:
    """end: of the axis, in milliseconds; None for as long as these values need."""
    found = []
    for name, runs in (("model", report.runs), ("over DDS, stamp to label", report.live)):
        values = bag_results.latencies_ms(runs)
        if len(values):
            found += [tag("h3", name) if report.live else Html(),
                      charts.histogram(values, end or charts.nice_end(values), "ms", css_class),
                      tag("p", f"{len(values):,} frames; the slowest took "
                          f"{milliseconds(float(values.max()))}", class_="note")]
    return found


def about(report: Report) -> Html:
    facts = [tag("dl", *(part for name, value in facts_of(report).items()
                         for part in (tag("dt", name), tag("dd", value))))]
    return joined([*facts, tag("details", tag("summary", "The model's spec"),
                               tag("pre", report.spec.to_json()))])


def facts_of(report: Report) -> dict[str, str]:
    spec, settings = report.spec, report.settings
    return {
        "model": report.model,
        "network": f"{spec.architecture}, {spec.size}, {spec.rates} rates, "
                   "{}×{}".format(*spec.input_size),
        "modalities": " and ".join(f"{m.name} ({m.encoding})" for m in spec.modalities),
        "classes": ", ".join(spec.class_names),
        "runs on": f"{report.backend}, {report.precision}",
        "machine": report.machine,
        "versions": ", ".join(report.versions),
        "bags": "\n".join(run.bag for run in report.runs),
        "topics": f"{settings.rgb}, {settings.aux}; truth {settings.label}",
        "pairing": f"slop {settings.slop:g} s, queue {settings.queue_size}, "
                   f"aux delay {settings.aux_delay:g} s",
    }


def _dropped(runs: Sequence[Run]) -> tuple[str, ...]:
    """How many colour frames came to no label, and by cause, for a tile."""
    causes = {cause: count for cause, count in bag_results.ends(runs).get("rgb", {}).items()
              if cause not in ("paired", "labelled") and count}
    return (f"{sum(causes.values()):,}", *(f"{count:,} {cause}" for cause, count in causes.items()))


def _when(report: Report) -> str:
    length = charts.clock(sum(run.timeline.seconds for run in report.runs))
    begin = datetime.fromtimestamp(report.runs[0].timeline.begin_ns / 1e9, timezone.utc)
    # A simulation's time begins at 0.
    return f"recorded {begin:%Y-%m-%d %H:%M} UTC, {length}" if begin.year > 1970 else length


def _latency_lead(report: Report) -> str:
    lead = "One call of Segmenter.segment a frame, preprocessing included."
    if report.processes > 1:
        lead += (f" {report.processes} bags were segmented at once, each on its share of the CPU: "
                 "alone a frame takes less.")
    return lead


def _timeline(report: Report, i: int, worst: Sequence[Look]) -> Html:
    run, void = report.runs[i], report.spec.void_id
    stamps = np.array([frame.stamp_ns for frame in run.scored], np.int64)
    marks = [Mark(look.stamp_ns, look.score, str(n), f"worst-{n}")
             for n, look in enumerate(worst, 1) if look.bag == run.bag]
    lanes = [charts.score_lane(run.timeline, [("a", stamps, run.scores(void))], marks),
             charts.mode_lane(run.timeline) if run.timeline.modes else Html(),
             charts.drop_lanes(run.timeline)]
    if report.live:
        over_dds = report.live[i].timeline
        lanes += [tag("h4", "over DDS" if over_dds.drops else "over DDS: every frame labelled"),
                  charts.mode_lane(over_dds) if over_dds.modes else Html(),
                  charts.drop_lanes(over_dds)]
    name = [tag("h3", report.names[i])] if len(report.runs) > 1 else []
    return tag("div", *name, *lanes, charts.time_axis(run.timeline), class_="timeline")

"""Two reports side by side, and whether one is better or only luckier with its frames."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ssma_core.errors import SsmaError
from ssma_core.evaluation import bag_results
from ssma_core.evaluation.bag_results import Labelled, Report
from ssma_core.evaluation.comparison import Comparison, Interval, compare
from ssma_core.evaluation.metrics import ConfusionMatrix
from ssma_core.evaluation.report import charts, html, page
from ssma_core.evaluation.report.html import Html, tag
from ssma_core.evaluation.report.parts import (
    header,
    milliseconds,
    percent,
    scrolled,
    section,
    swatch,
    tile,
)

MOST_CHANGED = 5


@dataclass(frozen=True)
class Both:
    """Two reports and the frames that both scored, in A's order: each one's bag by name, and its
    record in A and in B."""

    a: Report
    b: Report
    frames: list[tuple[str, Labelled, Labelled]]

    def counts(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """F×N×N each."""
        return (np.array([a.counts for _, a, _ in self.frames], np.int64),
                np.array([b.counts for _, _, b in self.frames], np.int64))

    def matrices(self) -> tuple[ConfusionMatrix, ConfusionMatrix]:
        a, b = (ConfusionMatrix.summed(counts, self.a.spec.void_id) for counts in self.counts())
        return a, b

    def comparison(self) -> Comparison:
        return compare(*self.counts(), [name for name, _, _ in self.frames], self.a.spec.void_id)

    def scores(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """float64[F] each."""
        a, b = (np.array([ConfusionMatrix.summed(each[None], self.a.spec.void_id).frame_score()
                          for each in counts]) for counts in self.counts())
        return a, b


def both(first: str | Path, second: str | Path) -> Both:
    """Raises SsmaError naming what is wrong with a file, or what keeps the two from being compared:
    other classes, other true labels, no frame in common."""
    a, b = bag_results.read(first), bag_results.read(second)
    if (a.spec.class_names, a.spec.void_id) != (b.spec.class_names, b.spec.void_id):
        raise SsmaError(f"{first} is about the classes {', '.join(a.spec.class_names)}, {second} "
                        f"about {', '.join(b.spec.class_names)}: they cannot be compared")
    known = _by_stamp(b)
    frames = [(name, frame, known[name, stamp]) for (name, stamp), frame in _by_stamp(a).items()
              if (name, stamp) in known]
    if not frames:
        raise SsmaError(f"{first} and {second} have no frame in common: compare what two models, "
                        "or one with other settings, made of the same bags")
    found = Both(a, b, frames)
    of_a, of_b = found.counts()
    differs = (of_a.sum(axis=2) != of_b.sum(axis=2)).any(axis=1)
    if differs.any():
        name, frame, _ = frames[int(differs.argmax())]
        raise SsmaError(f"the true labels of {name} at {frame.stamp_ns / 1e9:.3f} are not the same "
                        f"in {first} and {second}: they cannot be compared")
    return found


def in_words(found: Both) -> str:
    """The figures for people."""
    comparison, (a, b) = found.comparison(), found.matrices()
    spec = found.a.spec
    width = max(len(name) for name in (*spec.class_names, "mean"))
    rows = [("mean", a.mean_iou(), b.mean_iou(), comparison.mean),
            *((name, a.iou()[i], b.iou()[i], comparison.classes[i])
              for i, name in enumerate(spec.class_names) if i != spec.void_id)]
    lines = [f"{name:<{width}}  {_points(of_a)}  {_points(of_b)}  "
             f"{_points(interval.difference, '+')}  {_verdict(comparison, interval)}".rstrip()
             for name, of_a, of_b, interval in rows]
    return "\n".join([f"A: {found.a.model}", f"B: {found.b.model}",
                      f"{len(found.frames)} frames of both, {comparison.drawn_from()}", "",
                      f"{'IoU %':<{width}}      A      B  B − A", *lines,
                      "", comparison.conclusion()])


def comparison_page(found: Both) -> str:
    """A whole document."""
    a, b = found.a, found.b
    comparison, matrices = found.comparison(), found.matrices()
    sections = [
        section("classes", "Classes", f"IoU on the {len(found.frames):,} frames that both scored, "
                f"and what 95 % of the differences lie between: {comparison.drawn_from()}.",
                _class_table(found, comparison, matrices)),
        section("confusion", "What is taken for what",
                "A row is a true class, a column what its pixels were taken for, in percent.",
                _side_by_side(*(page.confusion_table(matrix, a.spec) for matrix in matrices))),
        section("latency", "Latency", "Both on one axis.", _latencies(a, b)),
        section("timeline", "Timeline", "Stamps since the bag's first.", *_timelines(found)),
        section("frames", "Frames", "Each dot is a frame: above the line B is better, below it A.",
                _frames(found)),
        section("about", "About", "", _about(a, b)),
    ]
    return html.page(
        f"{a.model_name} | {b.model_name}",
        header("Two bag reports", " and ".join(dict.fromkeys(n for n, _, _ in found.frames)),
                    f"A: {a.model_name}", f"B: {b.model_name}"),
        tag("main", tag("p", comparison.conclusion(), class_="conclusion"),
            tag("div", *_tiles(found, comparison, matrices), class_="tiles"), *sections))


def _by_stamp(report: Report) -> dict[tuple[str, int], Labelled]:
    return {(name, frame.stamp_ns): frame
            for name, run in zip(report.names, report.runs) for frame in run.scored}


def _tiles(found: Both, comparison: Comparison,
           matrices: Sequence[ConfusionMatrix]) -> list[Html]:
    a, b = (bag_results.figures(report.runs, report.spec) for report in (found.a, found.b))
    shown = [
        tile("Mean IoU", _from_to(*(percent(m.mean_iou()) for m in matrices)),
             f"{_points(comparison.mean.difference, '+').strip()} points"),
        tile("Frames labelled", _from_to(f"{a['labelled']:,}", f"{b['labelled']:,}"),
             f"{len(found.frames):,} scored by both"),
        _latency_tile("Latency, model", a, b),
    ]
    if found.a.live and found.b.live:
        a, b = (bag_results.figures(report.live, report.spec) for report in (found.a, found.b))
        shown.append(_latency_tile("Latency, over DDS", a, b))
    return shown


def _latency_tile(name: str, a: dict[str, Any], b: dict[str, Any]) -> Html:
    p50, p99 = (_from_to(*(milliseconds(figures["latency_ms"][which]) for figures in (a, b)))
                for which in ("p50", "p99"))
    return tile(name, p50, f"p99 {p99}")


def _class_table(found: Both, comparison: Comparison,
                 matrices: Sequence[ConfusionMatrix]) -> Html:
    spec = found.a.spec
    a, b = matrices
    chosen = [i for i in range(spec.classes) if i != spec.void_id]
    intervals = [comparison.classes[i] for i in chosen] + [comparison.mean]
    reach = max((abs(end) for interval in intervals for end in (interval.low, interval.high)
                 if not np.isnan(end)), default=0.0) or 0.01
    names = [[swatch(spec, i), spec.class_names[i]] for i in chosen] + [["mean"]]
    values = [(a.iou()[i], b.iou()[i]) for i in chosen] + [(a.mean_iou(), b.mean_iou())]
    rows = [tag("tr", tag("th", tag("span", *name), scope="row"),
                tag("td", percent(of_a), class_="number"),
                tag("td", percent(of_b), class_="number"),
                tag("td", _points(interval.difference, "+"), class_="number"),
                tag("td", _whisker(interval, reach), class_="wide"),
                tag("td", _verdict(comparison, interval)),
                class_="mean" if name == ["mean"] else None)
            for name, (of_a, of_b), interval in zip(names, values, intervals)]
    head = [tag("th", tag("b", name, class_=name.lower()), scope="col", class_="number")
            for name in ("A", "B")]
    return scrolled(tag("table", tag("thead", tag(
        "tr", tag("th", "class", scope="col"), *head, tag("th", "B − A", class_="number"),
        tag("th", f"−{100 * reach:.1f} … +{100 * reach:.1f} points", class_="middle"), tag("th"))),
        tag("tbody", *rows)))


def _verdict(comparison: Comparison, interval: Interval) -> str:
    return "" if np.isnan(interval.low) else comparison.verdict(interval)


def _whisker(interval: Interval, reach: float) -> Html:
    if np.isnan(interval.low):
        return tag("span", class_="whisker")
    low, middle, high = (50 + 50 * value / reach
                         for value in (interval.low, interval.difference, interval.high))
    side = "b" if interval.low > 0 else "a" if interval.high < 0 else ""
    return tag("span", tag("i", style=f"left:{low:.1f}%;width:{high - low:.1f}%"),
               tag("u", style=f"left:{middle:.1f}%"), class_=f"whisker {side}")


def _latencies(a: Report, b: Report) -> Html:
    values = np.concatenate([bag_results.latencies_ms([*r.runs, *r.live]) for r in (a, b)])
    end = charts.nice_end(values)
    return _side_by_side(*(tag("div", *page.latency_charts(report, end, css_class))
                           for report, css_class in ((a, "a"), (b, "b"))))


def _timelines(found: Both) -> list[Html]:
    shown = []
    runs_b = dict(zip(found.b.names, found.b.runs))
    for name, run in zip(found.a.names, found.a.runs):
        if name not in runs_b:
            continue
        series = [(css_class, np.array([frame.stamp_ns for frame in each.scored], np.int64),
                   each.scores(found.a.spec.void_id))
                  for css_class, each in (("a", run), ("b", runs_b[name]))]
        lanes = [charts.score_lane(run.timeline, series)]
        for side, each in (("A", run), ("B", runs_b[name])):
            drops = charts.drop_lanes(each.timeline)
            lanes += [tag("h4", tag("b", side, class_=side.lower())), drops] if drops else []
        shown.append(tag("div", tag("h3", name), *lanes, charts.time_axis(run.timeline),
                         class_="timeline"))
    return shown


def _frames(found: Both) -> Html:
    a, b = found.scores()
    order = [int(i) for i in np.argsort(b - a) if not np.isnan(b[i] - a[i])]
    begins = {name: run.timeline.begin_ns for name, run in zip(found.a.names, found.a.runs)}

    def table(title: str, chosen: Sequence[int]) -> Html:
        rows = [tag("tr", tag("td", found.frames[i][0]),
                    tag("td", charts.clock((found.frames[i][1].stamp_ns
                                            - begins[found.frames[i][0]]) / 1e9), class_="number"),
                    tag("td", percent(a[i]), class_="number"),
                    tag("td", percent(b[i]), class_="number")) for i in chosen]
        head = [tag("th", "bag"), *(tag("th", name, class_="number") for name in ("at", "A", "B"))]
        return tag("div", tag("h3", title),
                   scrolled(tag("table", tag("thead", tag("tr", *head)), tag("tbody", *rows))))

    better = [i for i in reversed(order) if b[i] > a[i]][:MOST_CHANGED]
    worse = [i for i in order if b[i] < a[i]][:MOST_CHANGED]
    return tag("div", charts.scatter(a[order], b[order]), tag(
        "div", *(table(title, chosen) for title, chosen in (
            ("Where B is better most", better), ("Where A is better most", worse)) if chosen)),
        class_="two")


def _about(a: Report, b: Report) -> Html:
    facts_a, facts_b = page.facts_of(a), page.facts_of(b)
    rows = [tag("tr", tag("th", name, scope="row"), tag("td", facts_a[name]),
                tag("td", facts_b[name]),
                class_="differs" if facts_a[name] != facts_b[name] else None) for name in facts_a]
    head = tag("tr", tag("th"), *(tag("th", tag("b", side, class_=side.lower()), scope="col")
                                  for side in ("A", "B")))
    return scrolled(tag("table", tag("thead", head), tag("tbody", *rows), class_="about"))


def _side_by_side(first: Html, second: Html) -> Html:
    return tag("div", *(tag("div", tag("b", side, class_=f"side {side.lower()}"), content)
                        for side, content in (("A", first), ("B", second))), class_="two")


def _from_to(a: str, b: str) -> str:
    """Two figures of one unit."""
    if a == b:
        return a
    unit = " " + b.split(" ")[1] if " " in b else ""
    return f"{a.removesuffix(unit)} → {b}"


def _points(share: float, sign: str = "") -> str:
    return "    –" if np.isnan(share) else f"{100 * share:{sign}5.1f}"

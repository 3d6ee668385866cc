"""Charts: where shapes and words go; `templates/charts.html` draws them.

Own code on purpose: a page must work offline, in one file, and a plotting library would bring a
heavy dependency or JavaScript.
"""
from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from ssma_core.evaluation.report.render import part, short
from ssma_core.evaluation.results import Timeline

Values = npt.NDArray[np.float64]
Stamps = npt.NDArray[np.int64]

BINS = 40
COLUMNS = 300  # of a curve: more frames than this are summed up
TICKS = 1000  # places for a drop


@dataclass(frozen=True)
class Mark:
    """A numbered place on a curve, which leads to the frame shown elsewhere on the page."""

    stamp_ns: int
    score: float
    text: str
    target: str


def histogram(values: Values, end: float, unit: str, css_class: str = "a") -> Markup:
    """A histogram from 0 to `end`. Larger values count in the last bar. p50 and p99 are marked."""
    counts, edges = np.histogram(np.minimum(values, end), BINS, (0, end))
    bars = [(i, count / counts.max(), f"{low:.3g} to {high:.3g} {unit}: {count}")
            for i, (count, low, high) in enumerate(zip(counts.tolist(), edges, edges[1:])) if count]
    lines = [(name, f"{value:.1f}", min(value, end) / end, min(value, end) / end > to_the_left_from)
             for name, value, to_the_left_from in zip(
                 ("p50", "p99"), np.percentile(values, [50, 99]).tolist(), (0.2, 0.75))]
    return _drawn("histogram", bins=BINS, bars=bars, percentiles=lines, css_class=css_class,
                  places=[(value / end, f"{value:g}" if value else f"0 {unit}")
                          for value in ticks(end)])


def nice_end(values: Values) -> float:
    """Where an axis of these values ends: behind all but stragglers, at a round number."""
    end = min(float(values.max()), 1.6 * float(np.percentile(values, 99))) or 1.0
    step = _step(end, 20)
    return math.ceil(end / step) * step


def score_lane(timeline: Timeline, series: Sequence[tuple[str, Stamps, Values]],
               marks: Iterable[Mark] = ()) -> Markup:
    """Scores over time, up to 100 %. series: a CSS class, stamps in nanoseconds and scores each."""
    floor = _floor(*(scores for _, _, scores in series))
    return _drawn(
        "score_lane", levels_at=_levels(floor),
        curves=[(css_class, *_curve(_places(timeline, stamps), _above(floor, scores)))
                for css_class, stamps, scores in series],
        marks=[(mark, _place(timeline, mark.stamp_ns), _above(floor, mark.score))
               for mark in marks])


def mode_lane(timeline: Timeline) -> Markup:
    """In which mode the labels were made, and for how long."""
    ends = [*(event.stamp_ns for event in timeline.modes[1:]), timeline.end_ns]
    spans = [(event.kind, max(event.stamp_ns, timeline.begin_ns), end)
             for event, end in zip(timeline.modes, ends)]
    seconds = {kind: sum((end - begin) / 1e9 for k, begin, end in spans if k == kind)
               for kind in dict.fromkeys(kind for kind, _, _ in spans)}
    return _drawn("mode_lane",
                  spans=[(_mode_class(kind), kind, _place(timeline, begin), _place(timeline, end))
                         for kind, begin, end in spans],
                  key=[(_mode_class(kind), f"{kind} {clock(length)}")
                       for kind, length in seconds.items()])


def drop_lanes(timeline: Timeline) -> Markup:
    """A line for every cause, a tick for every frame that it took."""
    lanes = []
    for kind in dict.fromkeys(event.kind for event in timeline.drops):
        stamps = [event.stamp_ns for event in timeline.drops if event.kind == kind]
        places = sorted({round(TICKS * _place(timeline, stamp)) for stamp in stamps})
        lanes.append((kind, len(stamps), "".join(f"M{place} 0V1" for place in places)))
    return _drawn("drop_lanes", ticks=TICKS, lanes=lanes)


def time_axis(timeline: Timeline) -> Markup:
    seconds = timeline.seconds
    step = next((step for step in (60, 120, 300, 600, 1800) if 60 < seconds <= 8 * step), None)
    return _drawn("time_axis", places=[(value / seconds if seconds else 0.0, clock(value))
                                       for value in ticks(seconds, step)])


def scatter(a: Values, b: Values) -> Markup:
    """The scores of the same frames: A to the right, B upwards."""
    floor = _floor(a, b)
    path = "".join(f"M{short(x)} {short(1 - y)}h.0001"
                   for x, y in zip(_above(floor, a), _above(floor, b)))
    places = [(place, f"A {words}" if place == 0 else words) for place, words in _levels(floor)]
    return _drawn("scatter", path=path, levels_at=_levels(floor), places=places)


def clock(seconds: float) -> str:
    """As "12.4 s" or, from a minute on, "3:07"."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"


def ticks(end: float, step: float | None = None) -> list[float]:
    """From 0 to end, by a step; None: by a round one that makes nine at most."""
    if end <= 0:
        return [0.0]
    step = step or _step(end, 8)
    return [i * step for i in range(math.floor(end / step + 1e-9) + 1)]


def _step(length: float, about: int) -> float:
    raw = length / about
    power = 10.0 ** math.floor(math.log10(raw))
    return next(power * m for m in (1, 2, 5, 10) if power * m >= raw * 0.999)


def _curve(places: Values, scores: Values) -> tuple[str, str]:
    """(area, line) as paths: from the least to the greatest of each column, and its mean; broken
    where there are no frames."""
    known = ~np.isnan(scores)
    places, scores = places[known], scores[known]
    columns = np.minimum((places * COLUMNS).astype(int), COLUMNS - 1)
    rows = [(float(places[columns == c].mean()), scores[columns == c]) for c in np.unique(columns)]
    gap = 4 * float(np.median(np.diff([x for x, _ in rows]))) if len(rows) > 2 else 1.0
    parts: list[list[tuple[float, Values]]] = []
    for x, values in rows:
        if not parts or x - parts[-1][-1][0] > gap:
            parts.append([])
        parts[-1].append((x, values))
    line = "".join(_line([(x, values.mean()) for x, values in part]) for part in parts)
    area = "".join(_line([(x, values.min()) for x, values in part]
                         + [(x, values.max()) for x, values in reversed(part)]) + "Z"
                   for part in parts)
    return area, line


def _floor(*scores: Values) -> float:
    """Where an axis of these scores begins: below all of them, at a round number."""
    known = [float(np.nanmin(each)) for each in scores if not np.isnan(each).all()]
    return max(0.0, math.floor(10 * min(known, default=0.0) - 0.5) / 10)


def _levels(floor: float) -> list[tuple[float, str]]:
    """Places on an axis of scores, 0 to 1, and their words."""
    return [(_above(floor, level), f"{100 * level:.0f} %")
            for level in (floor, (1 + floor) / 2, 1.0)]


def _above(floor: float, score: Any) -> Any:
    return (score - floor) / (1 - floor)


def _line(points: Sequence[tuple[float, float]]) -> str:
    path = "L".join(f"{short(x)} {short(1 - y)}" for x, y in points)
    return f"M{path}" + ("h.0001" if len(points) == 1 else "")


def _places(timeline: Timeline, stamps: Stamps) -> Values:
    length = timeline.end_ns - timeline.begin_ns
    return np.clip((stamps - timeline.begin_ns) / max(length, 1), 0.0, 1.0)


def _place(timeline: Timeline, stamp_ns: int) -> float:
    return float(_places(timeline, np.array([stamp_ns]))[0])


def _mode_class(kind: str) -> str:
    known = ("fused", "colour only", "second only", "none")
    return f"mode{known.index(kind)}" if kind in known else "mode3"


def _drawn(name: str, **computed: Any) -> Markup:
    return part("charts.html", name, **computed)

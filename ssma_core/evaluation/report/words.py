"""The report in words, for a terminal."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ssma_core.evaluation import bag_results
from ssma_core.evaluation.bag_results import Report, Run
from ssma_core.spec import ModelSpec


def in_words(report: Report) -> str:
    names = report.spec.class_names
    several = ["", *_by_bag(report)] if len(report.runs) > 1 else []
    live = ["", "over DDS, at the bags' own pace", *_figures(report.live, report.spec)
            ] if report.live else []
    return "\n".join([
        *(f"bag      {run.bag}" for run in report.runs),
        f"model    {report.model} ({report.backend}, {report.precision})",
        *_figures(report.runs, report.spec), "",
        bag_results.total(report.runs, report.spec).table(names), *several, *live])


def _figures(runs: Sequence[Run], spec: ModelSpec) -> list[str]:
    found = bag_results.figures(runs, spec)
    latency = found["latency_ms"]
    ends = [f"{'colour' if stream == 'rgb' else 'second':<9}"
            + ", ".join(f"{count} {cause}" for cause, count in counts.items())
            for stream, counts in found["frames"].items()]
    jumps = found["clock_jumps"]
    return [*ends, *([f"clock    set back {jumps} times"] if jumps else []),
            f"scored   {found['scored']} of {found['labelled']} labelled, mIoU {_percent(found)} %",
            f"latency  p50 {latency['p50']:.1f} ms, p99 {latency['p99']:.1f} ms"]


def _by_bag(report: Report) -> list[str]:
    width = max(map(len, [*report.names, "bag"]))
    lines = [f"{'bag':<{width}}  mIoU %  frames  p50 ms"]
    for name, run in zip(report.names, report.runs):
        found = bag_results.figures([run], report.spec)
        lines.append(f"{name:<{width}}  {_percent(found):>6}  {found['scored']:>6}  "
                     f"{found['latency_ms']['p50']:>6.1f}")
    return lines


def _percent(figures: dict[str, Any]) -> str:
    return "–" if figures["miou"] is None else f"{100 * figures['miou']:.1f}"

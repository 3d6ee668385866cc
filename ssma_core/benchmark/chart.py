"""A chart of a report: the time of a frame in each way."""
from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ssma_core.benchmark.report import BenchmarkReport, Row, Table
from ssma_core.errors import SsmaError
from ssma_core.files import atomic_write
from ssma_core.model_files.exported import size_in_words

COLOURS = {"torch": "0.6", "onnxruntime": "tab:blue", "tensorrt": "tab:green",
           "tensorrt_rtx": "tab:green"}


def write_chart(report: BenchmarkReport, path: Path) -> None:
    """For every way a bar to p50 with a whisker to p90; one table below the other."""
    tables = [table for table in report.tables if table.rows]
    if not tables:
        raise SsmaError("nothing was timed, so there is nothing to draw")
    heights = [len(table.rows) + 2 for table in tables]
    figure = Figure(figsize=(9, 0.32 * sum(heights) + 0.8), layout="constrained")
    rows = figure.subplots(len(tables), 1, squeeze=False, height_ratios=heights)
    for axes, table in zip(rows[:, 0], tables):
        _draw(axes, table)
    machine = report.machine
    figure.suptitle(f"{machine.gpu or machine.cpu}, {machine.threads} CPU thread(s), frames of "
                    f"{size_in_words(report.camera)}, {machine.date}", fontsize="medium")
    figure.supxlabel("ms from arrays to labels, p50; whisker: p90", fontsize="medium")
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=120)


def _draw(axes: Axes, table: Table) -> None:
    rows = table.rows
    p50 = [row.whole.p50 for row in rows]
    beyond = [[0.0] * len(rows), [row.whole.p90 - row.whole.p50 for row in rows]]
    axes.barh(range(len(rows)), p50, xerr=beyond, capsize=3, error_kw={"ecolor": "0.2"},
              color=[COLOURS.get(row.library, "0.6") for row in rows])
    axes.set_yticks(range(len(rows)), [row.way for row in rows])
    axes.invert_yaxis()
    for place, row in enumerate(rows):
        axes.annotate(_label(row), (row.whole.p90, place), (6, 0), textcoords="offset points",
                      va="center", fontsize="small")
    axes.margins(x=0.25)
    axes.set_xlim(0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(f"{table.name} ({table.architecture} {table.size}, network "
                   f"{size_in_words(table.network)})", loc="left", fontsize="medium")


def _label(row: Row) -> str:
    p50 = row.whole.p50
    return f"{p50:.{0 if p50 >= 100 else 1}f} ms, {row.times_as_fast:.1f}×"

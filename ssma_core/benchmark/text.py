"""A report as text: on the terminal, and as a part of a document."""
from __future__ import annotations

from pathlib import Path

from ssma_core.benchmark.clock import Latency
from ssma_core.benchmark.report import BenchmarkReport, Row, Table
from ssma_core.errors import SsmaError
from ssma_core.evaluation.report.words import columns
from ssma_core.files import write_text
from ssma_core.model_files.exported import size_in_words

HEAD = ("", "p50 ms", "p90", "p99", "net p50", "p90", "p99", "frames/s", "8 at once", "host MB",
        "GPU MB", "of peak", "equal", "faster")
LEGEND = """\
p50 ms: from the sensors' arrays to labels of their size; frames/s follows from it. net: from images
as the network sees them to labels of that size. 8 at once: frames/s of eight frames (b: in one
batch, w: two under way). MB: what the way adds at its peak. of peak: the network's operations in
p50, of what the machine reaches in large products. equal: labels that are those of the same
network's first row. faster: times as fast as the table's first row."""
NOTHING = "–"


def figures_text(report: BenchmarkReport) -> str:
    machine = report.machine
    lines = [f"{machine.cpu}, {machine.threads} thread(s) of {machine.cores} cores"
             + (f"; {machine.gpu}" if machine.gpu else ""),
             f"frames of {size_in_words(report.camera)}, {report.frames} in each way"]
    for table in report.tables:
        lines += ["", *_lines(table)]
    lines += ["", LEGEND]
    if report.left_out:
        lines += ["", "Left out:", *(f"- {each.what}: {each.why}" for each in report.left_out)]
    return "\n".join(lines)


def _lines(table: Table) -> list[str]:
    work = table.rows[0].gflop if table.rows else None
    facts = [table.name, f"{table.architecture} {table.size}",
             f"network {size_in_words(table.network)}",
             *([] if work is None else [f"{work:.1f} GFLOP a frame"]),
             *([] if table.trained else ["random weights"])]
    peaks = [f"{peak.gflops:,.0f} on the {peak.device.upper()} in {peak.precision}"
             for peak in table.peaks]
    return [", ".join(facts), *columns([HEAD, *map(_cells, table.rows)]),
            *([f"peak, 1e9 operations a second: {', '.join(peaks)}"] if peaks else [])]


def _cells(row: Row) -> tuple[str, ...]:
    network = _milliseconds(row.network) if row.network else [NOTHING] * 3
    together = NOTHING if row.together is None else (
        f"{row.together.frames_per_second:.1f} {'b' if 'batch' in row.together.how else 'w'}")
    return (row.way, *_milliseconds(row.whole), *network, f"{row.frames_per_second:.1f}", together,
            _megabytes(row.host_bytes), _megabytes(row.gpu_bytes),
            NOTHING if row.share_of_peak is None else f"{100 * row.share_of_peak:.0f} %",
            f"{100 * row.agreement:.2f} %", f"{row.times_as_fast:.2f}")


def _milliseconds(latency: Latency) -> list[str]:
    """Three figures with enough digits to differ, of a GPU or a CPU."""
    digits = 2 if latency.p50 < 10 else 1
    return [f"{value:.{digits}f}" for value in (latency.p50, latency.p90, latency.p99)]


def _megabytes(size: int | None) -> str:
    return NOTHING if size is None else f"{size / 1e6:.0f}"


def write_into(document: Path, report: BenchmarkReport, picture: str) -> None:
    """Replaces the text between the document's marks for a machine with a GPU, or for one without.

    picture: the chart's path relative to the document. Raises SsmaError where there are no marks.
    """
    first, last = _marks(report.machine.gpu is not None)
    machine = report.machine
    block = (f"{first}\n`{machine.command}`, {machine.date}, {', '.join(machine.versions)}.\n\n"
             f"```\n{figures_text(report)}\n```\n\n"
             f"![p50 of every way, p90 as a whisker]({picture})\n"
             f"{last}")
    before, _, rest = read_document(document, report.machine.gpu is not None).partition(first)
    _, _, after = rest.partition(last)
    write_text(document, before + block + after)


def read_document(document: Path, gpu: bool) -> str:
    """The text. Raises SsmaError where it lacks the marks for a machine with a GPU, or without."""
    first, last = _marks(gpu)
    try:
        text = document.read_text(encoding="utf-8")
    except OSError as error:
        raise SsmaError(f"cannot read {document}: {error.strerror}") from error
    if first not in text or last not in text.partition(first)[2]:
        raise SsmaError(f"{document} has no place for the figures: write the lines {first} and "
                        f"{last} where they are to stand")
    return text


def _marks(gpu: bool) -> tuple[str, str]:
    device = "a GPU" if gpu else "a CPU"
    return f"<!-- ssma benchmark on {device} -->", f"<!-- end of ssma benchmark on {device} -->"

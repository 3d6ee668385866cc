"""What an evaluation of bags found: plain data, and the JSON in which it is kept."""
from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ssma_core.errors import SsmaError
from ssma_core.evaluation.metrics import ConfusionMatrix
from ssma_core.files import atomic_write, read_json
from ssma_core.plain import from_plain
from ssma_core.spec import ModelSpec

Mode = Literal["fused", "colour only", "second only", "none"]
Counts = tuple[tuple[int, ...], ...]  # as in `ConfusionMatrix`


@dataclass(frozen=True)
class Settings:
    """The topics, and the pairing's parameters, which are the node's of the same names."""

    rgb: str
    aux: str
    label: str
    slop: float
    queue_size: int
    aux_delay: float


@dataclass(frozen=True)
class Event:
    """kind: of a drop its cause, such as "colour unmatched"; of a mode the `Mode` that begins."""

    stamp_ns: int
    kind: str


@dataclass(frozen=True)
class Timeline:
    """What happened when, by the headers' stamps.

    drops: one a frame that came to no label. modes: each lasts until the next; empty where nobody
    knows.
    """

    begin_ns: int
    end_ns: int
    drops: tuple[Event, ...] = ()
    modes: tuple[Event, ...] = ()

    @property
    def seconds(self) -> float:
        return (self.end_ns - self.begin_ns) / 1e9


@dataclass(frozen=True)
class Labelled:
    """A frame that got a label. stamp_ns: its colour image's. counts: None where the bag has no
    true label for it."""

    stamp_ns: int
    latency_ms: float
    counts: Counts | None


@dataclass(frozen=True)
class Run:
    """A bag that was gone through once, with or without DDS.

    latency_ms of its frames: without DDS the call of Segmenter.segment, with it from the moment the
    bag's clock shows the stamp to the label's arrival.
    ends: how many frames of a stream ("rgb", "aux") ended how. clock_jumps: how often the stamps
      went back.
    """

    bag: str
    timeline: Timeline
    ends: dict[str, dict[str, int]]
    frames: tuple[Labelled, ...]
    clock_jumps: int = 0

    @cached_property
    def scored(self) -> list[Labelled]:
        return [frame for frame in self.frames if frame.counts is not None]

    @cached_property
    def counts(self) -> npt.NDArray[np.int64]:
        """Of the scored frames, F×N×N."""
        return np.array([frame.counts for frame in self.scored], np.int64)

    def scores(self, void_id: int) -> npt.NDArray[np.float64]:
        """`ConfusionMatrix.frame_score` of the scored frames, float64[F]."""
        return np.array([ConfusionMatrix.summed(counts[None], void_id).frame_score()
                         for counts in self.counts])


@dataclass(frozen=True)
class Report:
    """model: the file. backend, precision: what it ran on, and how, such as "fp16". machine: its
    processors, in words.
    runs: one a bag, without DDS. live: the same bags over DDS, where that was asked for.
    processes: how many bags were segmented at once, each on its share of the CPU."""

    model: str
    backend: str
    precision: str
    machine: str
    spec: ModelSpec
    versions: tuple[str, ...]
    settings: Settings
    processes: int
    runs: tuple[Run, ...]
    live: tuple[Run, ...] = ()

    @property
    def model_name(self) -> str:
        return short_names([self.model])[0]

    @cached_property
    def names(self) -> list[str]:
        """The bags', no longer than is needed to tell them apart."""
        return short_names([run.bag for run in self.runs])


def plain_counts(matrix: ConfusionMatrix) -> Counts:
    return tuple(map(tuple, matrix.counts.tolist()))


def short_names(paths: Sequence[str]) -> list[str]:
    """The end of each path, as long as no other has the same; all of it where they are equal."""
    parts = [Path(path).parts for path in paths]
    names = []
    for own in parts:
        length = next((n for n in range(1, len(own))
                       if sum(other[-n:] == own[-n:] for other in parts) == 1), len(own))
        names.append(str(Path(*own[-length:])) if own else ".")
    return names


def total(runs: Iterable[Run], spec: ModelSpec) -> ConfusionMatrix:
    matrix = ConfusionMatrix(spec.classes, spec.void_id)
    for run in runs:
        if run.scored:
            matrix.counts += run.counts.sum(axis=0)
    return matrix


def latencies_ms(runs: Iterable[Run]) -> npt.NDArray[np.float64]:
    return np.array([frame.latency_ms for run in runs for frame in run.frames])


def ends(runs: Iterable[Run]) -> dict[str, dict[str, int]]:
    """How the frames of all runs ended."""
    summed: dict[str, Counter[str]] = {}
    for run in runs:
        for stream, counts in run.ends.items():
            summed.setdefault(stream, Counter()).update(counts)
    return {stream: dict(counts) for stream, counts in summed.items()}


def figures(runs: Sequence[Run], spec: ModelSpec) -> dict[str, Any]:
    """What follows from the frames, for JSON: {"frames": `ends`, "labelled", "scored",
    "clock_jumps", "latency_ms": {"p50", "p99"}}, and what `ConfusionMatrix.to_dict` says."""
    latencies = latencies_ms(runs)
    p50, p99 = np.percentile(latencies, [50, 99]).tolist() if len(latencies) else (None, None)
    return {"frames": ends(runs), "labelled": len(latencies),
            "scored": sum(len(run.scored) for run in runs),
            "clock_jumps": sum(run.clock_jumps for run in runs),
            "latency_ms": {"p50": p50, "p99": p99},
            **total(runs, spec).to_dict(spec.class_names)}


def write(report: Report, path: Path) -> None:
    """JSON: the report's fields and, under "figures", what follows from them: in total, "bags" by
    name, and "live". A line a run."""
    plain = asdict(report)
    runs = {name: ",\n  ".join(json.dumps(run) for run in plain.pop(name))
            for name in ("runs", "live")}
    plain["figures"] = figures(report.runs, report.spec) | {
        "bags": {name: figures([run], report.spec)
                 for name, run in zip(report.names, report.runs)}}
    if report.live:
        plain["figures"]["live"] = figures(report.live, report.spec)
    head = json.dumps(plain, indent=1).removesuffix("\n}")
    tail = ",\n".join(f' "{name}": [\n  {lines}\n ]' for name, lines in runs.items())
    with atomic_write(path) as temporary:
        temporary.write_text(f"{head},\n{tail}\n}}\n", encoding="utf-8")


def read(path: str | Path) -> Report:
    """Raises SsmaError naming the file when it cannot be read or is no report."""
    values = read_json(path)
    if isinstance(values, dict):
        values.pop("figures", None)
    try:
        return from_plain(Report, values, "the report")
    except SsmaError as error:
        raise SsmaError(f"{path} is no report of evaluate_bag: {error}") from error

"""The results of a benchmark, and their JSON file."""
from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

from ssma_core.benchmark.clock import Latency
from ssma_core.benchmark.ways import Device, LeftOut
from ssma_core.evaluation.provenance import cpu, gpu, versions
from ssma_core.files import write_text
from ssma_core.model_files.exported import Precision


@dataclass(frozen=True)
class Together:
    """Several frames at once. how: "in one batch" or "two under way"."""

    frames: int
    how: str
    frames_per_second: float


@dataclass(frozen=True)
class Row:
    """One way's figures.

    whole: ms from the sensors' arrays to labels of their size. network: ms from images as the
      network sees them to labels of that size; None where the way takes no such images.
    frames_per_second: one after the other, by the median of `whole`.
    together: None where several frames would run one after the other.
    host_bytes, gpu_bytes: what it added to the process at its peak; None where that is not known.
    gflop: of a frame; None without PyTorch.
    share_of_peak: gflop divided by the median of `whole`, as a share of the machine's peak in this
      precision; None where one of them is not known.
    agreement: the share of its labels, 0–1, that are those of the same network's first row.
    times_as_fast: how many times as fast as the table's first row, by the medians of `whole`.
    """

    way: str
    library: str
    device: Device
    precision: Precision
    whole: Latency
    network: Latency | None
    frames_per_second: float
    together: Together | None
    host_bytes: int | None
    gpu_bytes: int | None
    gflop: float | None
    share_of_peak: float | None
    agreement: float
    times_as_fast: float


@dataclass(frozen=True)
class Peak:
    """1e9 operations a second that the machine reaches in products of large matrices: the median,
    timed in turn with the ways."""

    device: Device
    precision: Precision
    gflops: float


@dataclass(frozen=True)
class Table:
    """A model's rows. network: (width, height). trained: False for random weights.
    peaks: of every device and precision that its rows have, where it could be measured."""

    name: str
    architecture: str
    size: str
    network: tuple[int, int]
    trained: bool
    peaks: tuple[Peak, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Machine:
    """What computed the figures.

    cores, threads: of the CPU: how many it has, and how many were used.
    gpu: None where no GPU can be used.
    versions: "name version" of the libraries that the figures depend on.
    """

    date: str
    command: str
    cpu: str
    cores: int
    threads: int
    gpu: str | None
    versions: tuple[str, ...]


@dataclass(frozen=True)
class BenchmarkReport:
    """camera: (width, height) of the frames. frames: how many were timed in each way."""

    machine: Machine
    camera: tuple[int, int]
    frames: int
    tables: tuple[Table, ...]
    left_out: tuple[LeftOut, ...]


def machine(threads: int, libraries: Iterable[str]) -> Machine:
    """This machine, today. libraries: the backends' names."""
    found = {version: None for library in libraries for version in versions(library)}
    return Machine(date.today().isoformat(), shlex.join(["ssma", *sys.argv[1:]]), cpu(),
                   len(os.sched_getaffinity(0)), threads, gpu(), tuple(found))


def write_json(report: BenchmarkReport, path: Path) -> None:
    write_text(path, json.dumps(asdict(report), indent=1) + "\n")

"""What computed the figures."""
from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from ssma_core.evaluation.provenance import cpu, gpu, versions


@dataclass(frozen=True)
class Machine:
    """cores, threads: of the CPU; how many there are, and how many were used.
    gpu: None where none can be used.
    versions: "name version" of what the figures depend on.
    """

    date: str
    command: str
    cpu: str
    cores: int
    threads: int
    gpu: str | None
    versions: tuple[str, ...]


def machine(threads: int, libraries: Iterable[str]) -> Machine:
    """Here and now. libraries: the backends' names."""
    found = {version: None for library in libraries for version in versions(library)}
    return Machine(date.today().isoformat(), shlex.join(["ssma", *sys.argv[1:]]), cpu(),
                   len(os.sched_getaffinity(0)), threads, gpu(), tuple(found))

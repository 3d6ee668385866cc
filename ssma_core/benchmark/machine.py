"""What computed the figures."""
from __future__ import annotations

import os
import platform
import shlex
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from ssma_core.errors import SsmaError
from ssma_core.provenance import versions


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
    return Machine(date.today().isoformat(), shlex.join(["ssma", *sys.argv[1:]]), _cpu(),
                   len(os.sched_getaffinity(0)), threads, gpu(), tuple(found))


def _cpu() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def gpu() -> str | None:
    with suppress(ModuleNotFoundError):
        import torch
        if torch.cuda.is_available():
            return torch.cuda.get_device_name()
    with suppress(ModuleNotFoundError, SsmaError):
        from ssma_core.backends import cuda
        return cuda.gpu().name
    return None

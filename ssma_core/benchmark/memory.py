"""How much memory a block of code takes in the process and on the GPU."""
from __future__ import annotations

import gc
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ssma_core import processes
from ssma_core.errors import SsmaError

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")


@dataclass
class Growth:
    """Bytes; of the host, the highest value. None where it is not known: the host's on another
    system than Linux, the GPU's without a GPU."""

    host: int | None = None
    gpu: int | None = None


@contextmanager
def growth() -> Iterator[Growth]:
    """Filled in when the block ends: what the block added, also where it is free again. Libraries
    that were loaded before add nothing."""
    _give_back()
    with suppress(OSError):  # not every user may: then the memory in use at the end counts
        _CLEAR.write_text("5")  # the current value becomes the highest
    found, host, gpu = Growth(), _resident("VmRSS"), _gpu_in_use()
    yield found
    if host is not None:
        found.host = max(0, (_resident("VmHWM") or 0) - host)
    if gpu is not None:
        found.gpu = max(0, (_gpu_in_use() or 0) - gpu)


def _give_back() -> None:
    """Freed memory goes back to the system: else the block could use it again, unmeasured."""
    gc.collect()
    processes.return_free_memory()


def _resident(field: str) -> int | None:
    """VmRSS: the memory of the process now; VmHWM: its highest value."""
    try:
        found = re.search(rf"{field}:\s+(\d+) kB", _STATUS.read_text())
    except OSError:
        return None
    return 1024 * int(found[1]) if found else None


def _gpu_in_use() -> int | None:
    """On the whole GPU, of all processes."""
    with suppress(ModuleNotFoundError):
        import torch
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
            free, total = torch.cuda.mem_get_info()
            return int(total - free)
    with suppress(ModuleNotFoundError, SsmaError):
        from ssma_core.backends import cuda
        with cuda.current():
            free, total = cuda.driver.mem_get_info()
            return int(total - free)
    return None

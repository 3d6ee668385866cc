"""The progress of a TensorRT build on the terminal, and its end on demand."""
from __future__ import annotations

import sys
from threading import Lock
from typing import Any

from tqdm import tqdm


def progress_monitor(module: Any) -> Any:
    """An IProgressMonitor of `tensorrt` or `tensorrt_rtx`: a bar for every running phase, inner
    phases below outer ones. `cancel` stops the build at its next step."""

    class Progress(module.IProgressMonitor):
        def __init__(self) -> None:
            super().__init__()
            self._cancelled = False
            self._bars: dict[str, tqdm[Any]] = {}
            self._lock = Lock()  # TensorRT may call from several threads

        def cancel(self) -> None:
            self._cancelled = True
            tqdm.write("stopping at the build's next step", file=sys.stderr)

        def phase_start(self, name: str, parent: str | None, steps: int) -> None:
            with self._lock:
                self._bars[name] = tqdm(desc=name, total=steps, position=len(self._bars),
                                        unit="step", leave=False, disable=None)

        def step_complete(self, name: str, step: int) -> bool:
            with self._lock:
                bar = self._bars[name]
                bar.update(step + 1 - bar.n)
            return not self._cancelled

        def phase_finish(self, name: str) -> None:
            with self._lock:
                self._bars.pop(name).close()

    return Progress()

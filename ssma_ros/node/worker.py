"""One thread and one slot. It processes the newest item and counts overwritten items."""
from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")
_log = logging.getLogger(__name__)
THREAD = "segmentation"  # the name of every worker's thread


class Worker(Generic[Item]):
    """Calls work(item) in a thread of its own, until stopped.

    failed: is called in that thread with what `work` raises; the worker goes on with the next item.
      If it raises too, that is logged on standard error.
    """

    def __init__(self, work: Callable[[Item], None], failed: Callable[[Exception], None]) -> None:
        self._work = work
        self._failed = failed
        self._slot: Item | None = None
        self._stopping = False
        self._changed = threading.Condition()
        # On the steady clock: when the item at work was begun; when the first one of those that
        # failed one after another was begun, and when the last one of them failed.
        self._begun: float | None = None
        self._failing: tuple[float, float] | None = None
        self._thread = threading.Thread(target=self._run, name=THREAD, daemon=True)
        self._thread.start()

    def offer(self, item: Item) -> bool:
        """Puts an item into the slot, and never waits for the work. Returns whether it overwrote an
        item that was not worked on yet."""
        with self._changed:
            overwrites = self._slot is not None
            self._slot = item
            self._changed.notify()
        return overwrites

    def stop(self, patience: float | None = None) -> bool:
        """Ends the thread after the item that it works on; the item in the slot is dropped. Returns
        whether it has ended within `patience` seconds (None: it waits for that). Nothing can end a
        thread that hangs in a library: it is left behind."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join(patience)
        return not self._thread.is_alive()

    def at_work_for(self) -> float:
        """For how many seconds it works on one item."""
        begun = self._begun
        return 0.0 if begun is None else time.monotonic() - begun

    def stalled_for(self) -> float:
        """For how many seconds it works on one item, or items failed without one that did not;
        the longer of the two."""
        failing = self._failing
        return max(self.at_work_for(), failing[1] - failing[0] if failing else 0.0)

    def _run(self) -> None:
        while (item := self._next()) is not None:
            begun = self._begun = time.monotonic()
            try:
                self._work(item)
                self._failing = None
            except Exception as error:  # a bad frame must not end the thread
                self._failing = (self._failing or (begun,))[0], time.monotonic()
                self._handle(error)
            self._begun = None

    def _handle(self, error: Exception) -> None:
        try:
            self._failed(error)
        except Exception:
            # reporting must not end the thread either; the traceback shows both errors
            _log.exception("an error of the worker could not be reported")

    def _next(self) -> Item | None:
        with self._changed:
            self._changed.wait_for(lambda: self._stopping or self._slot is not None)
            item, self._slot = self._slot, None
            return None if self._stopping else item

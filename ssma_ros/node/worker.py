"""One thread and one slot. It processes the newest item and counts overwritten items."""
from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")
_log = logging.getLogger(__name__)


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
        self._thread = threading.Thread(target=self._run, name="segmentation", daemon=True)
        self._thread.start()

    def offer(self, item: Item) -> bool:
        """Puts an item into the slot, and never waits for the work. Returns whether it overwrote an
        item that was not worked on yet."""
        with self._changed:
            overwrites = self._slot is not None
            self._slot = item
            self._changed.notify()
        return overwrites

    def stop(self) -> None:
        """Ends the thread after the item that it works on; the item in the slot is dropped."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while (item := self._next()) is not None:
            try:
                self._work(item)
            except Exception as error:  # a bad frame must not end the thread
                self._handle(error)

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

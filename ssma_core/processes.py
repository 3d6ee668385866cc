"""The same work on several things at once, in processes; and the C library of this process."""
from __future__ import annotations

import ctypes
import io
import multiprocessing
import os
import platform
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

from ssma_core.errors import SsmaError

Task = TypeVar("Task")
Outcome = TypeVar("Outcome")
# A function of a module, which calls its second argument after each step.
TaskFunction = Callable[[Task, Callable[[], Any]], Outcome]

# A forked process would inherit the locks of the libraries' threads, and might never end.
SPAWN = multiprocessing.get_context("spawn")
STEP = b"."
MOST_WORKERS = 1024


def begin_program() -> None:
    """To be called by a program's main: SIGTERM raises KeyboardInterrupt, as Ctrl-C does, so that
    it cleans up; and a file's name that the terminal's encoding cannot show is printed escaped."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


class ProcessEnded(SsmaError):
    """A process ended before its work did, as when the system kills it to free memory."""


def glibc() -> ctypes.CDLL | None:
    """This process's C library, for `malloc_trim` and `mallopt`; None where it is no glibc."""
    return ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None


def return_free_memory() -> None:
    """Freed memory goes back to the system, where the C library is glibc."""
    if libc := glibc():
        libc.malloc_trim(0)


def each(work: TaskFunction[Task, Outcome], jobs: Sequence[Task], at_once: int,
         progress: Callable[[], Any]) -> list[Outcome]:
    """The results, in the jobs' order. progress is called for every job's steps, in a thread of
    this process.

    A Ctrl-C reaches this process alone, which then ends the others. They also end when this one is
    killed.
    Raises what the first job that fails raised, and ends the others; ProcessEnded where a process
    ended before its work did.
    """
    if not jobs:
        return []
    with _shown(progress) as step, _pool(min(at_once, len(jobs)), step) as pool:
        others = set(multiprocessing.active_children())
        with _sigint_for_us_alone():
            futures = [pool.submit(_do, work, job) for job in jobs]
        started = [each for each in multiprocessing.active_children() if each not in others]
        try:
            for future in as_completed(futures):
                future.result()
        except BrokenProcessPool as error:
            pool.shutdown()
            raise ProcessEnded(f"a process ended with status {_status(started)} (-9: the system "
                               "ended it, often because memory ran out)") from error
    return [future.result() for future in futures]


@contextmanager
def _shown(progress: Callable[[], Any]) -> Iterator[Connection]:
    """A connection on which every message calls progress. Raises at the end what progress raised
    first; it is not called after that."""
    steps, step = SPAWN.Pipe(duplex=False)
    failures: list[BaseException] = []
    watch = threading.Thread(target=_show, args=(steps, progress, failures))
    watch.start()
    try:
        yield step
    finally:
        step.close()
        watch.join()
        steps.close()
    if failures:
        raise failures[0]


def _show(steps: Connection, progress: Callable[[], Any], failures: list[BaseException]) -> None:
    """Until no process can send a step any more: a full pipe would stop the processes."""
    with suppress(EOFError):
        while steps.recv_bytes():
            try:
                if not failures:
                    progress()
            except Exception as error:
                failures.append(error)


@contextmanager
def _pool(count: int, step: Connection) -> Iterator[ProcessPoolExecutor]:
    """Its processes end with the block; where an error ends it, in the middle of their work."""
    # Nothing is ever written: the processes read its end when we close it, or this process ends.
    alive, ours = SPAWN.Pipe(duplex=False)
    pool = ProcessPoolExecutor(count, SPAWN, _begin, (step, alive))
    try:
        yield pool
        pool.shutdown()
    finally:
        ours.close()
        pool.shutdown(cancel_futures=True)
        alive.close()


@contextmanager
def _sigint_for_us_alone() -> Iterator[None]:
    """A process that is started here never gets a Ctrl-C: this one gets it, and ends that one."""
    # The first start of a process would start this, too, and unblock the signal.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _status(processes: Sequence[BaseProcess]) -> int | None:
    """The exit code of the process that ended first: the pool then sent SIGTERM to the others."""
    found = [process.exitcode for process in processes]
    return next((code for code in found if code not in (None, 0, -signal.SIGTERM)), None)


# In the processes

_step: Connection  # takes a message after each step; a short one is written in one piece


def _begin(step: Connection, alive: Connection) -> None:
    global _step  # noqa: PLW0603  # how an initializer hands something on
    _step = step
    threading.Thread(target=_end_with_parent, args=(alive,), daemon=True).start()


def _end_with_parent(alive: Connection) -> None:
    alive.poll(None)
    os._exit(1)


def _do(work: TaskFunction[Task, Outcome], job: Task) -> Outcome:
    return work(job, lambda: _step.send_bytes(STEP))

"""The same work on several things at once, each in a process of its own."""
from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar

from ssma_core.errors import SsmaError

Job = TypeVar("Job")
Result = TypeVar("Result")
# A function of a module, which calls its second argument after each step.
Work = Callable[[Job, Callable[[], Any]], Result]


def each(work: Work[Job, Result], jobs: Sequence[Job], at_once: int,
         progress: Callable[[], Any]) -> list[Result]:
    """The results, in the jobs' order. progress is called here, for every job's steps.

    Raises what the first that fails raised, and ends the others; SsmaError for a process that
    ended without a word.
    """
    # A forked process would inherit the threads' locks of the libraries, and may wait for ever.
    context = multiprocessing.get_context("spawn")
    results: dict[int, Result] = {}
    running: dict[Connection, tuple[int, Any]] = {}
    started = 0
    try:
        while len(results) < len(jobs):
            while started < len(jobs) and len(running) < at_once:
                here, there = context.Pipe(duplex=False)
                process = context.Process(target=_child, args=(there, work, jobs[started]))
                with _sigint_for_us_alone():
                    process.start()
                there.close()  # so that its end is seen here
                running[here] = started, process
                started += 1
            for connection in wait(list(running)):
                assert isinstance(connection, Connection)
                number, process = running[connection]
                kind, value = _received(connection, process)
                if kind == "step":
                    progress()
                elif kind == "failed":
                    raise value
                else:
                    results[number] = value
                    del running[connection]
                    process.join()
    finally:
        for _, process in running.values():
            process.terminate()
            process.join()
    return [results[number] for number in range(len(jobs))]


@contextmanager
def _sigint_for_us_alone() -> Iterator[None]:
    """A process that is started here never gets a Ctrl-C: it is ours, and we end the process."""
    # The first start would start this, too, which unblocks the signal.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _received(connection: Connection, process: Any) -> tuple[str, Any]:
    try:
        message: tuple[str, Any] = connection.recv()
    except EOFError:
        process.join()
        raise SsmaError(f"a process ended with status {process.exitcode} (-9: the system ended it, "
                        "as for want of memory)") from None
    return message


def _child(connection: Connection, work: Work[Job, Any], job: Job) -> None:
    try:
        answer = "done", work(job, lambda: connection.send(("step", None)))
    except SsmaError as error:
        answer = "failed", error
    connection.send(answer)

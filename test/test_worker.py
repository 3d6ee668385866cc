"""One thread, one slot, newest wins."""
from __future__ import annotations

import threading
import time

import pytest

from ssma_ros.node.worker import Worker


class Work:
    """Work that is held up until a test lets it continue."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.failures: list[Exception] = []
        self.started = threading.Semaphore(0)
        self.go_on = threading.Semaphore(0)
        self.worker: Worker[int] = Worker(self.work, self.failures.append)

    def work(self, item: int) -> None:
        self.begun.append(item)
        self.started.release()
        assert self.go_on.acquire(timeout=5)
        if item < 0:
            raise ValueError(item)

    def wait_for_begin(self) -> None:
        assert self.started.acquire(timeout=5)


def test_the_newest_wins_and_what_is_overwritten_is_reported() -> None:
    work = Work()
    assert not work.worker.offer(1)
    work.wait_for_begin()
    assert [work.worker.offer(item) for item in (2, 3, 4)] == [False, True, True]
    work.go_on.release(2)
    work.wait_for_begin()
    work.worker.stop()
    assert work.begun == [1, 4]


def test_offer_does_not_wait_for_the_work() -> None:
    work = Work()
    work.worker.offer(1)
    work.wait_for_begin()
    work.worker.offer(2)  # would hang here, as the work does
    work.go_on.release(2)
    work.worker.stop()


def test_a_failure_is_handed_on_and_the_next_item_is_worked_on() -> None:
    work = Work()
    work.go_on.release(2)
    work.worker.offer(-1)
    work.wait_for_begin()
    deadline = time.monotonic() + 5
    while not work.failures and time.monotonic() < deadline:
        time.sleep(0.001)
    work.worker.offer(7)
    work.wait_for_begin()
    work.worker.stop()
    assert [str(failure) for failure in work.failures] == ["-1"]
    assert work.begun == [-1, 7]


def test_a_failure_that_cannot_be_reported_is_logged_and_the_next_item_is_worked_on(
        caplog: pytest.LogCaptureFixture) -> None:
    worked, done = [], threading.Event()

    def work(item: int) -> None:
        worked.append(item)
        if item == 1:
            raise ValueError("the frame is bad")
        done.set()

    def failed(error: Exception) -> None:
        raise RuntimeError("the logger is gone")

    worker: Worker[int] = Worker(work, failed)
    worker.offer(1)
    deadline = time.monotonic() + 5
    while not worked and time.monotonic() < deadline:
        time.sleep(0.001)
    worker.offer(2)
    assert done.wait(5)
    worker.stop()
    assert worked == [1, 2]
    assert "the frame is bad" in caplog.text and "the logger is gone" in caplog.text


@pytest.mark.parametrize("times", [1, 2])
def test_stop_waits_for_the_item_at_work_and_leaves_the_waiting_one(times: int) -> None:
    work = Work()
    work.worker.offer(1)
    work.wait_for_begin()
    work.worker.offer(2)

    def let_go_once_it_stops() -> None:
        while not work.worker._stopping:
            time.sleep(0.001)
        work.go_on.release()

    threading.Thread(target=let_go_once_it_stops).start()
    for _ in range(times):
        work.worker.stop()
    assert work.begun == [1]
    assert "segmentation" not in {thread.name for thread in threading.enumerate()}

"""Work in several processes: all results or the first error, and nothing is left running."""
from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ROOT

from ssma_core import SsmaError, processes

FOREVER = 3600


def squared(job: int, progress: Callable[[], None]) -> int:
    for _ in range(job):
        progress()
    return job * job


def failing(job: int, progress: Callable[[], None]) -> int:
    """The third fails; the others would take for ever."""
    if job == 3:
        raise SsmaError("number 3 is no good")
    time.sleep(FOREVER)
    return job


def killed(job: int, progress: Callable[[], None]) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return job


def waiting(job: Path, progress: Callable[[], None]) -> None:
    job.touch()
    time.sleep(FOREVER)


def is_deaf(job: int, progress: Callable[[], None]) -> bool:
    """Whether a Ctrl-C waits for ever."""
    return signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def many_steps(job: int, step: Callable[[], object]) -> int:
    """More than a pipe can hold."""
    for _ in range(20_000):
        step()
    return job


def test_a_progress_that_fails_is_raised_and_stops_no_process() -> None:
    def fails() -> None:
        raise SsmaError("the bar broke")

    with pytest.raises(SsmaError, match="the bar broke"):
        processes.each(many_steps, [1, 2], 2, fails)



@pytest.mark.parametrize("at_once", [1, 2, 5])
def test_results_come_in_the_jobs_order_and_every_step_is_reported(at_once: int) -> None:
    steps: list[int] = []
    assert processes.each(squared, [3, 1, 4], at_once, lambda: steps.append(1)) == [9, 1, 16]
    assert len(steps) == 3 + 1 + 4


def test_the_first_error_ends_all() -> None:
    with pytest.raises(SsmaError, match="number 3 is no good"):
        processes.each(failing, [1, 2, 3], 3, lambda: None)
    assert not multiprocessing.active_children()


def test_a_process_that_is_killed_is_an_error() -> None:
    with pytest.raises(SsmaError, match="a process ended with status -9"):
        processes.each(killed, [1], 1, lambda: None)


def test_every_process_leaves_a_ctrl_c_to_the_one_that_started_it() -> None:
    """The first one, too, with which Python starts a process of its own."""
    program = f"""
import sys
sys.path.insert(0, {str(ROOT / "test")!r})
from ssma_core import processes
from test_processes import is_deaf
if __name__ == "__main__":
    print(processes.each(is_deaf, [1, 2, 3], 1, lambda: None))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True,
                          check=True)
    assert done.stdout == "[True, True, True]\n"


def test_a_ctrl_c_ends_all_processes_without_a_word_of_theirs(tmp_path: Path) -> None:
    """A terminal sends it to every process of the group."""
    jobs = [tmp_path / "first", tmp_path / "second"]
    program = f"""
import sys
sys.path.insert(0, {str(ROOT / "test")!r})
from pathlib import Path
from ssma_core import processes
from test_processes import waiting
if __name__ == "__main__":
    try:
        processes.each(waiting, [Path(p) for p in {[str(job) for job in jobs]}], 2, print)
    except KeyboardInterrupt:
        print("interrupted")
"""
    (tmp_path / "program.py").write_text(program)
    process = subprocess.Popen([sys.executable, str(tmp_path / "program.py")], cwd=ROOT, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               start_new_session=True)
    deadline = time.monotonic() + 60
    while not all(job.exists() for job in jobs):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    said, _ = process.communicate(timeout=30)  # until the last of the group is gone
    assert said == "interrupted\n"

"""What images took stays in the process while the node is configured, and goes back afterwards."""
from __future__ import annotations

import platform
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING

import pytest
from conftest import ROOT

if TYPE_CHECKING:
    from robot import Robot

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")

IMAGE = 25 << 20  # bytes: 4K
IMAGES = 4  # at once: of one alone glibc keeps the memory by itself
ROUNDS = 5
PAGES = IMAGES * IMAGE // resource.getpagesize()

NO_HUGE_PAGES = 41  # PR_SET_THP_DISABLE of <linux/prctl.h>: a fault is a page, on every machine


def in_a_process(program: str) -> list[int]:
    """The whole numbers that it prints; it runs in a thread, as the node does."""
    said = subprocess.run(
        [sys.executable, "-c", "import ctypes, resource, threading\n"
                               "from pathlib import Path\n"
                               "from ssma_ros.node import memory\n"
                               f"ctypes.CDLL(None).prctl({NO_HUGE_PAGES}, 1, 0, 0, 0)\n"
                               "def faults():\n"
                               "    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
                               "def resident():\n"
                               "    pages = Path('/proc/self/statm').read_text().split()[1]\n"
                               "    return int(pages) * resource.getpagesize()\n"
                               "def images():\n"
                               f"    return [bytearray(b'x') * {IMAGE} for _ in range({IMAGES})]\n"
                               "def program():\n"
                               f"{indent(program, '    ')}\n"
                               "memory.share()\n"
                               "thread = threading.Thread(target=program)\n"
                               "thread.start()\n"
                               "thread.join()\n"],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=True).stdout
    return [int(number) for number in said.split()]


TAKE_IMAGES = f"""
images()
before = faults()
for _ in range({ROUNDS}):
    images()
print(faults() - before)
"""


def test_what_is_kept_costs_no_page_faults_and_what_is_not_does() -> None:
    given_back, kept, given_back_again = in_a_process(
        f"{TAKE_IMAGES}\nmemory.keep()\n{TAKE_IMAGES}\nmemory.give_back()\n{TAKE_IMAGES}")
    assert kept < PAGES < given_back
    assert given_back_again >= ROUNDS * PAGES


def test_all_of_it_goes_back() -> None:
    kept, given_back = in_a_process(
        "memory.keep()\n"
        "images()\n"
        "print(resident())\n"
        "memory.give_back()\n"
        "print(resident())\n")
    assert kept - given_back > 0.9 * IMAGES * IMAGE


@pytest.mark.ros
def test_the_node_keeps_it_while_it_is_configured(
        start: Callable[..., Robot], tiny_model: Path) -> None:
    from robot import ACTIVATE, CLEANUP, CONFIGURE, DEACTIVATE

    robot = start("-p", f"model:={tiny_model}", program=(
        "-c", "from ssma_ros.node import memory, program\n"
              "memory.keep = lambda: print('kept', flush=True)\n"
              "memory.give_back = lambda: print('given back', flush=True)\n"
              "program.main()"))

    def said() -> list[str]:
        return [line for line in robot.said().splitlines() if line in ("kept", "given back")]

    assert robot.change(CONFIGURE, ACTIVATE)
    robot.label()
    assert said() == ["kept"]
    assert robot.change(DEACTIVATE)
    assert said() == ["kept"]
    assert robot.change(CLEANUP)
    assert said() == ["kept", "given back"]

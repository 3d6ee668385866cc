"""A robot's process, node and all, imports no torch and stays small; test_gpu.py asks the same of
an engine."""
from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from conftest import ROOT


def test_a_robots_process_imports_no_torch_and_stays_below_a_gigabyte(tiny_model: Path) -> None:
    said = subprocess.run(
        [sys.executable, ROOT / "test/robot_process.py", tiny_model, "1280x720"],
        check=True, cwd=ROOT, stdout=subprocess.PIPE, text=True).stdout
    megabytes = re.search(r"(\d+) MB of host memory", said)
    assert megabytes and int(megabytes[1]) < 1000

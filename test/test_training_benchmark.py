"""`training/benchmark.py`: do the frames come as fast as the network learns?"""
from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, small_run, write_configuration


def benchmark(folder: Path, easy_frames: Path, *options: str) -> subprocess.CompletedProcess[str]:
    config = write_configuration(folder, small_run(easy_frames))
    return subprocess.run(
        [sys.executable, ROOT / "training" / "benchmark.py", "--config", config, "--output",
         folder / "run", "--stage", "expert_rgb", *options],
        check=False, capture_output=True, text=True)


def test_three_rates_are_reported_and_nothing_is_written(tmp_path: Path, easy_frames: Path) -> None:
    done = benchmark(tmp_path, easy_frames, "--steps", "3")
    assert done.returncode == 0, done.stderr
    data, network, together = map(float, re.findall(r"([\d.]+) frames/s", done.stdout))
    assert min(data, network, together) > 0
    busy = int(re.findall(r"(\d+)% of the time", done.stdout)[0])
    assert busy == pytest.approx(100 * min(1, together / network), abs=1)
    assert [path.name for path in tmp_path.iterdir()] == ["run.yaml"]


@pytest.mark.parametrize(("options", "says"), [
    (["--steps", "0"], "must be a whole number from 1 to"),
    (["--stage", "nosuch"], "there is no stage 'nosuch'"),
    (["--set", "data.train.aux=nir", "--set", "workers=2"], "nir"),
])
def test_a_mistake_is_named(tmp_path: Path, easy_frames: Path, options: list[str],
                            says: str) -> None:
    done = benchmark(tmp_path, easy_frames, *options)
    assert done.returncode != 0
    assert says in done.stderr and "Traceback" not in done.stderr

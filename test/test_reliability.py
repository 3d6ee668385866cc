"""Programs that are killed leave whole files and end as if nothing had been: the short form of
`make reliability`, which kills all of them, and more often."""
from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from killed import Killer
from killed_inputs import inputs
from reliability import growth

LIBRARIES = ("ssma_core.cli", "ssma_core.commands.prepare", "ssma_core.datasets.prepare")


def test_a_program_that_is_killed_twice(tmp_path: Path) -> None:
    """The fastest one."""
    (tmp_path / "given").mkdir()
    given = inputs(tmp_path / "given", ["prepare"])
    found = Killer("prepare", given, tmp_path / "work", LIBRARIES).kill(2)
    assert not found.problems
    assert found.kills == 2 and found.compared >= 1 and found.files > 80


def killer(tmp_path: Path) -> tuple[Killer, Path]:
    (tmp_path / "output").mkdir()
    return Killer("synthesize", tmp_path, tmp_path), tmp_path / "output"


NO_GROUP = 2**22 + 1  # beyond the greatest process id


def test_half_a_file_under_its_final_name_is_found_and_one_beside_it_is_none(
        tmp_path: Path) -> None:
    watch, output = killer(tmp_path)
    whole = cv2.imencode(".png", np.zeros((64, 64), np.uint8))[1].tobytes()
    for name in ("whole.png", ".half.partial.png", "half.png"):
        (output / name).write_bytes(whole if name == "whole.png" else whole[:60])
    (output / "of.another.kind").write_text("nobody knows whether it is whole")
    (output / "half.json").write_text('{"miou": 0.')
    (output / "half.html").write_text("<html><body>")
    watch._look(output, {}, NO_GROUP)
    assert sorted(problem.split(":")[0] for problem in watch.outcome.problems) == [
        "half.html", "half.json", "half.png", "of.another.kind"]


def test_what_was_finished_and_is_lost_or_changed_is_found(tmp_path: Path) -> None:
    watch, output = killer(tmp_path)
    (output / "kept.txt").write_text("kept\n")
    (output / "changed.txt").write_text("now\n")
    watch._look(output, {"kept.txt": b"kept\n", "changed.txt": b"before\n", "lost.txt": b"\n"},
                NO_GROUP)
    assert sorted(watch.outcome.problems) == [
        "changed.txt was finished and is changed", "lost.txt was finished and is lost"]


def test_growth_is_the_slope_for_a_thousand_pairs() -> None:
    assert growth([(0, 100.0), (500, 101.0), (1000, 102.0)]) == pytest.approx(2.0)

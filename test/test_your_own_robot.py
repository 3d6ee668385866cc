"""docs/your_own_robot.md: its commands, word for word, lead from two bags to a model."""
from __future__ import annotations

import re
import runpy
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT

from ssma_core.bags import image_messages, rosbag2
from ssma_core.cli import main as ssma
from ssma_core.evaluation.result_file import read_result
from ssma_core.files import write_picture
from ssma_core.segmenter import Segmenter
from ssma_ros.replay.evaluate_bag import main as evaluate_bag

PAGE = (ROOT / "docs" / "your_own_robot.md").read_text(encoding="utf-8")
FRAMES, LABELLED = 11, 4  # of each bag; of both, where the page says 40
# Steps and pictures that the test does without.
FEWER = ["stages.fusion.steps=2", "stages.alone.steps=1", "stages.fusion.warm_up=1",
         "stages.alone.warm_up=1", "validate_every=1", "checkpoint_every=1",
         "stages.fusion.batch_size=2", "stages.alone.batch_size=2"]


def commands() -> Iterator[list[str]]:
    """The words of each command in the blocks that are marked as sh."""
    for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            yield shlex.split(line)


@pytest.fixture(scope="module")
def robot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the commands are typed: the checkout's folders, and two bags of the demo."""
    folder = tmp_path_factory.mktemp("robot")
    for name in ("models", "config", "training"):
        (folder / name).symlink_to(ROOT / name)
    recordings = runpy.run_path(str(ROOT / "demo" / "recordings.py"))
    for seed, day in ((5000, "monday"), (5001, "tuesday")):
        recordings["write_forest"](folder / day, FRAMES, seed)
    return folder


def annotate(robot: Path) -> None:
    """In place of a person: true labels in the form in which CVAT gives back its task."""
    for day in ("monday", "tuesday"):
        for message in rosbag2.messages(robot / day, ["/truth/label"]):
            path = robot / f"mine/truth/{day}/label/{rosbag2.stamp_ns(message)}.png"
            if (robot / f"mine/frames/{day}/rgb/{path.stem}.jpg").exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                write_picture(path, image_messages.to_array(rosbag2.decode(message)))
    assert ssma(["export-labels", "mine/frames", "--labels", "mine/truth", "--format", "cvat",
                 "--classes", "models/forest.onnx", "--output", "mine/task_done.zip"]) == 0


def typed(words: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    """The exit status."""
    program, *arguments = words
    if program == "ssma":
        return ssma([str(LABELLED) if word == "40" else word for word in arguments])
    if program == "evaluate_bag":
        return evaluate_bag(arguments)
    assert (program, arguments[0]) == ("python", "training/train.py")
    monkeypatch.setattr(sys, "argv", [*arguments, *(w for each in FEWER for w in ("--set", each))])
    runpy.run_path(arguments[0], run_name="__main__")
    return 0


def test_the_page_leads_from_a_bag_to_a_model(robot: Path, monkeypatch: pytest.MonkeyPatch,
                                              capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(robot)
    for words in commands():
        if words[1] == "import-labels":
            annotate(robot)
        assert typed(words, monkeypatch) == 0, (words, capfd.readouterr().err)
    frames = list((robot / "mine/frames").glob("*/rgb/*"))
    assert len(frames) == LABELLED
    assert {path.stem for path in frames} == {
        path.stem for path in (robot / "mine/frames").glob("*/label/*")}
    tuesday = len(list((robot / "mine/frames/tuesday/rgb").iterdir()))
    assert len(read_result(robot / "mine/tuned.json").scored) == tuesday > 0
    assert Segmenter(robot / "mine/model.onnx").unimodal == (True, True)


def test_the_way_has_at_most_ten_commands() -> None:
    assert len([words for words in commands() if words[0] != "ros2"]) + 1 <= 10

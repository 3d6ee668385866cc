"""The demo: a drive goes through a node over real DDS, and every frame is accounted for."""
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest
from conftest import ROOT

from ssma_core import SsmaError
from ssma_ros.replay import evaluate_bag

pytest.importorskip("rclpy", reason="needs rclpy")
pytestmark = pytest.mark.ros

Counted = Callable[..., dict[str, int]]


def started(output: Path, model: Path, scene: str, frames: int) -> subprocess.Popen[str]:
    """In a process group of its own, so that one can see what it leaves behind."""
    return subprocess.Popen(
        [sys.executable, str(ROOT / "demo" / "demo.py"), "--output", str(output), "--scenes", scene,
         "--frames", str(frames), "--model", str(model)],
        text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)


def left_nothing_behind(demo: subprocess.Popen[str]) -> bool:
    try:
        os.killpg(demo.pid, signal.SIGKILL)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.parametrize("scene", ["forest", "road"])
def test_a_drive_comes_out_as_labels_and_the_sums_agree(
        tmp_path: Path, tiny_model: Path, scene: str, request: pytest.FixtureRequest,
        capsys: pytest.CaptureFixture[str]) -> None:
    if scene == "road":
        request.getfixturevalue("shared")
    demo = started(tmp_path, tiny_model, scene, frames=12)
    said, _ = demo.communicate(timeout=120)
    assert demo.returncode == 0, said
    assert left_nothing_behind(demo)

    sent, paired, labelled, dropped = (
        int(re.search(rf"{word} +(\d+)", said)[1]) for word in (  # type: ignore[index]
            "sent", "paired", "labelled", "dropped"))
    causes = re.findall(r"(\d+) (?:lost|without|overwritten|failed)", said)
    assert sent == 12
    assert 0 < labelled <= paired <= sent
    assert sent - labelled == dropped == sum(map(int, causes))
    assert re.search(r"stamp to label p50 \d+\.\d ms, p99 \d+\.\d ms", said)
    assert cv2.imread(str(tmp_path / f"{scene}.png")).shape[1] == 1600
    log = (tmp_path / f"{scene}_segmentation_node.log").read_text()
    assert "stamps are of another time" not in log  # its clock is the bag's
    assert f"<h1>{scene}_bag</h1>" in (tmp_path / f"{scene}.html").read_text()

    if dropped == 0:  # then DDS changes nothing: the same figures as without it
        bag = str(tmp_path / f"{scene}_bag")
        assert evaluate_bag.main([bag, "--model", str(tiny_model),
                                  "--rgb", "/camera/color/image_raw",
                                  "--aux", "/camera/second/image_raw",
                                  "--label", "/truth/label"]) == 0
        table = capsys.readouterr().out.split("\n\n")[1].splitlines()
        shown = [line.split() for line in said.splitlines() if len(line.split()) > 1]
        for line in table:  # which has the boundary F-score in more columns
            assert any(words == line.split()[:len(words)] for words in shown), line


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_takes_its_programs_with_it(
        tmp_path: Path, tiny_model: Path, number: signal.Signals) -> None:
    demo = started(tmp_path, tiny_model, "forest", frames=12)
    deadline = time.monotonic() + 60
    while not (tmp_path / "forest_replay.log").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    os.kill(demo.pid, number)
    said, _ = demo.communicate(timeout=20)
    assert demo.returncode == 130
    assert said.splitlines()[-1] == "demo: interrupted"
    assert left_nothing_behind(demo)


def test_ctrl_c_while_a_program_is_being_started_comes_when_it_has_started() -> None:
    from ssma_ros import signals

    done = False
    with pytest.raises(KeyboardInterrupt), signals.wait():
        signal.raise_signal(signal.SIGINT)
        done = True
    assert done


def test_a_model_that_cannot_be_used_ends_the_demo_with_the_reason(tmp_path: Path) -> None:
    demo = started(tmp_path, tmp_path / "none.onnx", "forest", frames=12)
    said, _ = demo.communicate(timeout=60)
    assert demo.returncode == 1
    assert said == f"demo: there is no model file {tmp_path / 'none.onnx'}\n"


def test_an_output_that_cannot_be_a_folder_ends_the_demo_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    demo = started(tmp_path / "file", tmp_path / "none.onnx", "forest", frames=12)
    said, _ = demo.communicate(timeout=60)
    assert demo.returncode == 1
    assert said == (f"demo: cannot make the folder {tmp_path / 'file'}: File exists; give one that "
                    "can be written\n")


@pytest.fixture
def counted() -> Counted:
    """causes_of_drops for 20 frames sent, 15 labels collected, and counters as given."""
    from ssma_ros.replay.collected import Collected

    def count(**changed: int) -> dict[str, int]:
        counters = {"rgb received": 19, "aux received": 20, "paired": 18, "published": 16,
                    "overwritten": 1, "failed": 1, "unmatched": 2, "late": 0, "duplicate": 0,
                    "refused": 0, "zero stamp": 0, "rgb alone": 0, "aux alone": 0, "overtaken": 0,
                    "dead": 0, "latency p50 ms": "31.20"} | changed
        collected = Collected(take=lambda *_: None, tick=lambda _: None, bag_time_ns=0,
                              arrivals_ns=dict.fromkeys(range(15), 0),
                              counters={key: str(value) for key, value in counters.items()})
        return collected.causes_of_drops(20)

    return count


@pytest.mark.ros
def test_a_label_that_is_here_before_the_clock_is_of_the_bags_beginning() -> None:
    """Its true label is looked for near that time."""
    from builtin_interfaces.msg import Time
    from rosgraph_msgs.msg import Clock
    from sensor_msgs.msg import Image
    from std_msgs.msg import Header

    from ssma_ros.replay.collected import Collected

    taken = []
    collected = Collected(lambda stamp, time, _: taken.append((stamp, time)), lambda _: None, 7)
    for stamp, clock in ((8, None), (12, 13)):
        if clock is not None:
            collected.take_clock(Clock(clock=Time(nanosec=clock)))
        collected.take_label(Image(header=Header(stamp=Time(nanosec=stamp)), height=1, width=1,
                                   encoding="mono8", step=1, data=b"\0"))
    assert taken == [(8, 7), (12, 13)]


def test_each_drop_has_its_cause(counted: Counted) -> None:
    # Lost before, no partner, overwritten, failed, nothing to see, lost after.
    assert list(counted().values()) == [1, 1, 1, 1, 0, 1]
    assert sum(counted(unmatched=1).values()) == 5  # one frame of the second sensor still waits


def test_images_that_were_labelled_alone_are_no_drops(counted: Counted) -> None:
    """Three pairs fewer; two of their colour images and two of the second sensor's alone, of which
    one made a pair that came too late, and one showed nothing."""
    causes = counted(paired=16, unmatched=6, **{"rgb alone": 2, "aux alone": 2}, overtaken=1,
                     dead=1, failed=0, published=17)
    assert list(causes.values()) == [1, 2, 1, 0, 1, 2]


@pytest.mark.parametrize("wrong", [{"overwritten": 0}, {"published": 17}, {"paired": 19},
                                   {"unmatched": 4}, {"rgb received": 21}])
def test_counters_that_do_not_add_up_are_an_error(
        counted: Counted, wrong: dict[str, int]) -> None:
    with pytest.raises(SsmaError, match="do not add up"):
        counted(**wrong)

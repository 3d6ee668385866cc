"""A sensor dies, the labels continue: over real DDS, with drivers that die and come back."""
from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from conftest import ROOT

pytest.importorskip("rclpy", reason="needs rclpy")
from diagnostic_msgs.msg import DiagnosticStatus
from robot import ACTIVATE, CONFIGURE, DEACTIVATE, LATCHED, Robot, pixels
from std_msgs.msg import String

from ssma_core import Segmenter
from ssma_core.synthetic.forest import drive

pytestmark = pytest.mark.ros

FOREST = ROOT / "models" / "tiny_forest.onnx"
Labels = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def frame() -> tuple[Labels, npt.NDArray[np.uint16]]:
    (frame,) = drive(7, 1, (192, 96))
    return frame.rgb, frame.depth


@pytest.fixture(scope="module")
def expected(frame: tuple[Any, Any]) -> dict[str, Labels]:
    """What the file's experts make of the frame, by mode."""
    segmenter, (rgb, depth) = Segmenter(FOREST, 1), frame
    by_mode = {"rgb+depth": segmenter.segment(rgb, depth).labels,
               "rgb": segmenter.segment(rgb, None).labels,
               "depth": segmenter.segment(None, depth).labels}
    modes = list(by_mode)
    for one, other in zip(modes, modes[1:] + modes[:1]):
        assert (by_mode[one] != by_mode[other]).mean() > 0.02
    return by_mode


@pytest.fixture
def robot(start: Callable[..., Robot]) -> Robot:
    robot = start("-p", f"model:={FOREST}", "-p", "threads:=1")
    assert robot.change(CONFIGURE, ACTIVATE), robot.said()
    return robot


def see(robot: Robot, frame: tuple[Any, Any]) -> None:
    """Sends what the plugged-in cameras see."""
    now = time.time()
    for stream, image, encoding in zip(("rgb", "aux"), frame, ("bgr8", "16UC1")):
        if stream in robot.cameras:
            robot.send(stream, image, encoding, now)


def drive_until(robot: Robot, frame: tuple[Any, Any], mode: str, labels: Labels) -> None:
    """Sends what they see until labels come that are those of the mode."""
    robot.labels.clear()
    robot.until(lambda: bool(robot.labels) and robot.mode() == mode
                and np.array_equal(pixels(robot.labels[-1]), labels),
                meanwhile=lambda: see(robot, frame))


def test_the_second_sensor_dies_and_comes_back(
        robot: Robot, frame: tuple[Any, Any], expected: dict[str, Labels]) -> None:
    drive_until(robot, frame, "rgb+depth", expected["rgb+depth"])
    robot.unplug("aux")
    drive_until(robot, frame, "rgb", expected["rgb"])
    robot.until(lambda: robot.values().get("mode") == "rgb"
                and robot.level() == DiagnosticStatus.WARN, meanwhile=lambda: see(robot, frame))
    robot.plug_in("aux")
    drive_until(robot, frame, "rgb+depth", expected["rgb+depth"])
    assert "Traceback" not in robot.said()


def test_the_colour_camera_dies_and_comes_back(
        robot: Robot, frame: tuple[Any, Any], expected: dict[str, Labels]) -> None:
    drive_until(robot, frame, "rgb+depth", expected["rgb+depth"])
    robot.unplug("rgb")
    drive_until(robot, frame, "depth", expected["depth"])
    robot.plug_in("rgb")
    drive_until(robot, frame, "rgb+depth", expected["rgb+depth"])


def test_both_die_and_one_comes_back(
        robot: Robot, frame: tuple[Any, Any], expected: dict[str, Labels]) -> None:
    drive_until(robot, frame, "rgb+depth", expected["rgb+depth"])
    robot.unplug("aux")
    robot.unplug("rgb")
    robot.until(lambda: robot.mode() == "none")
    robot.until(lambda: robot.level() == DiagnosticStatus.ERROR)
    robot.plug_in("aux")
    drive_until(robot, frame, "depth", expected["depth"])


def test_a_sensor_that_was_never_there(
        robot: Robot, frame: tuple[Any, Any], expected: dict[str, Labels]) -> None:
    robot.unplug("rgb")
    drive_until(robot, frame, "depth", expected["depth"])


def test_labels_without_colour_bear_the_second_sensors_header(
        robot: Robot, frame: tuple[Any, Any]) -> None:
    robot.unplug("rgb")
    stamps = [1000.25 + number / 10 for number in range(200)]
    coming = iter(stamps)
    robot.until(lambda: bool(robot.labels), meanwhile=lambda: robot.send(
        "aux", frame[1], "16UC1", next(coming), "depth_camera"))
    header = robot.labels[0].header
    assert header.frame_id == "depth_camera"
    assert header.stamp.sec + header.stamp.nanosec / 1e9 in stamps


@pytest.mark.parametrize("dead, mode", [("rgb", "depth"), ("aux", "rgb")])
def test_images_that_show_nothing_are_left_out(
        robot: Robot, frame: tuple[Any, Any], expected: dict[str, Labels], dead: str,
        mode: str) -> None:
    rgb, depth = frame
    blind = (np.zeros_like(rgb), depth) if dead == "rgb" else (rgb, np.zeros_like(depth))
    drive_until(robot, blind, mode, expected[mode])
    drive_until(robot, frame, "rgb+depth", expected["rgb+depth"])


@pytest.mark.parametrize("misfit, reason", [
    ("half the size", "96x48"), ("another frame", "must be registered"),
    ("one byte a pixel", "neither millimetres nor metres")])
def test_a_second_image_that_does_not_fit_is_refused_with_the_reason_and_colour_continues(
        robot: Robot, frame: tuple[Any, Any], expected: dict[str, Labels], misfit: str,
        reason: str) -> None:
    """As after a driver's restart with other settings."""
    rgb, depth = frame
    drive_until(robot, frame, "rgb+depth", expected["rgb+depth"])

    def look() -> None:
        now = time.time()
        robot.send("rgb", rgb, "bgr8", now)
        if misfit == "half the size":
            robot.send("aux", depth[::2, ::2], "16UC1", now)
        elif misfit == "another frame":
            robot.send("aux", depth, "16UC1", now, "depth_optical")
        else:
            robot.send("aux", (depth >> 8).astype(np.uint8), "mono8", now)

    robot.labels.clear()
    robot.until(lambda: robot.mode() == "rgb" and bool(robot.labels)
                and np.array_equal(pixels(robot.labels[-1]), expected["rgb"]), meanwhile=look)
    robot.until(lambda: reason in robot.said() and robot.level() == DiagnosticStatus.WARN,
                meanwhile=look)
    drive_until(robot, frame, "rgb+depth", expected["rgb+depth"])
    assert robot.values()["failed"] == "0"


def test_without_a_decoder_for_it_nothing_is_labelled_alone_and_that_is_logged(
        start: Callable[..., Robot], tiny_model: Any, frame: tuple[Any, Any]) -> None:
    robot = start("-p", f"model:={tiny_model}")
    robot.change(CONFIGURE, ACTIVATE)
    assert "neither alone" in robot.said()
    robot.unplug("aux")
    robot.until(lambda: "cannot label rgb without depth" in robot.said(),
                meanwhile=lambda: robot.send("rgb", frame[0], "bgr8", time.time()))
    assert not robot.labels
    assert robot.mode() == "none"


def test_a_late_subscriber_receives_the_mode_and_none_when_the_node_stops(
        robot: Robot, frame: tuple[Any, Any], expected: dict[str, Labels]) -> None:
    drive_until(robot, frame, "rgb+depth", expected["rgb+depth"])

    def told_late() -> str:
        late: list[String] = []
        robot.node.create_subscription(String, "semantic/mode", late.append, LATCHED)
        robot.until(lambda: bool(late), meanwhile=lambda: see(robot, frame))
        return str(late[0].data)

    assert told_late() == "rgb+depth"
    robot.change(DEACTIVATE)
    assert told_late() == "none"


def test_timeouts_can_change_while_it_runs(
        robot: Robot, frame: tuple[Any, Any], expected: dict[str, Labels]) -> None:
    assert robot.set("aux_timeout", 3600.0).successful
    robot.unplug("aux")
    came = len(robot.labels)
    end = time.monotonic() + 2
    robot.until(lambda: time.monotonic() > end,
                meanwhile=lambda: robot.send("rgb", frame[0], "bgr8", time.time()))
    assert len(robot.labels) == came
    assert robot.set("aux_timeout", 0.05).successful
    drive_until(robot, frame, "rgb", expected["rgb"])

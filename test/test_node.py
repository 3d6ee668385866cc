"""The node as a process of its own, over real DDS: what a robot sees of it."""
from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT

pytest.importorskip("rclpy", reason="needs rclpy")
from diagnostic_msgs.msg import DiagnosticStatus
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState
from robot import ACTIVATE, CLEANUP, COLOUR, CONFIGURE, DEACTIVATE, DEPTH, SIZE, Robot, pixels

from ssma_core import Segmenter

pytestmark = pytest.mark.ros


def test_images_in_labels_out(start: Callable[..., Robot], tiny_model: Path) -> None:
    robot = start("-p", f"model:={tiny_model}")
    assert robot.change(CONFIGURE, ACTIVATE)
    label = robot.label()
    assert label.header.frame_id == "camera"
    assert abs(label.header.stamp.sec - time.time()) < 20
    assert (label.encoding, label.height, label.width, label.step) == ("mono8", *SIZE, SIZE[1])
    expected = Segmenter(tiny_model).segment(COLOUR, DEPTH).labels
    np.testing.assert_array_equal(pixels(label), expected)

    robot.until(lambda: int(robot.values().get("published", 0)) > 0)
    values = robot.values()
    assert {"rgb received", "aux received", "paired", "published", "overwritten", "unmatched",
            "refused", "latency p50 ms", "latency p99 ms", "own share p50 ms"} <= set(values)
    assert (values["model"], values["backend"]) == ("tiny.onnx", "onnxruntime")
    assert 0 < float(values["own share p50 ms"]) < float(values["latency p50 ms"])
    assert robot.end() == 0
    assert "Traceback" not in robot.said()


def test_bad_frames_are_named_and_the_node_continues(
        start: Callable[..., Robot], tiny_model: Path) -> None:
    begun = time.monotonic()
    robot = start("-p", f"model:={tiny_model}")
    robot.change(CONFIGURE, ACTIVATE)
    robot.label()

    colours = (np.roll(COLOUR, row, 0) for row in count(1))  # a camera that is alive

    def wrong_frames() -> None:
        now = time.time()
        robot.send("rgb", COLOUR, "32SC2", now)
        robot.send("aux", DEPTH, "16UC1", 0)
        robot.send_pair(now + 0.05, next(colours), DEPTH[:48])

    robot.until(lambda: "32SC2" in robot.said() and "must stamp" in robot.said()
                and "192x48" in robot.said(), meanwhile=wrong_frames)
    told = len(robot.diagnostics)
    robot.until(lambda: len(robot.diagnostics) > told + 1, meanwhile=wrong_frames)
    for invalid in (np.nan, np.inf, 0):
        depth = np.full(SIZE, invalid, np.float32)
        robot.labels.clear()
        robot.until(lambda: bool(robot.labels), meanwhile=lambda d=depth: robot.send_pair(
            time.time(), next(colours), d, "32FC1"))
    assert robot.label()
    half_minutes = (time.monotonic() - begun) // 30
    for reason in ("32SC2", "must stamp", "192x48"):
        assert 1 <= robot.said().count(reason) <= 1 + half_minutes, robot.said()
    assert "Traceback" not in robot.said()


def test_a_silent_topic_is_named(start: Callable[..., Robot], tiny_model: Path) -> None:
    robot = start("-p", f"model:={tiny_model}", "-r", "aux/image:=/front/depth")
    robot.change(CONFIGURE, ACTIVATE)
    activated = time.time()
    robot.until(lambda: "no new image on /front/depth" in robot.said(),
                meanwhile=lambda: robot.send("rgb", COLOUR, "bgr8", time.time()))
    assert robot.said_at("no new image on /front/depth") - activated < 3
    assert "no new image on /rgb/image" not in robot.said()
    robot.until(lambda: robot.level() == DiagnosticStatus.ERROR
                and "/front/depth" in robot.diagnostics[-1].message)


def test_how_far_streams_lie_apart_is_logged(
        start: Callable[..., Robot], tiny_model: Path) -> None:
    robot = start("-p", f"model:={tiny_model}", "-p", "slop:=0.004")
    robot.change(CONFIGURE, ACTIVATE)
    stamps = count(1000)
    robot.until(lambda: all(int(robot.values().get(f"{stream} received", 0))
                            for stream in ("rgb", "aux")),
                meanwhile=lambda: robot.send_pair(next(stamps)))
    received = time.time()
    robot.until(lambda: "the nearest stamps lie 0.005 s apart" in robot.said(),
                meanwhile=lambda: robot.send_pair(next(stamps)))
    assert robot.said_at("the nearest stamps lie 0.005 s apart") - received < 3
    assert not robot.labels


def test_a_sensors_delay_is_taken_off_and_a_clock_that_jumps_back_is_followed(
        start: Callable[..., Robot], tiny_model: Path) -> None:
    robot = start("-p", f"model:={tiny_model}", "-p", "slop:=0.0", "-p", "aux_delay:=0.005")
    robot.change(CONFIGURE, ACTIVATE)
    for begin in (1000, 100):
        seconds = range(begin, begin + 500)
        stamps = iter(seconds)
        robot.until(lambda s=seconds: any(label.header.stamp.sec in s for label in robot.labels),
                    meanwhile=lambda s=stamps: robot.send_pair(next(s)))
    robot.until(lambda: robot.values().get("clock jumps") == "1")


def test_it_stops_frees_and_comes_back(start: Callable[..., Robot], tiny_model: Path) -> None:
    robot = start("-p", f"model:={tiny_model}")
    robot.change(CONFIGURE)
    assert robot.node.count_subscribers("rgb/image") == 0
    robot.change(ACTIVATE)
    robot.label()
    assert robot.change(DEACTIVATE)
    robot.until(lambda: robot.node.count_subscribers("rgb/image") == 0)
    assert robot.change(ACTIVATE)
    robot.label()
    assert robot.change(DEACTIVATE, CLEANUP)
    assert robot.state() == State.PRIMARY_STATE_UNCONFIGURED
    robot.until(lambda: robot.node.count_publishers("semantic/label") == 0)
    assert robot.change(CONFIGURE, ACTIVATE)
    robot.label()
    assert robot.change(Transition.TRANSITION_ACTIVE_SHUTDOWN)
    assert robot.end(signal.SIGTERM) == 0
    assert "Traceback" not in robot.said()


def test_a_transition_that_its_state_does_not_allow_is_refused_and_the_node_continues(
        start: Callable[..., Robot], tiny_model: Path) -> None:
    """As when a lifecycle manager configures what the launch file has brought up already."""
    robot = start("-p", f"model:={tiny_model}")
    for refused, taken in (((ACTIVATE, DEACTIVATE, CLEANUP), CONFIGURE),
                           ((CONFIGURE, DEACTIVATE), ACTIVATE),
                           ((CONFIGURE, ACTIVATE, CLEANUP), DEACTIVATE),
                           ((CONFIGURE, DEACTIVATE), CLEANUP)):
        for transition in refused:
            assert not robot.change(transition)
        assert not robot.call(ChangeState, "change_state", ChangeState.Request(
            transition=Transition(label="no_such"))).success
        assert robot.change(taken)
    for transition in ("configure", "no_such"):  # as `ros2 lifecycle` calls it, not by its number
        assert (f"transition {transition} is refused, which the state active does not allow"
                in robot.said())
    assert robot.change(CONFIGURE, ACTIVATE)
    assert robot.label()
    assert "Traceback" not in robot.said()


@pytest.mark.parametrize("model, reason", [
    ("", "'model' is empty"), ("/no/such.onnx", "/no/such.onnx"), (__file__, "test_node.py")])
def test_a_model_that_cannot_be_loaded_fails_the_transition(
        start: Callable[..., Robot], model: str, reason: str) -> None:
    robot = start("-p", f"model:={model or repr('')}")
    assert not robot.change(CONFIGURE)
    assert robot.state() == State.PRIMARY_STATE_UNCONFIGURED
    assert "configure failed: " in robot.said() and reason in robot.said()
    assert "Traceback" not in robot.said()


def test_a_node_with_autostart_is_active_without_a_request(
        start: Callable[..., Robot], tiny_model: Path) -> None:
    """So it is after a respawn, when requests may still go to the process that died."""
    robot = start("-p", f"model:={tiny_model}", "-p", "autostart:=true")
    robot.until(lambda: robot.mode() == "none")
    assert robot.state() == State.PRIMARY_STATE_ACTIVE
    assert robot.change(DEACTIVATE)
    assert robot.state() == State.PRIMARY_STATE_INACTIVE


@pytest.mark.parametrize("transitions, how", [
    ((), signal.SIGINT),
    ((CONFIGURE,), signal.SIGTERM),
    ((CONFIGURE, ACTIVATE), signal.SIGTERM),
    ((CONFIGURE, ACTIVATE, DEACTIVATE), signal.SIGINT),
    ((CONFIGURE, Transition.TRANSITION_INACTIVE_SHUTDOWN), signal.SIGTERM)])
def test_signals_end_it_cleanly_in_every_state(
        start: Callable[..., Robot], tiny_model: Path, transitions: tuple[int, ...],
        how: int) -> None:
    robot = start("-p", f"model:={tiny_model}", program=(  # with more patience on a busy machine
        "-c", "from ssma_ros.node import program\n"
              "program.GRACE_S = 8.0\n"
              "program.main()"))
    robot.state()
    if transitions:
        robot.change(*transitions)
    assert robot.end(how) == 0
    assert "Traceback" not in robot.said() and "ended while" not in robot.said()


def test_signals_that_come_again_while_it_ends_change_nothing(
        start: Callable[..., Robot], tiny_model: Path) -> None:
    """As with Ctrl-C under `ros2 launch`, which sends one more than the terminal does."""
    robot = start("-p", f"model:={tiny_model}")
    robot.change(CONFIGURE, ACTIVATE)
    for _ in range(500):
        if robot.process.poll() is not None:
            break
        robot.process.send_signal(signal.SIGINT)
        time.sleep(0.01)
    assert robot.process.wait(10) == 0


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_ros_is_still_imported_ends_it(how: int) -> None:
    """What takes a minute here is the import of rclpy."""
    with subprocess.Popen(
            [sys.executable, "-c", "import sys, time\n"
                                   "class Slow:\n"
                                   "    def find_spec(self, name, *_):\n"
                                   "        if name == 'rclpy':\n"
                                   "            print('importing', flush=True)\n"
                                   "            time.sleep(60)\n"
                                   "sys.meta_path.insert(0, Slow())\n"
                                   "from ssma_ros.node import program\n"
                                   "program.main()"],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as node:
        assert node.stdout and node.stdout.readline() == "importing\n"
        node.send_signal(how)
        _, said = node.communicate(timeout=10)
    assert node.returncode == 0
    assert not said


def test_a_signal_while_a_model_loads_ends_it(start: Callable[..., Robot]) -> None:
    """What takes a minute here is the loading of a model that is not there."""
    robot = start("-p", "model:=large.onnx", program=(
        "-c", "import time\nfrom ssma_ros.node import model, program\n"
              "model.Segmenter = lambda *_, **__: (print('loading', flush=True), time.sleep(60))\n"
              "program.main()"))
    client = robot.node.create_client(ChangeState, "segmentation_node/change_state")
    assert client.wait_for_service(40)
    client.call_async(ChangeState.Request(transition=Transition(id=CONFIGURE)))
    robot.until(lambda: "loading" in robot.said())
    signalled = time.monotonic()
    assert robot.end(signal.SIGTERM) == 0
    assert time.monotonic() - signalled < 5  # on any machine: it waits for less than one
    assert "ended while a model was loaded" in robot.said()


def test_a_signal_during_work(start: Callable[..., Robot], tiny_model: Path) -> None:
    robot = start("-p", f"model:={tiny_model}")
    robot.change(CONFIGURE, ACTIVATE)
    robot.label()
    large = np.zeros((768, 1536, 3), np.uint8)
    for i in range(20):
        robot.send_pair(time.time() + i, large, large[..., 0].astype(np.uint16), "16UC1")
    assert robot.end() == 0
    assert "Traceback" not in robot.said()


@pytest.mark.parametrize("arguments, reason", [
    (("-p", "slop:=50.0"), "slop out of range"),
    (("-p", "queue_size:=many"), "queue_size"),
    (("-p", "use_sim_time:=maybe"), "use_sim_time"),
    (("--params-file", "/no/such.yaml"), "/no/such.yaml"),
    (("-p", "slop 3"), "slop 3"),
])
def test_wrong_arguments_end_it_with_a_message(arguments: tuple[str, ...], reason: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "ssma_ros.node.program", "--ros-args", *arguments], cwd=ROOT,
        capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 1
    assert reason in ended.stderr
    assert "Traceback" not in ended.stderr


def test_without_ros_it_says_what_to_install() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", "import sys; sys.modules['rclpy'] = None\n"
                               "from ssma_ros.node import program\n"
                               "program.main()"],
        cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 1
    assert "ROS 2 is not here" in ended.stderr
    assert "Traceback" not in ended.stderr

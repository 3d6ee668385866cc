"""The node as a process of its own, over real DDS: what a robot sees of it."""
from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from conftest import ROOT

pytest.importorskip("rclpy", reason="needs rclpy")
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from ssma_core import Segmenter
from ssma_ros import messages
from ssma_ros.pairing import STREAMS

pytestmark = pytest.mark.ros

DOMAIN = 1 + os.getpid() % 100  # nobody else's on this machine, as far as one can tell
ENVIRONMENT = {"ROS_DOMAIN_ID": str(DOMAIN), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
               "FASTRTPS_DEFAULT_PROFILES_FILE": str(ROOT / "config" / "fastdds_images.xml")}
SIZE = (96, 192)  # height, width
SEED = np.random.default_rng(5)
COLOUR = SEED.integers(0, 255, (*SIZE, 3), np.uint8)
DEPTH = SEED.integers(0, 9000, SIZE, np.uint16)


@pytest.fixture(scope="module", autouse=True)
def environment() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        yield


class Robot:
    """The node's process, and a node beside it that plays cameras, user and listener."""

    def __init__(self, output: Path, *arguments: str,
                 program: tuple[str, ...] = ("-m", "ssma_ros.segmentation_node")) -> None:
        self.output = output
        with output.open("w") as file:
            self.process = subprocess.Popen(
                [sys.executable, *program, "--ros-args", *arguments],
                cwd=ROOT, stdout=file, stderr=subprocess.STDOUT)
        self.context = Context()
        rclpy.init(context=self.context)
        self.node = Node("robot", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.cameras = {s: self.node.create_publisher(Image, f"{s}/image", 10) for s in STREAMS}
        self.labels: list[Image] = []
        self.overlays: list[Image] = []
        self.diagnostics: list[DiagnosticStatus] = []
        self.node.create_subscription(Image, "semantic/label", self.labels.append, 10)
        self.node.create_subscription(
            DiagnosticArray, "/diagnostics", lambda a: self.diagnostics.extend(a.status), 10)

    def call(self, service: str, request: Any) -> Any:
        kind = {"change_state": ChangeState, "get_state": GetState}[service]
        client = self.node.create_client(kind, f"segmentation_node/{service}")
        assert client.wait_for_service(10), self.said()
        future = client.call_async(request)
        self.executor.spin_until_future_complete(future, timeout_sec=20)
        return future.result()

    def change(self, *transitions: int) -> bool:
        """Goes through the transitions; whether the last one succeeded."""
        for transition in transitions:
            answer = self.call("change_state", ChangeState.Request(
                transition=Transition(id=transition)))
        return bool(answer.success)

    def state(self) -> int:
        return int(self.call("get_state", GetState.Request()).current_state.id)

    def send(self, stream: str, pixels: npt.NDArray[Any], encoding: str, stamp: float) -> None:
        header = Header(frame_id="camera")
        header.stamp.sec, header.stamp.nanosec = divmod(round(stamp * 1e9), 10**9)
        image = messages.image(
            np.ascontiguousarray(pixels).view(np.uint8).reshape(len(pixels), -1), "mono8", header)
        image.width, image.encoding = pixels.shape[1], encoding
        self.cameras[stream].publish(image)  # type: ignore[index]

    def send_pair(self, stamp: float, rgb: npt.NDArray[Any] = COLOUR, aux: Any = DEPTH,
                  aux_encoding: str = "16UC1") -> None:
        self.send("rgb", rgb, "bgr8", stamp)
        self.send("aux", aux, aux_encoding, stamp + 0.005)

    def until(self, condition: Callable[[], bool], *, meanwhile: Callable[[], None] | None = None,
              seconds: float = 15) -> None:
        """Spins until something is so, doing something every 0.1 s meanwhile."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"not within {seconds} s; {self.said()}"
            if meanwhile:
                meanwhile()
            self.executor.spin_once(timeout_sec=0.1)

    def label(self) -> Image:
        """The label of a fresh pair: sends pairs until one comes back."""
        self.labels.clear()
        self.until(lambda: bool(self.labels), meanwhile=lambda: self.send_pair(time.time()))
        return self.labels[0]

    def said(self) -> str:
        return self.output.read_text()

    def end(self, how: int = signal.SIGINT) -> int:
        """Sends the signal; returns the exit status."""
        self.process.send_signal(how)
        return self.process.wait(10)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)


CONFIGURE, ACTIVATE = Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE
DEACTIVATE, CLEANUP = Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_CLEANUP


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Robot]]:
    """Starts one node after the other."""
    started: list[Robot] = []

    def start(*arguments: str, **options: Any) -> Robot:
        for robot in started:
            robot.close()
        started[:] = [Robot(tmp_path_factory.mktemp("node") / "output.txt", *arguments, **options)]
        return started[0]

    yield start
    for robot in started:
        robot.close()


def test_images_in_labels_out(start: Callable[..., Robot], tiny_model: Path) -> None:
    robot = start("-p", f"model:={tiny_model}")
    assert robot.change(CONFIGURE, ACTIVATE)
    label = robot.label()
    assert label.header.frame_id == "camera"
    assert abs(label.header.stamp.sec - time.time()) < 20
    assert (label.encoding, label.height, label.width, label.step) == ("mono8", *SIZE, SIZE[1])
    expected = Segmenter(tiny_model).segment(COLOUR, DEPTH).labels
    np.testing.assert_array_equal(np.frombuffer(label.data, np.uint8).reshape(SIZE), expected)

    robot.node.create_subscription(Image, "semantic/overlay", robot.overlays.append, 10)
    robot.until(lambda: bool(robot.overlays), meanwhile=lambda: robot.send_pair(time.time()))
    assert robot.overlays[0].encoding == "bgr8"

    robot.until(lambda: any(int(dict(_values(s))["published"]) > 0 for s in robot.diagnostics))
    values = dict(_values(robot.diagnostics[-1]))
    assert {"rgb received", "aux received", "paired", "published", "overwritten", "unmatched",
            "refused", "latency p50 ms", "latency p99 ms", "own share p50 ms"} <= set(values)
    assert (values["model"], values["backend"]) == ("tiny.onnx", "onnxruntime")
    assert 0 < float(values["own share p50 ms"]) < float(values["latency p50 ms"])
    assert robot.end() == 0
    assert "Traceback" not in robot.said()


def test_bad_frames_are_named_once_and_the_node_goes_on(
        start: Callable[..., Robot], tiny_model: Path) -> None:
    robot = start("-p", f"model:={tiny_model}")
    robot.change(CONFIGURE, ACTIVATE)
    robot.label()

    def wrong_frames() -> None:
        now = time.time()
        robot.send("rgb", COLOUR, "bayer_rggb8", now)
        robot.send("aux", DEPTH, "16UC1", 0)
        robot.send_pair(now + 0.05, aux=DEPTH[:48])

    robot.until(lambda: "bayer_rggb8" in robot.said() and "must stamp" in robot.said()
                and "192x48" in robot.said(), meanwhile=wrong_frames)
    for _ in range(3):
        wrong_frames()
    for invalid in (np.nan, np.inf, 0):
        depth = np.full(SIZE, invalid, np.float32)
        robot.labels.clear()
        robot.until(lambda: bool(robot.labels), meanwhile=lambda d=depth: robot.send_pair(
            time.time(), aux=d, aux_encoding="32FC1"))
    assert robot.label()
    for once in ("bayer_rggb8", "must stamp", "192x48"):
        assert robot.said().count(once) == 1, robot.said()
    assert "Traceback" not in robot.said()


def test_a_silent_topic_is_named(start: Callable[..., Robot], tiny_model: Path) -> None:
    robot = start("-p", f"model:={tiny_model}", "-r", "aux/image:=/front/depth")
    robot.change(CONFIGURE, ACTIVATE)
    robot.until(lambda: "no new image on /front/depth" in robot.said(), seconds=4,
                meanwhile=lambda: robot.send("rgb", COLOUR, "bgr8", time.time()))
    assert "no new image on /rgb/image" not in robot.said()
    robot.until(lambda: bool(robot.diagnostics)
                and robot.diagnostics[-1].level == DiagnosticStatus.ERROR)
    assert "/front/depth" in robot.diagnostics[-1].message


def test_streams_that_lie_apart_are_told_how_far(
        start: Callable[..., Robot], tiny_model: Path) -> None:
    robot = start("-p", f"model:={tiny_model}", "-p", "slop:=0.004")
    robot.change(CONFIGURE, ACTIVATE)
    stamps = count(1000)
    robot.until(lambda: "the nearest stamps lie 0.005 s apart" in robot.said(), seconds=6,
                meanwhile=lambda: robot.send_pair(next(stamps)))
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
    robot.until(lambda: any(dict(_values(s))["clock jumps"] == "1" for s in robot.diagnostics))


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


@pytest.mark.parametrize("model, reason", [
    ("", "'model' is empty"), ("/no/such.onnx", "/no/such.onnx"), (__file__, "test_node.py")])
def test_a_model_that_cannot_be_loaded_fails_the_transition(
        start: Callable[..., Robot], model: str, reason: str) -> None:
    robot = start("-p", f"model:={model or repr('')}")
    assert not robot.change(CONFIGURE)
    assert robot.state() == State.PRIMARY_STATE_UNCONFIGURED
    assert reason in robot.said()
    assert "Traceback" not in robot.said()


@pytest.mark.parametrize("transitions, how", [
    ((), signal.SIGINT), ((CONFIGURE,), signal.SIGTERM), ((CONFIGURE, ACTIVATE), signal.SIGTERM)])
def test_signals_end_it_cleanly_in_every_state(
        start: Callable[..., Robot], tiny_model: Path, transitions: tuple[int, ...],
        how: int) -> None:
    robot = start("-p", f"model:={tiny_model}")
    robot.state()
    if transitions:
        robot.change(*transitions)
    assert robot.end(how) == 0
    assert "Traceback" not in robot.said()


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


def test_a_signal_while_a_model_loads_ends_it(start: Callable[..., Robot]) -> None:
    """What takes a minute here is the loading of a model that is not there."""
    robot = start("-p", "model:=large.onnx", program=(
        "-c", "import time\nfrom ssma_ros import segmentation_node as node\n"
              "node.Segmenter = lambda *_: (print('loading', flush=True), time.sleep(60))\n"
              "node.main()"))
    client = robot.node.create_client(ChangeState, "segmentation_node/change_state")
    assert client.wait_for_service(10)
    client.call_async(ChangeState.Request(transition=Transition(id=CONFIGURE)))
    robot.until(lambda: "loading" in robot.said())
    assert robot.end(signal.SIGTERM) == 0
    assert "in the midst" in robot.said()


def test_a_signal_in_the_midst_of_work(start: Callable[..., Robot], tiny_model: Path) -> None:
    robot = start("-p", f"model:={tiny_model}")
    robot.change(CONFIGURE, ACTIVATE)
    robot.label()
    large = np.zeros((768, 1536, 3), np.uint8)
    for i in range(20):
        robot.send_pair(time.time() + i, large, large[..., 0], "mono8")
    assert robot.end() == 0
    assert "Traceback" not in robot.said()


@pytest.mark.parametrize("arguments, reason", [
    (("-p", "slop:=50.0"), "slop out of range"),
    (("-p", "queue_size:=many"), "queue_size"),
    (("--params-file", "/no/such.yaml"), "/no/such.yaml"),
    (("-p", "slop 3"), "slop 3"),
])
def test_wrong_arguments_end_it_with_a_message(arguments: tuple[str, ...], reason: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "ssma_ros.segmentation_node", "--ros-args", *arguments], cwd=ROOT,
        capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 1
    assert reason in ended.stderr
    assert "Traceback" not in ended.stderr


def test_without_ros_it_says_what_to_install() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", "import sys; sys.modules['rclpy'] = None\n"
                               "from ssma_ros.segmentation_node import main"],
        cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 1
    assert "ROS 2 is not here" in ended.stderr
    assert "Traceback" not in ended.stderr


def _values(status: DiagnosticStatus) -> list[tuple[str, str]]:
    return [(pair.key, pair.value) for pair in status.values]

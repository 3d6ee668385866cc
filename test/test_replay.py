"""replay over real DDS: every message, in order, at its time."""
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import yaml
from rosbags.rosbag2 import Writer

from ssma_core import SsmaError
from ssma_core.bags import rosbag2

rclpy = pytest.importorskip("rclpy", reason="needs rclpy")
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.qos import DurabilityPolicy, QoSProfile  # noqa: E402
from rosgraph_msgs.msg import Clock  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402
from std_msgs.msg import String  # noqa: E402

from ssma_ros.replay import dds  # noqa: E402
from ssma_ros.replay.bag_to_topics import _message_class, paced  # noqa: E402

pytestmark = pytest.mark.ros

RGB, AUX = "/camera/color/image_raw", "/camera/depth/image_raw"
START, PERIOD = 1_700_000_000 * 10**9, 50_000_000
FRAMES = 20


def recording() -> Iterator[rosbag2.Recorded]:
    for i in range(FRAMES):
        stamp = START + i * PERIOD
        yield rosbag2.image(RGB, stamp, stamp, np.full((48, 64, 3), i, np.uint8), "bgr8")
        depth = np.full((48, 64), 300 * i, np.uint16)
        yield rosbag2.image(AUX, stamp + 10**7, stamp + 7, depth, "16UC1")


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bags") / "drive"
    rosbag2.write(path, recording(), "sqlite3")
    return path


class Arrival(NamedTuple):
    time_s: float
    topic: str
    message: Image | Clock

    @property
    def stamp_ns(self) -> int:
        stamp = self.message.header.stamp
        return stamp.sec * 10**9 + stamp.nanosec


class Listener:
    """Keeps what arrives on the two image topics and on /clock, and when."""

    def __init__(self) -> None:
        self.arrivals: list[Arrival] = []
        self._context = rclpy.Context()
        rclpy.init(context=self._context)
        self._node = rclpy.create_node("listener", context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        for topic, kind in ((RGB, Image), (AUX, Image), ("/clock", Clock)):
            self._node.create_subscription(
                kind, topic, lambda message, topic=topic: self.arrivals.append(
                    Arrival(time.monotonic(), topic, message)), 100)

    def on(self, topic: str) -> list[Arrival]:
        return [a for a in self.arrivals if a.topic == topic]

    def listen(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._executor.spin_once(timeout_sec=0.05)

    def until(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < end
            self._executor.spin_once(timeout_sec=0.05)

    def publisher(self, kind: type, topic: str, qos: QoSProfile) -> Any:
        return self._node.create_publisher(kind, topic, qos)

    def close(self) -> None:
        self._executor.shutdown()
        self._node.destroy_node()
        self._context.try_shutdown()


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch) -> Iterator[Listener]:
    for name, value in dds.own_domain().items():
        monkeypatch.setenv(name, value)
    listener = Listener()
    yield listener
    listener.close()


@contextmanager
def replaying(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "ssma_ros.replay.bag_to_topics", *map(str, arguments)], text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def replayed(listener: Listener, *arguments: object) -> str:
    """Replays to the end; returns what the process printed."""
    bag, *rest = arguments
    with replaying(bag, "--wait-for-subscribers", 20, *rest) as process:
        while process.poll() is None:
            listener.listen(0.1)
        listener.listen(0.3)
        assert process.stdout is not None
        said = process.stdout.read()
        assert process.returncode == 0, said
        return said


def test_every_message_arrives_in_order_at_its_time(bag: Path, listener: Listener) -> None:
    assert "replayed 40 messages of 2 topics" in replayed(listener, bag)
    for topic, offset in ((RGB, 0), (AUX, 7)):
        arrived = listener.on(topic)
        assert [a.stamp_ns for a in arrived] == [START + i * PERIOD + offset for i in range(FRAMES)]
        span = arrived[-1].time_s - arrived[0].time_s
        assert span == pytest.approx((FRAMES - 1) * PERIOD / 1e9, abs=0.3)
    assert bytes(listener.on(RGB)[9].message.data) == bytes([9]) * (48 * 64 * 3)
    assert listener.on(AUX)[9].message.encoding == "16UC1"
    assert not listener.on("/clock")


def test_rate_and_clock(bag: Path, listener: Listener) -> None:
    replayed(listener, bag, "--rate", 0.5, "--clock")
    arrived = listener.on(RGB)
    assert len(arrived) == FRAMES
    assert arrived[-1].time_s - arrived[0].time_s == pytest.approx(
        2 * (FRAMES - 1) * PERIOD / 1e9, abs=0.4)

    clock = [a.message.clock.sec * 10**9 + a.message.clock.nanosec for a in listener.on("/clock")]
    assert clock == sorted(clock)
    assert clock[0] == pytest.approx(START, abs=10**7)
    assert clock[-1] == pytest.approx(START + FRAMES * PERIOD, abs=2 * PERIOD)
    assert len(clock) > 40  # two seconds at 40 Hz, less what a busy machine skips


def test_chosen_topics_under_other_names(bag: Path, listener: Listener) -> None:
    said = replayed(listener, bag, "--rate", 5, "--topics", AUX,
                    "--ros-args", "-r", f"{AUX}:={RGB}")
    assert "replayed 20 messages of 1 topics" in said
    assert [a.message.encoding for a in listener.on(RGB)] == ["16UC1"] * FRAMES
    assert not listener.on(AUX)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_loop_jumps_back_until_a_signal_ends_it(
        bag: Path, listener: Listener, number: signal.Signals) -> None:
    with replaying(bag, "--loop", "--rate", 4, "--wait-for-subscribers", 20) as process:
        deadline = time.monotonic() + 20
        while len(listener.on(RGB)) < 2.5 * FRAMES and time.monotonic() < deadline:
            listener.listen(0.1)
        os.kill(process.pid, number)
        time.sleep(0.02)
        os.kill(process.pid, number)  # as `ros2 launch` does after a terminal's Ctrl-C
        said, _ = process.communicate(timeout=5)
        assert process.returncode == 0, said
    assert "Traceback" not in said
    stamps = [a.stamp_ns for a in listener.on(RGB)]
    once = [START + i * PERIOD for i in range(FRAMES)]
    assert stamps == (once * 10)[:len(stamps)]
    assert len(stamps) >= 2.5 * FRAMES


def test_clock_waits_for_as_many_subscribers_as_its_option_names(
        bag: Path, listener: Listener) -> None:
    # On a busy machine discovery now and then takes three seconds more.
    with replaying(bag, "--clock", "--wait-for-subscribers", 8, "--clock-subscribers", 2) as one:
        said, _ = one.communicate(timeout=40)
    assert one.returncode == 1
    assert "no one subscribed to /clock within 8 s, or fewer than were to" in said


def test_nothing_is_sent_before_the_node_says_its_mode(bag: Path, listener: Listener) -> None:
    publisher = listener.publisher(String, "/front/semantic/mode", QoSProfile(
        depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL))
    with replaying(bag, "--clock", "--wait-for-mode", "/front/semantic/mode") as process:
        listener.until(lambda: publisher.get_subscription_count() == 1)
        listener.listen(0.5)
        assert not listener.arrivals
        publisher.publish(String(data="none"))
        listener.until(lambda: process.poll() is not None)
    assert listener.on(RGB)


@pytest.mark.parametrize(("arguments", "says"), [
    (["--rate", "0"], "--rate must be positive, got 0"),
    (["--wait-for-subscribers", "nan"], "--wait-for-subscribers must be a number"),
    (["--topics", "/nir"], f"no topic /nir; it has\n  {RGB}"),
    (["--wait-for-subscribers", "0.2"], f"no one subscribed to {RGB} and {AUX} within 0.2 s"),
    (["--clock", "--wait-for-subscribers", "0.2"], f"{RGB} and {AUX} and /clock within 0.2 s"),
    (["--ros-args", "-r", "a b:=c"], "remap rule"),
])
def test_a_mistake_is_named(bag: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str],
                            says: str) -> None:
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "OFF")
    with replaying(bag, *arguments) as process:
        said, _ = process.communicate(timeout=20)
    assert process.returncode == 1
    assert says in said
    assert "Traceback" not in said


def test_topics_of_unknown_types_are_left_out_aloud(tmp_path: Path, listener: Listener) -> None:
    """A robot's bag holds more than this machine has message packages for."""
    strange = rosbag2.Recorded("/turtle", "geometry_msgs/msg/PoseStamped", START, bytes(8))
    rosbag2.write(tmp_path / "bag", [strange, *recording()])
    hidden = tmp_path / "geometry_msgs.py"
    hidden.write_text("raise ImportError")
    said = ""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
        said = replayed(listener, tmp_path / "bag", "--rate", 5)
    assert "leaving out /turtle: the message type geometry_msgs/msg/PoseStamped is not" in said
    assert len(listener.on(RGB)) == len(listener.on(AUX)) == FRAMES


def test_what_was_sent_is_counted_whatever_metadata_says_of_qos_and_messages(
        tmp_path: Path, listener: Listener) -> None:
    rosbag2.write(tmp_path / "bag", recording())
    described = tmp_path / "bag" / "metadata.yaml"
    content = yaml.safe_load(described.read_text())
    about = content["rosbag2_bagfile_information"]
    about["message_count"] = 1000
    for topic in about["topics_with_message_count"]:
        topic["message_count"] = 500
        topic["topic_metadata"]["offered_qos_profiles"] = [{"reliability": "reliable"}]
    described.write_text(yaml.safe_dump(content))
    said = replayed(listener, tmp_path / "bag", "--rate", 5)
    assert f"replayed {2 * FRAMES} messages of 2 topics" in said
    assert len(listener.on(RGB)) == len(listener.on(AUX)) == FRAMES


def test_no_module_is_imported_because_a_bag_names_it(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package, name in (("evil", "__init__.py"), ("worse/msg", "__init__.py")):
        (tmp_path / package).mkdir(parents=True)
        (tmp_path / package / name).write_text("raise AssertionError('it ran')")
    monkeypatch.syspath_prepend(tmp_path)
    for kind in ("evil/msg/X", "worse/msg/X", "os/msg/X", "antigravity/msg/X", "../x/msg/X", ""):
        with pytest.raises(SsmaError, match="is not installed"):
            _message_class(kind)
    assert _message_class("sensor_msgs/msg/Image") is Image


def test_a_slow_consumer_delays_messages_and_loses_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pace is caught up with afterwards: an offset in time does not stay."""
    now = 100.0  # of a clock that goes while somebody sleeps

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    monkeypatch.setattr(time, "monotonic", lambda: now)
    monkeypatch.setattr(time, "sleep", sleep)
    due = [0, 20, 40, 60, 200]
    arrived = []
    recorded = [rosbag2.Recorded("/t", "t", ms * 10**6, b"") for ms in due]
    for message in paced(recorded, 1, lambda _: None):
        arrived.append((message.time_ns // 10**6, round(1000 * (now - 100))))
        if message.time_ns == 0:
            sleep(0.1)
    assert arrived == [(0, 0), (20, 100), (40, 100), (60, 100), (200, 200)]


def test_a_bag_without_messages_is_reported_and_not_looped(tmp_path: Path) -> None:
    with Writer(tmp_path / "bag", version=9) as writer:
        writer.add_connection(RGB, "sensor_msgs/msg/Image",
                              typestore=rosbag2.jazzy())
    with replaying(tmp_path / "bag", "--loop") as process:
        said, _ = process.communicate(timeout=20)
    assert process.returncode == 1
    assert said.strip() == f"replay: {tmp_path}/bag has nothing to replay"

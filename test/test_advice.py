"""What the node says of a day in the field: what is wrong, within three seconds and with the cure;
and of a good day nothing."""
from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ssma_core import ModelSpec
from ssma_core.bags.pairing import STREAMS, Stream
from ssma_core.synthetic import forest

pytest.importorskip("diagnostic_msgs.msg", reason="needs ROS's message packages")
pytest.importorskip("rclpy", reason="needs rclpy")
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus
from field import (
    TOPICS,
    Field,
    Shaking,
    at_night,
    colour,
    colours,
    depth,
    indoors,
    outdoors,
)
from pipeline_rig import GIVEN, Clock, Rig
from sensor_msgs.msg import CameraInfo

from ssma_ros.node import lifecycle
from ssma_ros.node.health.throttle import Throttle
from ssma_ros.node.parameters import allows

FEW = settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def day(rig: Rig, clock: Clock) -> Field:
    return Field(rig, clock)


@pytest.fixture
def new_day(new_rig: Callable[..., Rig], clock: Clock) -> Callable[..., Field]:
    def new_day(given: Any = GIVEN, **facts: Any) -> Field:
        return Field(new_rig(given=given), clock, **facts)

    return new_day


# Units

@pytest.mark.parametrize("kind", ["outdoors", "indoors"])
@pytest.mark.parametrize("unit, encoding, scale", [
    ("metres", "16UC1", 0.001), ("centimetres", "16UC1", 0.1),
    ("millimetres", "32FC1", 1.0), ("centimetres", "32FC1", 0.1)])
def test_depth_in_another_unit_is_named_within_three_seconds(
        day: Field, kind: str, unit: str, encoding: str, scale: float) -> None:
    scene = {"outdoors": outdoors, "indoors": indoors}[kind]
    dtype = np.uint16 if encoding == "16UC1" else np.float32
    day.play(colour(), depth(lambda i: (scene(i) * scale).astype(dtype), encoding=encoding),
             until=3.5)
    assert day.first("/front/depth has a wrong unit", f"seems to be in {unit}") <= 3
    assert day.status().level == DiagnosticStatus.WARN
    assert unit in day.status().message


def test_a_unit_that_was_mended_is_no_longer_reported(day: Field) -> None:
    day.play(colour(), depth(lambda i: (outdoors(i) / 1000).astype(np.uint16)), until=3)
    assert day.now
    day.play(colour(), depth(), until=4.5)
    assert day.now == []


# Geometry

@pytest.mark.parametrize("field", ["k", "p"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_calibration_that_is_no_number_is_reported(day: Field, field: str, value: float) -> None:
    calibrated = {"k": [90.0, 0, 48, 0, 90, 32, 0, 0, 1],
                  "p": [90.0, 0, 48, 0, 0, 90, 32, 0, 0, 0, 1, 0]}
    wrong = {**calibrated, field: [value, *calibrated[field][1:]]}
    day.rig.pipeline.camera_info(CameraInfo(width=96, height=64, **wrong))
    day.play(colour(), depth(), until=3)
    assert day.first("calibration cannot be right", f"{field.upper()} of its CameraInfo") <= 3
    assert "CameraInfo" in day.status().message
    day.rig.pipeline.camera_info(CameraInfo(width=96, height=64, **calibrated))
    day.play(colour(), depth(), until=5)
    assert day.now == []


def test_a_camera_without_calibration_is_nothing_to_report(day: Field) -> None:
    """A CameraInfo of zeros says that the camera is not calibrated."""
    day.rig.pipeline.camera_info(CameraInfo(width=96, height=64))
    day.play(colour(), depth(), until=3)
    assert day.said == {}


# Stamps

def test_depth_stamped_in_the_future_is_reported_with_the_delay_that_mends_it(
        new_day: Callable[..., Field]) -> None:
    day = new_day()
    day.play(colour(), depth(late=0.3), until=4)
    assert day.first("/front/depth are stamped 0.28 s in the future", "set aux_delay to about 0.3"
                     ) <= 3
    day.rig.pipeline.change(replace(GIVEN, aux_delay=0.3))
    day.play(colour(), depth(late=0.3), until=8)
    assert day.now == []


@pytest.mark.parametrize("late", [0.6, 3.0, 4000.0])
def test_two_cameras_stamped_in_the_future_are_reported_without_a_delay(
        day: Field, late: float) -> None:
    """Of an hour or more it may be another time."""
    day.play(colour(late=late), depth(late=late), until=3)
    assert day.first("another time" if late == 4000 else "/front/rgb and /front/depth are stamped"
                     ) <= 3
    assert "aux_delay" not in "".join(day.said)


@pytest.mark.parametrize("seed, hz, periods", [
    *((1, 10.0, periods) for periods in (0.5, 0.8, 1.0, 1.5, 2.0, -1.0)),
    *((2, 15.0, periods) for periods in (0.5, 1.0)), (3, 30.0, 1.0)])
def test_a_sensor_that_is_late_is_reported_with_the_delay_that_mends_it(
        day: Field, hz: float, periods: float, seed: int) -> None:
    """Its driver stamps images when they arrive: by its stamps it belongs to the next image. The
    images, which move alike, tell."""
    late = periods / hz
    scene = Shaking(seed, hz)
    day.play(colour(scene.colours, hz=hz),
             depth(scene.depth, hz=hz, late=late, after=0.02 + max(0.0, late)), until=5)
    named = {text: when for text, when in day.said.items() if "by how the images move" in text}
    assert min(named.values()) <= 4
    for text in named:
        delay = float(text.rpartition("Set aux_delay to ")[2])
        assert delay == pytest.approx(late, abs=0.1 / hz)
    day.rig.pipeline.change(replace(GIVEN, aux_delay=delay))
    day.play(colour(scene.colours, hz=hz),
             depth(scene.depth, hz=hz, late=late, after=0.02 + max(0.0, late)), until=7)
    assert day.now == []
    assert day.status().level == DiagnosticStatus.OK


@pytest.mark.parametrize("late, named", [(0.0, set()), (0.1, {0.1}), (0.05, {0.05})])
@pytest.mark.parametrize("seed", [11, 5000])
def test_on_a_rendered_drive_as_well(
        day: Field, drives: dict[int, list[Any]], seed: int, late: float, named: set[float]
        ) -> None:
    """Whose depth has holes and noise, and whose stamps jitter by 6 ms."""
    frames = drives[seed]
    day.play(colour(lambda i: frames[i].rgb), depth(
        lambda i: frames[i].depth, late=late, jitter=0.006, after=0.02 + late), until=3)
    found = {round(float(text.rpartition("Set aux_delay to ")[2]), 2) for text in day.said
             if "by how the images move" in text}
    assert found == named
    assert late or day.said == {}


@pytest.fixture(scope="module")
def drives() -> dict[int, list[Any]]:
    return {seed: list(forest.drive(seed, 31, (384, 192))) for seed in (11, 5000)}


def test_stamps_half_a_period_apart_are_no_matter_of_slop(day: Field) -> None:
    day.play(colour(), depth(late=0.05), until=3)
    text, = [text for text in day.now if "none pair" in text]
    assert "Set aux_delay to 0.05" in text and "set slop" not in text


# Cameras that do not fit

@pytest.mark.parametrize("right, down", [(0, 0), (14, 0), (-9, 8)])
def test_a_second_camera_that_is_displaced_is_reported_with_the_pixels(
        day: Field, drives: dict[int, list[Any]], right: int, down: int) -> None:
    drive = drives[5000]
    day.play(colour(lambda i: drive[i].rgb, hz=3),
             depth(lambda i: np.roll(drive[i].near_infrared, (down, right), (0, 1)), hz=3,
                   encoding="mono8"), until=9)
    said = [text for text in day.now if "lies" in text]
    if not right:
        assert not said
        return
    text, = said
    figures = {way: int(pixels) for pixels, way in re.findall(
        r"(\d+) pixels too far (right|left|down|up)", text)}
    found = (figures.get("right", 0) - figures.get("left", 0),
             figures.get("down", 0) - figures.get("up", 0))
    assert found == pytest.approx((right, down), abs=2)
    assert "`ssma register`" in text and "/front/depth" in text


# Images that are lost

def lost(share: float, seed: int) -> Callable[[int], bool]:
    comes = np.random.default_rng(seed).random(1000) >= share
    return lambda number: bool(comes[number])


@pytest.mark.parametrize("share", [0.3, 0.5, 0.7])
@pytest.mark.parametrize("stream", STREAMS)
def test_images_that_are_lost_on_the_way_are_told_from_a_slow_camera(
        day: Field, stream: Stream, share: float) -> None:
    sensors = {"rgb": colour(hz=15), "aux": depth(hz=15)}
    sensors[stream] = replace(sensors[stream], comes=lost(share, 4))
    day.play(**sensors, until=9)
    said, = {text for text in day.now if "are lost" in text}
    assert TOPICS[stream] in said and "multiples of 0.067 s" in said
    assert float(said.split(" %")[0]) == pytest.approx(100 * share, abs=15)
    assert "fastdds_network.xml" in said and f"{stream}_transport" in said
    assert not any(name in text for text in day.now for name in (
        "slop", "aux_delay", "queue_size", f"{stream}_timeout"))


def test_a_loss_of_two_thirds_is_reported_within_three_seconds(day: Field) -> None:
    day.play(colour(hz=15, comes=lost(0.6, 1)), depth(hz=15, comes=lost(0.6, 2)), until=4)
    assert day.first("/front/rgb are lost") <= 3
    assert day.first("/front/depth are lost") <= 3


def test_the_cure_of_lost_images_follows_from_their_size_and_what_is_offered(
        new_day: Callable[..., Field]) -> None:
    large = np.random.default_rng(0).integers(20, 180, (480, 640, 3), np.uint8)

    def said(**facts: Any) -> str:
        day = new_day(**facts)
        day.play(colour(lambda _: large, comes=lost(0.5, 1)), depth(), until=4)
        found, = [text for text in day.now if "/front/rgb are lost" in text]
        return found

    assert "0.9 MB do not fit Fast DDS's default shared memory" in said()
    assert "fastdds_images.xml" in said()
    assert "qos_overrides" not in said()  # a best-effort publisher would then send nothing
    assert "qos_overrides./front/rgb.subscription.reliability to reliable" in said(reliable=True)
    assert "rgb_transport" not in said(type="sensor_msgs/msg/CompressedImage")


# No advice that cannot be followed

def test_no_slop_beyond_half_a_period_or_the_parameter_is_advised(day: Field) -> None:
    """Stamps of two clocks that differ by 25 s, which is more than aux_delay may be."""
    day.play(colour(), depth(late=-25.0), until=5)
    said = "".join(day.now)
    assert "chrony" in said or "correct the clock" in said
    assert not any(f"set {name}" in said for name in ("slop", "aux_delay", "queue_size"))


def test_the_ranges_are_those_of_the_parameters() -> None:
    assert allows("aux_timeout", 3600) and not allows("aux_timeout", 3601)
    assert allows("aux_delay", -10) and not allows("slop", -0.1)


# Statistics begin anew

def test_after_a_recovery_nothing_of_before_is_reported(day: Field) -> None:
    day.play(colour(), depth(late=0.05, jitter=0.004), until=6)
    assert any("pair" in text for text in day.now)
    day.rig.pipeline.change(replace(GIVEN, aux_delay=0.05))
    day.said.clear()
    day.play(colour(), depth(late=0.05, jitter=0.004), until=12)
    assert day.said == {}
    day.play(colour(), depth(until_s=0), until=20)
    assert "/front/depth" in day.now[0]
    day.said.clear()
    day.play(colour(), depth(late=0.05, from_s=20.05, jitter=0.004), until=26)
    day.said = {text: when for text, when in day.said.items() if when > 21}
    assert day.said == {}


@pytest.mark.parametrize("fault", ["refused", "repeated"])
def test_refused_and_repeated_images_are_not_unpaired(day: Field, fault: str) -> None:
    """Of four images on a topic three are of no use; every other one has its partner."""
    for number in range(60):
        for stream in STREAMS:
            day.rig.send(stream, 100_000 + 100 * number)
            for extra in range(3):
                if fault == "refused":
                    day.rig.send(stream, 100_010 + 100 * number + extra, encoding="yuv422")
                else:
                    day.rig.send(stream, 100_000 + 100 * number)
        day.rig.settle()
        day.clock.go(0.1)
        day.ask()
    assert not any("pair" in text or "partner" in text for text in day.said), day.said


# Starts

@pytest.mark.parametrize("publishers, first", [(0.3, 0.8), (3.0, 3.9), (6.0, 8.0), (-1.0, 1.9)])
@pytest.mark.parametrize("between", [0.0, 0.7, -0.7])
def test_a_healthy_start_warns_of_nothing(
        day: Field, publishers: float, first: float, between: float) -> None:
    day.publishers_from = publishers
    day.play(colour(from_s=first), depth(from_s=first + between, jitter=0.006), until=first + 6)
    assert day.said == {}


def test_what_never_comes_is_reported_though(day: Field) -> None:
    day.publishers_from = 1e9
    day.play(colour(until_s=0), depth(until_s=0), until=12)
    assert day.first("/front/rgb", "no one publishes it") <= 11


def test_a_driver_that_runs_and_sends_nothing_is_reported_within_three_seconds(day: Field) -> None:
    day.play(colour(until_s=0), depth(until_s=0), until=4)
    assert day.first("/front/rgb", "1 publisher is there", "fastdds_images.xml") <= 3


# The model's rate

def too_slow(day: Field, seconds: float) -> None:
    """As where an inference takes so long."""
    statistics = day.rig.pipeline.statistics
    for _ in range(20):
        day.clock.go(seconds)
        statistics.happened("published")
        statistics.inferences.append(seconds)
        for _ in range(10):
            statistics.happened("offered")
            statistics.happened("overwritten")


@pytest.mark.parametrize("seconds, rate", [
    (0.5, "labels 2.0 of 20.0 images"), (12.0, "one takes 12 s")])
def test_a_model_slower_than_its_images_is_logged_once_and_stays_in_diagnostics(
        day: Field, monkeypatch: pytest.MonkeyPatch, seconds: float, rate: str) -> None:
    logged: list[str] = []
    logger = SimpleNamespace(info=logged.append, warning=logged.append)
    sent: list[Any] = []
    node = SimpleNamespace(
        get_logger=lambda: logger, get_fully_qualified_name=lambda: "/node", _given=GIVEN,
        _segmenter=SimpleNamespace(backend="onnxruntime", precision="fp32"),
        get_clock=lambda: SimpleNamespace(now=lambda: SimpleNamespace(to_msg=Time)),
        _diagnostics=SimpleNamespace(publish=lambda array: sent.extend(array.status)),
        _namesakes=list)
    monkeypatch.setattr(lifecycle, "problems", lambda *_: [])
    monkeypatch.setattr(lifecycle.topics, "publishers", lambda *_: {})
    throttle = Throttle()
    for _ in range(3):
        too_slow(day, seconds)
        lifecycle.SegmentationNode._diagnose(  # type: ignore[arg-type]
            node, day.rig.pipeline, {}, throttle)
    said, = [text for text in logged if "the model is too slow" in text]
    assert rate in said and " 0.0 " not in said
    assert all("the model is too slow" in status.message for status in sent)
    assert len(sent) == 3


# A good day

def silent(day: Field) -> None:
    assert day.said == {}
    assert day.status().level == DiagnosticStatus.OK


def test_a_drive_at_night_is_not_black(day: Field) -> None:
    day.play(colour(at_night), depth(), until=8)
    silent(day)


@pytest.mark.parametrize("rate", [0.5, 1.0, 3.0])
def test_a_bag_at_another_rate_is_a_good_day(day: Field, rate: float) -> None:
    day.play(colour(), depth(jitter=0.006), until=8, rate=rate)
    silent(day)


@pytest.mark.parametrize("hz", [0.4, 1.0, 2.0])
def test_slow_cameras_are_healthy(new_day: Callable[..., Field], hz: float) -> None:
    day = new_day(replace(GIVEN, aux_timeout=5.0, rgb_timeout=5.0))
    day.play(colour(hz=hz), depth(hz=hz), until=30)
    assert day.said == {}


@FEW
@given(seed=st.integers(0, 10**6), hz=st.sampled_from([5.0, 10.0, 15.0, 30.0]),
       jitter=st.floats(0, 0.1), phase=st.floats(-0.3, 0.3), losing=st.booleans(),
       after=st.floats(0.0, 0.2), inside=st.booleans(), dtype=st.sampled_from(["u2", "f4"]))
def test_a_healthy_robot_is_left_alone(  # noqa: PLR0917
        tiny_spec: ModelSpec, clock: Clock, seed: int, hz: float, jitter: float, phase: float,
        losing: bool, after: float, inside: bool, dtype: str) -> None:
    """Whatever its rate, its latency, its phase between both cameras, its scene, a few lost images;
    and stamps that jitter by a tenth of a period."""
    rig = Rig(tiny_spec, given=replace(GIVEN, slop=0.48 / hz))
    try:
        day, scene = Field(rig, clock), Shaking(seed, hz)

        def nearly_all(number: int) -> bool:
            return not losing or number % 9 != 4

        def depths(number: int) -> Any:
            millimetres = indoors() if inside else scene.depth(number)
            return millimetres if dtype == "u2" else (millimetres / 1000).astype(np.float32)

        day.play(colour(scene.colours, hz=hz, comes=nearly_all),
                 depth(depths, hz=hz, jitter=jitter / hz, late=phase / hz, after=after + 0.02,
                       encoding="16UC1" if dtype == "u2" else "32FC1", comes=nearly_all),
                 until=9)
        assert day.said == {}
    finally:
        rig.pipeline.worker.stop()


# Why a stream is dead

def test_the_first_reason_of_a_dead_stream_is_kept(day: Field) -> None:
    """A camera that is black sends the same image again and again."""
    day.play(colour(lambda _: np.zeros_like(colours())), depth(), until=6)
    assert "show nothing: they are black" in "".join(day.now)
    assert "again and again" not in "".join(day.said)

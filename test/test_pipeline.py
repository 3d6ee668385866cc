"""The way of a frame, with a segmenter that is not one: no DDS, no model."""
from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from conftest import half_as_large
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ssma_core import ModelSpec, SsmaError
from ssma_core.bags.pairing import STREAMS, Stream
from ssma_ros.node import messages

pytest.importorskip("sensor_msgs.msg", reason="needs ROS's message packages")
from pipeline_rig import (
    BLACK,
    COLOUR,
    COLOUR_ALONE,
    DEPTH,
    DEPTH_ALONE,
    FUSED,
    GIVEN,
    NO_DEPTH,
    Clock,
    Rig,
    drive,
    until,
)
from sensor_msgs.msg import CameraInfo, CompressedImage
from std_msgs.msg import Header


def test_a_pair_becomes_a_label_image_with_the_colour_images_header(rig: Rig) -> None:
    rig.send("rgb", 3000)
    rig.send("aux", 3010)
    rig.settle()
    label, = rig.labels
    assert (label.header.stamp.sec, label.header.stamp.nanosec) == (3, 0)
    assert label.header.frame_id == "camera"
    assert (label.encoding, label.height, label.width) == ("mono8", 4, 6)
    assert bytes(label.data) == bytes([FUSED] * 24)


def test_only_what_is_wanted_is_requested_and_made(rig: Rig) -> None:
    rig.pair(3000)
    rig.settle()
    assert rig.asked == [{"confidence": False, "trust": False}]
    assert not any(rig.others.values())
    rig.wanted = {"confidence", "trust", "overlay"}
    rig.pair(3033)
    until(lambda: len(rig.others["overlay"]) == 1)
    assert rig.asked[-1] == {"confidence": True, "trust": True}
    for name, encoding in (("confidence", "mono8"), ("trust", "mono8"), ("overlay", "bgr8")):
        made, = rig.others[name]
        assert (made.encoding, made.header) == (encoding, rig.labels[1].header)


def test_points_need_the_cameras_calibration(rig: Rig) -> None:
    rig.wanted = {"points"}
    for milliseconds in (3000, 3033):
        rig.pair(milliseconds)
        rig.settle()
    until(lambda: bool(rig.errors))
    assert len(rig.errors) == 1 and "CameraInfo" in rig.errors[0]
    rig.pipeline.camera_info(CameraInfo(
        width=6, height=4, k=[5.0, 0.0, 3.0, 0.0, 5.0, 2.0, 0.0, 0.0, 1.0]))
    rig.pair(3066)
    until(lambda: len(rig.others["points"]) == 1)
    cloud, = rig.others["points"]
    assert (cloud.height, cloud.width) == (4, 6)
    assert cloud.header == rig.labels[-1].header
    assert rig.pipeline.statistics.counts["failed"] == 0


def test_what_fails_after_the_label_costs_neither_label_nor_mode(rig: Rig) -> None:
    def fail(_: Any) -> None:
        raise RuntimeError("no room for a cloud")

    rig.wanted = {"overlay"}
    overlay = replace(rig.pipeline.labelling._outputs.overlay, publish=fail)
    rig.pipeline.labelling._outputs = replace(rig.pipeline.labelling._outputs, overlay=overlay)
    for milliseconds in (3000, 3033):
        rig.pair(milliseconds)
        rig.settle()
    assert rig.made() == [(3000, FUSED), (3033, FUSED)]
    assert rig.pipeline.statistics.counts["failed"] == 0
    until(lambda: rig.modes == ["none", "rgb+depth"])
    assert len(rig.errors) == 1 and "no room for a cloud" in rig.errors[0]


@pytest.mark.parametrize("of, name", [("pairing", "add"), ("messages", "checked")])
def test_a_fault_of_ours_in_taking_an_image_in_is_logged_and_ends_nothing(
        rig: Rig, monkeypatch: pytest.MonkeyPatch, of: str, name: str) -> None:
    with monkeypatch.context() as faulty:
        faulty.setattr({"pairing": rig.pipeline.pairing, "messages": messages}[of], name,
                       lambda *_: 1 / 0)
        rig.send("rgb", 1000)
    rig.pair(1033)
    assert rig.made() == [(1033, FUSED)]
    assert "ZeroDivisionError" in rig.errors[0] and "Traceback" in rig.errors[0]


def test_there_are_no_points_without_depth(rig: Rig) -> None:
    rig.wanted = {"points"}
    rig.pair(3000, aux=NO_DEPTH)
    assert rig.made() == [(3000, COLOUR_ALONE)]
    assert rig.asked == [{"confidence": False, "trust": False}]


def test_a_refused_image_is_logged_every_half_minute_and_counted_always(
        rig: Rig, clock: Clock) -> None:
    for milliseconds in (1000, 1033, 1066):
        rig.send("rgb", milliseconds, encoding="32SC2")
        rig.send("aux", milliseconds)
    rig.pair(1100)
    assert rig.made() == [(1100, FUSED)]
    assert len(rig.errors) == 1
    assert "/robot/rgb" in rig.errors[0] and "32SC2" in rig.errors[0]
    assert rig.pipeline.statistics.counts["refused"] == 3
    clock.go(29)
    rig.send("rgb", 30_000, encoding="32SC2")
    assert len(rig.errors) == 1
    clock.go(1)
    rig.send("rgb", 31_000, encoding="32SC2")
    assert len(rig.errors) == 2
    rig.send("aux", 31_000, encoding="32SC2")  # another topic has a reason of its own
    assert len(rig.errors) == 3


@pytest.mark.parametrize("failure, said", [
    (SsmaError("no such size: 6x4"), "no such size: 6x4"), (RuntimeError("a bug"), "Traceback")])
def test_a_pair_that_cannot_be_segmented_ends_nothing(
        rig: Rig, failure: Exception, said: str) -> None:
    def fail() -> None:
        raise type(failure)(*failure.args)

    rig.inference = fail
    for milliseconds in (1000, 1033):
        rig.pair(milliseconds)
        rig.settle()
    rig.inference = lambda: None
    rig.pair(1066)
    assert rig.made() == [(1066, FUSED)]
    assert rig.pipeline.statistics.counts["failed"] == 2
    assert len(rig.errors) == 1
    assert said in rig.errors[0]
    assert str(failure) in rig.pipeline.statistics.recent_errors()[0]


def test_the_nodes_own_share_is_neither_inference_nor_waiting_for_it(
        rig: Rig, clock: Clock) -> None:
    go_on = threading.Event()

    def infer() -> None:
        assert go_on.wait(5)
        clock.go(0.2)

    rig.inference = infer
    rig.pair(1000)
    until(lambda: len(rig.asked) == 1)
    rig.pair(1033)
    go_on.set()
    rig.settle()
    statistics = rig.pipeline.statistics
    assert list(statistics.latencies) == pytest.approx([0.2, 0.4])  # waited for the first
    assert list(statistics.inferences) == pytest.approx([0.2, 0.2])
    assert list(statistics.own_shares) == pytest.approx([0, 0])


def test_the_latency_begins_when_the_second_image_came(rig: Rig, clock: Clock) -> None:
    """Also where the pair waits for something nearer: colour's period may be 10 ms."""
    for milliseconds in (1000, 1010, 1400):
        rig.send("rgb", milliseconds)
    rig.send("aux", 1418)
    clock.go(0.05)
    assert not rig.labels
    rig.send("rgb", 1440)
    assert rig.made() == [(1400, FUSED)]
    assert rig.pipeline.statistics.latencies[0] == pytest.approx(0.05)


def test_a_labels_age_is_its_stamps(rig: Rig) -> None:
    rig.pair(999_500)  # the rig's clock shows 1000 s
    rig.settle()
    assert rig.pipeline.statistics.ages[0] == pytest.approx(0.5)


def test_while_the_second_sensor_is_silent_colour_is_labelled_alone(
        rig: Rig, clock: Clock) -> None:
    drive(rig, clock, STREAMS, 1000, 1300)
    drive(rig, clock, ["rgb"], 1300, 2100)
    drive(rig, clock, STREAMS, 2100, 2400)
    # The last pair came at 1200, so 1700 is not beyond the timeout, and 1800 is. At 2100 colour
    # came first and was labelled alone; the pair that it then made is not labelled again.
    assert rig.made() == [
        *((ms, FUSED) for ms in (1000, 1100, 1200)),
        *((ms, COLOUR_ALONE) for ms in (1800, 1900, 2000, 2100)),
        *((ms, FUSED) for ms in (2200, 2300))]
    assert rig.modes == ["none", "rgb+depth", "none", "rgb", "rgb+depth"]
    assert rig.pipeline.statistics.counts["rgb alone"] == 4
    assert rig.pipeline.statistics.counts["overtaken"] == 1


def test_while_colour_is_silent_the_second_sensor_is_labelled_alone_with_its_own_header(
        rig: Rig, clock: Clock) -> None:
    drive(rig, clock, STREAMS, 1000, 1300)
    drive(rig, clock, ["aux"], 1300, 2100)
    drive(rig, clock, STREAMS, 2100, 2400)
    assert rig.made() == [
        *((ms, FUSED) for ms in (1000, 1100, 1200)),
        *((ms, DEPTH_ALONE) for ms in (1800, 1900, 2000)),
        *((ms, FUSED) for ms in (2100, 2200, 2300))]
    assert {label.header.frame_id for label in rig.labels[3:6]} == {"aux_frame"}
    assert rig.modes == ["none", "rgb+depth", "none", "depth", "rgb+depth"]


@pytest.mark.parametrize("stream", STREAMS)
def test_the_image_that_waited_in_vain_is_labelled_when_the_timeout_ends(
        rig: Rig, clock: Clock, stream: Stream) -> None:
    """And not only when the next one comes: at two images a second that is half a second."""
    drive(rig, clock, STREAMS, 1000, 1300)
    drive(rig, clock, [stream], 1300, 1400)
    clock.go(0.3)
    rig.pipeline.tick()
    assert len(rig.made()) == 3
    clock.go(0.05)  # 0.55 s after the last pair
    for _ in range(2):
        rig.pipeline.tick()
    assert rig.made()[3:] == [(1300, {"rgb": COLOUR_ALONE, "aux": DEPTH_ALONE}[stream])]


def test_time_alone_brings_no_label_of_before_a_jump_of_the_clock(rig: Rig, clock: Clock) -> None:
    drive(rig, clock, STREAMS, 5000, 5300)
    rig.send("rgb", 1000)
    clock.go(0.4)
    rig.send("aux", 1000)
    rig.settle()
    clock.go(2)
    rig.pipeline.tick()
    assert rig.made()[3:] == [(1000, FUSED)]


def test_streams_that_are_alive_and_do_not_pair_leave_colour_alone(rig: Rig, clock: Clock) -> None:
    for milliseconds in range(1000, 3000, 100):
        rig.send("aux", milliseconds + 50)
        rig.send("rgb", milliseconds)
        rig.settle()
        clock.go(0.1)
    assert rig.made() == [(ms, COLOUR_ALONE) for ms in range(1600, 3000, 100)]


def test_black_colour_does_not_keep_the_second_sensor_waiting_where_they_do_not_pair(
        rig: Rig, clock: Clock) -> None:
    def unpaired(begin: int, end: int, rgb: npt.NDArray[Any]) -> None:
        for milliseconds in range(begin, end, 100):
            rig.send("rgb", milliseconds, rgb)
            rig.settle()
            rig.send("aux", milliseconds + 50)
            rig.settle()
            clock.go(0.1)

    unpaired(1000, 4000, BLACK)
    assert rig.made()[-10:] == [(ms, DEPTH_ALONE) for ms in range(3050, 4050, 100)]
    unpaired(4000, 6000, COLOUR)
    assert rig.made()[-10:] == [(ms, COLOUR_ALONE) for ms in range(5000, 6000, 100)]


@pytest.mark.parametrize("ahead", [-3_600_000, -430, 430, 3_600_000])
def test_a_clock_that_is_off_ends_no_labels_when_a_sensor_comes_back(
        rig: Rig, clock: Clock, ahead: int) -> None:
    """The second sensor's, while colour was silent, has been labelled with stamps of its own."""
    def drive_apart(streams: Sequence[Stream], begin: int, end: int) -> None:
        for milliseconds in range(begin, end, 100):
            for stream in streams:
                rig.send(stream, milliseconds + (ahead if stream == "aux" else 0), frame_id=stream)
            rig.settle()
            clock.go(0.1)

    now = 4_000_000
    drive_apart(STREAMS, now, now + 2000)
    drive_apart(["aux"], now + 2000, now + 4000)
    assert rig.labels[-1].header.frame_id == "aux"
    drive_apart(STREAMS, now + 4000, now + 6000)
    # Where it might be one clock labels do not go back: colour waits until it has caught up.
    first = now + (4400 if ahead == 430 else 4000)
    assert [made for made, label in zip(rig.made(), rig.labels)
            if label.header.frame_id == "rgb" and made[0] >= now + 4000] == [
        (ms, COLOUR_ALONE) for ms in range(first, now + 6000, 100)]


def test_a_delay_that_is_set_while_a_sensor_is_labelled_alone_ends_no_labels(
        rig: Rig, clock: Clock) -> None:
    drive(rig, clock, ["aux"], 100_000, 102_000)
    rig.pipeline.change(replace(GIVEN, aux_delay=10.0))
    drive(rig, clock, ["aux"], 102_000, 103_000)
    assert rig.made()[-10:] == [(ms, DEPTH_ALONE) for ms in range(102_000, 103_000, 100)]


def test_the_first_pair_ends_it_also_where_it_comes_a_frame_late(rig: Rig, clock: Clock) -> None:
    """Colour once came within 5 ms, so a pair waits for whether the next image comes nearer."""
    rig.send("rgb", 995)
    drive(rig, clock, ["rgb"], 1000, 2200)
    rig.send("aux", 2110)  # may be 2105's
    rig.send("rgb", 2200)  # it was 2100's
    rig.settle()
    rig.send("aux", 2210)
    rig.send("rgb", 2300)
    assert rig.made()[-2:] == [(2100, COLOUR_ALONE), (2200, FUSED)]


def test_no_label_is_older_than_one_with_the_second_sensors_header(rig: Rig) -> None:
    rig.send("rgb", 1000, BLACK)
    rig.send("aux", 1015)
    assert rig.made() == [(1015, DEPTH_ALONE)]
    rig.send("rgb", 1010)
    rig.send("aux", 1030)
    rig.pair(1100)
    assert rig.made() == [(1015, DEPTH_ALONE), (1100, FUSED)]
    assert rig.pipeline.statistics.counts["overtaken"] == 1


def test_a_driver_that_hangs_and_repeats_its_stamp_is_silent(rig: Rig, clock: Clock) -> None:
    drive(rig, clock, STREAMS, 1000, 1300)
    for milliseconds in range(1300, 2100, 100):
        rig.send("rgb", 1200)
        rig.send("aux", milliseconds)
        rig.settle()
        clock.go(0.1)
    assert [made for _, made in rig.made()] == [FUSED] * 3 + [DEPTH_ALONE] * 3


def test_no_mode_is_left_when_nothing_comes(rig: Rig, clock: Clock) -> None:
    drive(rig, clock, STREAMS, 1000, 1300)
    rig.pipeline.tick()
    assert rig.pipeline.mode == rig.modes[-1] == "rgb+depth"
    clock.go(0.5)
    rig.pipeline.tick()
    assert rig.pipeline.mode == rig.modes[-1] == "none"


def test_a_model_that_takes_long_is_no_silence(rig: Rig, clock: Clock) -> None:
    rig.inference = lambda: clock.go(3)
    rig.pair(1000)
    rig.settle()
    clock.go(6)
    assert rig.pipeline.mode == "rgb+depth"
    clock.go(1)
    assert rig.pipeline.mode == "none"


def test_a_clock_that_jumps_back_is_followed_in_every_mode(rig: Rig, clock: Clock) -> None:
    drive(rig, clock, ["rgb"], 60_000, 61_000)
    rig.labels.clear()
    drive(rig, clock, ["rgb"], 1000, 1300)
    assert rig.made() == [(ms, COLOUR_ALONE) for ms in (1000, 1100, 1200)]


def test_one_camera_alone_is_followed_also_through_a_short_jump_back(
        rig: Rig, clock: Clock) -> None:
    """Where it could have been overtaken images, ten of them are lost."""
    drive(rig, clock, ["rgb"], 1000, 3000)
    rig.labels.clear()
    drive(rig, clock, ["rgb"], 2000, 4000)
    assert rig.made() == [(ms, COLOUR_ALONE) for ms in range(3000, 4000, 100)]
    rig.labels.clear()
    for _ in range(20):  # a bag of six images, looped
        drive(rig, clock, ["rgb"], 1000, 1600)
    assert len(rig.made()) > 30


NOISE = [np.full((4, 6, 3), 50 + i, np.uint8) for i in range(100)]


@pytest.mark.parametrize("rgb, aux, made", [
    (BLACK, DEPTH, [DEPTH_ALONE]), (COLOUR, NO_DEPTH, [COLOUR_ALONE]), (BLACK, NO_DEPTH, [])])
def test_a_pair_with_an_image_that_shows_nothing_is_labelled_from_the_other_at_once(
        rig: Rig, rgb: npt.NDArray[Any], aux: npt.NDArray[Any], made: list[int]) -> None:
    rig.send("rgb", 1000, rgb)
    rig.send("aux", 1010, aux)
    # With the header of the image that it is made from.
    assert rig.made() == [(1010 if label == DEPTH_ALONE else 1000, label) for label in made]
    assert rig.pipeline.statistics.counts["dead"] == (not made)
    assert set(rig.pipeline.statistics.blank) == {
        *(["rgb"] if rgb is BLACK else []), *(["aux"] if aux is NO_DEPTH else [])}
    rig.pair(1033)
    assert rig.made()[-1] == (1033, FUSED)
    assert not rig.pipeline.statistics.blank


def test_a_dead_image_is_none_in_an_experts_own_mode_either(rig: Rig, clock: Clock) -> None:
    drive(rig, clock, ["rgb"], 1000, 2000)
    rig.send("rgb", 2000, BLACK)
    rig.settle()
    assert (2000, COLOUR_ALONE) not in rig.made()
    assert rig.pipeline.statistics.counts["dead"] == 1


def test_a_camera_that_hangs_is_left_out_while_the_other_ones_image_changes(
        rig: Rig, clock: Clock) -> None:
    for i in range(40):
        rig.pair(1000 + 100 * i, COLOUR if i < 35 else NOISE[i], DEPTH + i)
        rig.settle()
        clock.go(0.1)
    # Depth's first change is the second image's, at 1100; beyond 2 s after that is 3200.
    assert rig.made() == [(ms, DEPTH_ALONE if 3200 <= ms < 4500 else FUSED)
                          for ms in range(1000, 5000, 100)]


def test_an_image_that_cannot_be_read_shows_nothing(rig: Rig) -> None:
    whole = cv2.imencode(".png", COLOUR)[1].tobytes()
    damaged = CompressedImage(header=Header(frame_id="camera"), format="png", data=whole[:40])
    damaged.header.stamp.sec = 1
    rig.pipeline.receive(damaged, "rgb", "/robot/rgb/compressed")
    rig.send("aux", 1000)
    assert rig.made() == [(1000, DEPTH_ALONE)]
    assert "/robot/rgb/compressed" in rig.pipeline.statistics.blank["rgb"][0]


@pytest.mark.parametrize("rgb, aux, made", [
    (COLOUR, DEPTH, [FUSED]), (COLOUR, NO_DEPTH, [FUSED]), (BLACK, DEPTH, []),
    (BLACK, NO_DEPTH, [])])
def test_a_model_that_labels_nothing_alone_takes_what_it_gets_where_only_depth_is_dead(
        new_rig: Callable[..., Rig], rgb: npt.NDArray[Any], aux: npt.NDArray[Any],
        made: list[int]) -> None:
    rig = new_rig(unimodal=(False, False))
    rig.pair(1000, rgb, aux)
    assert rig.made() == [(1000, label) for label in made]


@pytest.mark.parametrize("stream", STREAMS)
def test_a_model_that_labels_nothing_alone_gives_nothing_while_a_stream_is_silent(
        new_rig: Callable[..., Rig], clock: Clock, stream: Stream) -> None:
    rig = new_rig(unimodal=(False, False))
    drive(rig, clock, [stream], 1000, 3000)
    assert rig.made() == []
    assert rig.modes == ["none"]


@pytest.mark.parametrize("alone, of_colour", [
    ((True, True), [(1000, COLOUR_ALONE)]), ((False, True), []), ((False, False), [])])
def test_pairs_of_two_frames_are_refused_unless_set_otherwise_and_colour_continues(
        new_rig: Callable[..., Rig], alone: tuple[bool, bool], of_colour: list[tuple[int, int]]
        ) -> None:
    rig = new_rig(unimodal=alone, given=replace(GIVEN, check_frame_id=True))
    for milliseconds in (1000, 1033):
        rig.send("rgb", milliseconds, frame_id="colour_camera")
        rig.send("aux", milliseconds, frame_id="depth_camera")
        rig.settle()
        rig.pipeline.change(GIVEN)
    assert rig.made() == [*of_colour, (1033, FUSED)]
    assert len(rig.errors) == 1
    assert "colour_camera" in rig.errors[0] and "depth_camera" in rig.errors[0]


def test_with_a_registration_second_images_of_another_camera_are_labelled_in_colours_view(
        new_rig: Callable[..., Rig], clock: Clock) -> None:
    rig = new_rig(given=replace(GIVEN, check_frame_id=True), registration=half_as_large((6, 4)))
    seen: list[Any] = []
    segment = rig.pipeline.labelling._segmenter.segment
    rig.pipeline.labelling._segmenter.segment = (  # type: ignore[method-assign]
        lambda rgb, aux, **asked: (seen.append(aux), segment(rgb, aux, **asked))[1])
    depth = np.arange(1000, 7000, 1000, np.uint16).reshape(2, 3)
    for milliseconds in range(1000, 2000, 100):
        if milliseconds < 1200:
            rig.send("rgb", milliseconds, frame_id="colour_camera")
        rig.send("aux", milliseconds, depth, frame_id="depth_camera")
        rig.settle()
        clock.go(0.1)
    made = rig.made()
    assert made[:2] == [(1000, FUSED), (1100, FUSED)] and {from_ for _, from_ in made[2:]} == {3}
    assert not rig.errors
    assert all(np.array_equal(aux, depth.repeat(2, axis=0).repeat(2, axis=1)) for aux in seen)
    # Also without colour the label is what the colour camera would see.
    assert {label.header.frame_id for label in rig.labels} == {"colour_camera"}


def test_after_the_model_was_loaded_again_colours_view_keeps_its_name(
        new_rig: Callable[..., Rig], clock: Clock) -> None:
    rig = new_rig(registration=half_as_large((6, 4)))
    depth = np.arange(1000, 7000, 1000, np.uint16).reshape(2, 3)
    rig.send("rgb", 1000, frame_id="colour_camera")
    rig.send("aux", 1000, depth, frame_id="depth_camera")
    rig.settle()
    assert rig.pipeline.stop()
    rig.pipeline.restart(rig.pipeline.labelling._segmenter)
    assert rig.pipeline.labelling.colour_frame == "colour_camera"


def test_a_second_image_that_the_registration_is_not_of_leaves_colour_alone(
        new_rig: Callable[..., Rig]) -> None:
    rig = new_rig(registration=half_as_large((6, 4)))
    rig.pair(1000)
    assert rig.made() == [(1000, COLOUR_ALONE)]
    reason, _ = rig.pipeline.statistics.blank["aux"]
    assert "of 3x2" in reason and "6x4" in reason and "ssma register" in reason


def test_a_second_image_that_does_not_fit_leaves_colour_alone_and_is_reported(
        rig: Rig, clock: Clock) -> None:
    def misfit() -> None:
        if len(rig.asked) % 2:  # both are tried first
            raise SsmaError("the depth image is 3x2")

    rig.inference = misfit
    drive(rig, clock, STREAMS, 1000, 1300)
    assert rig.made() == [(ms, COLOUR_ALONE) for ms in (1000, 1100, 1200)]
    assert rig.modes == ["none", "rgb"]
    assert len(rig.errors) == 1 and "the depth image is 3x2" in rig.errors[0]
    counts = rig.pipeline.statistics.counts
    assert (counts["aux left out"], counts["failed"]) == (3, 0)
    rig.inference = lambda: None
    rig.pair(1300)
    assert rig.made()[-1] == (1300, FUSED)


def test_values_that_change_apply_to_what_comes(rig: Rig, clock: Clock) -> None:
    rig.send("rgb", 1000)
    rig.send("aux", 1030)
    assert rig.made() == []
    rig.pipeline.change(replace(GIVEN, slop=0.04))
    rig.send("rgb", 1100)
    rig.send("aux", 1135)
    assert (1100, FUSED) in rig.made()
    rig.pipeline.change(replace(GIVEN, aux_timeout=0.05))
    drive(rig, clock, ["rgb"], 1200, 1500)
    assert rig.made()[-1] == (1400, COLOUR_ALONE)
    with pytest.raises(SsmaError, match="slop must be 0 s or more"):
        rig.pipeline.change(replace(GIVEN, slop=-1.0))


def test_void_may_be_published_as_unlabeled(
        new_rig: Callable[..., Rig], tiny_spec: ModelSpec) -> None:
    rig = new_rig(given=replace(GIVEN, void_as_unlabeled=True))
    void = tiny_spec.void_id
    rig.pipeline.labelling._segmenter.segment = lambda *_, **__: SimpleNamespace(
        labels=np.array([[void, 1], [2, void]], np.uint8), confidence=None, trust=None)
    rig.pair(1000)
    rig.settle()
    assert list(rig.labels[0].data) == [255, 1, 2, 255]


arrivals = st.lists(st.tuples(
    st.sampled_from([*STREAMS, "both", "nothing"]), st.integers(0, 300), st.integers(-15, 15),
    st.booleans()), max_size=40)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50,
          deadline=None)
@given(arrivals, st.tuples(st.booleans(), st.booleans()),
       st.tuples(st.booleans(), st.sampled_from([0, 0, -3_600_000, 3_600_000])))
def test_labels_never_go_back_no_image_is_labelled_twice_and_the_sums_agree(
        tiny_spec: ModelSpec, clock: Clock, arrived: list[tuple[str, int, int, bool]],
        alone: tuple[bool, bool], how: tuple[bool, int]) -> None:
    """how: in a hurry, and milliseconds by which the second sensor's clock is off."""
    hurry, ahead = how
    rig = Rig(tiny_spec, alone, GIVEN)
    used: list[tuple[int, int]] = []  # colour's and depth's own number, -1 for none

    def segment(rgb: Any, aux: Any, **_: bool) -> Any:
        used.append((-1 if rgb is None else rgb[0, 0, 0], -1 if aux is None else aux[0, 0]))
        return SimpleNamespace(labels=np.zeros((4, 6), np.uint8), confidence=None, trust=None)

    rig.pipeline.labelling._segmenter.segment = segment  # type: ignore[method-assign]
    milliseconds = 10_000_000
    for number, (what, gap, apart, dead) in enumerate(arrived, start=20):
        milliseconds += gap
        clock.go(gap / 1e3)
        if what in ("rgb", "both"):
            rig.send("rgb", milliseconds, np.full_like(COLOUR, 0 if dead else number))
        if what in ("aux", "both"):
            rig.send("aux", milliseconds + apart + ahead, np.full_like(DEPTH, number),
                     frame_id="aux")
        if not hurry:
            rig.settle()
    rig.settle()
    rig.pipeline.worker.stop()
    made = [(stamp, label.header.frame_id) for (stamp, _), label in zip(rig.made(), rig.labels)]
    of_one_clock = [[stamp for stamp, _ in made]] if ahead == 0 else [
        [stamp for stamp, frame in made if frame == each] for each in ("camera", "aux")]
    for stamps in of_one_clock:
        assert stamps == sorted(set(stamps))
    for numbers in zip(*used):
        labelled = [number for number in numbers if number >= 0]
        assert len(labelled) == len(set(labelled))
    counts, pairing = rig.pipeline.statistics.counts, rig.pipeline.pairing
    assert (pairing.counts["rgb"]["paired"] + counts["rgb alone"] + counts["aux alone"]
            == counts["offered"] + counts["overtaken"])
    for stream, received in (("rgb", counts["rgb received"]), ("aux", counts["aux received"])):
        assert received == sum(pairing.counts[stream].values()) + pairing.waiting(stream)

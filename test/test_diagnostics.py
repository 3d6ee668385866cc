"""What the node says of itself: what is wrong, in words, and the figures."""
from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from ssma_core import SsmaError
from ssma_core.bags.pairing import OTHER, STREAMS, Stream

pytest.importorskip("diagnostic_msgs.msg", reason="needs ROS's message packages")
from diagnostic_msgs.msg import DiagnosticStatus
from pipeline_rig import BLACK, GIVEN, NO_DEPTH, Clock, Rig, drive, until

from ssma_ros.node import diagnostics
from ssma_ros.node.advice import Subscribed, problems
from ssma_ros.node.health.throttle import Throttle

TOPICS: dict[Stream, str] = {"rgb": "/front/rgb", "aux": "/front/depth"}


IMAGE = "sensor_msgs/msg/Image"


def troubles(rig: Rig, published: Sequence[str] = (IMAGE,)) -> list[str]:
    """published: the type's name of every publisher on either topic."""
    return problems(rig.pipeline, {
        stream: Subscribed(topic, IMAGE, published)
        for stream, topic in TOPICS.items()})


def remarks(rig: Rig) -> list[str]:
    statistics = rig.pipeline.statistics
    return [*diagnostics.jumped(statistics), *diagnostics.bottleneck(statistics)]


def status(rig: Rig) -> Any:
    return diagnostics.status("/robot: segmentation", {"model": "tiny.onnx"}, rig.pipeline,
                              troubles(rig), remarks(rig))


def values(rig: Rig) -> dict[str, str]:
    return {pair.key: pair.value for pair in status(rig).values}


def test_two_sources_of_one_topic_are_recognised_by_their_stamps(rig: Rig, clock: Clock) -> None:
    """A bag is replayed, and the drivers run."""
    rig.now_ns = lambda: 1_003 * 10**9
    for milliseconds in range(0, 1000, 100):
        rig.pair(1_000_000 + milliseconds)
        rig.pair(400_000 + milliseconds)
        rig.settle()
        clock.go(0.1)
    assert troubles(rig, [IMAGE] * 2)[:2] == [
        f"2 publishers send on {topic}, and its stamps go back: is a bag replayed while the "
        "sensor's driver runs? Labels are of both times" for topic in TOPICS.values()]
    assert not any("2 publishers" in text for text in troubles(rig))
    drive(rig, clock, STREAMS, 1_001_000, 1_003_000)
    assert troubles(rig, [IMAGE] * 2) == []


def test_a_clock_that_was_set_back_is_remarked_while_it_is_news(rig: Rig, clock: Clock) -> None:
    drive(rig, clock, STREAMS, 100_000, 101_000)
    assert remarks(rig) == []
    drive(rig, clock, STREAMS, 1000, 2000)
    said, = remarks(rig)
    assert "stamps went back" in said
    assert troubles(rig) == []
    drive(rig, clock, STREAMS, 2000, 4000)
    assert remarks(rig) == []


@pytest.mark.parametrize("left", STREAMS)
def test_the_last_camera_that_repeats_itself_is_reported(
        rig: Rig, clock: Clock, left: Stream) -> None:
    """Where the other one's image stands still as well, as in a simulation, nothing is wrong."""
    drive(rig, clock, STREAMS, 1000, 5000)
    assert troubles(rig) == []
    drive(rig, clock, [left], 5000, 9000)
    said = f"the images on {TOPICS[left]} have not changed for 8 s"
    assert any(text.startswith(said) for text in troubles(rig))
    drive(rig, clock, STREAMS, 9000, 10_000)
    assert troubles(rig) == []


def test_nothing_is_wrong_while_pairs_are_labelled(rig: Rig, clock: Clock) -> None:
    drive(rig, clock, STREAMS, 1000, 4000)
    assert troubles(rig) == []
    assert status(rig).level == DiagnosticStatus.OK
    assert status(rig).message == "30 labels published"


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("publishers, why", [
    (0, "no one publishes it"), (1, "1 publisher is there"), (2, "2 publishers are there")])
def test_a_silent_topic_is_named_two_seconds_after_activation(
        rig: Rig, clock: Clock, stream: Stream, publishers: int, why: str) -> None:
    drive(rig, clock, [OTHER[stream]], 1000, 3000)
    said, *_ = troubles(rig, [IMAGE] * publishers)
    assert TOPICS[stream] in said and why in said
    assert not any(TOPICS[OTHER[stream]] in text for text in troubles(rig))


def test_quality_of_service_that_does_not_fit_is_named_with_what_to_set(
        rig: Rig, clock: Clock) -> None:
    rig.pipeline.statistics.qos_mismatch["aux"] = "DURABILITY"
    drive(rig, clock, ["rgb"], 1000, 3000)
    said, *_ = troubles(rig)
    assert "qos_overrides./front/depth.subscription.durability" in said
    drive(rig, clock, STREAMS, 3000, 4000)  # it comes: whoever did not fit was somebody else
    assert not any("qos_overrides" in text for text in troubles(rig))


def test_a_type_that_is_not_subscribed_is_named_with_what_to_set(rig: Rig, clock: Clock) -> None:
    drive(rig, clock, ["aux"], 1000, 3000)
    said, *_ = troubles(rig, ["sensor_msgs/msg/CompressedImage"])
    assert "published as sensor_msgs/msg/CompressedImage, but subscribed as" in said
    assert "rgb_transport" in said


def test_images_that_come_and_cannot_be_used_are_not_taken_for_silence(
        rig: Rig, clock: Clock) -> None:
    for milliseconds in range(1000, 3000, 100):
        rig.send("rgb", 500)  # always the same stamp
        rig.send("aux", milliseconds)
        rig.settle()
        clock.go(0.1)
    said, *_ = troubles(rig)
    assert "no new image on /front/rgb" in said and "repeat one stamp" in said
    drive(rig, clock, ["aux"], 3000, 5000)
    said, *_ = troubles(rig)
    assert "1 publisher is there" in said


def test_few_pairs_are_reported_with_the_reason(rig: Rig, clock: Clock) -> None:
    """Of three in a row one pairs: the cameras are not triggered together."""
    for number, milliseconds in enumerate(range(1000, 4000, 100)):
        rig.send("rgb", milliseconds)
        rig.send("aux", milliseconds + (0 if number % 3 == 0 else 35))
        rig.settle()
        clock.go(0.1)
    said, = troubles(rig)
    assert "only 10 found a partner" in said
    assert "0.035 s apart, more than the slop of 0.02 s" in said


def test_a_sensor_that_takes_longer_than_its_partners_wait_is_reported_with_the_queue_it_needs(
        rig: Rig, clock: Clock) -> None:
    rig.now_ns = lambda: round(clock.now * 1e9)
    now = round(clock.now * 1000)
    for milliseconds in range(now, now + 6000, 100):
        rig.send("rgb", milliseconds)
        rig.send("aux", milliseconds - 1500)  # 15 images later
        rig.settle()
        clock.go(0.1)
    said = troubles(rig)[0]
    assert "none pair: images on /front/depth come 1.5 s after those of the same stamp" in said
    assert "where at most 10 images wait" in said and "set queue_size to 17" in said
    rig.pipeline.change(replace(GIVEN, queue_size=17))
    for milliseconds in range(now + 6000, now + 10_000, 100):
        rig.send("rgb", milliseconds)
        rig.send("aux", milliseconds - 1500)
        rig.settle()
        clock.go(0.1)
    assert rig.pipeline.statistics.is_going_on("paired")


def test_stamps_of_another_time_than_the_nodes_are_reported(rig: Rig, clock: Clock) -> None:
    rig.now_ns = lambda: 0  # use_sim_time, and no /clock
    drive(rig, clock, STREAMS, 4_000_000, 4_002_000)
    said, = troubles(rig)
    assert "of another time" in said and "use_sim_time" in said


def test_stamps_that_lie_apart_are_reported_with_the_slop_that_would_pair_them(
        rig: Rig, clock: Clock) -> None:
    for milliseconds in range(1000, 3000, 100):
        rig.send("rgb", milliseconds)
        rig.send("aux", milliseconds + 30)
        clock.go(0.1)
    said, *_ = troubles(rig)
    assert "0.03 s apart, more than the slop of 0.02 s" in said
    rig.settle()


@pytest.mark.parametrize("stream", STREAMS)
def test_a_camera_slower_than_its_timeout_is_reported_with_the_parameter_to_set(
        rig: Rig, clock: Clock, stream: Stream) -> None:
    for second in range(1, 5):
        rig.pair(1000 * second)
        drive(rig, clock, [OTHER[stream]], 1000 * second + 100, 1000 * second + 1000)
        clock.go(0.1)
    assert [text for text in troubles(rig) if TOPICS[stream] in text] == [
        f"images come on {TOPICS[stream]} every 1 s, but {stream}_timeout is 0.5 s: the sensor "
        "counts as dead between two of them. Set it to more than that"]
    drive(rig, clock, STREAMS, 5000, 7000)
    assert troubles(rig) == []


def test_two_cameras_that_are_equally_slow_wait_for_each_other(rig: Rig, clock: Clock) -> None:
    for second in range(1, 5):
        rig.pair(1000 * second)
        rig.settle()
        clock.go(1)
    assert troubles(rig) == []


def test_an_image_that_shows_nothing_is_reported_with_the_reason_while_it_lasts(
        rig: Rig, clock: Clock) -> None:
    rig.pair(1000, rgb=BLACK)
    rig.settle()
    assert troubles(rig) == ["the images on /front/rgb show nothing: they are black",
                             "labels are made from depth alone"]
    assert status(rig).level == DiagnosticStatus.WARN
    rig.pair(1033)
    rig.settle()
    assert troubles(rig) == []


def test_a_mode_that_the_model_cannot_do_is_reported_when_it_is_needed(
        new_rig: Callable[..., Rig], clock: Clock) -> None:
    rig = new_rig(unimodal=(False, True))
    drive(rig, clock, STREAMS, 1000, 1300)
    assert troubles(rig) == []
    drive(rig, clock, ["rgb"], 1300, 3300)
    assert "this model cannot label rgb without depth" in troubles(rig)
    rig.pair(3300, aux=NO_DEPTH)
    rig.settle()
    assert "this model cannot label rgb without depth" in troubles(rig)


def test_no_mode_is_missed_where_nothing_comes(new_rig: Callable[..., Rig], clock: Clock) -> None:
    rig = new_rig(unimodal=(False, False))
    assert troubles(rig) == []  # drivers start
    clock.go(3)
    assert [text.split(":")[0] for text in troubles(rig)] == [
        f"no new image on {topic} for 1.5 s" for topic in TOPICS.values()]


def test_nothing_labelled_is_an_error_and_a_fallback_a_warning(rig: Rig, clock: Clock) -> None:
    assert status(rig).level == DiagnosticStatus.ERROR
    drive(rig, clock, ["aux"], 1000, 3000)
    assert status(rig).level == DiagnosticStatus.WARN
    assert values(rig)["mode"] == "depth"
    assert "labels are made from depth alone" in status(rig).message
    clock.go(2)
    assert status(rig).level == DiagnosticStatus.ERROR
    assert values(rig)["mode"] == "none"


def test_what_failed_is_reported_as_long_as_it_is_news(rig: Rig, clock: Clock) -> None:
    def fail() -> None:
        raise SsmaError("no such size: 6x4")

    rig.inference = fail
    rig.pair(1000)
    rig.settle()
    assert status(rig).message == "no such size: 6x4"
    assert troubles(rig) == []  # it was logged when it happened, and need not be logged again
    clock.go(1)
    rig.inference = lambda: None
    rig.pair(2000)
    clock.go(1)
    rig.pair(3000)
    rig.settle()
    assert status(rig).level == DiagnosticStatus.OK


def test_a_model_slower_than_its_images_is_reported_with_both_rates(rig: Rig, clock: Clock) -> None:
    go_on = threading.Semaphore(0)
    rig.inference = lambda: go_on.acquire(timeout=5) and None
    rig.pair(1000)
    for turn in range(1, 21):
        until(lambda t=turn: len(rig.asked) == t)  # type: ignore[misc]
        clock.go(0.25)
        for milliseconds in (250, 500):  # of which the second overwrites the first
            rig.pair(500 + 500 * turn + milliseconds)
        clock.go(0.25)
        go_on.release()
        until(lambda t=turn: len(rig.labels) == t)  # type: ignore[misc]
    said, = remarks(rig)
    assert "labels 2.0 of 4.0 images a second" in said
    go_on.release()


def test_the_figures(rig: Rig, clock: Clock) -> None:
    rig.inference = lambda: clock.go(0.04)
    for milliseconds in range(999_000, 1_000_000, 100):  # the rig's clock shows 1000 s
        clock.go(0.06)
        rig.pair(milliseconds)
        rig.settle()
    rig.send("rgb", 1_000_500)
    rig.send("aux", 0)
    rig.send("aux", 999_900)
    rig.send("rgb", 1_000_600, encoding="32SC2")
    found = values(rig)
    assert found["model"] == "tiny.onnx"
    assert found["mode"] == "rgb+depth"
    expected = {"paired": 10, "published": 10, "overwritten": 0, "unmatched": 0, "late": 0,
                "duplicate": 1, "zero stamp": 1, "refused": 1, "dead": 0, "failed": 0,
                "overtaken": 0, "rgb alone": 0, "aux alone": 0, "clock jumps": 0,
                "rgb received": 12, "aux received": 12}
    assert {name: int(found[name]) for name in expected} == expected
    # 11 gaps between images in 0.94 s, 9 between labels in 0.9 s.
    assert (found["rgb Hz"], found["aux Hz"], found["label Hz"]) == ("11.7", "11.7", "10.0")
    assert (found["rgb age ms"], found["aux age ms"]) == ("-500.0", "100.0")
    assert {found[f"latency p{p} ms"] for p in (50, 90, 99)} == {"40.00"}
    # Stamps lie from 1000 to 100 ms back, a label each; between the neighbours in rank, by part.
    assert (found["stamp to label p50 ms"], found["stamp to label p90 ms"]) == ("550.00", "910.00")


def test_a_figure_that_no_one_has_yet_is_a_dash(rig: Rig) -> None:
    assert {values(rig)[name] for name in (
        "rgb age ms", "latency p50 ms", "stamp to label p99 ms", "inference p50 ms")} == {"-"}


def test_what_is_new_is_logged_at_once_what_lasts_every_30_seconds(clock: Clock) -> None:
    throttle = Throttle()
    assert throttle.due(["no image", "5.1 Hz of 10.0 Hz"]) == ["no image", "5.1 Hz of 10.0 Hz"]
    for second in range(29):
        clock.go(1)
        assert throttle.due(["no image", f"5.{second} Hz of 9 Hz"]) == []
    clock.go(1)
    due = ["no image", "dark", "4 Hz of 9 Hz"]
    assert throttle.due(due) == due


def test_what_is_wrong_with_two_topics_is_logged_for_both(clock: Clock) -> None:
    throttle = Throttle()
    both = [f"no new image on /cam{number}/image_raw for 1.5 s" for number in (0, 1)]
    assert throttle.due(both) == both
    assert throttle.due([text.replace("1.5", "2.5") for text in both]) == []


def test_what_comes_and_goes_is_logged_at_a_calm_rate(clock: Clock) -> None:
    throttle = Throttle()
    said = []
    for _ in range(30):
        said += throttle.due(["no image"]) + throttle.due([])
        clock.go(1)
    assert len(said) == 3


@pytest.mark.parametrize("others", [
    [], [("segmentation_node", "/rear")], [("camera", "/front")]])
def test_a_name_of_its_own_is_no_trouble(others: list[tuple[str, str]]) -> None:
    nodes = [("segmentation_node", "/front"), *others]
    assert not diagnostics.namesakes("segmentation_node", "/front", nodes)


@pytest.mark.parametrize("namespace, name", [
    ("/", "/segmentation_node"), ("/front", "/front/segmentation_node")])
def test_two_nodes_of_one_name_are_told(namespace: str, name: str) -> None:
    nodes = [("segmentation_node", namespace)] * 2 + [("camera", "/")]
    trouble, = diagnostics.namesakes("segmentation_node", namespace, nodes)
    assert trouble.startswith(f"2 nodes are named {name}: ")

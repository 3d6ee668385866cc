"""The way of a frame, with a segmenter that is not one: no DDS, no model."""
from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ssma_core import SsmaError
from ssma_ros import messages
from ssma_ros.pairing import STREAMS, Pairing, Stream
from ssma_ros.pipeline import Outputs, Pipeline

pytest.importorskip("sensor_msgs.msg", reason="needs ROS's message packages")
from std_msgs.msg import Header

COLOUR = np.full((4, 6, 3), 50, np.uint8)
NEAR_INFRARED = np.full((4, 6), 60, np.uint8)


class Rig:
    """A pipeline, what it was told to segment, and what came out of it."""

    def __init__(self, spec: Any) -> None:
        self.labels: list[Any] = []
        self.overlays: list[Any] = []
        self.errors: list[str] = []
        self.overlay_wanted = False
        self.inference: Callable[[], None] = lambda: None
        segmenter: Any = SimpleNamespace(segment=self._segment, spec=spec)
        self.pipeline = Pipeline(segmenter, Pairing(0.02, 10), Outputs(
            self.labels.append, self.overlays.append, lambda: self.overlay_wanted,
            self.errors.append))

    def _segment(self, rgb: Any, aux: Any) -> Any:
        self.inference()
        np.testing.assert_array_equal(aux, NEAR_INFRARED)
        return SimpleNamespace(labels=rgb[..., 0] // 50)

    def pair(self, seconds: int, encoding: str = "bgr8") -> None:
        for stream in STREAMS:
            self.send(stream, seconds, encoding=encoding)

    def send(self, stream: Stream, seconds: int, milliseconds: int = 0,
             encoding: str = "bgr8") -> None:
        """encoding: what a colour image says that it is."""
        header = Header(frame_id=f"{stream}_frame")
        header.stamp.sec, header.stamp.nanosec = seconds, milliseconds * 10**6
        image = (messages.image(COLOUR, "bgr8", header) if stream == "rgb"
                 else messages.image(NEAR_INFRARED, "mono8", header))
        if stream == "rgb":
            image.encoding = encoding
        self.pipeline.receive(image, stream, f"/robot/{stream}")

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 5
        while not condition():
            assert time.monotonic() < deadline, "it did not happen within 5 s"
            time.sleep(0.001)


@pytest.fixture
def rig(tiny_spec: Any) -> Iterator[Rig]:
    rig = Rig(tiny_spec)
    yield rig
    rig.pipeline.worker.stop()


def test_a_pair_becomes_a_label_image_with_the_colour_images_header(rig: Rig) -> None:
    rig.pair(3)
    rig.until(lambda: len(rig.labels) == 1)
    label = rig.labels[0]
    assert (label.header.stamp.sec, label.header.frame_id) == (3, "rgb_frame")
    assert label.encoding == "mono8"
    assert bytes(label.data) == bytes([1] * 24)
    assert not rig.overlays


def test_an_overlay_is_made_only_while_it_is_wanted(rig: Rig) -> None:
    rig.overlay_wanted = True
    rig.pair(3)
    rig.until(lambda: len(rig.overlays) == 1)
    assert rig.overlays[0].encoding == "bgr8"
    assert rig.overlays[0].header == rig.labels[0].header


def test_a_refused_image_is_said_once_and_counted_always(rig: Rig) -> None:
    for second in (1, 2, 3):
        rig.pair(second, encoding="bayer_rggb8")
    rig.pair(4)
    rig.until(lambda: len(rig.labels) == 1)
    assert len(rig.errors) == 1
    assert "/robot/rgb" in rig.errors[0] and "bayer_rggb8" in rig.errors[0]
    assert rig.pipeline.record.refused == 3


@pytest.mark.parametrize("failure, said", [
    (SsmaError("no such size: 6x4"), "no such size: 6x4"), (RuntimeError("a bug"), "Traceback")])
def test_a_pair_that_cannot_be_segmented_ends_nothing(
        rig: Rig, failure: Exception, said: str) -> None:
    def fail() -> None:
        raise type(failure)(*failure.args)

    rig.inference = fail
    for second in (1, 2):
        rig.pair(second)
        rig.until(lambda s=second: rig.pipeline.record.failed == s)  # type: ignore[misc]
    rig.inference = lambda: None
    rig.pair(3)
    rig.until(lambda: len(rig.labels) == 1)
    assert len(rig.errors) == 1
    assert said in rig.errors[0]
    assert str(failure) in rig.pipeline.record.recent_errors()[0]


def test_the_nodes_own_share_is_neither_inference_nor_waiting_for_it(rig: Rig) -> None:
    begun: list[float] = []

    def infer() -> None:
        begun.append(time.monotonic())
        time.sleep(0.2)

    rig.inference = infer
    rig.pair(1)
    rig.until(lambda: len(begun) == 1)
    rig.pair(2)
    rig.until(lambda: len(rig.labels) == 2)
    record = rig.pipeline.record
    assert record.latencies[1] > 0.3  # waited for the first one, then its own
    assert all(0.2 <= seconds < 0.3 for seconds in record.inferences)
    assert all(0 < seconds < 0.1 for seconds in record.own_shares)


def test_the_sums_agree(rig: Rig) -> None:
    for second in range(1, 30):
        rig.pair(second, "bgr8" if second % 7 else "yuv422")
    pairing, record = rig.pipeline.pairing, rig.pipeline.record
    paired = pairing.counts["rgb"]["paired"]
    rig.until(lambda: record.published + rig.pipeline.worker.overwritten == paired)
    assert record.received == {"rgb": 29, "aux": 29}
    assert record.refused == 4
    assert paired == 25
    pairing.flush()
    for stream in STREAMS:
        ended = sum(pairing.counts[stream].values())
        assert record.received[stream] == ended + (record.refused if stream == "rgb" else 0)


def test_the_latency_begins_when_the_second_image_came(rig: Rig) -> None:
    """Also where the pair waits for something nearer: colour's period may be 10 ms."""
    for milliseconds in (0, 10, 400):
        rig.send("rgb", 1, milliseconds)
    rig.send("aux", 1, 418)
    time.sleep(0.05)
    assert not rig.labels
    rig.send("rgb", 1, 440)
    rig.until(lambda: rig.pipeline.record.published == 1)
    assert rig.labels[0].header.stamp.nanosec == 400 * 10**6
    assert rig.pipeline.record.latencies[0] > 0.05

"""Image messages to arrays and back, whoever brings the conversions (cv_bridge or we)."""
from __future__ import annotations

import array
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from ssma_core import ImageMessage, SsmaError, Stream
from ssma_ros import distro
from ssma_ros.node import messages

DTYPES = {"mono8": np.uint8, "mono16": np.uint16, "16UC1": np.uint16, "32FC1": np.float32}
CHANNELS = {"bgr8": 3, "rgb8": 3, "bgra8": 4, "rgba8": 4}
WIDTH, HEIGHT = 7, 5


def pixels(encoding: str) -> npt.NDArray[Any]:
    """Every value of the image differs from its neighbours."""
    shape = (HEIGHT, WIDTH, CHANNELS[encoding]) if encoding in CHANNELS else (HEIGHT, WIDTH)
    values = np.arange(np.prod(shape)).reshape(shape)
    return (values * 259 if encoding in ("mono16", "16UC1", "32FC1") else values).astype(
        DTYPES.get(encoding, np.uint8))


def message(encoding: str, values: npt.NDArray[Any] | None = None, *, padding: int = 0,
            big_endian: bool = False, like: str = "rclpy") -> Any:
    """An Image as rclpy gives it (array.array) or as rosbags does (a NumPy array)."""
    values = pixels(encoding) if values is None else values
    sent = values.astype(values.dtype.newbyteorder(">" if big_endian else "<"))
    rows = sent.reshape(len(sent), -1).view(np.uint8)
    rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=255)
    data = array.array("B", rows.tobytes()) if like == "rclpy" else rows.reshape(-1)
    header = SimpleNamespace(stamp=SimpleNamespace(sec=12, nanosec=34), frame_id="camera")
    return SimpleNamespace(
        header=header, height=values.shape[0], width=values.shape[1], encoding=encoding,
        is_bigendian=int(big_endian), step=rows.shape[1], data=data)


def decoded(image: Any, stream: Stream = "aux") -> npt.NDArray[Any]:
    return messages.checked(image, stream, "/t").array()


EXPECTED = {
    "bgr8": lambda p: p,
    "rgb8": lambda p: p[..., ::-1],
    "bgra8": lambda p: p[..., :3],
    "rgba8": lambda p: p[..., 2::-1],
}


@pytest.mark.parametrize("like", ["rclpy", "rosbags"])
@pytest.mark.parametrize("padding", [0, 1, 2, 12])
@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize("encoding", [*CHANNELS, *DTYPES])
def test_every_encoding_and_layout(
        encoding: str, big_endian: bool, padding: int, like: str) -> None:
    image = decoded(message(encoding, padding=padding, big_endian=big_endian, like=like))
    expected = EXPECTED.get(encoding, lambda p: p)(pixels(encoding))
    np.testing.assert_array_equal(image, expected)
    assert image.dtype == expected.dtype
    assert image.dtype.isnative


@pytest.mark.parametrize("encoding", ["bgr8", "mono8", "16UC1", "32FC1"])
def test_what_needs_no_change_is_not_copied(encoding: str) -> None:
    sent = message(encoding)
    assert np.shares_memory(decoded(sent), np.frombuffer(sent.data, np.uint8))


def test_invalid_depths_pass() -> None:
    depths = np.array([[np.nan, np.inf, -np.inf, 0.0]], np.float32)
    np.testing.assert_array_equal(decoded(message("32FC1", depths)), depths)


def test_a_grey_camera_is_three_equal_channels() -> None:
    grey = decoded(message("mono8"), "rgb")
    np.testing.assert_array_equal(grey, np.dstack([pixels("mono8")] * 3))


def test_the_stamp_is_in_nanoseconds() -> None:
    assert messages.checked(message("bgr8"), "rgb", "/t").stamp_ns == 12_000_000_034


@pytest.mark.parametrize("stream, encoding", [
    ("rgb", "bayer_rggb8"), ("aux", "8UC3"), ("aux", ""), ("rgb", "mono16"), ("rgb", "16UC1")])
def test_another_encoding_is_refused_by_name(stream: Stream, encoding: str) -> None:
    image = message("mono8")
    image.encoding = encoding
    with pytest.raises(SsmaError, match=rf"/cam/x: .*'{encoding}'.*bgr8"):
        messages.checked(image, stream, "/cam/x")


@pytest.mark.parametrize("fault, reason", [
    ({"data": array.array("B", bytes(104))}, "105.*104 bytes"),
    ({"data": array.array("B", bytes(106))}, "105.*106 bytes"),
    ({"step": 20}, "7 pixels in bgr8 takes 21 bytes.*step 20"),
    ({"width": 0}, "0x5 has no pixels"),
    ({"height": 0}, "7x0 has no pixels"),
])
def test_sizes_that_do_not_agree_are_refused(fault: dict[str, Any], reason: str) -> None:
    image = message("bgr8")
    vars(image).update(fault)
    with pytest.raises(SsmaError, match=f"/cam/x: .*{reason}"):
        messages.checked(image, "rgb", "/cam/x")


def in_frame(stream: Stream, frame_id: str) -> ImageMessage:
    image = message("bgr8")
    image.header.frame_id = frame_id
    return messages.checked(image, stream, f"/{stream}/image")


@pytest.mark.parametrize("rgb, aux", [
    ("camera", "camera"), ("camera", "/camera"), ("", "camera"), ("camera", "")])
def test_images_of_one_frame_are_registered_and_those_of_none_may_be(rgb: str, aux: str) -> None:
    messages.check_registered(in_frame("rgb", rgb), in_frame("aux", aux))


def test_depth_that_is_not_registered_is_refused_with_what_to_do() -> None:
    rgb, aux = in_frame("rgb", "color_optical"), in_frame("aux", "depth_optical")
    with pytest.raises(SsmaError) as refusal:
        messages.check_registered(rgb, aux)
    for part in ("/aux/image is in frame 'depth_optical'", "/rgb/image in 'color_optical'",
                 "align_depth", "depth_image_proc", "check_frame_id:=false"):
        assert part in str(refusal.value)


@pytest.mark.parametrize("encoding", ["mono8", "bgr8"])
def test_an_array_becomes_a_message_and_comes_back(encoding: Any) -> None:
    std_msgs = pytest.importorskip("std_msgs.msg", reason="needs ROS's message packages")
    header = std_msgs.Header(frame_id="camera")
    header.stamp.sec = 12
    sent = messages.image(pixels(encoding), encoding, header)
    assert (sent.encoding, sent.width, sent.height) == (encoding, WIDTH, HEIGHT)
    assert sent.step == WIDTH * (3 if encoding == "bgr8" else 1)
    assert sent.header == header
    assert isinstance(sent.data, array.array)
    np.testing.assert_array_equal(decoded(sent), pixels(encoding))


def test_arrays_that_are_views_are_sent_as_they_look() -> None:
    std_msgs = pytest.importorskip("std_msgs.msg", reason="needs ROS's message packages")
    flipped = pixels("mono8")[::-1, ::2]
    np.testing.assert_array_equal(
        decoded(messages.image(flipped, "mono8", std_msgs.Header())), flipped)


class FakeNode:
    """Keeps the callback that a subscription is made with."""

    def create_subscription(self, message_type: type, topic: str, callback: Any,
                            **options: Any) -> Any:
        self.callback = callback
        return SimpleNamespace(topic_name=topic, options=options)


def test_a_subscriber_calls_back_with_its_arguments() -> None:
    """Of message_filters, or our stand-in: the same calls."""
    node, received = FakeNode(), []
    subscriber = distro.Subscriber(node, object, "/t", qos_profile=3)
    subscriber.registerCallback(lambda *arguments: received.append(arguments), "rgb", 1)
    node.callback("message")
    assert received == [("message", "rgb", 1)]
    assert subscriber.sub.topic_name == "/t"
    assert subscriber.sub.options["qos_profile"] == 3

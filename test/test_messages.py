"""Image messages to arrays and back, whoever brings the conversions (cv_bridge or we)."""
from __future__ import annotations

import array
from types import SimpleNamespace
from typing import Any

import cv2
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


# Of one colour, from which every mosaic and subsampling must give that colour back.
BLUE, GREEN, RED = 30, 120, 210
PLANES = {"b": BLUE, "g": GREEN, "r": RED}
MOSAICS = ["rggb", "bggr", "gbrg", "grbg"]


def colour(height: int, width: int) -> npt.NDArray[np.uint8]:
    return np.full((height, width, 3), (BLUE, GREEN, RED), np.uint8)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("order", MOSAICS)
def test_a_mosaic_gives_its_colour(order: str, bits: int) -> None:
    """The name gives the first two rows: bayer_rggb is red, green / green, blue."""
    cell = np.array([PLANES[letter] for letter in order]).reshape(2, 2)
    mosaic = np.tile(cell, (4, 6)) * (257 if bits == 16 else 1)
    sent = message(f"bayer_{order}{bits}", mosaic.astype(np.uint16 if bits == 16 else np.uint8))
    np.testing.assert_array_equal(decoded(sent, "rgb"), colour(8, 12))


@pytest.mark.parametrize(("encoding", "order"), [
    ("yuv422", "uyvy"), ("uyvy", "uyvy"), ("yuv422_yuy2", "yuyv"), ("yuyv", "yuyv")])
def test_pairs_of_pixels_that_share_their_colour(encoding: str, order: str) -> None:
    """ITU-R BT.601: Y = 82, U = 90, V = 240 is pure red."""
    values = {"y": 82, "u": 90, "v": 240}
    row = np.tile([values[letter] for letter in order], 3).reshape(6, 2)
    pixels = decoded(message(encoding, np.tile(row, (4, 1, 1)).astype(np.uint8)), "rgb")
    np.testing.assert_allclose(pixels, np.full((4, 6, 3), (0, 0, 255)), atol=2)


@pytest.mark.parametrize(("encoding", "colours"), [("nv12", (90, 240)), ("nv21", (240, 90))])
@pytest.mark.parametrize("padding", [0, 3])
def test_colours_behind_the_brightness(
        encoding: str, colours: tuple[int, int], padding: int) -> None:
    """Height rows of Y, then half as many of U and V in turns."""
    rows = np.vstack([np.full((4, 6), 82), np.tile(colours, (2, 3))]).astype(np.uint8)
    sent = message(encoding, rows, padding=padding)
    sent.height = 4
    np.testing.assert_allclose(decoded(sent, "rgb"), np.full((4, 6, 3), (0, 0, 255)), atol=2)


@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize(("encoding", "channels"), [
    ("bgr16", [0, 1, 2]), ("rgb16", [2, 1, 0]), ("bgra16", [0, 1, 2, 0]), ("16UC3", [0, 1, 2]),
    ("8UC3", [0, 1, 2]), ("8UC4", [0, 1, 2, 2])])
def test_colours_of_other_depths(encoding: str, channels: list[int], big_endian: bool) -> None:
    """OpenCV's own types have its own order, blue first. 65535 is white, as 255 is."""
    sent = colour(4, 6)[..., channels]
    if "16" in encoding:
        sent = sent.astype(np.uint16) * 257
    image = message(encoding, sent, big_endian=big_endian)
    for stream in ("rgb", "aux"):
        np.testing.assert_array_equal(decoded(image, stream), colour(4, 6))


def test_grey_of_sixteen_bits_is_a_camera_or_a_map() -> None:
    grey = np.tile(np.arange(0, 256, dtype=np.uint16) * 257, (4, 1))
    np.testing.assert_array_equal(decoded(message("mono16", grey), "aux"), grey)
    np.testing.assert_array_equal(decoded(message("mono16", grey), "rgb"),
                                  np.dstack([grey // 257] * 3))
    np.testing.assert_array_equal(decoded(message("8UC1", grey.astype(np.uint8)), "rgb"),
                                  np.dstack([grey.astype(np.uint8)] * 3))


@pytest.mark.parametrize(("encoding", "shape"), [("bgr16", (4, 6, 3)), ("mono16", (4, 6)),
                                                 ("bayer_rggb16", (4, 6))])
def test_twelve_bits_in_sixteen_are_refused_and_not_nearly_black(
        encoding: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(SsmaError, match=r"/t: .*no value is above 4095.*12 bits.*nearly black"):
        decoded(message(encoding, np.full(shape, 4095, np.uint16)), "rgb")


@pytest.mark.parametrize("encoding", ["16UC1", "32FC1", "bgr16", "mono16"])
def test_rows_that_are_padded_to_an_odd_number_of_bytes_are_for_any_library(encoding: str) -> None:
    """OpenCV takes no array whose rows begin inside a value."""
    values = np.full((HEIGHT, WIDTH, 3) if encoding == "bgr16" else (HEIGHT, WIDTH), 40_000,
                     np.float32 if encoding == "32FC1" else np.uint16)
    pixels = decoded(message(encoding, values, padding=1))
    assert cv2.flip(pixels, 0).shape == pixels.shape


@pytest.mark.parametrize(("encoding", "width", "height", "says"), [
    ("yuyv", 7, 4, "2x1 pixels share"), ("nv12", 6, 5, "2x2 pixels share"),
    ("nv21", 7, 4, "2x2 pixels share"), ("bayer_rggb8", 2, 8, "too small a mosaic")])
def test_sizes_that_an_encoding_cannot_have(
        encoding: str, width: int, height: int, says: str) -> None:
    image = message("mono8", np.zeros((height, width), np.uint8))
    image.encoding = encoding
    with pytest.raises(SsmaError, match=says):
        messages.checked(image, "rgb", "/t")


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
    ("rgb", "yuv444"), ("aux", "nv24"), ("aux", "16SC1"), ("aux", ""), ("rgb", "16UC1"),
    ("rgb", "32FC1")])
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

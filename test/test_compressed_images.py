"""CompressedImage to arrays, as cameras and image_transport send them.

JPEG and PNG are written by OpenCV; the bytes around them are put together here from the formats'
definitions (compressedDepth: image_transport_plugins' codec.cpp).
"""
from __future__ import annotations

import array
import struct
import zlib
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from ssma_core import SsmaError
from ssma_core.bags import compressed_images
from ssma_core.bags.pairing import Stream
from ssma_ros.node import messages

HEIGHT, WIDTH = 48, 64
# Of one colour, so that JPEG keeps it to a rounding error.
BLUISH = np.full((HEIGHT, WIDTH, 3), (200, 90, 20), np.uint8)
GREY = np.full((HEIGHT, WIDTH), 77, np.uint8)
MILLIMETRES = (np.arange(HEIGHT * WIDTH, dtype=np.uint16) * 21).reshape(HEIGHT, WIDTH)


def encoded(suffix: str, pixels: npt.NDArray[Any], *options: int) -> bytes:
    return cv2.imencode(suffix, pixels, options)[1].tobytes()


def message(image_format: str, data: bytes, like: str = "rclpy") -> Any:
    """A CompressedImage as rclpy gives it (array.array) or as rosbags does (a NumPy array)."""
    header = SimpleNamespace(stamp=SimpleNamespace(sec=12, nanosec=34), frame_id="camera")
    return SimpleNamespace(header=header, format=image_format, data=(
        array.array("B", data) if like == "rclpy" else np.frombuffer(data, np.uint8)))


def compressed_depth(image_format: str, png: bytes, scale: float = 0, shift: float = 0) -> Any:
    """compression_common.h: INV_DEPTH (0), and two floats that only 32FC1 uses."""
    return message(image_format, struct.pack("<iff", 0, scale, shift) + png)


def decoded(image: Any, stream: Stream = "aux") -> npt.NDArray[Any]:
    return messages.checked(image, stream, "/t/compressed").array()


@pytest.mark.parametrize("like", ["rclpy", "rosbags"])
@pytest.mark.parametrize("image_format", ["jpeg", "rgb8; jpeg compressed bgr8", "bgra8; jpeg", ""])
@pytest.mark.parametrize("options", [
    (), (cv2.IMWRITE_JPEG_PROGRESSIVE, 1), (cv2.IMWRITE_JPEG_RST_INTERVAL, 2)])
def test_a_jpeg_under_any_name_of_its_format(
        image_format: str, like: str, options: tuple[int, ...]) -> None:
    pixels = decoded(message(image_format, encoded(".jpg", BLUISH, *options), like), "rgb")
    np.testing.assert_allclose(pixels, BLUISH.astype(float), atol=3)
    assert (pixels.shape, pixels.dtype) == (BLUISH.shape, np.uint8)


def test_a_png_is_exact() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    np.testing.assert_array_equal(decoded(message("png", encoded(".png", pixels)), "rgb"), pixels)
    with_alpha = np.dstack([pixels, np.full((HEIGHT, WIDTH), 9, np.uint8)])
    np.testing.assert_array_equal(
        decoded(message("bgra8; png compressed bgra8", encoded(".png", with_alpha)), "rgb"), pixels)


def test_a_grey_camera_is_three_equal_channels() -> None:
    found = decoded(message("mono8; png compressed ", encoded(".png", GREY)), "rgb")
    np.testing.assert_array_equal(found, np.dstack([GREY] * 3))


@pytest.mark.parametrize("pixels", [GREY, MILLIMETRES])
def test_maps_as_png(pixels: npt.NDArray[Any]) -> None:
    """Infrared, or depth on the transport that is meant for colour."""
    found = decoded(message("16UC1; png compressed ", encoded(".png", pixels)))
    np.testing.assert_array_equal(found, pixels)
    assert found.dtype == pixels.dtype


@pytest.mark.parametrize("image_format", [
    "16UC1; compressedDepth png", "16UC1; compressedDepth", "16UC1"])
def test_depth_in_millimetres(image_format: str) -> None:
    found = decoded(compressed_depth(image_format, encoded(".png", MILLIMETRES)))
    np.testing.assert_array_equal(found, MILLIMETRES)
    assert found.dtype == np.uint16


@pytest.mark.parametrize("image_format", [
    "32FC1; compressedDepth png", "32FC1; compressedDepth", "32FC1"])
def test_depth_in_metres_by_its_inverse(image_format: str) -> None:
    """depth = A / (sent - B); here A = 10100 and B = -1009, the publisher's own for up to 10 m."""
    sent = np.array([[0, 1, 1011, 9091]], np.uint16)
    found = decoded(compressed_depth(image_format, encoded(".png", sent), 10100, -1009))
    np.testing.assert_allclose(found, [[np.nan, 10, 5, 1]], rtol=1e-6)
    assert found.dtype == np.float32


@pytest.mark.parametrize("image_format", ["compressedDepth png", "png", "compressedDepth", ""])
def test_depth_whose_text_names_no_encoding_is_known_by_its_quantization(image_format: str) -> None:
    """That of floats has A > 1 and B = 1 - A / 10 m; a publisher of millimetres leaves zeros."""
    sent = np.array([[0, 1, 1011, 9091]], np.uint16)
    found = decoded(compressed_depth(image_format, encoded(".png", sent), 10100, -1009))
    np.testing.assert_allclose(found, [[np.nan, 10, 5, 1]], rtol=1e-6)
    found = decoded(compressed_depth(image_format, encoded(".png", MILLIMETRES)))
    np.testing.assert_array_equal(found, MILLIMETRES)
    with pytest.raises(SsmaError, match="does not say whether it is 16UC1 or 32FC1"):
        decoded(compressed_depth(image_format, encoded(".png", sent), 1e-40, 7.0))


def test_floats_without_their_quantization_are_of_no_unit() -> None:
    with pytest.raises(SsmaError, match="without compressedDepth's header"):
        decoded(message("32FC1; compressedDepth png", encoded(".png", MILLIMETRES)))


def test_colours_of_sixteen_bits_are_scaled() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    sent = message("rgb16; png compressed bgr16", encoded(".png", pixels.astype(np.uint16) * 257))
    np.testing.assert_array_equal(decoded(sent, "rgb"), pixels)
    grey = encoded(".png", pixels[..., 0].astype(np.uint16) * 257)
    np.testing.assert_array_equal(decoded(message("mono16; png compressed ", grey), "rgb"),
                                  np.dstack([pixels[..., 0]] * 3))


def test_a_mosaic_that_was_compressed_as_it_is_gives_its_colour() -> None:
    mosaic = np.tile(np.array([[210, 120], [120, 30]], np.uint8), (8, 8))
    found = decoded(message("bayer_rggb8; png compressed ", encoded(".png", mosaic)), "rgb")
    np.testing.assert_array_equal(found, np.full((16, 16, 3), (30, 120, 210)))


def test_an_orientation_for_photographs_does_not_turn_a_sensors_image() -> None:
    quarter_turn = struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0)
    exif = b"Exif\0\0" + b"II*\0" + struct.pack("<IH", 8, 1) + quarter_turn + bytes(4)
    jpeg = encoded(".jpg", BLUISH)
    turned = jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + jpeg[2:]
    assert cv2.imdecode(np.frombuffer(turned, np.uint8), cv2.IMREAD_COLOR).shape[0] == WIDTH
    assert decoded(message("jpeg", turned), "rgb").shape == BLUISH.shape


def test_a_picture_with_an_orientation_is_no_file_to_keep() -> None:
    """Other programs would turn it."""
    body = b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, 6, 0, 0)
    data = encoded(".png", BLUISH)
    turned = (data[:33] + struct.pack(">I", len(body)) + b"eXIf" + body
              + struct.pack(">I", zlib.crc32(b"eXIf" + body)) + data[33:])
    kept = [compressed_images.as_file(message("bgr8; png compressed ", each))
            for each in (data, turned)]
    assert kept == [(".png", data), None]


@pytest.mark.parametrize("stream, data, what", [
    ("rgb", encoded(".png", MILLIMETRES), "16UC1"),
])
def test_another_encoding_is_refused_by_name(stream: Stream, data: bytes, what: str) -> None:
    with pytest.raises(SsmaError, match=rf"/t/compressed: .*'{what}'.*bgr8"):
        decoded(message("rgb8; jpeg compressed bgr8", data), stream)


@pytest.mark.parametrize("image_format, data, reason", [
    ("h264", b"\0\0\0\1\x67" + bytes(50), "'h264' are not understood; it must be jpeg, png"),
    # What image_transport's compressed sends of depth where no one has set it to png.
    ("16UC1; jpeg compressed mono8", b"", "mono8' is empty: .* sent as png or by compressedDepth"),
    ("16UC1; compressedDepth rvl", bytes(100), "RVL.*send png.*compressedDepth.format"),
    ("jpeg", encoded(".jpg", BLUISH)[:30], "'jpeg' is cut short"),
    ("png", encoded(".png", BLUISH)[:20], "'png' is cut short"),
    ("png", encoded(".png", np.zeros((1, 1, 3), np.uint8))[:16] + bytes(50), "0x0 has no pixels"),
])
def test_what_is_no_such_image_is_refused_by_its_first_bytes(
        image_format: str, data: bytes, reason: str) -> None:
    with pytest.raises(SsmaError, match=f"/t/compressed: .*{reason}"):
        messages.checked(message(image_format, data), "aux", "/t/compressed")


def test_a_jpeg_that_is_cut_short_is_refused_by_old_opencv_too(
        monkeypatch: pytest.MonkeyPatch) -> None:
    """Before 4.11 it makes the missing rows up, and returns them."""
    monkeypatch.setattr(cv2, "imdecode", lambda *_: BLUISH)
    whole = encoded(".jpg", BLUISH)
    thumbnail = b"\xff\xe1" + struct.pack(">H", len(whole) + 2) + whole
    for data in (whole, whole[:2] + thumbnail + whole[2:]):
        np.testing.assert_array_equal(decoded(message("jpeg", data), "rgb"), BLUISH)
        with pytest.raises(SsmaError, match="cannot be decoded: it is damaged"):
            decoded(message("jpeg", data[:-10]), "rgb")


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_what_turns_out_to_be_damaged_is_reported_by_its_reader(suffix: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    data = encoded(suffix, noise)
    frame = messages.checked(message(suffix, data[:-1000]), "rgb", "/t/compressed")
    with pytest.raises(SsmaError, match=r"/t/compressed: .* cannot be decoded: it is damaged"):
        frame.array()

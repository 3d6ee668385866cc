"""sensor_msgs/Image and CompressedImage to arrays; unusable messages are refused with the reason.

Messages come from rclpy or, out of a bag, from rosbags: only their fields matter.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from ssma_core.bags import compressed_images
from ssma_core.bags.pairing import Stream
from ssma_core.errors import SsmaError

COLOUR_ENCODINGS = ("bgr8", "rgb8", "bgra8", "rgba8")
# A camera of one channel is accepted, such as a red one beside near infrared.
CAMERA_ENCODINGS = (*COLOUR_ENCODINGS, "mono8")
MAP_ENCODINGS = ("mono8", "mono16", "16UC1", "32FC1")
LABEL_ENCODINGS = ("mono8", "mono16", "16UC1")
STREAM_ENCODINGS: dict[Stream, tuple[str, ...]] = {
    "rgb": CAMERA_ENCODINGS,
    "aux": COLOUR_ENCODINGS + MAP_ENCODINGS,
}


class Layout(NamedTuple):
    """How the pixels of an encoding lie in a message."""

    dtype: npt.DTypeLike
    channels: int


LAYOUTS = {
    "bgr8": Layout(np.uint8, 3),
    "rgb8": Layout(np.uint8, 3),
    "bgra8": Layout(np.uint8, 4),
    "rgba8": Layout(np.uint8, 4),
    "mono8": Layout(np.uint8, 1),
    "mono16": Layout(np.uint16, 1),
    "16UC1": Layout(np.uint16, 1),
    "32FC1": Layout(np.float32, 1),
}

_TO_BGR = {
    "rgb8": cv2.COLOR_RGB2BGR,
    "bgra8": cv2.COLOR_BGRA2BGR,
    "rgba8": cv2.COLOR_RGBA2BGR,
}


@dataclass(frozen=True)
class ImageMessage:
    """A message that was checked and can be read. Only `array` touches its pixels.

    topic: where it came from, for errors. decode: `to_array`, or another function with the same
      result.
    """

    message: Any
    stream: Stream
    topic: str
    decode: Callable[[Any], npt.NDArray[Any]]

    @property
    def stamp_ns(self) -> int:
        """The header's stamp in nanoseconds."""
        stamp = self.message.header.stamp
        return int(stamp.sec * 1_000_000_000 + stamp.nanosec)

    @property
    def frame_id(self) -> str:
        """Without the leading slash, which ROS 1 wrote and tf2 ignores."""
        return str(self.message.header.frame_id).removeprefix("/")

    def array(self) -> npt.NDArray[Any]:
        """What Segmenter.segment takes: H×W×3 uint8 BGR from the colour camera (grey is converted)
        and for colour images of any channel order; otherwise the sensor's own H×W array of uint8,
        uint16 or float32. A view of the message if possible.

        Raises SsmaError, naming the topic, for a compressed image that is damaged.
        """
        try:
            pixels = self.decode(self.message)
        except SsmaError as error:
            raise SsmaError(f"{self.topic}: {error}") from error
        return three_channels(pixels) if self.stream == "rgb" else pixels


def checked(message: Any, stream: Stream, topic: str,
            decode: Callable[[Any], npt.NDArray[Any]] | None = None) -> ImageMessage:
    """Checks an Image or a CompressedImage, of which only the first bytes are read. Raises
    SsmaError naming the topic and what is wrong with it."""
    check(message, STREAM_ENCODINGS[stream], topic)
    return ImageMessage(message, stream, topic, decode or to_array)


def check(message: Any, encodings: Sequence[str], topic: str) -> None:
    """Raises SsmaError, naming the topic, unless `to_array` can read the message and its encoding
    is one of those, which are keys of LAYOUTS."""
    try:
        found = encoding(message)
    except SsmaError as error:
        raise SsmaError(f"{topic}: {error}") from error
    if found not in encodings:
        raise SsmaError(f"{topic}: images of encoding {found!r} are not understood; "
                        f"it must be one of {', '.join(encodings)}")
    if not is_compressed(message):
        _check_sizes(message, topic)


def is_compressed(message: Any) -> bool:
    """Whether it is a CompressedImage."""
    return hasattr(message, "format")


def encoding(message: Any) -> str:
    """The encoding of its pixels, once they are decoded. Raises SsmaError for a CompressedImage
    that cannot be."""
    return compressed_images.encoding(message) if is_compressed(message) else message.encoding


def _check_sizes(message: Any, topic: str) -> None:
    if not message.width or not message.height:
        raise SsmaError(f"{topic}: an image of {message.width}x{message.height} has no pixels")
    row = row_bytes(message)
    if message.step < row:
        raise SsmaError(f"{topic}: a row of {message.width} pixels in {message.encoding} takes "
                        f"{row} bytes, but the images say step {message.step}")
    if len(message.data) != message.step * message.height:
        raise SsmaError(f"{topic}: {message.height} rows of {message.step} bytes are "
                        f"{message.step * message.height}, but the images have "
                        f"{len(message.data)} bytes of data")


def row_bytes(message: Any) -> int:
    """How many bytes the pixels of a row take, without padding."""
    layout = LAYOUTS[message.encoding]
    return int(message.width) * layout.channels * np.dtype(layout.dtype).itemsize


def to_array(message: Any) -> npt.NDArray[Any]:
    """A checked message's pixels: H×W×3 uint8 BGR for colour images of any order, otherwise H×W in
    the machine's byte order. A view of the message where nothing must change. Raises SsmaError
    for a CompressedImage that is damaged."""
    if is_compressed(message):
        return compressed_images.decode(message)
    pixels = _view(message)
    if message.encoding in _TO_BGR:
        return cv2.cvtColor(pixels, _TO_BGR[message.encoding])
    return pixels


def three_channels(pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A camera's image of one channel or three as H×W×3: grey becomes three equal channels, as in
    training."""
    return cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR) if pixels.ndim == 2 else pixels


def _view(message: Any) -> npt.NDArray[Any]:
    dtype, channels = LAYOUTS[message.encoding]
    sent = np.dtype(dtype).newbyteorder(">" if message.is_bigendian else "<")
    pixels: npt.NDArray[Any] = np.ndarray(
        (message.height, message.width, channels), sent, buffer=message.data,
        strides=(message.step, channels * sent.itemsize, sent.itemsize))
    if channels == 1:
        pixels = pixels[..., 0]
    return pixels if sent.isnative else pixels.astype(sent.newbyteorder("="))

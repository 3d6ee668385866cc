"""sensor_msgs/Image and CompressedImage to arrays; unusable messages are refused with the reason.

Messages come from rclpy or, out of a bag, from rosbags: only their fields matter.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ssma_core.bags import compressed_images, encodings
from ssma_core.bags.pairing import Stream
from ssma_core.errors import SsmaError, naming
from ssma_core.image_files.decode import eight_bits

STREAM_ENCODINGS: dict[Stream, tuple[str, ...]] = {
    "rgb": encodings.CAMERA,
    "aux": encodings.COLOUR + encodings.MAPS,
}


def stamp_ns(message: Any) -> int:
    """The header's stamp in nanoseconds."""
    stamp = message.header.stamp
    return int(stamp.sec * 1_000_000_000 + stamp.nanosec)


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
        return stamp_ns(self.message)

    @property
    def frame_id(self) -> str:
        """Without the leading slash, which ROS 1 wrote and tf2 ignores."""
        return str(self.message.header.frame_id).removeprefix("/")

    def array(self) -> npt.NDArray[Any]:
        """What Segmenter.segment takes: H×W×3 uint8 BGR from the colour camera (grey is converted)
        and for colour images of any channel order; otherwise the sensor's own H×W array of uint8,
        uint16 or float32. A view of the message if possible.

        Raises SsmaError, naming the topic, for a compressed image that is damaged, and for a
        colour image of 16 bits that are not used.
        """
        with naming(self.topic):
            pixels = self.decode(self.message)
            return three_channels(eight_bits(pixels)) if self.stream == "rgb" else pixels

    def file(self) -> tuple[str, bytes] | None:
        """The file that a CompressedImage holds, suffix and bytes, where a reader of files finds in
        it what `array` gives; None for others. Raises SsmaError, as `array`, when it is damaged."""
        with naming(self.topic):
            return compressed_images.as_file(self.message) if is_compressed(self.message) else None


def checked(message: Any, stream: Stream, topic: str,
            decode: Callable[[Any], npt.NDArray[Any]] | None = None) -> ImageMessage:
    """Checks an Image or a CompressedImage, of which only the first bytes are read. Raises
    SsmaError naming the topic and what is wrong with it."""
    check(message, STREAM_ENCODINGS[stream], topic)
    return ImageMessage(message, stream, topic, decode or to_array)


def check(message: Any, wanted: Sequence[str], topic: str) -> None:
    """Raises SsmaError, naming the topic, unless `to_array` can read the message and its encoding
    is one of those wanted, which are keys of encodings.LAYOUTS."""
    with naming(topic):
        found = encoding(message)
    if found not in wanted:
        raise SsmaError(f"{topic}: images of encoding {found!r} are not understood; "
                        f"it must be one of {', '.join(wanted)}: an option of the camera's driver "
                        "or a node of image_proc makes it so")
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
    layout = encodings.LAYOUTS[message.encoding]
    size = f"{message.width}x{message.height}"
    if not message.width or not message.height:
        raise SsmaError(f"{topic}: an image of {size} has no pixels")
    if message.width % layout.block[0] or message.height % layout.block[1]:
        raise SsmaError(f"{topic}: an image of {size} cannot be in {message.encoding}, in which "
                        f"{layout.block[0]}x{layout.block[1]} pixels share their colour")
    if encodings.is_mosaic(message.encoding) and min(message.width, message.height) < 3:
        raise SsmaError(f"{topic}: an image of {size} is too small a mosaic to have colours")
    row = row_bytes(message)
    if message.step < row:
        raise SsmaError(f"{topic}: a row of {message.width} pixels in {message.encoding} takes "
                        f"{row} bytes, but the images say step {message.step}")
    rows = _rows(message)
    if len(message.data) != message.step * rows:
        raise SsmaError(f"{topic}: {rows} rows of {message.step} bytes are "
                        f"{message.step * rows}, but the images have "
                        f"{len(message.data)} bytes of data")


def _rows(message: Any) -> int:
    """Of data: half as many follow where the colours of 2x2 pixels do."""
    behind = encodings.LAYOUTS[message.encoding].block == (2, 2)
    return int(message.height) * 3 // 2 if behind else int(message.height)


def row_bytes(message: Any) -> int:
    """How many bytes the pixels of a row take, without padding."""
    layout = encodings.LAYOUTS[message.encoding]
    return int(message.width) * layout.channels * np.dtype(layout.dtype).itemsize


def to_array(message: Any) -> npt.NDArray[Any]:
    """A checked message's pixels: H×W×3 uint8 BGR for colour images of any encoding, otherwise H×W
    in the machine's byte order. A view of the message where nothing must change. Raises SsmaError
    for a CompressedImage that is damaged, and for colours of 16 bits that are not used."""
    if is_compressed(message):
        return compressed_images.decode(message)
    return encodings.in_bgr(_view(message), message.encoding)


def three_channels(pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A camera's image of one channel or three as H×W×3: grey becomes three equal channels, as in
    training."""
    return cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR) if pixels.ndim == 2 else pixels


def _view(message: Any) -> npt.NDArray[Any]:
    layout = encodings.LAYOUTS[message.encoding]
    sent = np.dtype(layout.dtype).newbyteorder(">" if message.is_bigendian else "<")
    pixels: npt.NDArray[Any] = np.ndarray(
        (_rows(message), message.width, layout.channels), sent, buffer=message.data,
        strides=(message.step, layout.channels * sent.itemsize, sent.itemsize))
    if layout.channels == 1:
        pixels = pixels[..., 0]
    if message.step % sent.itemsize:  # rows that begin inside a value are for no library
        pixels = pixels.copy()
    return pixels if sent.isnative else pixels.astype(sent.newbyteorder("="))

"""sensor_msgs/Image to arrays and back; what cannot be used is refused with the reason.

Messages come from rclpy or, out of a bag, from rosbags: only their fields matter.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ssma_core import SsmaError
from ssma_ros import distro
from ssma_ros.pairing import Stream

COLOUR_ENCODINGS = ("bgr8", "rgb8", "bgra8", "rgba8")
ENCODINGS: dict[Stream, tuple[str, ...]] = {
    "rgb": COLOUR_ENCODINGS,
    "aux": (*COLOUR_ENCODINGS, "mono8", "mono16", "16UC1", "32FC1"),
}


@dataclass(frozen=True)
class Frame:
    """A message that has been checked and can be read. Its pixels are only touched by `image`."""

    message: Any

    @property
    def stamp_ns(self) -> int:
        """The header's stamp in nanoseconds."""
        stamp = self.message.header.stamp
        return stamp.sec * 1_000_000_000 + stamp.nanosec

    def image(self) -> npt.NDArray[Any]:
        """What Segmenter.segment takes: H×W×3 uint8 BGR for colour images of any order, otherwise
        the sensor's own H×W uint8, uint16 or float32. A view of the message where it can be."""
        is_colour = self.message.encoding in COLOUR_ENCODINGS
        return distro.imgmsg_to_cv2(self.message, "bgr8" if is_colour else "passthrough")


def frame(message: Any, stream: Stream, topic: str) -> Frame:
    """Checks an image message. Raises SsmaError naming the topic and what is wrong with it."""
    if message.encoding not in ENCODINGS[stream]:
        raise SsmaError(f"{topic}: images of encoding {message.encoding!r} are not understood; "
                        f"it must be one of {', '.join(ENCODINGS[stream])}")
    if not message.width or not message.height:
        raise SsmaError(f"{topic}: an image of {message.width}x{message.height} has no pixels")
    layout = distro.LAYOUTS[message.encoding]
    row = message.width * layout.channels * np.dtype(layout.dtype).itemsize
    if message.step < row:
        raise SsmaError(f"{topic}: a row of {message.width} pixels in {message.encoding} takes "
                        f"{row} bytes, but the images say step {message.step}")
    if len(message.data) != message.step * message.height:
        raise SsmaError(f"{topic}: {message.height} rows of {message.step} bytes are "
                        f"{message.step * message.height}, but the images have "
                        f"{len(message.data)} bytes of data")
    return Frame(message)


def image(pixels: npt.NDArray[np.uint8], encoding: Literal["mono8", "bgr8"], header: Any) -> Any:
    """A sensor_msgs/Image of H×W (mono8) or H×W×3 (bgr8) uint8 pixels with the header given."""
    return distro.cv2_to_imgmsg(pixels, encoding, header)

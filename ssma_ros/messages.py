"""sensor_msgs/Image to arrays and back; what cannot be used is refused with the reason.

Messages come from rclpy or, out of a bag, from rosbags: only their fields matter.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ssma_core import image_messages
from ssma_ros import distro
from ssma_ros.pairing import Stream

ENCODINGS: dict[Stream, tuple[str, ...]] = {
    "rgb": image_messages.COLOUR_ENCODINGS,
    "aux": image_messages.COLOUR_ENCODINGS + image_messages.MAP_ENCODINGS,
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
        is_colour = self.message.encoding in image_messages.COLOUR_ENCODINGS
        return distro.imgmsg_to_cv2(self.message, "bgr8" if is_colour else "passthrough")


def frame(message: Any, stream: Stream, topic: str) -> Frame:
    """Checks an image message. Raises SsmaError naming the topic and what is wrong with it."""
    image_messages.check(message, ENCODINGS[stream], topic)
    return Frame(message)


def image(pixels: npt.NDArray[np.uint8], encoding: Literal["mono8", "bgr8"], header: Any) -> Any:
    """A sensor_msgs/Image of H×W (mono8) or H×W×3 (bgr8) uint8 pixels with the header given."""
    return distro.cv2_to_imgmsg(pixels, encoding, header)

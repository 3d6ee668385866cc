"""sensor_msgs/Image and CompressedImage to arrays, and arrays to Image; what cannot be used is
refused with the reason.

Messages come from rclpy or, out of a bag, from rosbags: only their fields matter.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ssma_core import SsmaError
from ssma_core.bags import image_messages
from ssma_core.bags.pairing import Stream
from ssma_ros import distro

ENCODINGS: dict[Stream, tuple[str, ...]] = {
    "rgb": image_messages.CAMERA_ENCODINGS,
    "aux": image_messages.COLOUR_ENCODINGS + image_messages.MAP_ENCODINGS,
}


@dataclass(frozen=True)
class Frame:
    """A message that has been checked and can be read. Its pixels are only touched by `image`.

    topic: where it came from, for messages.
    """

    message: Any
    stream: Stream
    topic: str

    @property
    def stamp_ns(self) -> int:
        """The header's stamp in nanoseconds."""
        stamp = self.message.header.stamp
        return stamp.sec * 1_000_000_000 + stamp.nanosec

    @property
    def frame_id(self) -> str:
        """Without the slash before it, which ROS 1 wrote and tf2 takes no notice of."""
        return str(self.message.header.frame_id).removeprefix("/")

    def image(self) -> npt.NDArray[Any]:
        """What Segmenter.segment takes: H×W×3 uint8 BGR for colour images of any order and for the
        colour camera's grey ones, otherwise the sensor's own H×W uint8, uint16 or float32. A view
        of the message where it can be.

        Raises SsmaError, naming the topic, for a compressed image that is damaged.
        """
        pixels = self._pixels()
        return image_messages.three_channels(pixels) if self.stream == "rgb" else pixels

    def _pixels(self) -> npt.NDArray[Any]:
        if image_messages.is_compressed(self.message):
            try:
                return image_messages.to_array(self.message)
            except SsmaError as error:
                raise SsmaError(f"{self.topic}: {error}") from error
        is_colour = self.message.encoding in image_messages.COLOUR_ENCODINGS
        return distro.imgmsg_to_cv2(self.message, "bgr8" if is_colour else "passthrough")


def frame(message: Any, stream: Stream, topic: str) -> Frame:
    """Checks an Image or a CompressedImage, of which only the first bytes are read. Raises
    SsmaError naming the topic and what is wrong with it."""
    image_messages.check(message, ENCODINGS[stream], topic)
    return Frame(message, stream, topic)


def check_registered(rgb: Frame, aux: Frame) -> None:
    """Raises SsmaError when the two images are in different frames, as those of a depth camera are
    until somebody registers them. Frames without a name pass."""
    if rgb.frame_id and aux.frame_id and rgb.frame_id != aux.frame_id:
        raise SsmaError(
            f"{aux.topic} is in frame {aux.frame_id!r}, but {rgb.topic} in {rgb.frame_id!r}: the "
            "second sensor's images must be registered to the colour image, pixel by pixel "
            "(RealSense: align_depth.enable:=true and the topic aligned_depth_to_color/image_raw; "
            "others: depth_image_proc's register node). Where they are, and the driver only names "
            "their frame otherwise, set check_frame_id:=false")


def image(pixels: npt.NDArray[np.uint8], encoding: Literal["mono8", "bgr8"], header: Any) -> Any:
    """A sensor_msgs/Image of H×W (mono8) or H×W×3 (bgr8) uint8 pixels with the header given."""
    return distro.cv2_to_imgmsg(pixels, encoding, header)

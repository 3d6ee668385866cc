"""The images in a bag, in whichever message they were recorded."""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from ssma_core.bags import image_messages, rosbag2
from ssma_core.bags.image_messages import ImageMessage
from ssma_core.bags.pairing import Pair, Pairing, PairingSettings, Stream
from ssma_core.bags.rosbag2 import COMPRESSED_IMAGE, IMAGE, Recorded

DISPARITY = "stereo_msgs/msg/DisparityImage"
IMAGES = (IMAGE, COMPRESSED_IMAGE)
STREAM_TYPES: dict[Stream, tuple[str, ...]] = {"rgb": IMAGES, "aux": (*IMAGES, DISPARITY)}


def read(recorded: Recorded, stream: Stream, *, as_depth: bool) -> ImageMessage:
    """The image in a message of STREAM_TYPES, checked.

    as_depth: a DisparityImage becomes depth in metres; otherwise it stays disparity in pixels. Both
      are 0 where the matcher found nothing. Raises SsmaError, naming the message.
    """
    with rosbag2.about(recorded):
        message = rosbag2.decode(recorded)
        if recorded.type == DISPARITY:
            image_messages.check(message.image, ("32FC1",), recorded.topic)
            message = _as_image(message, as_depth)
        return image_messages.checked(message, stream, recorded.topic)


def _as_image(message: Any, as_depth: bool) -> SimpleNamespace:
    """The fields of a sensor_msgs/Image. Depth is focal length · baseline / disparity, as the
    message's definition says. A matcher marks what it did not find by less than min_disparity."""
    pixels = image_messages.to_array(message.image)
    found = (pixels >= message.min_disparity) & (pixels > 0) & np.isfinite(pixels)
    values = np.where(found, pixels, np.float32(0))
    if as_depth:
        focal = np.float32(message.f * abs(message.t))
        values = np.divide(focal, values, out=np.zeros_like(values), where=found)
    values = np.ascontiguousarray(values, "<f4")
    height, width = values.shape
    return SimpleNamespace(header=message.header, height=height, width=width, encoding="32FC1",
                           is_bigendian=0, step=4 * width, data=values.reshape(-1).view(np.uint8))


def pairs(bag: str | Path, topics: tuple[str, str], settings: PairingSettings
          ) -> Iterator[Pair[Recorded]]:
    """The messages of a bag that the node would pair, in its order; still encoded.

    topics: of the colour images and of the second sensor's. Raises SsmaError as `rosbag2.messages`.
    """
    pairing = Pairing[Recorded](**asdict(settings))
    for message in rosbag2.messages(bag, topics):
        stream: Stream = "rgb" if message.topic == topics[0] else "aux"
        with rosbag2.about(message):
            found = pairing.add(stream, rosbag2.stamp_ns(message), message)
        yield from found
    yield from pairing.flush()

"""The images in a bag, in whichever message they were recorded, and the pairs that they form."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

import numpy as np

from ssma_core.bags import encodings, image_messages, rosbag2
from ssma_core.bags.image_messages import ImageMessage
from ssma_core.bags.pairing import Pair, Pairing, PairingSettings, Stream
from ssma_core.bags.rosbag2 import COMPRESSED_IMAGE, IMAGE, Recorded
from ssma_core.errors import SsmaError
from ssma_core.modalities.depth import measured

DISPARITY = "stereo_msgs/msg/DisparityImage"
IMAGES = (IMAGE, COMPRESSED_IMAGE)
STREAM_TYPES: dict[Stream, tuple[str, ...]] = {"rgb": IMAGES, "aux": (*IMAGES, DISPARITY)}

Frame = TypeVar("Frame")


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


def check_order(bag: str | Path, rgb: str, aux: str) -> None:
    """Raises SsmaError where the first images of the two topics show that these are swapped: what
    is given as colour is of `encodings.DEEP`, and the other has colours."""
    colour, second = (_first_encoding(bag, topic) for topic in (rgb, aux))
    if colour in encodings.DEEP and second in encodings.COLOUR:
        raise SsmaError(f"{bag}: the two cameras look swapped: {rgb} was given as colour and has "
                        f"one channel ({colour}), and {aux}, given as the second sensor, has "
                        f"colours ({second}); exchange the two topics")


def _first_encoding(bag: str | Path, topic: str) -> str | None:
    """None where the first message says none; whatever is wrong with it is told where it is read.
    """
    first = next(rosbag2.messages(bag, [topic]), None)
    if first is None or first.type not in STREAM_TYPES["aux"]:
        return None
    try:
        message = rosbag2.decode(first)
        return image_messages.encoding(message.image if first.type == DISPARITY else message)
    except SsmaError:
        return None


def paired(path: str | Path, rgb: str, aux: str, pairing: Pairing[Frame],
           frame: Callable[[Recorded, Stream], Frame]
           ) -> Iterator[tuple[Recorded, list[Pair[Frame]]]]:
    """Each message of the two topics as it was recorded, with the pairs that are certain then. What
    waits at the end stays in `pairing`, for its `flush`.

    frame: makes what is paired of a message. Raises SsmaError where the bag or a stamp cannot be
    used, and what `frame` raises.
    """
    for message in rosbag2.messages(path, [rgb, aux]):
        stream: Stream = "rgb" if message.topic == rgb else "aux"
        made = frame(message, stream)
        with rosbag2.about(message):
            pairs = pairing.add(stream, rosbag2.stamp_ns(message), made)
        yield message, pairs


def pairs(bag: str | Path, topics: tuple[str, str], settings: PairingSettings
          ) -> Iterator[Pair[Recorded]]:
    """The messages of a bag that the node would pair, in its order; still encoded.

    topics: of the colour images and of the second sensor's. Raises SsmaError as `rosbag2.messages`.
    """
    pairing = Pairing[Recorded](**asdict(settings))
    for _, found in paired(bag, *topics, pairing, lambda message, stream: message):
        yield from found
    yield from pairing.flush()


def nothing_paired(rgb: str, aux: str, pairing: Pairing[Any], apart: float | None) -> SsmaError:
    """What to say of two topics that form no pair. apart: `pairing.apart()` before its flush."""
    counts = pairing.counts
    return SsmaError(
        f"no image on {rgb} has a partner on {aux} within {pairing.slop:g} s "
        f"({sum(counts['rgb'].values())} and {sum(counts['aux'].values())} images"
        + (f", their nearest stamps {apart:g} s apart" if apart is not None else "")
        + "): are they of one clock? Then a --slop of that would pair them, or an "
        "--aux-delay where the second sensor's stamps are always as late")


def _as_image(message: Any, as_depth: bool) -> SimpleNamespace:
    """The fields of a sensor_msgs/Image. Depth is focal length · baseline / disparity, as the
    message's definition says. A matcher marks what it did not find by less than min_disparity."""
    pixels = image_messages.to_array(message.image)
    found = (pixels >= message.min_disparity) & measured(pixels)
    values = np.where(found, pixels, np.float32(0))
    if as_depth:
        focal = np.float32(message.f * abs(message.t))
        values = np.divide(focal, values, out=np.zeros_like(values), where=found)
    values = np.ascontiguousarray(values, "<f4")
    height, width = values.shape
    return SimpleNamespace(header=message.header, height=height, width=width, encoding="32FC1",
                           is_bigendian=0, step=4 * width, data=values.reshape(-1).view(np.uint8))

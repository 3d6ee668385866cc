"""The frames of a bag: pairs of messages, and their images."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ssma_core.bags import recorded_images, rosbag2
from ssma_core.bags.image_messages import ImageMessage
from ssma_core.bags.pairing import Pair, Pairing
from ssma_core.bags.rosbag2 import Recorded
from ssma_core.errors import SsmaError
from ssma_core.extraction.drives import Drive, Source

NEARLY = 0.1  # of the wanted distance: stamps jitter


@dataclass(frozen=True)
class Frame:
    """A pair of images. stamp_ns: the colour image's. rgb: H×W×3 uint8 BGR. aux: H×W of uint8,
    uint16 or float32, or H×W×3 uint8 BGR. colour, second: the messages that they were in."""

    stamp_ns: int
    rgb: npt.NDArray[np.uint8]
    aux: npt.NDArray[Any]
    colour: ImageMessage
    second: ImageMessage


def pairs(drive: Drive, source: Source, every: float, progress: Callable[[], Any]
          ) -> Iterator[Pair[Recorded]]:
    """The pairs that the node would form, each stamp once, and `every` seconds apart.

    every: 0 gives all. Where the clock was set back, the next pair counts as far enough.
    progress: is called after every image. Raises SsmaError where there is no pair at all.
    """
    seen: set[int] = set()
    first, slot = None, None
    for pair in _all_pairs(drive, source, progress):
        first = pair.rgb_stamp_ns if first is None else first
        place = every and (pair.rgb_stamp_ns - first) / (1e9 * every) + NEARLY
        if pair.rgb_stamp_ns in seen or (every and place // 1 == slot):
            continue
        slot = place // 1
        seen.add(pair.rgb_stamp_ns)
        yield pair


def read(pair: Pair[Recorded], source: Source) -> Frame:
    """Raises SsmaError, naming the message, where an image cannot be read."""
    colour = recorded_images.read(pair.rgb, "rgb", as_depth=source.as_depth)
    second = recorded_images.read(pair.aux, "aux", as_depth=source.as_depth)
    with rosbag2.about(pair.rgb):
        rgb = colour.array()
    with rosbag2.about(pair.aux):
        return Frame(pair.rgb_stamp_ns, rgb, second.array(), colour, second)


def _all_pairs(drive: Drive, source: Source, progress: Callable[[], Any]
               ) -> Iterator[Pair[Recorded]]:
    pairing = Pairing[Recorded](**asdict(source.pairing))
    found = False
    for _, certain in recorded_images.paired(drive.bag, source.rgb, source.aux, pairing,
                                             lambda message, _: message):
        found |= bool(certain)
        yield from certain
        progress()
    apart = pairing.apart()
    waited = pairing.flush()
    if not (found or waited):
        error = recorded_images.nothing_paired(source.rgb, source.aux, pairing, apart)
        raise SsmaError(f"{drive.bag}: {error}")
    yield from waited

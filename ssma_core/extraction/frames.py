"""The frames of a bag: pairs of messages, and their images."""
from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from ssma_core.bags import image_messages, recorded_images, rosbag2
from ssma_core.bags.pairing import Pair, Pairing
from ssma_core.bags.rosbag2 import Recorded
from ssma_core.errors import SsmaError
from ssma_core.extraction.drives import Drive, Source
from ssma_core.registration import registered

JITTER = 0.01  # seconds: stamps at a regular pace vary by less


class Frame:
    """A pair of images, which are decoded when they are asked for.

    stamp_ns: the colour image's. Raises SsmaError, naming the message, where an image cannot be
    read: some when it is made, the others when they are decoded.
    """

    def __init__(self, pair: Pair[Recorded], source: Source) -> None:
        self.stamp_ns = pair.rgb_stamp_ns
        self._pair = pair
        self._registration = source.registration
        self._no_measurement = 0.0 if source.is_map else float("nan")
        self._colour = recorded_images.read(pair.rgb, "rgb", as_depth=source.as_depth)
        self._second = recorded_images.read(pair.aux, "aux", as_depth=source.as_depth)

    @cached_property
    def rgb(self) -> npt.NDArray[np.uint8]:
        """H×W×3 uint8 BGR."""
        with rosbag2.about(self._pair.rgb):
            return self._colour.array()

    @cached_property
    def aux(self) -> npt.NDArray[Any]:
        """H×W of uint8, uint16 or float32, or H×W×3 uint8 BGR; in colour's view with a
        registration."""
        rgb = self.rgb if self._registration else None
        with rosbag2.about(self._pair.aux):
            return registered(self._registration, rgb, self._second.array(), self._no_measurement)

    def colour_file(self) -> tuple[str, bytes] | None:
        """See `ImageMessage.file`."""
        with rosbag2.about(self._pair.rgb):
            return self._colour.file()

    def second_file(self) -> tuple[str, bytes] | None:
        """Likewise, of a map of 16 bits (colours may have alpha); None where `aux` is registered,
        and no longer what was recorded."""
        if self._registration or image_messages.encoding(self._second.message) != "16UC1":
            return None
        with rosbag2.about(self._pair.aux):
            return self._second.file()


def spaced(every: float, also: Collection[int] = ()) -> Callable[[int], bool]:
    """Whether to take the pair of each stamp, given in their order: one in each `every` seconds,
    and those of the stamps `also`. every: 0 takes all."""
    early = min(JITTER, every / 10)
    first: int | None = None
    slot: float | None = None

    def take(stamp_ns: int) -> bool:
        nonlocal first, slot
        first = stamp_ns if first is None else first
        place = ((stamp_ns - first) / 1e9 + early) / every if every else stamp_ns
        new, slot = place // 1 != slot, place // 1
        return new or stamp_ns in also
    return take


def pairs(drive: Drive, source: Source, take: Callable[[int], bool], progress: Callable[[], Any]
          ) -> Iterator[Pair[Recorded]]:
    """The pairs that the node would form, those that `take` says yes to; each stamp once, which a
    looped bag repeats.

    progress: is called after every image. Raises SsmaError where there is no pair at all.
    """
    seen: set[int] = set()
    for pair in _all_pairs(drive, source, progress):
        if pair.rgb_stamp_ns not in seen and take(pair.rgb_stamp_ns):
            seen.add(pair.rgb_stamp_ns)
            yield pair


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

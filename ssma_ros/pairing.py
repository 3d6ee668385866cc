"""Stamps to pairs: which colour image belongs to which image of the second sensor.

Pure Python and without a clock of its own, so that a live node and a bag's evaluation pair alike.
"""
from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar, get_args

from ssma_core import SsmaError

Stream = Literal["rgb", "aux"]
STREAMS: tuple[Stream, ...] = get_args(Stream)
Cause = Literal["paired", "unmatched", "late", "duplicate", "zero stamp"]

# Frames of one drive do not overtake each other by this much; a stamp that does is of another time:
# a looped bag, a simulation started again, a corrected clock.
JUMP_NS = 1_000_000_000

Frame = TypeVar("Frame")


@dataclass(frozen=True)
class Pair(Generic[Frame]):
    """Two frames that belong together, and their stamps in nanoseconds."""

    rgb: Frame
    aux: Frame
    rgb_stamp_ns: int
    aux_stamp_ns: int


class Pairing(Generic[Frame]):
    """Pairs two streams by stamp: a frame goes with the nearest of those that wait for a partner.

    slop: the most seconds that the stamps of a pair may lie apart.
    queue_size: how many frames of a stream may wait; the one that came first makes room.
    counts: for each stream how many frames ended how. "late" frames are older than the last pair
      (labels never go back in time), "unmatched" ones found no partner. Every frame that came in
      is either counted once or still waiting.
    Raises SsmaError for a negative slop or a queue without room.
    """

    def __init__(self, slop: float, queue_size: int) -> None:
        if slop < 0 or queue_size < 1:
            raise SsmaError(f"the slop must be 0 s or more and the queue size at least 1, got "
                            f"{slop:g} and {queue_size}")
        self.slop = slop
        self.queue_size = queue_size
        self.counts: dict[Stream, Counter[Cause]] = {stream: Counter() for stream in STREAMS}
        self._waiting: dict[Stream, dict[int, Frame]] = {stream: {} for stream in STREAMS}
        self._last: dict[Stream, int] = {}
        self._late_in_a_row: Counter[Stream] = Counter()

    def add(self, stream: Stream, stamp_ns: int, frame: Frame) -> Pair[Frame] | None:
        """Takes one frame in; returns the pair that it completes, if it does.

        Raises SsmaError for a stamp of zero: the frame cannot be paired, whatever comes.
        """
        if stamp_ns == 0:
            self.counts[stream]["zero stamp"] += 1
            raise SsmaError(f"the {stream} images have a stamp of zero and cannot be paired: the "
                            "driver must stamp its images with the time of capture")
        if stamp_ns in self._waiting[stream] or stamp_ns == self._last.get(stream):
            self.counts[stream]["duplicate"] += 1
            return None
        if stamp_ns < self._last.get(stream, stamp_ns) and not self._clock_jumped(stream, stamp_ns):
            self.counts[stream]["late"] += 1
            return None
        self._late_in_a_row[stream] = 0
        partner = self._nearest("aux" if stream == "rgb" else "rgb", stamp_ns)
        if partner is None:
            self._wait(stream, stamp_ns, frame)
            return None
        self._waiting[stream][stamp_ns] = frame
        return self._pair(*((stamp_ns, partner) if stream == "rgb" else (partner, stamp_ns)))

    def waiting(self, stream: Stream) -> int:
        """How many frames of a stream wait for a partner."""
        return len(self._waiting[stream])

    def _nearest(self, stream: Stream, stamp_ns: int) -> int | None:
        nearest = min(self._waiting[stream], key=lambda s: abs(s - stamp_ns), default=None)
        if nearest is None or abs(nearest - stamp_ns) > round(self.slop * 1e9):
            return None
        return nearest

    def _wait(self, stream: Stream, stamp_ns: int, frame: Frame) -> None:
        queue = self._waiting[stream]
        queue[stamp_ns] = frame
        if len(queue) > self.queue_size:
            self._drop(stream, next(iter(queue)))

    def _pair(self, rgb_stamp_ns: int, aux_stamp_ns: int) -> Pair[Frame]:
        pair = Pair(self._waiting["rgb"].pop(rgb_stamp_ns), self._waiting["aux"].pop(aux_stamp_ns),
                    rgb_stamp_ns, aux_stamp_ns)
        self._last = {"rgb": rgb_stamp_ns, "aux": aux_stamp_ns}
        for stream, last in self._last.items():
            self.counts[stream]["paired"] += 1
            for stamp in [s for s in self._waiting[stream] if not last < s <= last + JUMP_NS]:
                self._drop(stream, stamp)
        return pair

    def _clock_jumped(self, stream: Stream, stamp_ns: int) -> bool:
        """Whether a late frame means that time begins anew; if so, forgets what was before.

        A jump may also be shorter than JUMP_NS (the loop of a short bag): then late frames do not
        come singly, as overtaken ones do, but one after the other.
        """
        self._late_in_a_row[stream] += 1
        if (stamp_ns >= self._last[stream] - JUMP_NS
                and self._late_in_a_row[stream] <= self.queue_size):
            return False
        self._last.clear()
        for each in STREAMS:
            for stamp in list(self._waiting[each]):
                self._drop(each, stamp)
        return True

    def _drop(self, stream: Stream, stamp_ns: int) -> None:
        del self._waiting[stream][stamp_ns]
        self.counts[stream]["unmatched"] += 1

"""Stamps to pairs: which colour image belongs to which image of the second sensor.

Pure Python without a clock of its own, so that the live node and the evaluation of a bag form the
same pairs.

Which: the two frames with the smallest distance are a pair if the distance is at most the slop.
Then come the closest two of the frames before that pair, and of the frames after it, and so on. So
no pair crosses another, and labels never go back in time. The order in which the two streams'
frames arrive does not matter.

When: a pair is given out as soon as no better pair can come. Then the two frames are each other's
nearest. The next frame of neither stream can be nearer.
A stream's next frame is expected at its newest stamp plus the shortest of its recent gaps, at the
earliest. While there is no gap, two slops take its place.
Equal stamps never wait. At constant rates a pair is given out when its second frame arrives.
If the gaps vary, a pair may wait for the next frame of the stream that could bring a nearer one.
If that frame does not come, the pair waits until one of its frames must go. A frame must go when
there is no room for it, or when the other stream is OVERTAKE_NS past it. The pair is then made
with the nearest frame that waits.
A pair usually waits for one period. It waits at most until `queue_size` frames of a stream came.

How it ends: every frame is paired, unmatched (no frame was near enough), late (newer frames were
paired already) or a duplicate. Until they are late, frames that were overtaken are paired like the
others.

Clocks: where a stamp is older than its stream's newest by more than OVERTAKE_NS, the frame was not
overtaken: the clock was set back, as by a looped bag, a simulation's reset or a corrected clock.
The same holds where BEHIND_IN_A_ROW frames of a stream, one after the other, are older than its
newest and are not paired, as in the loop of a short bag.
Then the frames that wait end as at the end of a bag, and pairing starts again.
"""
from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from statistics import median
from typing import Generic, Literal, TypeVar, get_args

from ssma_core.errors import SsmaError

Stream = Literal["rgb", "aux"]
STREAMS: tuple[Stream, ...] = get_args(Stream)
OTHER: dict[Stream, Stream] = {"rgb": "aux", "aux": "rgb"}
Cause = Literal["paired", "unmatched", "late", "duplicate", "zero stamp"]

OVERTAKE_NS = 1_000_000_000  # frames of one drive do not overtake each other by more
BEHIND_IN_A_ROW = 10
RECENT = 20  # stamps of a stream give its period
REMEMBERED = 300  # stamps give its distance from the other stream, which may be seconds late

Item = TypeVar("Item")


@dataclass(frozen=True)
class Pair(Generic[Item]):
    """Two frames that belong together, and their stamps in nanoseconds."""

    rgb: Item
    aux: Item
    rgb_stamp_ns: int
    aux_stamp_ns: int


@dataclass(frozen=True)
class PairingSettings:
    """The pairing parameters. This is the only place with their defaults.

    slop: the most seconds that a pair may lie apart, at least 0.
    queue_size: how many frames of a stream may wait, at least 1; the oldest one makes room.
    aux_delay: how many seconds late the second sensor's stamps are: what it saw together with a
      colour image of stamp t is stamped t + aux_delay. Negative where they are early.
    Raises SsmaError for other values, and for times that are not finite.
    """

    slop: float = 0.02
    queue_size: int = 10
    aux_delay: float = 0.0

    def __post_init__(self) -> None:
        if not (0 <= self.slop < math.inf and math.isfinite(self.aux_delay)
                and self.queue_size >= 1):
            raise SsmaError("the slop must be 0 s or more, the queue size at least 1 and the delay "
                            f"a time, got {self.slop:g}, {self.queue_size} and {self.aux_delay:g}")


DEFAULT_PAIRING = PairingSettings()


class Pairing(Generic[Item]):
    """Pairs two streams by stamp, as described above.

    slop, queue_size, aux_delay: as in `PairingSettings`.
    counts: for each stream how many frames ended how. Every frame that came in is either counted
      once or still waiting.
    clock_jumps: how often the clock was set back.
    Raises SsmaError for a negative slop or a queue without room.
    """

    def __init__(self, slop: float = PairingSettings.slop,
                 queue_size: int = PairingSettings.queue_size,
                 aux_delay: float = PairingSettings.aux_delay) -> None:
        self.counts: dict[Stream, Counter[Cause]] = {stream: Counter() for stream in STREAMS}
        self.clock_jumps = 0
        self._delay_ns = {"rgb": 0, "aux": 0}
        # All by `time`, in nanoseconds.
        self._waiting: dict[Stream, dict[int, Item]] = {stream: {} for stream in STREAMS}
        self._recent: dict[Stream, deque[int]] = {s: deque(maxlen=REMEMBERED) for s in STREAMS}
        self._ended: dict[Stream, float] = dict.fromkeys(STREAMS, -math.inf)
        self._behind_in_a_row: Counter[Stream] = Counter()
        self.change(slop, queue_size, aux_delay)

    def change(self, slop: float, queue_size: int, aux_delay: float) -> None:
        """Uses other values from the next frame on; the frames that wait and the counts stay.

        Raises SsmaError, and changes nothing, for values that `PairingSettings` refuses.
        """
        PairingSettings(slop, queue_size, aux_delay)
        self.slop = slop
        self.queue_size = queue_size
        self._slop_ns = round(slop * 1e9)
        self._shift("aux", self._delay_ns["aux"] - round(aux_delay * 1e9))
        self._delay_ns["aux"] = round(aux_delay * 1e9)

    def time(self, stream: Stream, stamp_ns: int) -> int:
        """The same time by the colour camera's clock: the stamp minus the stream's delay."""
        return stamp_ns - self._delay_ns[stream]

    def add(self, stream: Stream, stamp_ns: int, frame: Item) -> list[Pair[Item]]:
        """Takes one frame in; returns the pairs that are certain now, in the order of time.

        Raises SsmaError for a stamp of zero: such a frame can never be paired.
        """
        if stamp_ns == 0:
            self.counts[stream]["zero stamp"] += 1
            raise SsmaError(f"the {stream} images have a stamp of zero and cannot be paired: the "
                            "driver must stamp its images with the time of capture")
        time = self.time(stream, stamp_ns)
        pairs = []
        if self._clock_jumped(stream, time):
            self.clock_jumps += 1
            pairs += self.flush()
        self._behind_in_a_row[stream] += time < self._newest(stream)
        if time in self._waiting[stream] or time == self._ended[stream]:
            self.counts[stream]["duplicate"] += 1
            return pairs
        if time < self._ended[stream]:
            self.counts[stream]["late"] += 1
            return pairs
        self._waiting[stream][time] = frame
        if time > self._newest(stream):
            self._behind_in_a_row[stream] = 0
            self._recent[stream].append(time)
        while certain := self._certain():
            pairs += self._end(certain)
        return pairs + self._make_room()

    def flush(self) -> list[Pair[Item]]:
        """Ends what waits, as at the end of a bag: returns the pairs among it, counts the rest as
        unmatched, and starts again."""
        pairs = self._end({stream: self._newest(stream) for stream in STREAMS})
        for stream in STREAMS:
            self._recent[stream].clear()
            self._ended[stream] = -math.inf
        return pairs

    def waiting(self, stream: Stream) -> int:
        """How many frames of a stream wait for a partner."""
        return len(self._waiting[stream])

    def period(self, stream: Stream, enough: int = 1) -> float | None:
        """How many seconds lie between a stream's recent stamps, p50. None before there are enough
        gaps between stamps."""
        gaps = self._gaps(stream)
        return median(gaps) / 1e9 if len(gaps) >= enough else None

    def apart(self, share: float = 0.9) -> float | None:
        """How many seconds apart the nearest recent stamps of the two streams are: nine in ten
        frames of the slower stream, or another share of them, have one that near, so a slop of this
        value would pair them. Rounded up to milliseconds. None while there is nothing to compare.
        """
        if not all(self._recent.values()):
            return None
        slow, fast = (list(self._recent[stream]) for stream in sorted(
            STREAMS, key=lambda stream: self.period(stream) or math.inf, reverse=True))
        # Frames whose nearest has not come yet, or is forgotten, do not count.
        near = sorted(_distance(fast, time) for time in slow if fast[0] <= time <= fast[-1])
        apart_ns = near[int(share * len(near))] if near else abs(slow[-1] - fast[-1])
        return math.ceil(apart_ns / 1e6) / 1e3

    def _shift(self, stream: Stream, by_ns: int) -> None:
        waiting, recent = self._waiting[stream], self._recent[stream]
        self._waiting[stream] = {time + by_ns: frame for time, frame in waiting.items()}
        self._recent[stream] = deque((time + by_ns for time in recent), maxlen=REMEMBERED)
        self._ended[stream] += by_ns

    def _clock_jumped(self, stream: Stream, time: int) -> bool:
        return (time < self._newest(stream) - OVERTAKE_NS
                or (time < self._newest(stream)
                    and self._behind_in_a_row[stream] == BEHIND_IN_A_ROW))

    def _certain(self) -> Mapping[Stream, int] | None:
        """Two waiting frames that are a pair whatever frame comes next, if it comes in order."""
        rgb, aux = (sorted(self._waiting[stream]) for stream in STREAMS)
        for r in rgb:
            a = _nearest(aux, r, self._slop_ns)
            if (a is not None and r == _nearest(rgb, a, self._slop_ns)
                    and self._next("rgb") >= a + abs(a - r)
                    and self._next("aux") >= r + abs(a - r)):
                return {"rgb": r, "aux": a}
        return None

    def _make_room(self) -> list[Pair[Item]]:
        pairs = []
        for stream in STREAMS:
            passed = self._newest(OTHER[stream]) - self._slop_ns - OVERTAKE_NS
            queue = self._waiting[stream]
            for time in list(queue):
                if time in queue and (time < passed or len(queue) > self.queue_size):
                    pairs += self._give_up(stream, time)
        return pairs

    def _give_up(self, stream: Stream, time: int) -> list[Pair[Item]]:
        partner = _nearest(sorted(self._waiting[OTHER[stream]]), time, self._slop_ns)
        if partner is None:
            self._drop(stream, time)
            return []
        return self._end({stream: time, OTHER[stream]: partner})

    def _end(self, until: Mapping[Stream, float]) -> list[Pair[Item]]:
        """Pairs the waiting frames up to these times; those without a partner are dropped."""
        rgb, aux = ([t for t in self._waiting[s] if t <= until[s]] for s in STREAMS)
        pairs = []
        for r, a in _closest_first(rgb, aux, self._slop_ns):
            pairs.append(Pair(self._waiting["rgb"].pop(r), self._waiting["aux"].pop(a),
                              r, a + self._delay_ns["aux"]))
            self._behind_in_a_row.clear()
            for stream in STREAMS:
                self.counts[stream]["paired"] += 1
        for stream in STREAMS:
            for time in [t for t in self._waiting[stream] if t <= until[stream]]:
                self._drop(stream, time)
        self._ended = dict(until)
        return pairs

    def _drop(self, stream: Stream, time: int) -> None:
        del self._waiting[stream][time]
        self.counts[stream]["unmatched"] += 1

    def _newest(self, stream: Stream) -> float:
        return self._recent[stream][-1] if self._recent[stream] else -math.inf

    def _next(self, stream: Stream) -> float:
        """The time before which the stream's next frame is not expected."""
        return self._newest(stream) + min(self._gaps(stream), default=2 * self._slop_ns)

    def _gaps(self, stream: Stream) -> list[int]:
        back = islice(reversed(self._recent[stream]), RECENT)
        return [later - before for later, before in pairwise(back)]


def _distance(times: Sequence[int], time: int) -> int:
    """From a time to the nearest of rising times."""
    place = bisect_left(times, time)
    return min(abs(time - each) for each in times[max(0, place - 1):place + 1])


def _nearest(times: Sequence[int], time: int, within: int) -> int | None:
    """Of rising times the nearest, the earlier of two that are equally near."""
    place = bisect_left(times, time)
    near = min(times[max(0, place - 1):place + 1], key=lambda t: abs(t - time), default=None)
    return near if near is not None and abs(near - time) <= within else None


def _closest_first(rgb: Iterable[int], aux: Sequence[int], within: int) -> list[tuple[int, int]]:
    """Pairs of times, the closest first, that neither cross nor share; returned in order."""
    pairs: list[tuple[int, int]] = []
    for _, r, a in sorted((abs(a - r), r, a) for r in rgb for a in aux if abs(a - r) <= within):
        if all((r - other_r) * (a - other_a) > 0 for other_r, other_a in pairs):
            pairs.append((r, a))
    return sorted(pairs)

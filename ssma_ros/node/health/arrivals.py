"""When images came and how they were stamped: images that were lost, stamps of the future."""
from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Sequence
from itertools import pairwise
from operator import eq
from statistics import median
from typing import NamedTuple

from ssma_core import OTHER, STREAMS, Stream

REMEMBERED = 60  # images of a stream
JUDGED_S = 10.0  # the newest seconds, by which losses are judged
ENOUGH = 10  # gaps between stamps to judge by
LOST = 0.2  # share of a stream's images; where fewer are lost, labels come nearly as they should
NEAR_MULTIPLE, OF_THEM = 0.2, 0.9  # periods, and the share of gaps that lie so near to a multiple
# For a period that hardly any gap has: so near; and the share of gaps that are the same multiple at
# most. Of a camera that is only irregular, most are.
NEARER_MULTIPLE, MOST_ALIKE = 0.1, 0.5

AHEAD_S = 0.05  # more than clocks of one robot differ by, while the other stream's stamps are past
BOTH_AHEAD_S = 0.25  # more than /clock lags behind the stamps of a simulation or a bag
AHEAD_ENOUGH, AHEAD_RECENT_S = 3, 2.5


class Arrival(NamedTuple):
    """when: on the steady clock. age: seconds from its stamp to that moment by the node's clock.
    size: bytes of its data."""

    when: float
    stamp_ns: int
    age: float
    size: int


class Loss(NamedTuple):
    """share: of the images that were stamped, 0…1. period: seconds. size: bytes of an image."""

    share: float
    period: float
    size: int


class Arrivals:
    """Of both streams, also of images that are refused."""

    def __init__(self) -> None:
        self._of: dict[Stream, deque[Arrival]] = {s: deque(maxlen=REMEMBERED) for s in STREAMS}

    def begin_anew(self) -> None:
        for arrivals in self._of.values():
            arrivals.clear()

    def came(self, stream: Stream, stamp_ns: int, *, age: float, size: int) -> None:
        self._of[stream].append(Arrival(time.monotonic(), stamp_ns, age, size))

    def lost(self, stream: Stream, since: float) -> Loss | None:
        """What is lost of a stream's recent images: gaps between stamps are multiples of a period.
        None where little or nothing is lost, and where the camera itself is slow or irregular.
        since: when the stream began to come, on the steady clock."""
        recent = [arrival for arrival in self._recent(stream, JUDGED_S) if arrival.when >= since]
        stamps = sorted({arrival.stamp_ns for arrival in recent if arrival.stamp_ns})
        gaps = [(later - before) / 1e9 for before, later in pairwise(stamps)]
        found = _periods(gaps) if len(gaps) >= ENOUGH else None
        if found is None:
            return None
        period, multiples = found
        share = 1 - len(multiples) / sum(multiples)
        if share < LOST or not _by_chance(multiples):
            return None
        return Loss(share, period, int(median(arrival.size for arrival in recent)))

    def ahead(self, stream: Stream) -> float:
        """How many seconds in the future a stream's recent images are stamped, all of them; 0 where
        that is not so, or may be /clock, which comes in steps."""
        ahead = self._least_ahead(stream)
        both = self._least_ahead(OTHER[stream]) > AHEAD_S / 2
        return ahead if ahead > (BOTH_AHEAD_S if both else AHEAD_S) else 0.0

    def newer_aux(self) -> float:
        """How many seconds the second sensor's stamps are ahead of the colour images' that come at
        the same time."""
        rgb, aux = ([arrival.age for arrival in self._recent(stream, AHEAD_RECENT_S)]
                    for stream in STREAMS)
        return median(rgb) - median(aux) if rgb and aux else 0.0

    def _least_ahead(self, stream: Stream) -> float:
        ages = [arrival.age for arrival in self._recent(stream, AHEAD_RECENT_S)]
        return -max(ages) if len(ages) >= AHEAD_ENOUGH else 0.0

    def _recent(self, stream: Stream, seconds: float) -> list[Arrival]:
        since = time.monotonic() - seconds
        return [arrival for arrival in self._of[stream] if arrival.when >= since]


def _periods(gaps: Sequence[float]) -> tuple[float, list[int]] | None:
    """The period of which all gaps are multiples, in seconds, and which multiples. None if there is
    none."""
    shortest = sorted(gaps)[len(gaps) // 10]
    usual = median(gap for gap in gaps if gap < 1.5 * shortest)
    if (found := _fitted(gaps, usual, NEAR_MULTIPLE)):
        return found
    # Where most are lost, hardly two neighbours come, and the shortest gaps may be of several
    # periods.
    for parts in (1, 2, 3):
        for gap in (usual, min(gaps)):
            found = _fitted(gaps, gap / parts, NEARER_MULTIPLE)
            if found and 1 in found[1] and (
                    max(Counter(found[1]).values()) <= MOST_ALIKE * len(gaps)):
                return found
    return None


def _fitted(gaps: Sequence[float], guess: float, near: float) -> tuple[float, list[int]] | None:
    """The period near to a guess, and the multiples of it; None unless the gaps lie near to them.
    """
    period = guess
    for _ in range(2):  # better by the longer gaps
        multiples = [max(1, round(gap / period)) for gap in gaps]
        period = sum(gaps) / sum(multiples)
    are_near = sum(abs(gap / period - each) < near for gap, each in zip(gaps, multiples))
    return (period, multiples) if are_near >= OF_THEM * len(gaps) else None


def _by_chance(multiples: Sequence[int]) -> bool:
    """Whether now more and now fewer images are lost, from the first to the last, and not in turns:
    a camera that has changed its rate, as at dusk, or has several exposures in turn, loses none."""
    half = len(multiples) // 2
    throughout = all(min(part) < max(part) for part in (multiples[:half], multiples[half:]))
    in_turns = any(sum(map(eq, multiples, multiples[turn:])) >= OF_THEM * (len(multiples) - turn)
                   for turn in range(2, 7))
    return throughout and not in_turns

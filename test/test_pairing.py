"""Which frames become pairs, and that every frame is accounted for."""
from __future__ import annotations

from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssma_core import SsmaError
from ssma_ros.pairing import JUMP_NS, STREAMS, Pair, Pairing, Stream

MS = 1_000_000
SLOP_NS = 20 * MS
START = 1_700_000_000_000_000_000

# An arrival is a stream and a stamp; frames are their own place in the order of arrival.
Arrival = tuple[Stream, int]


def feed(pairing: Pairing[int], arrivals: Sequence[Arrival]) -> list[Pair[int]]:
    pairs = [pairing.add(stream, stamp, place) for place, (stream, stamp) in enumerate(arrivals)]
    return [pair for pair in pairs if pair]


def pairing(queue_size: int = 10) -> Pairing[int]:
    return Pairing(SLOP_NS / 1e9, queue_size)


def at(stream: Stream, *milliseconds: float) -> list[Arrival]:
    return [(stream, START + round(ms * MS)) for ms in milliseconds]


arrivals = st.lists(st.tuples(st.sampled_from(STREAMS), st.one_of(
    st.integers(1, 300).map(lambda ms: START + ms * MS),
    st.integers(1, 5 * JUMP_NS).map(lambda ns: START + ns))), max_size=80)


@given(arrivals, st.integers(1, 8))
def test_no_pair_beyond_the_slop_and_no_frame_twice(
        arrived: list[Arrival], queue_size: int) -> None:
    pairs = feed(pairing(queue_size), arrived)
    assert all(abs(p.rgb_stamp_ns - p.aux_stamp_ns) <= SLOP_NS for p in pairs)
    used = [frame for p in pairs for frame in (p.rgb, p.aux)]
    assert len(used) == len(set(used))
    for pair in pairs:
        assert arrived[pair.rgb] == ("rgb", pair.rgb_stamp_ns)
        assert arrived[pair.aux] == ("aux", pair.aux_stamp_ns)


@given(arrivals, st.integers(1, 8))
def test_every_frame_is_counted_once_or_waits_and_few_wait(
        arrived: list[Arrival], queue_size: int) -> None:
    under_test = pairing(queue_size)
    for place, (stream, stamp) in enumerate(arrived, start=1):
        under_test.add(stream, stamp, place)
        for each in STREAMS:
            came = sum(s == each for s, _ in arrived[:place])
            waiting = under_test.waiting(each)
            assert sum(under_test.counts[each].values()) + waiting == came
            assert waiting <= queue_size
    assert under_test.counts["rgb"]["paired"] == under_test.counts["aux"]["paired"]


@given(st.lists(st.tuples(st.integers(-9, 9), st.integers(-9, 9)), min_size=1, max_size=50),
       st.randoms())
def test_streams_of_one_rate_pair_completely_whatever_arrives_first(
        jitters: list[tuple[int, int]], random: Random) -> None:
    """Stamps up to 18 ms apart every 100 ms; either sensor's message may come first."""
    arrived: list[Arrival] = []
    for i, (rgb, aux) in enumerate(jitters):
        both = [*at("rgb", 100 * i + rgb), *at("aux", 100 * i + aux)]
        random.shuffle(both)
        arrived += both
    assert len(feed(pairing(), arrived)) == len(jitters)


def test_the_nearest_waiting_frame_is_taken_and_not_the_first() -> None:
    pairs = feed(pairing(), at("rgb", 0, 15) + at("aux", 14))
    assert [p.rgb for p in pairs] == [1]


def test_one_stream_many_times_faster() -> None:
    fast = [arrival for ms in range(0, 300, 10) for arrival in
            at("aux", ms) + (at("rgb", ms + 2) if ms % 100 == 0 else [])]
    under_test = pairing()
    pairs = feed(under_test, fast)
    assert [p.rgb_stamp_ns - p.aux_stamp_ns for p in pairs] == [2 * MS] * 3
    assert under_test.waiting("aux") <= 10


def test_a_slop_of_zero_wants_equal_stamps() -> None:
    exact: Pairing[int] = Pairing(0.0, 10)
    pairs = feed(exact, [("rgb", START), ("aux", START + 1), ("rgb", START + 1)])
    assert [p.rgb_stamp_ns for p in pairs] == [START + 1]


def test_a_frame_that_was_overtaken_in_its_queue_still_pairs() -> None:
    pairs = feed(pairing(), at("rgb", 100, 0) + at("aux", 0, 100))
    assert [(p.rgb, p.aux) for p in pairs] == [(1, 2), (0, 3)]


def test_labels_never_go_back_in_time() -> None:
    under_test = pairing()
    assert len(feed(under_test, at("rgb", 100) + at("aux", 100) + at("rgb", 0) + at("aux", 0))) == 1
    assert under_test.counts["rgb"]["late"] == under_test.counts["aux"]["late"] == 1


def test_the_same_stamp_again_is_a_duplicate_waiting_or_paired() -> None:
    under_test = pairing()
    feed(under_test, at("rgb", 5, 5) + at("aux", 5, 5))
    assert under_test.counts["rgb"]["duplicate"] == under_test.counts["aux"]["duplicate"] == 1


@pytest.mark.parametrize("stream", STREAMS)
def test_a_stamp_of_zero_is_refused_with_what_to_mend(stream: Stream) -> None:
    under_test = pairing()
    with pytest.raises(SsmaError, match=rf"{stream}.*driver must stamp"):
        under_test.add(stream, 0, 0)
    assert under_test.counts[stream]["zero stamp"] == 1
    assert under_test.waiting(stream) == 0


@pytest.mark.parametrize("back_ms", [60_000, 900])
@pytest.mark.parametrize("first", STREAMS)
def test_a_clock_that_jumps_back_is_followed(back_ms: int, first: Stream) -> None:
    """A bag of a minute and one of less than a second, looped: pairing goes on, if not at once."""
    def drive(begin: int) -> list[Arrival]:
        order: tuple[Stream, Stream] = ("rgb", "aux") if first == "rgb" else ("aux", "rgb")
        return [a for ms in range(begin, begin + 900, 30) for s in order for a in at(s, ms)]

    under_test = pairing()
    assert len(feed(under_test, drive(back_ms))) == 30
    assert len(feed(under_test, drive(0))) >= 30 - under_test.queue_size - 1
    assert len(feed(under_test, drive(900))) == 30


def test_one_stamp_from_the_future_stops_nothing() -> None:
    future: list[Arrival] = [("rgb", START + 100 * JUMP_NS), ("aux", START + 100 * JUMP_NS)]
    normal = [a for ms in range(0, 900, 30) for a in at("rgb", ms) + at("aux", ms)]
    assert len(feed(pairing(), normal[:20] + future + normal[20:])) == 31
    alone = pairing()
    assert len(feed(alone, normal[:20] + future[:1] + normal[20:])) == 30
    assert alone.waiting("rgb") == 0

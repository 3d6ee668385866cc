"""Which frames become pairs, when, and that every frame is accounted for."""
from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssma_core import SsmaError
from ssma_core.bags.pairing import (
    OVERTAKE_NS,
    STREAMS,
    Pair,
    Pairing,
    PairingSettings,
    Stream,
)

MS = 1_000_000
SLOP_MS = 20
START = 1_700_000_000_000_000_000

# An arrival is a stream and a stamp; frames are their own place in the order of arrival.
Arrival = tuple[Stream, int]


def feed(pairing: Pairing[int], arrivals: Sequence[Arrival]) -> list[Pair[int]]:
    return [pair for place, (stream, stamp) in enumerate(arrivals)
            for pair in pairing.add(stream, stamp, place)]


def pairing(queue_size: int = 10, aux_delay: float = 0.0) -> Pairing[int]:
    return Pairing(SLOP_MS / 1e3, queue_size, aux_delay)


def at(stream: Stream, *milliseconds: float) -> list[Arrival]:
    return [(stream, START + round(ms * MS)) for ms in milliseconds]


def milliseconds(pairs: Sequence[Pair[int]]) -> list[tuple[float, float]]:
    """The stamps of both frames of each pair, as `at` takes them."""
    return [((p.rgb_stamp_ns - START) / MS, (p.aux_stamp_ns - START) / MS) for p in pairs]


def known(rgb_period: float, aux_period: float) -> list[Arrival]:
    """What shows both streams' periods, long before anything else and too far apart to pair."""
    return [*at("aux", -9000, -9000 + aux_period), *at("rgb", -5000, -5000 + rgb_period)]


anything = st.lists(st.tuples(st.sampled_from(STREAMS), st.one_of(
    st.integers(1, 300).map(lambda ms: START + ms * MS),
    st.integers(1, 5 * OVERTAKE_NS).map(lambda ns: START + ns))), max_size=80)


@given(anything, st.integers(1, 8), st.integers(-50, 50))
def test_no_pair_beyond_the_slop_and_no_frame_twice(
        arrived: list[Arrival], queue_size: int, delay_ms: int) -> None:
    under_test = pairing(queue_size, delay_ms / 1e3)
    pairs = feed(under_test, arrived) + under_test.flush()
    assert all(abs(p.rgb_stamp_ns - (p.aux_stamp_ns - delay_ms * MS)) <= SLOP_MS * MS
               for p in pairs)
    used = [frame for p in pairs for frame in (p.rgb, p.aux)]
    assert len(used) == len(set(used))
    for pair in pairs:
        assert arrived[pair.rgb] == ("rgb", pair.rgb_stamp_ns)
        assert arrived[pair.aux] == ("aux", pair.aux_stamp_ns)


@given(anything, st.integers(1, 8))
def test_every_frame_is_counted_once_or_waits_and_few_wait(
        arrived: list[Arrival], queue_size: int) -> None:
    under_test = pairing(queue_size)
    pairs = 0
    for place, (stream, stamp) in enumerate(arrived, start=1):
        pairs += len(under_test.add(stream, stamp, place))
        for each in STREAMS:
            came = sum(s == each for s, _ in arrived[:place])
            assert sum(under_test.counts[each].values()) + under_test.waiting(each) == came
            assert under_test.waiting(each) <= queue_size
            assert under_test.counts[each]["paired"] == pairs
    under_test.flush()
    for each in STREAMS:
        assert under_test.waiting(each) == 0
        assert sum(under_test.counts[each].values()) == sum(s == each for s, _ in arrived)


@given(anything)
def test_labels_never_go_back_in_time_unless_the_clock_does(arrived: list[Arrival]) -> None:
    under_test = pairing()
    last = {"rgb": 0, "aux": 0}
    for place, (stream, stamp) in enumerate(arrived):
        jumps = under_test.clock_jumps
        pairs = under_test.add(stream, stamp, place)
        if under_test.clock_jumps != jumps:
            last = {"rgb": 0, "aux": 0}
        else:
            for pair in pairs:
                assert pair.rgb_stamp_ns > last["rgb"] and pair.aux_stamp_ns > last["aux"]
                last = {"rgb": pair.rgb_stamp_ns, "aux": pair.aux_stamp_ns}


def best(rgb: list[int], aux: list[int]) -> list[tuple[float, float]]:
    """The pairs by definition, for someone who knows both streams from beginning to end."""
    near = [(abs(r - a), r, a) for r in rgb for a in aux if abs(r - a) <= SLOP_MS]
    if not near:
        return []
    _, r, a = min(near)
    return [*best([x for x in rgb if x < r], [x for x in aux if x < a]), (r, a),
            *best([x for x in rgb if x > r], [x for x in aux if x > a])]


gaps = st.lists(st.integers(4, 60), min_size=1, max_size=4)  # milliseconds, again and again


@given(gaps, gaps, st.integers(0, 60), st.randoms())
def test_the_pairs_are_the_best_at_any_rates_and_whichever_comes_first(
        rgb_gaps: list[int], aux_gaps: list[int], offset: int, random: Random) -> None:
    rgb, aux = list(accumulate(3 * rgb_gaps)), list(accumulate(3 * aux_gaps, initial=offset))
    stamps = {"rgb": iter(rgb), "aux": iter(aux)}
    order: list[Stream] = [*["rgb"] * len(rgb), *["aux"] * len(aux)]  # type: ignore[list-item]
    random.shuffle(order)
    under_test = pairing(queue_size=50)
    feed(under_test, known(min(rgb_gaps), min(aux_gaps)))
    pairs = feed(under_test, [a for stream in order for a in at(stream, next(stamps[stream]))])
    assert milliseconds(pairs + under_test.flush()) == best(rgb, aux)


periods = st.floats(2 * SLOP_MS + 1, 100)


@given(periods, periods, st.floats(0, 100), st.randoms())
def test_at_constant_rates_a_pair_is_out_when_its_second_frame_is_in(
        rgb_period: float, aux_period: float, offset: float, random: Random) -> None:
    arrived = [a for i in range(20)
               for a in at("rgb", i * rgb_period) + at("aux", i * aux_period + offset)]
    # One sensor's messages take longer, but not so long that anything is lost.
    slow, latency = random.choice(STREAMS), random.uniform(0, 200 * MS)
    under_test = pairing()
    for stream, stamp in sorted(arrived, key=lambda a: a[1] + latency * (a[0] == slow)):
        for pair in under_test.add(stream, stamp, 0):
            assert stamp == (pair.rgb_stamp_ns if stream == "rgb" else pair.aux_stamp_ns)
    assert under_test.flush() == []


@given(st.lists(st.tuples(st.integers(-9, 9), st.integers(-9, 9)), min_size=1, max_size=50),
       st.randoms())
def test_streams_of_one_rate_pair_completely_whichever_arrives_first(
        jitters: list[tuple[int, int]], random: Random) -> None:
    """Stamps up to 18 ms apart every 100 ms; either sensor's message may come first."""
    arrived: list[Arrival] = []
    for i, (rgb, aux) in enumerate(jitters):
        both = [*at("rgb", 100 * i + rgb), *at("aux", 100 * i + aux)]
        random.shuffle(both)
        arrived += both
    assert len(feed(pairing(), arrived)) == len(jitters)


@pytest.mark.parametrize("first, second", [STREAMS, STREAMS[::-1]])
def test_a_nearer_frame_that_may_still_come_is_waited_for(first: Stream, second: Stream) -> None:
    under_test = pairing()
    feed(under_test, known(33, 33))
    assert feed(under_test, at(first, 0) + at(second, 18)) == []
    pair, = feed(under_test, at(first, 33))
    assert sorted(milliseconds([pair])[0]) == [18, 33]
    assert under_test.counts[first]["unmatched"] == 3  # two of them only showed the period


def test_if_the_nearer_frame_stays_away_the_pair_still_comes() -> None:
    under_test = pairing(queue_size=3)
    feed(under_test, known(33, 33))
    pairs = feed(under_test, at("rgb", 0) + at("aux", 18, 51, 84, 117))
    assert milliseconds(pairs) == [(0, 18)]


def test_everything_is_out_that_a_frame_makes_certain() -> None:
    under_test = pairing()
    feed(under_test, known(1, 1))
    assert feed(under_test, at("rgb", 1, 2, 50) + at("aux", 0)) == []
    assert milliseconds(feed(under_test, at("aux", 5))) == [(1, 0), (2, 5)]


def test_the_nearest_waiting_frame_is_taken_and_not_the_first() -> None:
    pairs = feed(pairing(), at("rgb", 0, 15) + at("aux", 14))
    assert [p.rgb for p in pairs] == [1]


def test_pairs_do_not_cross() -> None:
    under_test = pairing()
    feed(under_test, known(1, 1))
    assert feed(under_test, at("rgb", 0, 5) + at("aux", 10, 15)) == []
    assert milliseconds(under_test.flush()) == [(5, 10)]


def test_one_stream_many_times_faster() -> None:
    fast = [arrival for ms in range(0, 300, 10) for arrival in
            at("aux", ms) + (at("rgb", ms + 2) if ms % 100 == 0 else [])]
    under_test = pairing()
    assert milliseconds(feed(under_test, fast)) == [(2, 0), (102, 100), (202, 200)]
    assert under_test.waiting("aux") <= 10


def test_a_slop_of_zero_wants_equal_stamps() -> None:
    exact: Pairing[int] = Pairing(0.0, 10)
    pairs = feed(exact, [("rgb", START), ("aux", START + 1), ("rgb", START + 1)])
    assert [p.rgb_stamp_ns for p in pairs] == [START + 1]


def test_a_constant_delay_is_taken_off_the_second_sensors_stamps() -> None:
    late = feed(pairing(aux_delay=0.2), at("rgb", 0, 190, 200) + at("aux", 203))
    assert milliseconds(late) == [(0, 203)]
    early = feed(pairing(aux_delay=-0.2), at("rgb", 0, 200) + at("aux", 3))
    assert milliseconds(early) == [(200, 3)]


def test_a_frame_that_was_overtaken_in_its_queue_still_pairs() -> None:
    pairs = feed(pairing(), at("rgb", 100, 0) + at("aux", 0, 100))
    assert [(p.rgb, p.aux) for p in pairs] == [(1, 2), (0, 3)]


def test_what_comes_after_its_successors_were_paired_is_late() -> None:
    under_test = pairing()
    assert len(feed(under_test, at("rgb", 100) + at("aux", 100) + at("rgb", 0) + at("aux", 0))) == 1
    assert under_test.counts["rgb"]["late"] == under_test.counts["aux"]["late"] == 1


def test_overtaken_frames_that_come_singly_are_no_jump_of_the_clock() -> None:
    under_test = pairing()
    overtaken = [a for ms in range(100, 700, 30)
                 for a in at("rgb", ms) + at("aux", ms) + at("rgb", ms - 10)]
    assert len(feed(under_test, overtaken)) == under_test.counts["rgb"]["late"] == 20
    assert under_test.clock_jumps == 0


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


@pytest.mark.parametrize("dead, alive", [STREAMS, STREAMS[::-1]])
def test_nothing_is_kept_of_a_stream_that_died(dead: Stream, alive: Stream) -> None:
    under_test = pairing()
    feed(under_test, at(dead, 0, 30, 60) + at(alive, *range(100, 1200, 30)))
    assert under_test.waiting(dead) == 0
    assert under_test.counts[dead] == {"unmatched": 3}


def drive(begin: int, first: Stream = "rgb") -> list[Arrival]:
    """900 ms with 30 frames of each stream."""
    order = STREAMS if first == "rgb" else STREAMS[::-1]
    return [a for ms in range(begin, begin + 900, 30) for stream in order for a in at(stream, ms)]


@pytest.mark.parametrize("first", STREAMS)
def test_a_clock_that_jumps_back_costs_no_pair(first: Stream) -> None:
    under_test = pairing()
    for jumps in range(3):  # a bag of a minute, looped
        assert len(feed(under_test, drive(0, first) + drive(60_000, first))) == 60
        assert under_test.clock_jumps == jumps


@pytest.mark.parametrize("first", STREAMS)
def test_a_jump_too_short_to_distinguish_from_overtaking_costs_ten_frames(first: Stream) -> None:
    under_test = pairing()
    feed(under_test, drive(0, first))
    assert len(feed(under_test, drive(0, first))) == 30 - 10
    assert under_test.counts["rgb"]["late"] == under_test.counts["aux"]["late"] == 10
    assert under_test.clock_jumps == 1
    assert len(feed(under_test, drive(900, first))) == 30


@pytest.mark.parametrize("ahead_ms", [340, 500, 950])
@pytest.mark.parametrize("wrong", STREAMS)
def test_one_stamp_that_is_ahead_costs_its_own_pair_and_is_no_jump_of_the_clock(
        wrong: Stream, ahead_ms: int) -> None:
    under_test = pairing()
    stamps = [(stream, milliseconds + ahead_ms * ((stream, number) == (wrong, 30)))
              for number, milliseconds in enumerate(range(0, 2000, 33)) for stream in STREAMS]
    pairs = feed(under_test, [a for stream, ms in stamps for a in at(stream, ms)])
    assert len(pairs) >= len(stamps) // 2 - 2
    assert under_test.clock_jumps == 0


@pytest.mark.parametrize("stream", STREAMS)
def test_a_short_jump_of_a_stream_that_pairs_with_nothing_is_noticed_after_ten_frames(
        stream: Stream) -> None:
    under_test = pairing()
    feed(under_test, [a for ms in range(0, 900, 30) for a in at(stream, ms)])
    for number, milliseconds in enumerate(range(300, 900, 30)):
        feed(under_test, at(stream, milliseconds))
        assert under_test.clock_jumps == (number >= 10)


def test_what_waits_when_the_clock_jumps_is_unmatched_and_no_partner_of_what_comes() -> None:
    under_test = pairing()
    feed(under_test, drive(60_000) + at("rgb", 60_950))
    assert len(feed(under_test, drive(0) + drive(60_000) + at("aux", 60_950))) == 60
    assert under_test.counts["rgb"]["unmatched"] == 1


def test_a_pair_that_waits_for_something_nearer_when_the_clock_jumps_comes() -> None:
    under_test = pairing()
    feed(under_test, known(33, 33))
    pairs = feed(under_test, at("rgb", 0) + at("aux", 18) + at("rgb", -4000))
    assert milliseconds(pairs) == [(0, 18)]


@pytest.mark.parametrize("wrong, pairs", [(("rgb", "aux"), 31), (("rgb",), 30), (("aux",), 29)])
def test_a_stamp_from_the_future_stops_nothing(wrong: tuple[Stream, ...], pairs: int) -> None:
    """A frame may find no partner for it, as long as nothing else of that stream has come."""
    future = [a for stream in wrong for a in at(stream, 100_000)]
    normal = drive(0)
    under_test = pairing()
    assert len(feed(under_test, normal[:20] + future + normal[20:])) == pairs
    assert under_test.waiting("rgb") == under_test.waiting("aux") == 0


@pytest.mark.parametrize("rgb_period, aux_period, offset, apart", [
    (30, 30, 12, 0.012),
    (30, 30, 28, 0.002),  # from the next one
    (100, 10, 4, 0.004),
    (10, 100, 4, 0.004),
])
def test_it_says_how_far_the_nearest_stamps_lie_apart(
        rgb_period: int, aux_period: int, offset: int, apart: float) -> None:
    under_test: Pairing[int] = Pairing(0.0, 10)
    assert under_test.apart() is None
    arrived = at("rgb", *range(0, 1000, rgb_period)) + at("aux", *range(offset, 1000, aux_period))
    feed(under_test, sorted(arrived, key=lambda arrival: arrival[1]))
    assert under_test.apart() == apart


def test_one_frame_that_was_lost_and_one_that_is_off_put_the_streams_no_further_apart() -> None:
    offsets = {ms: 12 for ms in range(0, 900, 30) if ms != 600} | {690: 15}
    under_test: Pairing[int] = Pairing(0.0, 10)
    feed(under_test, [a for ms in range(0, 900, 30) for a in
                      at("rgb", ms) + (at("aux", ms + offsets[ms]) if ms in offsets else [])])
    assert under_test.apart() == 0.012


def test_it_says_how_far_a_streams_own_stamps_lie_apart() -> None:
    under_test: Pairing[int] = Pairing(0.0, 10)
    assert under_test.period("rgb") is None
    feed(under_test, at("rgb", 0, 30, 60, 960, 990, 1020))  # with one outage
    assert (under_test.period("rgb"), under_test.period("aux")) == (0.03, None)


def test_two_clocks_lie_as_far_apart_as_their_newest_stamps() -> None:
    under_test: Pairing[int] = Pairing(0.0, 10)
    feed(under_test, [a for ms in range(0, 900, 30) for a in at("rgb", ms) + at("aux", ms + 5000)])
    assert under_test.apart() == 5.0


def test_another_slop_applies_to_what_waits_already() -> None:
    under_test = pairing()
    assert feed(under_test, at("rgb", 0) + at("aux", 30)) == []
    under_test.change(0.03, 10, 0.0)
    assert milliseconds(under_test.flush()) == [(0, 30)]


def test_another_queue_size_applies_from_the_next_frame_on() -> None:
    under_test = pairing()
    feed(under_test, at("rgb", *range(0, 90, 10)))
    under_test.change(SLOP_MS / 1e3, 2, 0.0)
    feed(under_test, at("rgb", 90))
    assert under_test.waiting("rgb") == 2
    assert under_test.counts["rgb"] == {"unmatched": 8}


@pytest.mark.parametrize("delay_ms", [200, -200])
def test_another_delay_applies_to_what_waits_already(delay_ms: int) -> None:
    under_test = pairing()
    feed(under_test, at("rgb", 0, 30) + at("aux", delay_ms, delay_ms + 30))
    under_test.change(SLOP_MS / 1e3, 10, delay_ms / 1e3)
    assert milliseconds(under_test.flush()) == [(0, delay_ms), (30, delay_ms + 30)]


def test_what_was_paired_stays_so_with_another_delay() -> None:
    under_test = pairing()
    feed(under_test, at("rgb", 100) + at("aux", 100))
    under_test.change(SLOP_MS / 1e3, 10, -0.2)
    assert feed(under_test, at("aux", 100) + at("rgb", 300)) == []
    assert under_test.counts["aux"] == {"paired": 1, "duplicate": 1}


settings = st.tuples(st.integers(0, 40), st.integers(1, 8), st.integers(-50, 50))


@given(st.lists(st.tuples(anything, settings), max_size=6))
def test_changes_during_pairing_use_no_frame_twice_and_lose_none(
        parts: list[tuple[list[Arrival], tuple[int, int, int]]]) -> None:
    under_test = pairing()
    came = [arrival for arrived, _ in parts for arrival in arrived]
    pairs: list[Pair[int]] = []
    place = 0
    for arrived, (slop_ms, queue_size, delay_ms) in parts:
        under_test.change(slop_ms / 1e3, queue_size, delay_ms / 1e3)
        for stream, stamp in arrived:
            new = under_test.add(stream, stamp, place)
            assert all(abs(p.rgb_stamp_ns - (p.aux_stamp_ns - delay_ms * MS)) <= slop_ms * MS
                       for p in new)
            pairs += new
            place += 1
    pairs += under_test.flush()
    used = [frame for p in pairs for frame in (p.rgb, p.aux)]
    assert len(used) == len(set(used))
    assert all(came[p.rgb] == ("rgb", p.rgb_stamp_ns) and came[p.aux] == ("aux", p.aux_stamp_ns)
               for p in pairs)
    for stream in STREAMS:
        assert sum(under_test.counts[stream].values()) == sum(s == stream for s, _ in came)


def test_an_impossible_change_is_refused_and_changes_nothing() -> None:
    under_test = pairing()
    with pytest.raises(SsmaError, match=r"got 0\.5, 0 and 0"):
        under_test.change(0.5, 0, 0.0)
    assert feed(under_test, at("rgb", 0) + at("aux", SLOP_MS + 1)) == []
    assert under_test.flush() == []


@pytest.mark.parametrize("slop, queue_size, aux_delay", [
    (-0.1, 10, 0), (0.1, 0, 0), (math.nan, 10, 0), (math.inf, 10, 0), (0.1, 10, math.nan),
    (0.1, 10, math.inf)])
def test_an_impossible_setting_is_refused(slop: float, queue_size: int, aux_delay: float) -> None:
    with pytest.raises(SsmaError, match=r"slop must be 0 s or more, the queue size at least 1"):
        Pairing(slop, queue_size, aux_delay)
    with pytest.raises(SsmaError, match=r"slop must be 0 s or more, the queue size at least 1"):
        PairingSettings(slop, queue_size, aux_delay)


def test_without_settings_frames_pair_by_the_defaults() -> None:
    """20 ms apart, and no more, as docs/replay.md and the node's parameters say."""
    under_test: Pairing[int] = Pairing()
    feed(under_test, at("rgb", 0, 1000) + at("aux", 20, 1021))
    assert under_test.flush() == [] and under_test.queue_size == 10
    assert under_test.counts["rgb"] == {"paired": 1, "unmatched": 1}

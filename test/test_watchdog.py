"""From when on a stream's images are labelled alone."""
from __future__ import annotations

import pytest

from ssma_core.bags.pairing import STREAMS, Stream
from ssma_ros.node.health.watchdog import Watchdog

TIMEOUT = 0.5


def alone(watchdog: Watchdog, stream: Stream, begin: int, end: int) -> list[int]:
    """When, of images every 100 ms, those came that are to be labelled alone; in milliseconds."""
    return [ms for ms in range(begin, end, 100) if watchdog.image_came(stream, ms / 1e3, TIMEOUT)]


@pytest.mark.parametrize("stream", STREAMS)
def test_the_first_image_after_the_timeout_is_alone_and_all_that_follow(stream: Stream) -> None:
    watchdog = Watchdog(0.0)
    watchdog.pair_came(10.0)
    assert alone(watchdog, stream, 10_050, 11_000) == [10_550, 10_650, 10_750, 10_850, 10_950]


@pytest.mark.parametrize("stream", STREAMS)
def test_it_counts_from_the_beginning_where_no_pair_ever_came(stream: Stream) -> None:
    assert alone(Watchdog(0.0), stream, 50, 700) == [550, 650]


def test_a_pair_ends_it() -> None:
    watchdog = Watchdog(0.0)
    assert alone(watchdog, "rgb", 0, 800) == [600, 700]
    watchdog.pair_came(0.8)
    assert alone(watchdog, "rgb", 900, 1500) == [1400]


def test_colour_that_pairs_with_nothing_leaves_the_second_sensor_waiting() -> None:
    watchdog = Watchdog(0.0)
    for i in range(20):
        assert watchdog.image_came("rgb", i / 10, TIMEOUT) == (i > 5)
        assert not watchdog.image_came("aux", i / 10 + 0.05, TIMEOUT)


@pytest.mark.parametrize("stream", STREAMS)
def test_after_a_time_in_which_nothing_came_a_partner_has_the_timeout_to_come(
        stream: Stream) -> None:
    watchdog = Watchdog(0.0)
    watchdog.pair_came(1.0)
    assert alone(watchdog, stream, 60_000, 60_800) == [60_600, 60_700]


def test_at_a_rate_below_the_timeouts_pairs_are_waited_for() -> None:
    watchdog = Watchdog(0.0)
    for second in range(5):
        assert not watchdog.image_came("rgb", second, TIMEOUT)
        assert not watchdog.image_came("aux", second + 0.1, TIMEOUT)
        watchdog.pair_came(second + 0.1)
    assert not watchdog.image_came("rgb", 5, TIMEOUT)  # waits for its partner, in vain
    assert watchdog.image_came("rgb", 6, TIMEOUT)


@pytest.mark.parametrize("stream", STREAMS)
def test_what_waits_is_over_by_time_alone(stream: Stream) -> None:
    watchdog = Watchdog(0.0)
    watchdog.pair_came(1.0)
    assert not watchdog.is_over(stream, 9.0, TIMEOUT)  # nothing waits
    watchdog.image_came(stream, 1.1, TIMEOUT)
    assert [watchdog.is_over(stream, now, TIMEOUT) for now in (1.4, 1.6)] == [False, True]

"""Which images were lost, and which stamps are of the future."""
from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from pipeline_rig import Clock

from ssma_ros.node.health.arrivals import ENOUGH, JUDGED_S, Arrivals, Loss

LIVE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def lost(clock: Clock, stamps: npt.NDArray[np.float64]) -> Loss | None:
    """What is lost of a stream with these stamps in seconds, each at its time."""
    arrivals, begin = Arrivals(), clock.now
    for stamp in stamps:
        clock.now = begin + stamp
        arrivals.came("aux", round(stamp * 1e9) + 10**18, age=0.02, size=1000)
    return arrivals.lost("aux", since=begin)


@LIVE
@given(period=st.floats(0.02, 0.2), share=st.floats(0.35, 0.75), jitter=st.floats(0, 0.05),
       seed=st.integers(0, 10**6))
@example(period=0.125, share=0.75, jitter=0.0, seed=0)  # no two neighbours came in the first half
@example(period=0.125, share=0.75, jitter=0.0, seed=24490)  # one gap in ten is of one period
@example(period=0.1740175, share=0.7226777, jitter=0.0129323, seed=941789)  # likewise, and of two
def test_lost_images_leave_gaps_of_several_periods(
        clock: Clock, period: float, share: float, jitter: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    come = rng.random(200) > share
    stamps = (period * (np.arange(200) + jitter * rng.uniform(-1, 1, 200)))[come]
    assume(np.count_nonzero(stamps >= stamps[-1] - JUDGED_S) > ENOUGH)
    found = lost(clock, stamps)
    assert found is not None
    assert found.period == pytest.approx(period, rel=0.05)
    assert found.share == pytest.approx(share, abs=0.25)


@LIVE
@given(period=st.floats(0.02, 2.0), jitter=st.floats(0, 0.4), seed=st.integers(0, 10**6))
def test_a_camera_whose_stamps_jitter_loses_none(
        clock: Clock, period: float, jitter: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    stamps = period * (np.arange(150) + jitter * rng.uniform(-1, 1, 150))
    assert lost(clock, np.sort(stamps)) is None


@LIVE
@given(seed=st.integers(0, 10**6), slowest=st.floats(1.5, 5))
def test_a_camera_whose_rate_follows_the_light_loses_none(
        clock: Clock, seed: int, slowest: float) -> None:
    """Its exposure drifts, and the period with it."""
    rng = np.random.default_rng(seed)
    drift = np.interp(np.arange(150), np.linspace(0, 149, 6), rng.uniform(1, slowest, 6))
    assert lost(clock, np.cumsum(0.033 * drift)) is None


@LIVE
@given(period=st.floats(0.01, 0.3), exposures=st.lists(st.sampled_from([1, 1.5, 2, 2.5, 3, 4]),
                                                       min_size=2, max_size=3),
       jitter=st.floats(0, 0.1), seed=st.integers(0, 10**6))
@example(period=0.033, exposures=[1, 2], jitter=0.0, seed=0)
@example(period=0.033, exposures=[1, 1.5], jitter=0.0, seed=0)
def test_a_camera_of_several_exposures_in_turn_loses_none(
        clock: Clock, period: float, exposures: list[float], jitter: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    ends = np.cumsum(np.resize(exposures, 100)) + jitter * rng.uniform(-1, 1, 100)
    assert lost(clock, np.sort(period * ends)) is None


@pytest.mark.parametrize("turn", [[20, 20, 20, 60], [20, 40, 20, 60], [33, 33, 33, 33, 200]])
def test_nor_does_one_of_four_or_five_in_turn(clock: Clock, turn: list[int]) -> None:
    assert lost(clock, np.cumsum(np.resize(turn, 100)) / 1000) is None


@LIVE
@given(step=st.sampled_from([0.01, 0.033]), steps=st.sampled_from([(2, 8), (3, 5)]),
       seed=st.integers(0, 10**6))
def test_a_simulator_whose_steps_are_finer_than_any_gap_loses_none(
        clock: Clock, step: float, steps: tuple[int, int], seed: int) -> None:
    gaps = np.random.default_rng(seed).integers(*steps, 100, endpoint=True)
    assert lost(clock, step * np.cumsum(gaps)) is None


@LIVE
@given(when=st.integers(40, 99), periods=st.floats(1, 5), jitter=st.floats(0, 0.2),
       seed=st.integers(0, 10**6))
def test_a_single_hiccup_is_no_loss(
        clock: Clock, when: int, periods: float, jitter: float, seed: int) -> None:
    """At 15 Hz."""
    gaps = np.ones(100)
    gaps[when] = periods
    ends = np.cumsum(gaps) + jitter * np.random.default_rng(seed).uniform(-1, 1, 100)
    assert lost(clock, np.sort(ends / 15)) is None


@pytest.mark.parametrize("seen", [20, 40, 60, 90, 149])
def test_a_camera_that_halves_its_rate_loses_none(clock: Clock, seen: int) -> None:
    gaps = np.array([1 / 30] * 45 + [2 / 30] * 105)
    assert lost(clock, np.cumsum(gaps)[:seen]) is None


def ahead(clock: Clock, rgb: list[float], aux: list[float]) -> tuple[float, float]:
    """For ages in seconds of images every 0.1 s."""
    arrivals = Arrivals()
    for rgb_age, aux_age in zip(rgb, aux):
        arrivals.came("rgb", round(clock.now * 1e9), age=rgb_age, size=1)
        arrivals.came("aux", round(clock.now * 1e9), age=aux_age, size=1)
        clock.go(0.1)
    return arrivals.ahead("rgb"), arrivals.ahead("aux")


def test_a_stamp_that_is_always_of_the_future_is(clock: Clock) -> None:
    assert ahead(clock, [0.02] * 20, [-0.3] * 20) == (0, pytest.approx(0.3))
    assert ahead(clock, [-2.0] * 20, [-2.0] * 20) == (pytest.approx(2), pytest.approx(2))


def test_a_clock_that_comes_in_steps_brings_no_stamp_of_the_future(clock: Clock) -> None:
    """/clock at 10 Hz is up to 0.1 s late, and 0.2 s where a bag goes twice as fast."""
    steps = [-0.2 * (i % 5) / 5 for i in range(20)]
    assert ahead(clock, steps, steps) == (0, 0)
    assert ahead(clock, [-0.2] * 20, [-0.2] * 20) == (0, 0)  # in step with the images

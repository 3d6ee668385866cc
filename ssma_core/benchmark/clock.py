"""Times of several ways that take turns, so that a slow moment of the machine affects them all."""
from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from tqdm import tqdm

TURN = 10  # frames
WARM_UP = 0.2  # seconds

Key = TypeVar("Key")


@dataclass(frozen=True)
class Latency:
    """Milliseconds of a call: half, nine tenths and 99 of 100 calls took no longer."""

    p50: float
    p90: float
    p99: float


@dataclass(frozen=True)
class Call:
    """run(index): computes the frame of that number, or `frames` frames from there on."""

    run: Callable[[int], Any]
    frames: int = 1


def take_turns(calls: Mapping[Key, Call], frames: int,
               clock: Callable[[], float] = time.perf_counter) -> dict[Key, Latency]:
    """Each call's latency over that many frames.

    They take turns of TURN frames, or of fewer so that each has four turns. The first WARM_UP
    seconds of each turn do not count: the threads of the way before it still spin on the cores and
    wait for work, caches hold its weights, and a GPU's clock is low. A call that takes longer than
    WARM_UP is hardly affected, and is warmed up only once.
    """
    turn = max(1, min(TURN, frames // 4))
    seconds: dict[Key, list[float]] = {key: [] for key in calls}
    with tqdm(total=frames, desc="timing", unit="frame", leave=False, disable=None) as progress:
        for first in range(0, frames, turn):
            last = min(first + turn, frames)
            for key, call in calls.items():
                if min(seconds[key], default=0) < WARM_UP:
                    _warm_up(call, clock)
                seconds[key] += _timed(call, range(first, last, call.frames), clock)
            progress.update(last - first)
    return {key: percentiles(times) for key, times in seconds.items()}


def percentiles(seconds: list[float]) -> Latency:
    return Latency(*(float(p) for p in 1000 * np.percentile(seconds, [50, 90, 99])))


def _warm_up(call: Call, clock: Callable[[], float]) -> None:
    start = clock()
    while clock() - start < WARM_UP:
        call.run(0)


def _timed(call: Call, indices: range, clock: Callable[[], float]) -> Iterator[float]:
    for index in indices:
        start = clock()
        call.run(index)
        yield clock() - start

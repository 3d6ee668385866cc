"""A robot in the field, on a bench: what two sensors send, second by second, and what the node says
of it. Sensors and time are of our own, and nobody sleeps."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from pipeline_rig import Clock, Rig

from ssma_core.bags.pairing import Stream
from ssma_ros.node import diagnostics
from ssma_ros.node.advice import Subscribed, problems

Array = npt.NDArray[Any]
TOPICS: dict[Stream, str] = {"rgb": "/front/rgb", "aux": "/front/depth"}
IMAGE = "sensor_msgs/msg/Image"
SIZE = (64, 96)
NOISE = np.random.default_rng(8)
TEXTURE = NOISE.integers(40, 200, (*SIZE, 3), np.uint8)


def outdoors(number: int = 0) -> Array:
    """Depth in millimetres, H×W uint16: ground from 2 m on, trees up to 18 m, and holes."""
    rows = np.linspace(1.0, 0.0, SIZE[0])[:, None]
    depth = (2000 + 16_000 * rows ** 2) * (1 + 0.02 * NOISE.standard_normal(SIZE))
    depth[NOISE.random(SIZE) < 0.2] = 0
    return depth.astype(np.uint16)


def indoors(number: int = 0) -> Array:
    """Depth in millimetres, 0.3 to 3 m."""
    return NOISE.uniform(300, 3000, SIZE).astype(np.uint16)


def colours(number: int = 0) -> Array:
    return np.roll(TEXTURE, number, axis=1)


def at_night(number: int = 0) -> Array:
    """A dark drive: a lit patch of the way, a lamp far away, and a sensor's noise."""
    picture = np.full((*SIZE, 3), 3.0)
    picture[40:, 30:70] += 18
    picture[10:13, 80:83] = 250
    return np.clip(picture + NOISE.normal(0, 2.5, picture.shape), 0, 255).astype(np.uint8)


@dataclass
class Sensor:
    """image: of a frame's number. late: its stamps, in seconds; after: its arrival after the moment
    that it shows. comes: whether that frame arrives."""

    image: Callable[[int], Array]
    hz: float = 10.0
    late: float = 0.0
    after: float = 0.02
    encoding: str | None = None
    comes: Callable[[int], bool] = lambda number: True
    jitter: float = 0.0
    from_s: float = 0.0
    until_s: float = 1e9


def depth(image: Callable[[int], Array] = outdoors, **facts: Any) -> Sensor:
    return Sensor(image, **facts)


def colour(image: Callable[[int], Array] = colours, **facts: Any) -> Sensor:
    return Sensor(image, **facts)


@dataclass
class Field:
    """said: every problem, and after how many seconds it was first there. now: the problems of the
    last second. publishers: of either topic, from when on, in seconds."""

    rig: Rig
    clock: Clock
    publishers_from: float = -1.0
    type: str = IMAGE
    reliable: bool = False
    said: dict[str, float] = field(default_factory=dict)
    now: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rig.now_ns = lambda: round(self.clock.now * 1e9)
        self.begin = self.clock.now
        self.asked = 0

    def play(self, rgb: Sensor, aux: Sensor, *, until: float, rate: float = 1.0) -> None:
        """rate: of a bag, whose /clock is the node's clock; stamps are of the bag's time, which
        begins when the field does."""
        events = sorted(_events("rgb", rgb, until * rate) + _events("aux", aux, until * rate),
                        key=lambda event: event[0])
        start = self.begin
        self.rig.now_ns = lambda: round((start + (self.clock.now - start) * rate) * 1e9)
        for when, stream, sensor, number, stamp in events:
            if self.clock.now - start > when / rate + 1e-9:
                continue
            self._until(start + when / rate)
            self.rig.send(stream, round((start + stamp) * 1000), sensor.image(number),
                          sensor.encoding)
            self.rig.settle()
        self._until(start + until)

    def _until(self, when: float) -> None:
        """The clock goes there; every second somebody asks what is wrong."""
        while self.begin + self.asked + 1 <= when:
            self.asked += 1
            self.clock.now = max(self.clock.now, self.begin + self.asked)
            self.rig.pipeline.tick()
            self.ask()
        self.clock.now = max(self.clock.now, when)

    def ask(self) -> None:
        self.rig.pipeline.estimate_delay()
        there = self.clock.now - self.begin >= self.publishers_from
        self.now = problems(self.rig.pipeline, {
            stream: Subscribed(topic, self.type, [self.type] if there else [], self.reliable)
            for stream, topic in TOPICS.items()})
        for text in self.now:
            self.said.setdefault(text, self.clock.now - self.begin)

    def first(self, *words: str) -> float:
        """After how many seconds a problem with all these words was first there."""
        return min(when for text, when in self.said.items() if all(w in text for w in words))

    def status(self) -> Any:
        return diagnostics.status("robot", {}, self.rig.pipeline, self.now)


def _events(stream: Stream, sensor: Sensor, until: float) -> list[Any]:
    jitter = np.random.default_rng(1)
    found = []
    for number in range(int(until * sensor.hz) + 1):
        moment = number / sensor.hz
        stamp = moment + sensor.late + jitter.normal(0, sensor.jitter)
        if sensor.comes(number) and sensor.from_s <= moment < sensor.until_s:
            found.append((moment + sensor.after, stream, sensor, number, stamp))
    return found


class Shaking:
    """What a robot's two cameras show while it nods and turns: a wide view, of which they see a
    part. seed: of view and motion."""

    def __init__(self, seed: int, hz: float) -> None:
        rng = np.random.default_rng(seed)
        import cv2
        view = rng.random((160, 220), np.float32)
        self._view = sum((cv2.GaussianBlur(view, (0, 0), sigma) - 0.5) * sigma
                         for sigma in (2.0, 5.0))
        self._waves = [(rng.uniform(0.5, 2.2), rng.uniform(0, 6.3), rng.uniform(1.0, 3.0), axis)
                       for axis in (0, 1) for _ in range(3)]
        self._hz, self._rng = hz, rng

    def _seen(self, number: int) -> Array:
        import cv2
        moment = number / self._hz
        down, right = (sum(size * np.sin(6.3 * f * moment + phase)
                           for f, phase, size, of in self._waves if of == axis)
                       for axis in (0, 1))
        return np.asarray(cv2.warpAffine(
            self._view, np.float32([[1, 0, -60 - right], [0, 1, -48 - down]]),
            SIZE[::-1]))

    def colours(self, number: int) -> Array:
        grey = 120 + 150 * self._seen(number) + self._rng.normal(0, 2, SIZE)
        return np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[..., None], 3, axis=2)

    def depth(self, number: int) -> Array:
        millimetres = 6000 * np.exp(-2 * self._seen(number)) * (
            1 + 0.01 * self._rng.standard_normal(SIZE))
        return np.clip(millimetres, 500, 19_000).astype(np.uint16)

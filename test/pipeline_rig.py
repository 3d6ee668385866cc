"""A pipeline on a bench: a fake segmenter, and a clock that goes when a test moves it; and
the whole node in this process."""
from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from std_msgs.msg import Header

from ssma_core import ModelSpec
from ssma_core.bags.pairing import Stream
from ssma_ros.node import messages
from ssma_ros.node.labelling import Output, Outputs
from ssma_ros.node.parameters import Parameters
from ssma_ros.node.pipeline import Pipeline

COLOUR = np.full((4, 6, 3), 50, np.uint8)
DEPTH = np.full((4, 6), 9000, np.uint16)
NO_DEPTH = np.zeros((4, 6), np.uint16)
BLACK = np.zeros((4, 6, 3), np.uint8)
FUSED, COLOUR_ALONE, DEPTH_ALONE = 1, 2, 3  # the labels of each
GIVEN = Parameters(aux_timeout=0.5, rgb_timeout=0.5, frozen_timeout=2.0, check_frame_id=False)


class Clock:
    """The steady clock, which goes when a test moves it."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def go(self, seconds: float) -> None:
        self.now += seconds


class Rig:
    """A pipeline, what it was given to segment and to prepare, and what came out of it.

    real: a Segmenter, in place of the fake one. registration: of the second sensor's images.
    """

    def __init__(self, spec: ModelSpec, unimodal: tuple[bool, bool] = (True, True),
                 given: Parameters = GIVEN, real: Any = None, registration: Any = None) -> None:
        self.labels: list[Any] = []
        self.others: dict[str, list[Any]] = {
            name: [] for name in ("confidence", "trust", "overlay", "points")}
        self.wanted: set[str] = set()
        self.modes: list[str] = []
        self.errors: list[str] = []
        self.asked: list[dict[str, bool]] = []
        self.inference: Callable[[], None] = lambda: None
        self.now_ns: Callable[[], int] = lambda: 10**12
        self.prepared: list[tuple[Any, Any, dict[str, bool]]] = []
        self.preparing: Callable[[], None] = lambda: None
        segmenter = real or SimpleNamespace(
            segment=self._segment, prepare=self._prepare, spec=spec, unimodal=unimodal)
        others = {name: Output(self.others[name].append, lambda n=name: n in self.wanted)
                  for name in self.others}
        self.pipeline = Pipeline(segmenter, given, Outputs(
            label=Output(self.labels.append, lambda: True), **others,
            mode=self.modes.append, error=self.errors.append,
            now_ns=self._node_time), registration)

        self.pipeline.publish_mode()  # as where the node is activated
        self.ended = 0  # of what the worker took up
        worker = self.pipeline.worker
        worker._work, worker._failed = map(self._counted, (worker._work, worker._failed))

    def _counted(self, end: Callable[[Any], None]) -> Callable[[Any], None]:
        """The call, counted once all is done that it does: unless it raises."""
        def counted(given: Any) -> None:
            end(given)
            self.ended += 1

        return counted

    def _node_time(self) -> int:
        return self.now_ns()

    def _segment(self, rgb: Any, aux: Any, **asked: bool) -> Any:
        self.asked.append(asked)
        self.inference()
        label = DEPTH_ALONE if rgb is None else COLOUR_ALONE if aux is None else FUSED
        pixels = np.full((4, 6), label, np.uint8)
        return SimpleNamespace(labels=pixels, **{
            name: pixels + 10 if asked[name] else None for name in ("confidence", "trust")})

    def _prepare(self, rgb: Any, aux: Any, **asked: bool) -> None:
        self.prepared.append((rgb, aux, asked))
        self.preparing()

    def pair(self, milliseconds: int, rgb: npt.NDArray[Any] = COLOUR,
             aux: npt.NDArray[Any] = DEPTH) -> None:
        self.send("rgb", milliseconds, rgb)
        self.send("aux", milliseconds, aux)

    def send(self, stream: Stream, milliseconds: int, pixels: npt.NDArray[Any] | None = None,
             encoding: str | None = None, frame_id: str = "camera") -> None:
        """encoding: what the image says that it is, if not what it is."""
        if pixels is None:
            pixels = {"rgb": COLOUR, "aux": DEPTH}[stream]
        header = Header(frame_id=frame_id)
        header.stamp.sec, header.stamp.nanosec = divmod(milliseconds * 10**6, 10**9)
        image = messages.image(
            np.ascontiguousarray(pixels).view(np.uint8).reshape(len(pixels), -1), "mono8", header)
        image.width = pixels.shape[1]
        image.encoding = encoding or {"rgb": "bgr8", "aux": "16UC1"}[stream]
        self.pipeline.receive(image, stream, f"/robot/{stream}")

    def settle(self) -> None:
        """Until all that was offered has come to its end."""
        counts = self.pipeline.statistics.counts
        until(lambda: counts["offered"] == counts["overwritten"] + self.ended)

    def made(self) -> list[tuple[int, int]]:
        """Of every label the stamp in milliseconds and what it was made from."""
        self.settle()
        return [(label.header.stamp.sec * 1000 + label.header.stamp.nanosec // 10**6,
                 label.data[0]) for label in self.labels]


def drive(rig: Rig, clock: Clock, streams: Sequence[Stream], begin: int, end: int) -> None:
    """Images every 100 ms of the streams' stamps and of the clock; each is worked on at once."""
    for milliseconds in range(begin, end, 100):
        rig.pipeline.publish_mode()  # as the ticks do
        for stream in streams:
            rig.send(stream, milliseconds, frame_id=f"{stream}_frame")
        rig.settle()
        clock.go(0.1)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.perf_counter() + 5
    while not condition():
        assert time.perf_counter() < deadline, "it did not happen within 5 s"
        time.sleep(0.001)


class Logged:
    """In place of the node's logger."""

    def __init__(self) -> None:
        self.errors: list[str] = []
        self.error = self.errors.append

    def info(self, text: str) -> None:
        pass

    warning = info


@contextmanager
def node_in_process(patch: pytest.MonkeyPatch, domain: int | None = None, **parameters: Any
                    ) -> Iterator[Any]:
    """The lifecycle node, unconfigured, with these parameters, and what it logs in `logged`."""
    import rclpy
    from rclpy.parameter import Parameter

    from ssma_ros.node import lifecycle, memory

    for name in ("keep", "give_back"):  # they change how this whole process allocates
        patch.setattr(memory, name, lambda: None)
    rclpy.init(domain_id=domain)
    node: Any = lifecycle.SegmentationNode()
    try:
        node.set_parameters([Parameter(name, value=value) for name, value in parameters.items()])
        node.logged = Logged()
        patch.setattr(node, "get_logger", lambda: node.logged)
        yield node
    finally:
        node.destroy_node()
        rclpy.try_shutdown()

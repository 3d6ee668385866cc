"""Stamps that cannot be right: of another time, of the future, or late."""
from __future__ import annotations

from collections.abc import Collection, Mapping

from ssma_core import STREAMS, Stream
from ssma_ros.node.parameters import allows
from ssma_ros.node.pipeline import Pipeline

ANOTHER_TIME_S = 3600.0


def wrong(pipeline: Pipeline, topics: Mapping[Stream, str], silent: Collection[Stream]
          ) -> list[str]:
    ages = [age for stream in STREAMS if stream not in silent
            and (age := pipeline.age(stream)) is not None]
    if pipeline.statistics.is_starting():  # /clock may come after the first images
        return []
    return _other_time(ages) or _late(pipeline, topics) or _ahead(pipeline, topics)


def _other_time(ages: Collection[float]) -> list[str]:
    """That stamps are of another time than the node's clock. ages: of the images, in seconds."""
    if not ages or min(map(abs, ages)) < ANOTHER_TIME_S:
        return []
    return ["the images' stamps are of another time than this node's clock: with use_sim_time "
            "some program must publish /clock, and where a bag or a simulation stamps them, the "
            "node needs use_sim_time. Until then ages, and times from stamp to label, mean nothing"]


def _late(pipeline: Pipeline, topics: Mapping[Stream, str]) -> list[str]:
    delay = pipeline.statistics.aux_delay
    if delay is None or not allows("aux_delay", delay):
        return []
    off = delay - pipeline.given.aux_delay
    late, order = ("late", "before") if off > 0 else ("early", "after")
    return [f"the stamps on {topics['aux']} are {abs(off):.2g} s {late}, by how the images move: "
            f"what they show, {topics['rgb']} shows that long {order}, by its stamps. So images of "
            f"different moments become pairs. Set aux_delay to {delay:.3g}"]


def _ahead(pipeline: Pipeline, topics: Mapping[Stream, str]) -> list[str]:
    ahead = {stream: seconds for stream in STREAMS if (seconds := pipeline.arrivals.ahead(stream))}
    if not ahead:
        return []
    text = (f"the images on {' and '.join(topics[stream] for stream in ahead)} are stamped "
            f"{max(ahead.values()):.2g} s in the future: the clock that stamps them is ahead of "
            "this node's. chrony or PTP sets both right")
    delay = pipeline.given.aux_delay + pipeline.arrivals.newer_aux()
    if ahead.keys() == {"aux"} and allows("aux_delay", delay):
        text += f"; where they cannot be, set aux_delay to about {delay:.2g}"
    return [text]

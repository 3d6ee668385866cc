"""What keeps labels from coming as they should, and what the user can do about it."""
from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ssma_core import OTHER, STREAMS, Stream
from ssma_ros.node.health.statistics import RECEIVED, RECENT_S, Statistics, is_recent
from ssma_ros.node.pipeline import Pipeline

FEW = 0.5  # of the slower stream's images: fewer pairs mean that something is wrong
ENOUGH = 10  # images to judge by
ANOTHER_TIME_S = 3600.0


@dataclass(frozen=True)
class Subscribed:
    """A topic's full name, the name of the subscribed type, and of each publisher's type."""

    topic: str
    type: str
    published: Sequence[str]


def problems(pipeline: Pipeline, inputs: Mapping[Stream, Subscribed]) -> list[str]:
    """All current problems. Errors that were logged already are in `Statistics.recent_errors`."""
    statistics, names = pipeline.statistics, pipeline.labelling.names
    topics = {stream: subscribed.topic for stream, subscribed in inputs.items()}
    silent = [stream for stream in STREAMS if not is_recent(statistics.last_seen[stream])]
    found = [_silent(statistics, stream, inputs[stream]) for stream in silent]
    blank = {stream: reason for stream, (reason, when) in statistics.blank.items()
             if is_recent(when)}
    found += [f"the images on {topics[stream]} show nothing: {reason}"
              for stream, reason in blank.items()]
    if not silent:
        found += _unpaired(pipeline, topics)
    for stream in STREAMS:
        found += _slow(pipeline, stream, topics[stream])
        found += _two_sources(statistics, inputs[stream])
    found += _other_time([age for stream in STREAMS if stream not in silent
                          and (age := pipeline.age(stream)) is not None])
    missing = {*silent, *blank}
    if len(missing) == 1:
        stream = missing.pop()
        if not pipeline.labelling.unimodal[OTHER[stream]]:
            found.append(f"this model cannot label {names[OTHER[stream]]} without {names[stream]}")
    for stream in STREAMS:
        if pipeline.mode == names[stream]:
            found.append(f"labels are made from {pipeline.mode} alone")
            found += _unchanged(pipeline, stream, topics[stream])
    return found


def _silent(statistics: Statistics, stream: Stream, subscribed: Subscribed) -> str:
    topic, types = subscribed.topic, sorted({*subscribed.published})
    text = f"no new image on {topic} for {RECENT_S:g} s: "
    if statistics.is_going_on(RECEIVED[stream]):
        return text + ("images come, but they are refused, or repeat one stamp as a driver that "
                       "hangs does")
    if not types:
        return text + ("no one publishes it; is the sensor's driver running, and the topic "
                       "remapped to it?")
    if subscribed.type not in types:
        return text + (f"it is published as {' and '.join(types)}, but subscribed as "
                       f"{subscribed.type}. Remap {stream}/image to the raw images' topic, without "
                       f"the transport's name at its end, and set {stream}_transport to the way "
                       "they come")
    if stream in statistics.qos_mismatch:
        policy = statistics.qos_mismatch[stream]
        return text + (
            f"a publisher's QoS does not fit this node's ({policy}). `ros2 topic info -v {topic}` "
            f"shows both; set qos_overrides.{topic}.subscription.{policy.lower()} to what is "
            "offered")
    several = len(subscribed.published) > 1
    return text + (f"{len(subscribed.published)} publisher{'s are' if several else ' is'} there, "
                   "so look at its own log, and at rate and QoS with `ros2 topic info -v`")


def _two_sources(statistics: Statistics, subscribed: Subscribed) -> list[str]:
    publishers = len(subscribed.published)
    if publishers < 2 or not statistics.is_going_on("clock jump"):
        return []
    return [f"{publishers} publishers send on {subscribed.topic}, and its stamps go back: is a bag "
            "replayed while the sensor's driver runs? Labels are of both times"]


def _unchanged(pipeline: Pipeline, stream: Stream, topic: str) -> list[str]:
    """That the only camera left may hang: there is no other one to compare it with."""
    seconds = pipeline.statistics.unchanged.get(stream, 0.0)
    if seconds <= pipeline.given.frozen_timeout:
        return []
    return [f"the images on {topic} have not changed for {seconds:.0f} s: the camera hangs, or a "
            "simulated scene stands still"]


def _unpaired(pipeline: Pipeline, topics: Mapping[Stream, str]) -> list[str]:
    """Reports that few or no images pair, and why."""
    statistics = pipeline.statistics
    if not is_recent(statistics.last_paired):
        return [f"images come on {topics['rgb']} and {topics['aux']}, but none pair: "
                + _why_not(pipeline, topics)]
    paired, images = statistics.recent("paired"), min(map(statistics.recent, RECEIVED.values()))
    if images < ENOUGH or paired >= FEW * images:
        return []
    return [f"of the last {images} images on the slower of {topics['rgb']} and {topics['aux']} "
            f"only {paired} found a partner: {_why_not(pipeline, topics)}"]


def _why_not(pipeline: Pipeline, topics: Mapping[Stream, str]) -> str:
    pairing = pipeline.pairing
    apart = pairing.apart()
    if apart is not None and apart > pairing.slop:
        return (f"the nearest stamps lie {apart:g} s apart, more than the slop of "
                f"{pairing.slop:g} s. If both clocks are the same, set slop to this value; if the "
                "second sensor is always late, set aux_delay")
    behind = _behind(pipeline)
    if behind is None:
        return "they were refused, or came late, as the counters show"
    stream, seconds, images = behind
    return (f"images on {topics[stream]} come {seconds:.2g} s after those of the same stamp on "
            f"{topics[OTHER[stream]]}, where at most {pairing.queue_size} images wait. If the "
            f"sensor needs this time, set queue_size to {images}. If its clock is late, correct "
            "the clock or set aux_delay")


def _behind(pipeline: Pipeline) -> tuple[Stream, float, int] | None:
    """The stream whose images come when their partners no longer wait, by how many seconds they are
    late, and how many of the other stream's images would have to wait."""
    ages = {stream: pipeline.age(stream) for stream in STREAMS}
    if None in ages.values():
        return None
    first, last = sorted(STREAMS, key=lambda stream: ages[stream] or 0.0)
    seconds = (ages[last] or 0.0) - (ages[first] or 0.0)
    images = math.ceil(seconds / (pipeline.pairing.period(first) or math.inf)) + 2
    return (last, seconds, images) if images > pipeline.pairing.queue_size else None


def _other_time(ages: Sequence[float]) -> list[str]:
    """That stamps are of another time than the node's clock. ages: of the images, in seconds."""
    if not ages or min(map(abs, ages)) < ANOTHER_TIME_S:
        return []
    return ["the images' stamps are of another time than this node's clock: with use_sim_time "
            "some program must publish /clock, and where a bag or a simulation stamps them, the "
            "node needs use_sim_time. Until then ages, and times from stamp to label, mean nothing"]


def _slow(pipeline: Pipeline, stream: Stream, topic: str) -> list[str]:
    """Reports that this stream is slower than the timeout of the other stream, whose images come
    more often."""
    period, others = map(pipeline.pairing.period, (stream, OTHER[stream]))
    timeout = pipeline.timeout(OTHER[stream])
    if period is None or others is None or not others <= timeout < period:
        return []
    return [f"images come on {topic} every {period:.2g} s, but {stream}_timeout is {timeout:g} s: "
            "the sensor counts as dead between two of them. Set it to more than that"]

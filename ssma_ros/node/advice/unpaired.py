"""Images that come and do not pair, or are not waited for."""
from __future__ import annotations

import math
from collections.abc import Mapping

from ssma_core import OTHER, STREAMS, Stream
from ssma_ros.node.health.statistics import TAKEN
from ssma_ros.node.parameters import allows
from ssma_ros.node.pipeline import Pipeline

FEW = 0.5  # of the slower stream's images: fewer pairs mean that something is wrong
ENOUGH = 10  # images to judge by
GAPS = 3  # between images, to judge a camera's period by


def unpaired(pipeline: Pipeline, topics: Mapping[Stream, str], *, losing: bool) -> list[str]:
    """Reports that few or no images pair, and why. losing: whether images are lost on the way, so
    that others remain without a partner."""
    statistics, pairing = pipeline.statistics, pipeline.pairing
    if statistics.is_starting() or statistics.aux_delay is not None:  # which is reported
        return []
    nearest = pairing.apart(0.1)
    if losing and nearest is not None and nearest <= pairing.slop:
        return []
    if statistics.no_pairs():
        return [f"images come on {topics['rgb']} and {topics['aux']}, but none pair: "
                + _why_not(pipeline, topics)]
    paired, images = statistics.recent("paired"), min(map(statistics.recent, TAKEN.values()))
    if images < ENOUGH or paired >= FEW * images:
        return []
    return [f"of the last {images} images on the slower of {topics['rgb']} and {topics['aux']} "
            f"only {paired} found a partner: {_why_not(pipeline, topics)}"]


def slow(pipeline: Pipeline, stream: Stream, topic: str) -> list[str]:
    """Reports that this stream is slower than the timeout of the other stream, whose images come
    more often."""
    period, others = (pipeline.pairing.period(s, GAPS) for s in (stream, OTHER[stream]))
    timeout = pipeline.timeout(OTHER[stream])
    if period is None or others is None or not others <= timeout < period:
        return []
    text = (f"images come on {topic} every {period:.2g} s, but {stream}_timeout is {timeout:g} s: "
            "the sensor counts as dead between two of them")
    return [text + (". Set it to more than that" if allows(f"{stream}_timeout", 1.1 * period)
                    else "")]


def _why_not(pipeline: Pipeline, topics: Mapping[Stream, str]) -> str:
    pairing = pipeline.pairing
    apart = pairing.apart()
    if apart is not None and apart > pairing.slop:
        return (f"the nearest stamps lie {apart:g} s apart, more than the slop of "
                f"{pairing.slop:g} s. {_for_stamps_apart(pipeline, apart)}")
    behind = _behind(pipeline)
    if behind is None:
        return "they were refused, or came late, as the counters show"
    stream, seconds, images = behind
    text = (f"images on {topics[stream]} come {seconds:.2g} s after those of the same stamp on "
            f"{topics[OTHER[stream]]}, where at most {pairing.queue_size} images wait. ")
    if allows("queue_size", images):
        text += f"If the sensor needs this time, set queue_size to {images}. "
    return text + ("If its clock is late, correct the clock"
                   + (" or set aux_delay" if allows("aux_delay", seconds) else ""))


def _for_stamps_apart(pipeline: Pipeline, apart: float) -> str:
    """A slop of more than half a period would pair neighbours."""
    periods = [period for s in STREAMS if (period := pipeline.pairing.period(s)) is not None]
    half = min(periods, default=math.inf) / 2
    if allows("slop", apart) and apart < half:
        return ("If both clocks are the same, set slop to this value; if the second sensor is "
                "always late, set aux_delay")
    if apart < 1.1 * half and allows("aux_delay", apart):
        return (f"That is half a period, so no slop tells neighbours from partners. Set aux_delay "
                f"to {apart:g} if the second sensor is late, to {-apart:g} if it is early")
    newest = pipeline.statistics.last_stamp_ns
    late = (newest["aux"] - newest["rgb"]) / 1e9
    text = "The two clocks differ: chrony or PTP sets them right"
    return text + (f", or aux_delay, to about {late:.2g}" if allows("aux_delay", late) else "")


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

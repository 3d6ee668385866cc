"""What keeps labels from coming as they should, and what the user can do about it."""
from __future__ import annotations

from collections.abc import Mapping

from ssma_core import OTHER, STREAMS, Stream
from ssma_ros.node.advice import sensors, silence, stamps, unpaired
from ssma_ros.node.advice.silence import Subscribed
from ssma_ros.node.health.statistics import is_recent
from ssma_ros.node.pipeline import NO_MODE, Pipeline

__all__ = ["Subscribed", "problems"]


def problems(pipeline: Pipeline, inputs: Mapping[Stream, Subscribed]) -> list[str]:
    """All current problems; to be called every second. Errors that were logged already are in
    `Statistics.recent_errors`."""
    statistics = pipeline.statistics
    topics = {stream: subscribed.topic for stream, subscribed in inputs.items()}
    silence.note_publishers(statistics, inputs)
    silent = [stream for stream in STREAMS if statistics.is_silent(stream)]
    missed = [stream for stream in silent if silence.is_missed(statistics, stream)]
    found = [silence.why(statistics, stream, inputs[stream]) for stream in missed]
    blank = {stream: reason for stream, (reason, when) in statistics.blank.items()
             if is_recent(when)}
    found += [f"the images on {topics[stream]} show nothing: {reason}"
              for stream, reason in blank.items()]
    found += sensors.wrong(pipeline, topics)
    found += _stalled(pipeline)
    lost = {stream: loss for stream in STREAMS if (loss := pipeline.lost(stream))}
    found += [silence.lost(loss, stream, inputs[stream]) for stream, loss in lost.items()]
    if not silent:
        found += unpaired.unpaired(pipeline, topics, losing=bool(lost))
    for stream in STREAMS:
        if stream not in lost:
            found += unpaired.slow(pipeline, stream, topics[stream])
        found += silence.two_sources(statistics, inputs[stream])
    found += stamps.wrong(pipeline, topics, silent)
    return found + _alone(pipeline, topics, {*missed, *blank},
                          starting=not found and statistics.is_starting())


def _stalled(pipeline: Pipeline) -> list[str]:
    """That the model hangs or fails."""
    stalled, timeout = pipeline.worker.stalled_for(), pipeline.given.inference_timeout
    if pipeline.mode != NO_MODE or stalled < timeout / 4:
        return []
    return [f"the model has given no answer for {stalled:.0f} s: after {timeout:g} s (parameter "
            "inference_timeout) it is loaded again or, where that was done before, the node ends"]


def _alone(pipeline: Pipeline, topics: Mapping[Stream, str], missing: set[Stream], *,
           starting: bool) -> list[str]:
    """That one sensor is used, or would be needed. starting: one may only be the first to come."""
    found, names = [], pipeline.labelling.names
    if len(missing) == 1:
        stream, = missing
        if not pipeline.labelling.unimodal[OTHER[stream]]:
            found.append(f"this model cannot label {names[OTHER[stream]]} without {names[stream]}")
    for stream in STREAMS:
        if pipeline.mode == names[stream] and not starting:
            found.append(f"labels are made from {pipeline.mode} alone")
            found += sensors.unchanged(pipeline, stream, topics[stream])
    return found

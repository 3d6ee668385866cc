"""Images, depths and calibrations that cannot be right."""
from __future__ import annotations

from collections.abc import Mapping

from ssma_core import Stream
from ssma_ros.node.pipeline import Pipeline


def wrong(pipeline: Pipeline, topics: Mapping[Stream, str]) -> list[str]:
    statistics, found = pipeline.statistics, []
    if statistics.wrong_unit and not statistics.is_silent("aux"):
        found.append(f"depth on {topics['aux']} has a wrong unit: {statistics.wrong_unit}")
    if statistics.wrong_calibration:
        found.append(f"the colour camera's calibration cannot be right: "
                     f"{statistics.wrong_calibration}, so there are no points. Look at what its "
                     "driver publishes beside the colour images")
    return found


def unchanged(pipeline: Pipeline, stream: Stream, topic: str) -> list[str]:
    """That the only camera left may hang: there is no other one to compare it with."""
    seconds = pipeline.statistics.unchanged.get(stream, 0.0)
    if seconds <= pipeline.given.frozen_timeout:
        return []
    return [f"the images on {topic} have not changed for {seconds:.0f} s: the camera hangs, or a "
            "simulated scene stands still"]

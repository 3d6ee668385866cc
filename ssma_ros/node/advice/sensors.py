"""Images, depths and calibrations that cannot be right."""
from __future__ import annotations

from collections.abc import Mapping

from ssma_core import STREAMS, Stream
from ssma_ros.node.pipeline import Pipeline


def wrong(pipeline: Pipeline, topics: Mapping[Stream, str]) -> list[str]:
    statistics, found = pipeline.statistics, []
    if statistics.wrong_unit and not statistics.is_silent("aux"):
        found.append(f"depth on {topics['aux']} has a wrong unit: {statistics.wrong_unit}")
    if statistics.wrong_calibration:
        found.append(f"the colour camera's calibration cannot be right: "
                     f"{statistics.wrong_calibration}, so there are no points. Look at what its "
                     "driver publishes beside the colour images")
    if statistics.displaced and not any(map(statistics.is_silent, STREAMS)):
        found.append(_displaced(*statistics.displaced, pipeline, topics))
    return found


def _displaced(right: int, down: int, pipeline: Pipeline, topics: Mapping[Stream, str]) -> str:
    off = [f"{abs(pixels)} pixels too far {way}" for pixels, way in (
        (right, "right" if right > 0 else "left"), (down, "down" if down > 0 else "up")) if pixels]
    text = (f"what {topics['aux']} shows lies {' and '.join(off)}, beside what {topics['rgb']} "
            "shows: ")
    if pipeline.given.registration:
        return text + ("the registration does not fit. Has a camera moved? Make another one by "
                       "`ssma register`. A homography fits at one distance only")
    return text + ("the second sensor's images are not registered to colour, as they must be. "
                   "Record both, and have `ssma register` make a registration (parameter "
                   "registration)")


def unchanged(pipeline: Pipeline, stream: Stream, topic: str) -> list[str]:
    """That the only camera left may hang: there is no other one to compare it with."""
    seconds = pipeline.statistics.unchanged.get(stream, 0.0)
    if seconds <= pipeline.given.frozen_timeout:
        return []
    return [f"the images on {topic} have not changed for {seconds:.0f} s: the camera hangs, or a "
            "simulated scene stands still"]

"""Images that do not come, or not all of them."""
from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ssma_core import OTHER, Stream
from ssma_ros.node.health.arrivals import Loss
from ssma_ros.node.health.statistics import RECEIVED, RECENT_S, Statistics

APPEARS_S = 2.5  # from the first publisher to its first image
NOBODY_S = 10.0  # until the driver, or a bag, is started
SHARED_MEMORY = 512 * 1024  # bytes; Fast DDS's default
PROFILE = "config/fastdds_images.xml"
NETWORK_PROFILE = "config/fastdds_network.xml"


@dataclass(frozen=True)
class Subscribed:
    """A topic's full name, the name of the subscribed type, and of each publisher's type.
    reliable: whether all publishers offer to send again what is lost."""

    topic: str
    type: str
    published: Sequence[str]
    reliable: bool = False


def note_publishers(statistics: Statistics, inputs: Mapping[Stream, Subscribed]) -> None:
    """Notes since when somebody publishes each topic."""
    now = time.monotonic()
    known = statistics.published_since
    statistics.published_since = {stream: known.get(stream, now)
                                  for stream, subscribed in inputs.items() if subscribed.published}


def is_missed(statistics: Statistics, stream: Stream) -> bool:
    """Whether a silent stream should have come: not in the time that drivers need to start."""
    now = time.monotonic()
    if stream in statistics.came_back:
        return True
    if OTHER[stream] in statistics.came_back:
        return now - statistics.came_back[OTHER[stream]] > RECENT_S
    if stream not in statistics.published_since:
        return now - statistics.activated > NOBODY_S
    since = statistics.published_since[stream]
    if since - statistics.activated <= RECENT_S:  # it was there before this node
        since = statistics.activated
    return now - since > APPEARS_S


def why(statistics: Statistics, stream: Stream, subscribed: Subscribed) -> str:
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
    text += (f"{len(subscribed.published)} publisher{'s are' if several else ' is'} there, so look "
             "at its own log, and at rate and QoS with `ros2 topic info -v`")
    if stream in statistics.came_back:
        return text
    return text + (f". Images that are larger than Fast DDS's shared memory never come: start the "
                   f"driver with {PROFILE}, or {NETWORK_PROFILE} on another computer")


def lost(loss: Loss, stream: Stream, subscribed: Subscribed) -> str:
    topic = subscribed.topic
    text = (f"{100 * loss.share:.0f} % of the images on {topic} are lost on the way, or by the "
            f"driver: the gaps between stamps are multiples of {loss.period:.2g} s. ")
    if loss.size > SHARED_MEMORY:
        text += (f"Images of {loss.size / 1e6:.1f} MB do not fit Fast DDS's default shared memory "
                 f"of 0.5 MB: start the driver, and this node, with {PROFILE}. ")
    cures = [f"start both with {NETWORK_PROFILE}"]
    if not subscribed.type.endswith("CompressedImage"):
        cures.append(f"take compressed images ({stream}_transport)")
    if subscribed.reliable:
        cures.append(f"set qos_overrides.{topic}.subscription.reliability to reliable")
    return text + f"If they come from another computer: {', or '.join(cures)}"


def two_sources(statistics: Statistics, subscribed: Subscribed) -> list[str]:
    publishers = len(subscribed.published)
    if publishers < 2 or not statistics.is_going_on("clock jump"):
        return []
    return [f"{publishers} publishers send on {subscribed.topic}, and its stamps go back: is a bag "
            "replayed while the sensor's driver runs? Labels are of both times"]

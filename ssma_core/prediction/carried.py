"""A copy of a bag with more messages in it, as one MCAP file.

The official library writes it, which keeps a channel's definition, encoding and metadata as they
are. rosbags' writer takes ROS 2's own definitions only, and none without the type's hash.
"""
from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from rosbags.interfaces import QosTime

from ssma_core.bags import rosbag2
from ssma_core.bags.open_bag import OpenBag, opened
from ssma_core.bags.qos import in_numbers
from ssma_core.bags.rosbag2 import Recorded
from ssma_core.bags.storage import QOS, TYPE_HASH, BagFile, Channel, Definition, in_order
from ssma_core.errors import needing
from ssma_core.files import atomic_write

if TYPE_CHECKING:
    from mcap.writer import Writer


class Description(NamedTuple):
    """All that a bag says of a channel. more: names and values, sorted."""

    topic: str
    type: str
    encoding: str
    definition: Definition
    more: tuple[tuple[str, str], ...]


class Carried(NamedTuple):
    """A message of whatever type and encoding."""

    time_ns: int
    published_ns: int
    channel: Description
    data: bytes


def copy(bag: Path, target: Path, beside: Iterable[Recorded]) -> None:
    """Writes the bag's topics and messages as they are, and those of `beside` between them.

    beside: in the order of time; of types of Jazzy's own packages, on topics that the bag does not
      have. It is read as far as the copy has come: in memory are a chunk and one message of each.
    Raises SsmaError where the bag cannot be read or the target not be written, which is then not
    there.
    """
    with (opened(bag) as found, atomic_write(target) as temporary,
          temporary.open("wb") as file):
        writer = _begun(file)
        channels: dict[Description, int] = {}
        schemas: dict[tuple[str, Definition], int] = {("", Definition()): 0}
        for part in found.files:  # also channels without a message
            for each in part.channels:
                _register(writer, _described(each, found.qos), channels, schemas)
        for message in heapq.merge(_everything(found), map(_carried, beside),
                                   key=lambda each: each.time_ns):
            _register(writer, message.channel, channels, schemas)
            writer.add_message(channels[message.channel], message.time_ns, message.data,
                               message.published_ns)
        # Where a rosbag2 finds this record, and no more in it, it takes the QoS for numbers.
        writer.add_metadata("rosbag2", {"ROS_DISTRO": "jazzy"})
        writer.finish()


def _begun(file: Any) -> Writer:
    with needing("to write a bag"):
        from mcap.writer import CompressionType, Writer
    # LZ4 packs labels to next to nothing, and images at the disk's pace.
    writer = Writer(file, compression=CompressionType.LZ4)
    writer.start(profile="ros2", library="ssma_ros")
    return writer


def _register(writer: Writer, channel: Description, channels: dict[Description, int],
              schemas: dict[tuple[str, Definition], int]) -> None:
    """Unless it is known."""
    if channel in channels:
        return
    schema = (channel.type, channel.definition)
    if schema not in schemas:
        schemas[schema] = writer.register_schema(channel.type, *channel.definition)
    channels[channel] = writer.register_channel(channel.topic, channel.encoding, schemas[schema],
                                                dict(channel.more))


def _everything(found: OpenBag) -> Iterator[Carried]:
    """All messages in the order they were recorded, those of unknown types, too."""
    return in_order([(file.begin_ns, partial(_messages, file, found.qos))
                     for file in found.files])


def _messages(file: BagFile, edited: Mapping[str, Any]) -> Iterator[Carried]:
    channels = {each.id: each for each in file.channels}
    described = {each.id: _described(each, edited) for each in file.channels}
    for message in file.messages(channels):
        yield Carried(message.time_ns, message.published_ns, described[message.channel],
                      rosbag2.sent(message, channels[message.channel]))


def _described(channel: Channel, edited: Mapping[str, Any]) -> Description:
    """edited: the QoS in metadata.yaml, which holds. Bags before ROS 2 Iron have no definitions."""
    found = channel.definition if channel.definition.text else _definition(channel.type)
    more = {**channel.more, QOS: in_numbers(edited.get(channel.topic) or channel.qos)}
    return Description(channel.topic, channel.type, channel.encoding, found,
                       tuple(sorted(more.items())))


def _carried(message: Recorded) -> Carried:
    return Carried(message.time_ns, message.time_ns, _ours(message.topic, message.type),
                   message.data)


@cache
def _ours(topic: str, message_type: str) -> Description:
    profile = {name: value._asdict() if isinstance(value, QosTime) else value
               for name, value in rosbag2.RELIABLE._asdict().items()}
    more = {QOS: in_numbers([profile]), TYPE_HASH: rosbag2.jazzy().hash_rihs01(message_type)}
    return Description(topic, message_type, "cdr", _definition(message_type),
                       tuple(sorted(more.items())))


def _definition(message_type: str) -> Definition:
    """Of a type of Jazzy's own packages; an empty one for other types."""
    store = rosbag2.jazzy()
    if message_type not in store.fielddefs:
        return Definition()
    return Definition("ros2msg", store.generate_msgdef(message_type, ros_version=2)[0].encode())

"""rosbag2 recordings (.mcap, .db3; a folder or a single file), read and written without ROS."""
from __future__ import annotations

import os
import struct
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from rosbags.interfaces import (
    Qos as RecordedQos,
)
from rosbags.interfaces import (
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore
from rosbags.typesys.store import Typestore

from ssma_core.bags.open_bag import OpenBag, opened
from ssma_core.bags.qos import Qos, profiles
from ssma_core.bags.storage import ZSTD_MAGIC, BagFile, Channel, Stored, in_order, unpacked
from ssma_core.disk.partial import partial_folder
from ssma_core.errors import SsmaError, naming

Storage = Literal["mcap", "sqlite3"]
IMAGE = "sensor_msgs/msg/Image"
COMPRESSED_IMAGE = "sensor_msgs/msg/CompressedImage"
JPEG_FORMAT = "bgr8; jpeg compressed bgr8"  # as image_transport writes it

_FOREVER = QosTime(0, 0)
RELIABLE = RecordedQos(QosHistory.KEEP_LAST, 10, QosReliability.RELIABLE, QosDurability.VOLATILE,
                       _FOREVER, _FOREVER, QosLiveliness.AUTOMATIC, _FOREVER, False)


class Topic(NamedTuple):
    """A topic of a bag: message type ("sensor_msgs/msg/Image"; several with commas between them),
    how many messages, the QoS of every publisher while it was recorded (empty where none is known),
    and how its messages are encoded ("cdr" for ROS 2's own)."""

    type: str
    messages: int
    offered_qos: tuple[Qos, ...]
    encoding: str = "cdr"


class Recorded(NamedTuple):
    """A message of a bag: its CDR bytes as they were on the wire, and when they were recorded."""

    topic: str
    type: str
    time_ns: int
    data: bytes


def topics(path: str | Path) -> dict[str, Topic]:
    """The topics of a bag by name. Raises SsmaError when the bag cannot be read."""
    with opened(Path(path)) as bag:
        return _topics(bag)


def _topics(bag: OpenBag) -> dict[str, Topic]:
    by_topic: dict[str, list[Channel]] = {}
    for file in bag.files:
        for channel in file.channels:
            by_topic.setdefault(channel.topic, []).append(channel)
    return {name: _topic(found, bag.qos.get(name)) for name, found in by_topic.items()}


def _topic(channels: Sequence[Channel], edited: Any) -> Topic:
    """edited: the QoS in metadata.yaml, which holds, as for `ros2 bag play`, if it is one."""
    offered = profiles(edited) or tuple(dict.fromkeys(
        qos for channel in channels for qos in profiles(channel.qos)))
    return Topic(", ".join(sorted({channel.type for channel in channels})),
                 sum(channel.messages for channel in channels), offered,
                 ", ".join(sorted({channel.encoding for channel in channels})))


def span_ns(path: str | Path) -> tuple[int, int]:
    """When the first message was recorded, and the last; both 0 without messages. Raises SsmaError
    when the bag cannot be read."""
    with opened(Path(path)) as bag:
        spans = [(file.begin_ns, file.end_ns) for file in bag.files if file.end_ns]
        begins, ends = zip(*spans) if spans else ((0,), (0,))
        return min(begins), max(ends)


def drive_name(path: str | Path) -> str:
    """What the drive of a bag is called: as the bag's folder, or its file without suffix, without
    dots before it, which would hide its frames. Raises SsmaError where nothing is left of it."""
    whole = Path(os.path.abspath(path))  # "." has a name, too; a link keeps its own
    name = (whole.name if whole.is_dir() else whole.stem).lstrip(".")
    if not name:
        raise SsmaError(f"{path} has no name that a drive could have: give a link that has one")
    return name


def seconds(path: str | Path) -> float:
    """How long it took to record. Raises SsmaError as `span_ns`."""
    begin_ns, end_ns = span_ns(path)
    return (end_ns - begin_ns) / 1e9


def check_topics(path: str | Path, wanted: Iterable[str],
                 types: Collection[str] | None = None) -> dict[str, Topic]:
    """The topics of a bag, where `check` finds nothing wrong with the wanted ones."""
    found = topics(path)
    check(path, found, wanted, types)
    return found


def check(path: str | Path, found: Mapping[str, Topic], wanted: Iterable[str],
          types: Collection[str] | None = None) -> None:
    """Raises SsmaError when a bag lacks one of the wanted topics, naming those it has, and when one
    has several types, or one that is none of `types`, or is not ROS 2's.

    path: the bag's name in errors. found: its topics.
    """
    wanted = list(wanted)
    missing = [name for name in wanted if name not in found]
    if missing:
        raise SsmaError(f"{path} has no topic {' and no '.join(missing)}; it has"
                        + listed(found))
    for name in wanted:
        topic = found[name]
        if reason := unreadable(topic):
            raise SsmaError(f"{path}: {name} has {reason}")
        if types is not None and topic.type not in types:
            raise SsmaError(f"{path}: {name} has {topic.type}, not {' or '.join(types)}")


def unreadable(topic: Topic) -> str:
    """What a topic has that keeps its messages from being read; empty if nothing does."""
    if topic.encoding != "cdr":
        return (f"messages ({topic.type}) that are encoded as {topic.encoding}, and only ROS 2's "
                "own cdr is read: record or convert them as ROS 2 messages")
    if ", " in topic.type:
        return (f"messages of several types, {topic.type}, and a topic must have one: record them "
                "under different names")
    return ""


def listed(found: Mapping[str, Topic]) -> str:
    """Topics as text, a line each, to follow the words "it has"."""
    return "".join(f"\n  {name}  {topic.type}  {topic.messages} messages"
                   for name, topic in sorted(found.items())) or " none at all"


def messages(path: str | Path, wanted: Sequence[str],
             types: Collection[str] | None = None) -> Iterator[Recorded]:
    """The messages of the wanted topics, in the order they were recorded.

    Raises SsmaError as `check`, and when the bag turns out to be damaged while it is read.
    """
    with opened(Path(path)) as bag:
        check(path, _topics(bag), wanted, types)
        yield from in_order([(file.begin_ns, partial(_recorded, file, wanted))
                             for file in bag.files])


def _recorded(file: BagFile, wanted: Sequence[str]) -> Iterator[Recorded]:
    channels = {channel.id: channel for channel in file.channels if channel.topic in wanted}
    for message in file.messages(channels):
        channel = channels[message.channel]
        yield Recorded(channel.topic, channel.type, message.time_ns, sent(message, channel))


def sent(message: Stored, channel: Channel) -> bytes:
    """The message's bytes as they were on the wire."""
    if channel.encoding == "cdr" and message.data.startswith(ZSTD_MAGIC):
        return unpacked(message.data, "zstd")  # compressed one by one; CDR begins with 0
    return message.data


def decode(message: Recorded) -> Any:
    """The message's fields under their ROS names. Raises SsmaError for a type unknown to Jazzy's
    own packages and for bytes that are not such a message."""
    try:
        return jazzy().deserialize_cdr(message.data, message.type)
    except Exception as error:  # damaged bytes can fail anywhere in the generated code
        raise SsmaError(f"a message on {message.topic} cannot be read as {message.type}: "
                        f"{_reason(error)}") from error


def stamp_ns(message: Recorded) -> int:
    """The stamp of a message that begins with a std_msgs/Header, in nanoseconds, without decoding
    the rest. Raises SsmaError for bytes that are too few."""
    if len(message.data) < 12:
        raise SsmaError(f"a message on {message.topic} of {len(message.data)} bytes has no header")
    # Four bytes of encapsulation, of which the second says the order of the bytes that follow.
    seconds, nanoseconds = struct.unpack_from("<iI" if message.data[1] & 1 else ">iI",
                                              message.data, 4)
    return int(seconds) * 10**9 + int(nanoseconds)


def about(message: Recorded) -> AbstractContextManager[None]:
    """Adds to an SsmaError at which message it came up."""
    return naming(place(message))


def place(message: Recorded) -> str:
    """Where a message stands, in words."""
    return f"at the message on {message.topic} recorded at {message.time_ns / 1e9:.3f}"


def image(topic: str, time_ns: int, stamp_ns: int, pixels: npt.NDArray[np.generic],
          encoding: str, *, frame_id: str = "camera") -> Recorded:
    """A sensor_msgs/msg/Image for a bag.

    time_ns: when it was recorded; stamp_ns: its header's stamp; both since the epoch.
    pixels: H×W or H×W×C, of the dtype that the encoding ("bgr8", "16UC1", "mono8") stands for.
    """
    store = jazzy()
    pixels = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("<"))
    height, width = pixels.shape[:2]
    message = store.types[IMAGE](_header(stamp_ns, frame_id), height, width, encoding, 0,
                                 pixels.nbytes // height, pixels.reshape(-1).view(np.uint8))
    return Recorded(topic, IMAGE, time_ns, bytes(store.serialize_cdr(message, IMAGE)))


def jpeg(topic: str, time_ns: int, stamp_ns: int, content: bytes, *, frame_id: str) -> Recorded:
    """A sensor_msgs/msg/CompressedImage for a bag: a colour JPEG. Times as of `image`."""
    store = jazzy()
    message = store.types[COMPRESSED_IMAGE](_header(stamp_ns, frame_id), JPEG_FORMAT,
                                            np.frombuffer(content, np.uint8))
    return Recorded(topic, COMPRESSED_IMAGE, time_ns,
                    bytes(store.serialize_cdr(message, COMPRESSED_IMAGE)))


def _header(stamp_ns: int, frame_id: str) -> Any:
    store = jazzy()
    stamp = store.types["builtin_interfaces/msg/Time"](*divmod(stamp_ns, 10**9))
    return store.types["std_msgs/msg/Header"](stamp, frame_id)


def write(path: str | Path, recorded: Iterable[Recorded], storage: Storage = "mcap") -> None:
    """Writes a rosbag2 folder, whole or not at all, holding one message in memory at a time.

    Raises SsmaError when something is at that path already, or its parent cannot be written.
    """
    path = Path(path)
    if path.exists():
        raise SsmaError(f"{path} is there already; delete it or choose another name")
    if storage == "sqlite3" and set("#?%") & set(str(path.absolute())):
        raise SsmaError(f"cannot write {path}: rosbags takes #, ? and % in a .db3's path for parts "
                        "of an address; write .mcap, or choose another place")
    with partial_folder(path) as folder:
        unfinished = folder / path.name  # the files inside take their name from the folder
        with Writer(unfinished, version=9, storage_plugin=StoragePlugin[storage.upper()]) as writer:
            connections: dict[str, Any] = {}
            for message in recorded:
                if message.topic not in connections:
                    connections[message.topic] = writer.add_connection(
                        message.topic, message.type, typestore=jazzy(),
                        offered_qos_profiles=[RELIABLE])
                writer.write(connections[message.topic], message.time_ns, message.data)
        os.rename(unfinished, path)


@cache
def jazzy() -> Typestore:
    """The messages of Jazzy's own packages."""
    return get_typestore(Stores.ROS2_JAZZY)


def _reason(error: Exception) -> str:
    if isinstance(error, KeyError):  # its text is the bare key
        error = SsmaError(f"{error} is not known")
    return f"{error or type(error).__name__}".rstrip(".") + "."

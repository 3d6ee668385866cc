"""rosbag2 recordings (.mcap, .db3; a folder or a single file), read and written without ROS."""
from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from rosbags.interfaces import (
    ConnectionExtRosbag2,
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import Reader, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore
from rosbags.typesys.store import Typestore

from ssma_core.disk.partial import partial_folder
from ssma_core.errors import SsmaError

Storage = Literal["mcap", "sqlite3"]
IMAGE = "sensor_msgs/msg/Image"
COMPRESSED_IMAGE = "sensor_msgs/msg/CompressedImage"

_FOREVER = QosTime(0, 0)
_RELIABLE = Qos(QosHistory.KEEP_LAST, 10, QosReliability.RELIABLE, QosDurability.VOLATILE,
                _FOREVER, _FOREVER, QosLiveliness.AUTOMATIC, _FOREVER, False)


class Topic(NamedTuple):
    """A topic of a bag: message type ("sensor_msgs/msg/Image"), how many messages, and the QoS
    of every publisher while it was recorded (empty where none is known)."""

    type: str
    messages: int
    offered_qos: tuple[Qos, ...]


class Recorded(NamedTuple):
    """A message of a bag: its CDR bytes as they were on the wire, and when they were recorded."""

    topic: str
    type: str
    time_ns: int
    data: bytes


def topics(path: str | Path) -> dict[str, Topic]:
    """The topics of a bag by name. Raises SsmaError when the bag cannot be read."""
    with _opened(path) as reader:
        return {
            name: Topic(", ".join(sorted({c.msgtype for c in info.connections})), info.msgcount,
                        tuple(qos for c in info.connections
                              if isinstance(c.ext, ConnectionExtRosbag2)
                              for qos in c.ext.offered_qos_profiles))
            for name, info in reader.topics.items()
        }


def seconds(path: str | Path) -> float:
    """How long it took to record. Raises SsmaError when the bag cannot be read."""
    with _opened(path) as reader:
        return reader.duration / 1e9


def check_topics(path: str | Path, wanted: Iterable[str]) -> None:
    """Raises SsmaError when the bag lacks one of the wanted topics, naming those it has."""
    found = topics(path)
    missing = [name for name in wanted if name not in found]
    if missing:
        raise SsmaError(f"{path} has no topic {' and no '.join(missing)}; it has"
                        + listed(found))


def listed(found: Mapping[str, Topic]) -> str:
    """Topics as text, a line each, to follow the words "it has"."""
    return "".join(f"\n  {name}  {topic.type}  {topic.messages} messages"
                   for name, topic in sorted(found.items())) or " none at all"


def messages(path: str | Path, wanted: Sequence[str]) -> Iterator[Recorded]:
    """The messages of the wanted topics, in the order they were recorded.

    Raises SsmaError when a topic is missing or the bag turns out to be damaged while it is read.
    """
    check_topics(path, wanted)
    with _opened(path) as reader:
        connections = [c for c in reader.connections if c.topic in wanted]
        # rosbags takes an empty list for "everything"
        for connection, time_ns, data in reader.messages(connections) if connections else ():
            yield Recorded(connection.topic, connection.msgtype, time_ns, bytes(data))


def decode(message: Recorded) -> Any:
    """The message's fields under their ROS names. Raises SsmaError for a type unknown to Jazzy's
    own packages and for bytes that are not such a message."""
    try:
        return _jazzy().deserialize_cdr(message.data, message.type)
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


@contextmanager
def about(message: Recorded) -> Iterator[None]:
    """Adds to an SsmaError at which message it came up."""
    try:
        yield
    except SsmaError as error:
        raise SsmaError(f"at the message on {message.topic} recorded at "
                        f"{message.time_ns / 1e9:.3f}: {error}") from error


def image(topic: str, time_ns: int, stamp_ns: int, pixels: npt.NDArray[np.generic],
          encoding: str, *, frame_id: str = "camera") -> Recorded:
    """A sensor_msgs/msg/Image for a bag.

    time_ns: when it was recorded; stamp_ns: its header's stamp; both since the epoch.
    pixels: H×W or H×W×C, of the dtype that the encoding ("bgr8", "16UC1", "mono8") stands for.
    """
    store = _jazzy()
    stamp = store.types["builtin_interfaces/msg/Time"](*divmod(stamp_ns, 10**9))
    header = store.types["std_msgs/msg/Header"](stamp, frame_id)
    pixels = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("<"))
    height, width = pixels.shape[:2]
    message = store.types[IMAGE](header, height, width, encoding, 0, pixels.nbytes // height,
                                 pixels.reshape(-1).view(np.uint8))
    return Recorded(topic, IMAGE, time_ns, bytes(store.serialize_cdr(message, IMAGE)))


def write(path: str | Path, recorded: Iterable[Recorded], storage: Storage = "mcap") -> None:
    """Writes a rosbag2 folder, whole or not at all, holding one message in memory at a time.

    Raises SsmaError when something is at that path already, or its parent cannot be written.
    """
    path = Path(path)
    if path.exists():
        raise SsmaError(f"{path} is there already; delete it or choose another name")
    with partial_folder(path) as folder:
        unfinished = folder / path.name  # the files inside take their name from the folder
        with Writer(unfinished, version=9, storage_plugin=StoragePlugin[storage.upper()]) as writer:
            connections: dict[str, Any] = {}
            for message in recorded:
                if message.topic not in connections:
                    connections[message.topic] = writer.add_connection(
                        message.topic, message.type, typestore=_jazzy(),
                        offered_qos_profiles=[_RELIABLE])
                writer.write(connections[message.topic], message.time_ns, message.data)
        os.rename(unfinished, path)


@cache
def _jazzy() -> Typestore:
    return get_typestore(Stores.ROS2_JAZZY)


@contextmanager
def _opened(path: str | Path) -> Iterator[Reader]:
    """A bag open for reading; any error of rosbags on a damaged bag becomes an SsmaError."""
    path = Path(path)
    if not path.exists():
        raise SsmaError(f"there is no bag at {path}")
    if path.is_dir() and not (path / "metadata.yaml").exists():
        raise SsmaError(f"{path} is not a bag: it has no metadata.yaml; name the .mcap or .db3 "
                        "file in it, or run `ros2 bag reindex` on it")
    if path.is_file() and path.suffix not in Reader.STORAGE_PLUGINS:
        raise SsmaError(f"{path} is not a bag: give a rosbag2 folder, an .mcap or a .db3 file")
    try:
        with Reader(path) as reader:
            yield reader
    except SsmaError:
        raise
    # Errors of struct, sqlite, zstd and plain indexing come through for files that are cut short.
    except Exception as error:
        raise SsmaError(f"cannot read the bag {path}: {_reason(error)} It is damaged, cut short or "
                        "not a bag; `ros2 bag reindex` or `mcap recover` may save what is in it"
                        ) from error


def _reason(error: Exception) -> str:
    return f"{error or type(error).__name__}".rstrip(".") + "."

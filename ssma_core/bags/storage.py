"""What the files of a bag have in common, whatever their format: channels, messages in the order of
time, and the size up to which compressed data are unpacked."""
from __future__ import annotations

import heapq
import shutil
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

from lz4.frame import LZ4FrameDecompressor

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
QOS, TYPE_HASH = "offered_qos_profiles", "topic_type_hash"  # as rosbag2 calls them in MCAP files
MOST_UNPACKED = 256 << 20  # bytes of a chunk or a message; its header may claim anything
_LONGEST_NAME = 256  # letters; ROS 2 has no longer ones


class Damaged(Exception):
    """A file is not as its writer left it. The message is a sentence about the file."""


class Unsupported(Exception):
    """A file is sound, and something in it is not read. Says what and the way out."""


class Definition(NamedTuple):
    """What a message type is, as a bag has it. encoding: of the text, such as "ros2msg"; both are
    empty where the bag has none."""

    encoding: str = ""
    text: bytes = b""


class Channel(NamedTuple):
    """Messages of one topic, type and publisher.

    encoding: "cdr" for ROS 2's own. more: what else the file says of the channel, by name; the QoS
      is YAML.
    """

    id: int
    topic: str
    type: str
    encoding: str
    messages: int
    definition: Definition
    more: Mapping[str, str]

    @property
    def qos(self) -> str:
        return self.more.get(QOS, "")


class Stored(NamedTuple):
    """A message in a file. time_ns, published_ns: when it was recorded and sent. channel: its id.
    """

    time_ns: int
    channel: int
    data: bytes
    published_ns: int


class BagFile(Protocol):
    """An open file of a bag. begin_ns, end_ns: when its first and last message was recorded; both 0
    without messages."""

    channels: tuple[Channel, ...]
    begin_ns: int
    end_ns: int

    def messages(self, wanted: Collection[int]) -> Iterator[Stored]:
        """Those of the channels with these ids, in the order of time. Raises Damaged."""

    def close(self) -> None: ...


def as_name(text: str) -> str:
    """A topic, type or encoding as a file has it, so that it can be shown: on one line, and short
    also where the file is damaged."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}"
                   for letter in text[:_LONGEST_NAME])


class Timed(Protocol):
    @property
    def time_ns(self) -> int: ...


Message = TypeVar("Message", bound=Timed)
Part = tuple[int, Callable[[], Iterator[Message]]]


def in_order(parts: Iterable[Part[Message]]) -> Iterator[Message]:
    """Merges what is in order by itself. A part is begun when its time has come, and not before: it
    may take memory.

    parts: when each one begins, in nanoseconds, and its messages. Raises Damaged where a part
    begins before it said so.
    """
    waiting = sorted(((begin, number, begun) for number, (begin, begun) in enumerate(parts)),
                     reverse=True)
    numbers = count()
    next_ones: list[tuple[int, int, int, Any, Iterator[Any]]] = []
    newest_ns = -1

    def wait_for(part: int, messages: Iterator[Any]) -> None:
        message = next(messages, None)
        if message is not None:
            heapq.heappush(next_ones, (message.time_ns, part, next(numbers), message, messages))

    while waiting or next_ones:
        while waiting and (not next_ones or waiting[-1][0] <= next_ones[0][0]):
            _, part, begun = waiting.pop()
            wait_for(part, begun())
        if not next_ones:
            continue
        time_ns, part, _, message, messages = heapq.heappop(next_ones)
        if time_ns < newest_ns:
            raise Damaged(f"A message of {time_ns / 1e9:.3f} lies behind one of "
                          f"{newest_ns / 1e9:.3f}, and its index says otherwise.")
        newest_ns = time_ns
        yield message
        wait_for(part, messages)


def unpacked_file(path: Path, whole: Path) -> Path:
    """Writes a zstd file's content to `whole`: on a disk, as it may be as large as a drive. Raises
    Damaged."""
    try:
        with zstd.open(path, "rb") as packed, whole.open("wb") as file:
            shutil.copyfileobj(packed, file)
    except (zstd.ZstdError, EOFError) as error:
        raise Damaged(f"zstd cannot unpack it: {error}.") from error
    return whole


def unpacked(data: bytes | memoryview, compression: str, most: int = MOST_UNPACKED) -> bytes:
    """Data that were compressed by "zstd", "lz4" or "". Raises Damaged, and Unsupported for another
    name and for more than `most` bytes."""
    if not compression:
        return bytes(data)
    if compression not in ("zstd", "lz4"):
        raise Unsupported(f"its compression {compression!r} is not read: zstd and lz4 are")
    parts, size = [], 0
    while data:  # one frame after the other
        unpacker: Any = (zstd.ZstdDecompressor() if compression == "zstd"
                         else LZ4FrameDecompressor())
        try:
            part = unpacker.decompress(data, max_length=most + 1 - size)
        except (zstd.ZstdError, RuntimeError) as error:
            raise Damaged(f"{compression} cannot unpack it: {error}.") from error
        parts.append(part)
        size += len(part)
        if size > most:
            raise Unsupported(f"it unpacks to more than {most >> 20} MiB at once, which is not "
                              "read: have it written in smaller chunks, as by `mcap compress`")
        if not unpacker.eof:
            raise Damaged(f"Its {compression} data are cut short.")
        data = unpacker.unused_data or b""
    return b"".join(parts)

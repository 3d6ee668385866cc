"""MCAP files (mcap.dev/spec, version 0), read by their index, or by a walk through all records
where there is no index that fits.

Of a file's channels only those that are asked for matter: others may have any schema, encoding and
metadata.
"""
from __future__ import annotations

import os
import struct
from binascii import crc32
from collections import Counter
from collections.abc import Collection, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from ssma_core.bags.storage import (
    MOST_UNPACKED,
    Channel,
    Damaged,
    Definition,
    Stored,
    as_name,
    in_order,
    unpacked,
)

MAGIC = b"\x89MCAP0\r\n"
_HEADER, _FOOTER, _SCHEMA, _CHANNEL, _MESSAGE, _CHUNK = range(1, 7)
_CHUNK_INDEX, _STATISTICS, _DATA_END = 0x08, 0x0B, 0x0F
_RECORD = struct.Struct("<BQ")  # operation code, length
_MESSAGE_HEAD = struct.Struct("<HIQQ")  # channel, number, recorded, published
_FOOTER_SIZE = _RECORD.size + 20 + len(MAGIC)


class _Place(NamedTuple):
    """Where a chunk, or a message outside of chunks, begins; when its messages were recorded, and
    of which channels they are (none: unknown)."""

    begin_ns: int
    end_ns: int
    at: int
    channels: frozenset[int]


class _Schema(NamedTuple):
    type: str
    definition: Definition


class _Index(NamedTuple):
    channels: dict[int, Channel]  # their messages are counted beside them
    counts: Counter[int]
    chunks: list[_Place]
    loose: list[_Place]


class McapFile:
    """An open file; see `storage.BagFile`. Raises Damaged, and Unsupported for a compression."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        try:
            self._size = os.fstat(self._file.fileno()).st_size
            self._index = self._indexed() or self._walked()
        except BaseException:
            self.close()
            raise
        found = self._index
        self.channels = tuple(channel._replace(messages=found.counts[number])
                              for number, channel in found.channels.items())
        places = [place for place in found.chunks + found.loose if place.end_ns or place.begin_ns]
        self.begin_ns = min((place.begin_ns for place in places), default=0)
        self.end_ns = max((place.end_ns for place in places), default=0)

    def close(self) -> None:
        self._file.close()

    def messages(self, wanted: Collection[int]) -> Iterator[Stored]:
        wanted = frozenset(wanted)
        read: Counter[int] = Counter()
        parts = [(place.begin_ns, partial(self._in_chunk, place, wanted))
                 for place in self._index.chunks
                 if not place.channels or place.channels & wanted]
        loose = sorted(place for place in self._index.loose if place.channels & wanted)
        if loose:
            parts.append((loose[0].begin_ns, partial(self._outside, loose)))
        for message in in_order(parts):
            read[message.channel] += 1
            yield message
        for number in wanted:
            if read[number] != self._index.counts[number]:
                raise Damaged(f"It has {read[number]} messages on "
                              f"{self._index.channels[number].topic}, and its index says "
                              f"{self._index.counts[number]}.")

    def _in_chunk(self, place: _Place, wanted: Collection[int]) -> Iterator[Stored]:
        found = []
        for code, content in _records(self._unpacked(place.at)):
            if code == _MESSAGE:
                channel, _, time_ns, published_ns = _MESSAGE_HEAD.unpack_from(content)
                if channel in wanted:
                    found.append(Stored(time_ns, channel, bytes(content[_MESSAGE_HEAD.size:]),
                                        published_ns))
        return iter(sorted(found, key=lambda message: message.time_ns))

    def _outside(self, places: Collection[_Place]) -> Iterator[Stored]:
        for place in places:
            _, content = self._record(place.at)
            channel, _, time_ns, published_ns = _MESSAGE_HEAD.unpack_from(content)
            yield Stored(time_ns, channel, content[_MESSAGE_HEAD.size:], published_ns)

    def _indexed(self) -> _Index | None:
        """By the summary at the file's end; None where there is none, or it is not of this file.
        Raises Damaged where the file has another beginning or end."""
        if self._bytes(0, min(self._size, len(MAGIC))) != MAGIC:
            raise Damaged("It does not begin as an MCAP file does.")
        if self._size < len(MAGIC) + _FOOTER_SIZE:
            raise Damaged("It is cut short.")
        footer = self._bytes(self._size - _FOOTER_SIZE, _FOOTER_SIZE)
        code, length = _RECORD.unpack_from(footer)
        if not footer.endswith(MAGIC) or (code, length) != (_FOOTER, 20):
            raise Damaged("It is cut short: its end is missing.")
        begin, _, checksum = struct.unpack_from("<QQI", footer, _RECORD.size)
        end = self._size - _FOOTER_SIZE
        if not len(MAGIC) <= begin < end:
            return None
        summary = self._bytes(begin, end - begin)
        if checksum and crc32(summary + footer[:-len(MAGIC) - 4]) != checksum:
            return None
        try:
            return _of_summary(summary)
        except (Damaged, struct.error):
            return None

    def _walked(self) -> _Index:
        """By all records, up to the end of the data."""
        schemas: dict[int, _Schema] = {}
        index = _Index({}, Counter(), [], [])
        at, code = len(MAGIC), _HEADER
        while at < self._size - _FOOTER_SIZE and code not in (_DATA_END, _FOOTER):
            code, length = self._head(at)
            if code == _MESSAGE:
                head = self._bytes(at + _RECORD.size, min(length, _MESSAGE_HEAD.size))
                channel, _, time_ns, _ = _MESSAGE_HEAD.unpack(head)
                index.counts[channel] += 1
                index.loose.append(_Place(time_ns, time_ns, at, frozenset((channel,))))
            elif code in (_SCHEMA, _CHANNEL):
                _describe(code, memoryview(self._record(at)[1]), schemas, index)
            elif code == _CHUNK:
                times, channels = [], set()
                for inner, content in _records(self._unpacked(at)):
                    if inner == _MESSAGE:
                        channel, _, time_ns, _ = _MESSAGE_HEAD.unpack_from(content)
                        index.counts[channel] += 1
                        times.append(time_ns)
                        channels.add(channel)
                    else:
                        _describe(inner, content, schemas, index)
                if times:
                    index.chunks.append(_Place(min(times), max(times), at, frozenset(channels)))
            at += _RECORD.size + length
        return index

    def _unpacked(self, at: int) -> memoryview:
        """The records in the chunk at this place."""
        code, content = self._record(at)
        if code != _CHUNK:
            raise Damaged("Its index names a place where no chunk is.")
        fields = _Fields(memoryview(content))
        fields.take("<QQ")
        size, checksum = fields.take("<QI")
        compression, data = fields.text(), fields.block("<Q")
        records = unpacked(data, compression, max(len(data), MOST_UNPACKED))
        if len(records) != size or (checksum and crc32(records) != checksum):
            raise Damaged("A chunk in it is not as it was written.")
        return memoryview(records)

    def _head(self, at: int) -> tuple[int, int]:
        """The operation code and length of the record at this place."""
        code, length = _RECORD.unpack(self._bytes(at, _RECORD.size))
        if at + _RECORD.size + length > self._size:
            raise Damaged(f"It is cut short: a record claims {length} bytes.")
        return code, length

    def _record(self, at: int) -> tuple[int, bytes]:
        code, length = self._head(at)
        return code, self._bytes(at + _RECORD.size, length)

    def _bytes(self, at: int, size: int) -> bytes:
        if at + size > self._size:
            raise Damaged("It is cut short.")
        self._file.seek(at)
        return self._file.read(size)


class _Fields:
    """The fields of a record, one after the other. Raises Damaged where it ends before they do."""

    def __init__(self, content: memoryview) -> None:
        self._content, self._at = content, 0

    def __bool__(self) -> bool:
        """Whether there are more."""
        return self._at < len(self._content)

    def take(self, form: str) -> tuple[int, ...]:
        size = struct.calcsize(form)
        return struct.unpack(form, self._next(size))

    def text(self) -> str:
        return bytes(self.block("<I")).decode("utf-8", errors="replace")

    def block(self, length: str) -> memoryview:
        return self._next(self.take(length)[0])

    def texts(self) -> dict[str, str]:
        inner, found = _Fields(self.block("<I")), {}
        while inner:
            name = inner.text()
            found[name] = inner.text()
        return found

    def _next(self, size: int) -> memoryview:
        if self._at + size > len(self._content):
            raise Damaged("A record in it is cut short.")
        self._at += size
        return self._content[self._at - size:self._at]


def _records(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    fields = _Fields(data)
    while fields:
        code, = fields.take("<B")
        yield code, fields.block("<Q")


def _describe(code: int, content: memoryview, schemas: dict[int, _Schema], index: _Index) -> None:
    """Takes in what a schema or channel says; other records are of no use here."""
    fields = _Fields(content)
    if code == _SCHEMA:
        number, = fields.take("<H")
        schemas[number] = _Schema(as_name(fields.text()), Definition(
            fields.text(), bytes(fields.block("<I"))))
    elif code == _CHANNEL:
        number, schema = fields.take("<HH")
        topic, encoding = as_name(fields.text()), as_name(fields.text())
        known = schemas.get(schema, _Schema("", Definition()))
        index.channels[number] = Channel(number, topic, known.type, encoding, 0, known.definition,
                                         fields.texts())


def _of_summary(summary: bytes) -> _Index | None:
    """None unless it has all: channels, chunks, and counts that add up."""
    schemas: dict[int, _Schema] = {}
    index = _Index({}, Counter(), [], [])
    promised = None
    for code, content in _records(memoryview(summary)):
        fields = _Fields(content)
        if code == _CHUNK_INDEX:
            begin_ns, end_ns, at, _ = fields.take("<QQQQ")
            channels = fields.block("<I")
            index.chunks.append(_Place(begin_ns, end_ns, at, frozenset(
                number for number, _ in struct.iter_unpack("<HQ", channels))))
        elif code == _STATISTICS:
            messages, _, _, _, _, chunks, _, _ = fields.take("<QHIIIIQQ")
            promised = (messages, chunks)
            for number, many in struct.iter_unpack("<HQ", fields.block("<I")):
                index.counts[number] += many
        else:
            _describe(code, content, schemas, index)
    fits = (index.chunks and promised == (index.counts.total(), len(index.chunks))
            and index.counts.keys() <= index.channels.keys())
    return index if fits else None

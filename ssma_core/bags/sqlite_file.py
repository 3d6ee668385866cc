"""rosbag2's SQLite files (.db3), opened so that they and their folder stay as they are."""
from __future__ import annotations

import os
import shlex
import sqlite3
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ssma_core.bags.storage import (
    QOS,
    TYPE_HASH,
    Channel,
    Damaged,
    Definition,
    Stored,
    Unsupported,
    as_name,
)

MAGIC = b"SQLite format 3\0"
_LATEST_NS = 2**63 - 1


class SqliteFile:
    """An open file; see `storage.BagFile`. Raises Damaged, and Unsupported where messages are in a
    journal that cannot be read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._database = _opened(path)
        try:
            tables = self._rows("SELECT name FROM sqlite_master WHERE type = 'table'")
            if not {("messages",), ("topics",)} <= set(tables):
                raise Damaged("It has not the tables of a bag.")
            self.channels = tuple(self._channels())
            self.begin_ns, self.end_ns = self._span()
        except BaseException as error:
            self.close()
            if isinstance(error, sqlite3.Error):
                raise _told(path, error) from error
            raise

    def close(self) -> None:
        self._database.close()

    def messages(self, wanted: Collection[int]) -> Iterator[Stored]:
        marks = ", ".join("?" * len(wanted))
        try:
            # One after the other by its id: sorted rows would all be in memory, with their data.
            for number, channel, time_ns in self._database.execute(
                    f"SELECT id, topic_id, timestamp FROM messages WHERE topic_id IN ({marks}) "
                    "ORDER BY timestamp, id", tuple(wanted)):
                data, = self._rows("SELECT data FROM messages WHERE id = ?", number)[0]
                if not isinstance(data, bytes):
                    raise Damaged(f"Its message {number} holds no bytes.")
                recorded_ns = _time(time_ns)
                yield Stored(recorded_ns, channel, data, published_ns=recorded_ns)
        except sqlite3.Error as error:
            raise _told(self._path, error) from error

    def _channels(self) -> Iterator[Channel]:
        counts = dict(self._rows("SELECT topic_id, count(*) FROM messages GROUP BY topic_id"))
        columns = {name for _, name, *_ in self._rows("PRAGMA table_info(topics)")}
        qos, type_hash = (name if name in columns else "''"
                          for name in ("offered_qos_profiles", "type_description_hash"))
        definitions = self._definitions()
        for number, *facts in self._rows("SELECT id, name, type, serialization_format, "
                                         f"{qos}, {type_hash} FROM topics ORDER BY id"):
            topic, kind, encoding, offered, digest = (str(fact) for fact in facts)
            yield Channel(number, as_name(topic), as_name(kind), as_name(encoding),
                          counts.get(number, 0), definitions.get(kind, Definition()),
                          {QOS: offered, TYPE_HASH: digest})

    def _definitions(self) -> dict[str, Definition]:
        """By type; recorders before Iron wrote none."""
        if not self._rows("SELECT 1 FROM sqlite_master WHERE type = 'table' AND "
                          "name = 'message_definitions'"):
            return {}
        return {str(kind): Definition(str(encoding), str(text).encode())
                for kind, encoding, text in self._rows(
                    "SELECT topic_type, encoding, encoded_message_definition "
                    "FROM message_definitions")}

    def _span(self) -> tuple[int, int]:
        begin, end = self._rows("SELECT min(timestamp), max(timestamp) FROM messages")[0]
        return (0, 0) if begin is None else (_time(begin), _time(end))

    def _rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        return self._database.execute(query, values).fetchall()


def _opened(path: Path) -> sqlite3.Connection:
    """With what its journal holds, and so that nothing beside it is written: SQLite's own index of
    a journal would be a file there, unless no other program may use the database. It is not asked
    whether one does: locks need a file that can be written."""
    how = "mode=ro&vfs=unix-none" if _journals(path) else "immutable=1"
    try:
        database = sqlite3.connect(f"file:{quote(os.fsencode(path.absolute()))}?{how}", uri=True)
        database.execute("PRAGMA locking_mode = EXCLUSIVE")
        return database
    except sqlite3.Error as error:
        raise _told(path, error) from error


def _journals(path: Path) -> list[Path]:
    """The files beside it that hold what a killed recorder had not yet moved into it."""
    beside = [path.with_name(path.name + ending) for ending in ("-wal", "-journal")]
    return [file for file in beside if file.is_file() and file.stat().st_size]


def _told(path: Path, error: sqlite3.Error) -> Exception:
    if journals := _journals(path):
        command = ("PRAGMA wal_checkpoint(TRUNCATE)" if journals[0].name.endswith("-wal")
                   else "SELECT count(*) FROM messages")
        return Unsupported(
            f"a part of it is in {journals[0]}, which cannot be read where it is "
            f"({error}): copy both files to a disk that can be written, and merge them there: "
            f"sqlite3 {shlex.quote(path.name)} '{command}'")
    return Damaged(f"SQLite says: {error}.")


def _time(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= _LATEST_NS:
        raise Damaged(f"A message in it was recorded at {str(value)[:40]}, which is no time.")
    return value

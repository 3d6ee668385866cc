"""Bags as tools, people and killed recorders leave them: read right and in order of time, or
refused with what is wrong. Bags are written by rosbags and then changed, or put together record by
record from MCAP's specification."""
from __future__ import annotations

import os
import shutil
import sqlite3
import struct
import subprocess
import sys
from binascii import crc32
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import lz4.frame
import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from ssma_core import SsmaError
from ssma_core.bags import rosbag2
from ssma_core.bags.storage import in_order, unpacked

START = 1_700_000_000 * 10**9
RGB, AUX = "/rgb", "/aux"
FRAMES = 6


def recording(first: int = 0, frames: int = FRAMES) -> Iterator[rosbag2.Recorded]:
    for i in range(first, first + frames):
        stamp = START + i * 10**8
        yield rosbag2.image(RGB, stamp, stamp, np.full((4, 6, 3), i, np.uint8), "bgr8")
        yield rosbag2.image(AUX, stamp + 5, stamp, np.full((4, 6), i, np.uint16), "16UC1")


EXPECTED = list(recording())


def found(path: Path, *topics: str) -> list[rosbag2.Recorded]:
    return list(rosbag2.messages(path, topics or (RGB, AUX)))


@pytest.fixture(params=["mcap", "sqlite3"])
def bag(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    rosbag2.write(tmp_path / "walk", recording(), request.param)
    return tmp_path / "walk"


def edit(bag: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Changes what a bag's metadata.yaml says."""
    content = yaml.safe_load((bag / "metadata.yaml").read_text())
    change(content["rosbag2_bagfile_information"])
    (bag / "metadata.yaml").write_text(yaml.safe_dump(content))


# MCAP, record by record: https://mcap.dev/spec

def record(code: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return struct.pack("<BQ", code, len(content)) + content


def text(value: str) -> bytes:
    return struct.pack("<I", len(value.encode())) + value.encode()


def schema(number: int, name: str, encoding: str = "ros2msg") -> bytes:
    return record(3, struct.pack("<H", number), text(name), text(encoding), text(""))


def channel(number: int, topic: str, of: int = 1, encoding: str = "cdr", qos: str = "") -> bytes:
    about = text("offered_qos_profiles") + text(qos)
    return record(4, struct.pack("<HH", number, of), text(topic), text(encoding),
                  struct.pack("<I", len(about)), about)


def message(number: int, of: rosbag2.Recorded) -> bytes:
    return record(5, struct.pack("<HIQQ", number, 0, of.time_ns, of.time_ns), of.data)


def chunk(records: bytes, compression: str = "", times: tuple[int, int] = (0, 0)) -> bytes:
    packed = lz4.frame.compress(records) if compression == "lz4" else records
    return record(6, struct.pack("<QQQI", *times, len(records), crc32(records)), text(compression),
                  struct.pack("<Q", len(packed)), packed)


def mcap(*records: bytes, profile: str = "ros2") -> bytes:
    """A file without a summary, and so without an index."""
    magic = b"\x89MCAP0\r\n"
    return (magic + record(1, text(profile), text("test")) + b"".join(records)
            + record(15, bytes(4)) + record(2, bytes(20)) + magic)


CHANNELS = schema(1, rosbag2.IMAGE) + channel(1, RGB) + channel(2, AUX)


def in_mcap(messages: Iterable[rosbag2.Recorded]) -> list[bytes]:
    return [message({RGB: 1, AUX: 2}[each.topic], each) for each in messages]


@pytest.mark.parametrize("offered", [
    [], "", "nonsense: [", None, [{"reliability": "best_effort"}], [{"depth": "many"}], ["x"], 7])
def test_no_topic_is_lost_by_edited_qos(bag: Path, offered: Any) -> None:
    def change(about: dict[str, Any]) -> None:
        for topic in about["topics_with_message_count"]:
            topic["topic_metadata"]["offered_qos_profiles"] = offered

    edit(bag, change)
    assert found(bag) == EXPECTED
    is_one = offered == [{"reliability": "best_effort"}]
    expected = "BEST_EFFORT" if is_one else "UNKNOWN" if isinstance(
        offered, list) and offered and isinstance(offered[0], dict) else "RELIABLE"
    assert [qos.reliability.name for qos in rosbag2.topics(bag)[RGB].offered_qos] == [expected]


def test_a_name_that_is_none_is_shown_on_one_short_line(tmp_path: Path) -> None:
    path = tmp_path / "walk.mcap"
    path.write_bytes(mcap(schema(1, rosbag2.IMAGE), channel(1, "/rgb\n" + "x" * 5000),
                          message(1, EXPECTED[0])))
    with pytest.raises(SsmaError, match=r"has no topic /rgb; it has\n  /rgb.x{251}  sensor"):
        found(path, RGB)


def test_qos_as_older_rosbag2_wrote_it(tmp_path: Path) -> None:
    """A YAML text of numbers, of which some may be missing."""
    qos = "- history: 1\n  depth: 7\n  reliability: 2\n  durability: 1\n"
    path = tmp_path / "old.mcap"
    path.write_bytes(mcap(schema(1, rosbag2.IMAGE), channel(1, RGB, qos=qos),
                          channel(2, AUX, qos="- {reliability: 99}"), *in_mcap(EXPECTED)))
    assert found(path) == EXPECTED
    offered, = rosbag2.topics(path)[RGB].offered_qos
    assert (offered.reliability.name, offered.durability.name, offered.depth) == (
        "BEST_EFFORT", "TRANSIENT_LOCAL", 7)


@pytest.mark.parametrize("change", [
    {"storage_identifier": ""}, {"storage_identifier": "my_storage"}, {"version": 99},
    {"topics_with_message_count": []}, {"topics_with_message_count": None}, {"message_count": 0},
    {"duration": {}}, {"starting_time": None}, {"compression_mode": "MESSAGE"}], ids=str)
def test_what_metadata_says_beside_the_files_does_not_matter(
        bag: Path, change: dict[str, Any]) -> None:
    edit(bag, lambda about: about.update(change))
    assert found(bag) == EXPECTED
    assert {name: topic.messages for name, topic in rosbag2.topics(bag).items()} == {
        RGB: FRAMES, AUX: FRAMES}
    assert rosbag2.seconds(bag) == pytest.approx((FRAMES - 1) / 10 + 5e-9)


@pytest.mark.parametrize(("change", "says"), [
    ({"relative_file_paths": []}, "names no file"), ({"relative_file_paths": [7]}, "names no file"),
    ({"relative_file_paths": ["gone.mcap"]}, "gone.mcap is not there"),
    ({"compression_format": "brotli"}, "compression 'brotli' is not read")], ids=str)
def test_what_is_missing_is_named(bag: Path, change: dict[str, Any], says: str) -> None:
    edit(bag, lambda about: about.update(change))
    with pytest.raises(SsmaError, match=f"cannot read the bag {bag}.*{says}") as refusal:
        found(bag)
    assert ("damaged" in str(refusal.value)) == ("names no file" in says)


@pytest.mark.parametrize("content", ["", "[", "- 1", "rosbag2_bagfile_information: 5",
                                     "{" * 5000, "a: 2020-99-99T00:00:00Z", "\0"])
def test_metadata_that_are_none_are_told_with_what_makes_them(bag: Path, content: str) -> None:
    (bag / "metadata.yaml").write_text(content)
    with pytest.raises(SsmaError, match=r"metadata\.yaml: .*`ros2 bag reindex`"):
        rosbag2.topics(bag)


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_files_of_a_split_bag_are_read_in_the_order_of_time(
        tmp_path: Path, storage: rosbag2.Storage) -> None:
    """Whatever the order in metadata.yaml; they may overlap, too."""
    parts = [EXPECTED[8:], EXPECTED[:5], EXPECTED[5:8:2] + EXPECTED[6:8:2]]
    for i, part in enumerate(parts):
        rosbag2.write(tmp_path / f"part_{i}", part, storage)
        for file in (tmp_path / f"part_{i}").glob("part*" if i else "none"):
            shutil.copy(file, tmp_path / "part_0")
    names = [file.name for file in sorted((tmp_path / "part_0").glob("part*"))]
    edit(tmp_path / "part_0", lambda about: about.update(relative_file_paths=names))
    assert found(tmp_path / "part_0") == EXPECTED
    assert rosbag2.topics(tmp_path / "part_0")[RGB].messages == FRAMES
    assert rosbag2.seconds(tmp_path / "part_0") == pytest.approx((FRAMES - 1) / 10 + 5e-9)


@pytest.mark.parametrize("name", ["a #1", "what?x=1", "a%20b", "ünï", "'quoted'", "a&immutable=0",
                                  os.fsdecode(b"\xff")])
def test_a_path_may_have_any_character(bag: Path, name: str) -> None:
    place = bag.rename(bag.parent / name)
    file = next(path for path in place.iterdir() if path.suffix in (".mcap", ".db3"))
    assert found(place) == found(file) == EXPECTED


def test_a_database_is_never_written_to_another_place(tmp_path: Path) -> None:
    (tmp_path / "a#b").mkdir()
    rosbag2.write(tmp_path / "a#b" / "walk", recording(), "mcap")
    with pytest.raises(SsmaError, match=r"write \.mcap, or choose another place"):
        rosbag2.write(tmp_path / "a#b" / "other", recording(), "sqlite3")
    assert [path.name for path in tmp_path.iterdir()] == ["a#b"]


KILLED = """
import os, sqlite3, sys
path, journal = sys.argv[1:]
database = sqlite3.connect(path)
database.execute(f"PRAGMA journal_mode = {journal}")
database.execute("PRAGMA cache_size = 1")
if journal == "WAL":
    database.execute("PRAGMA wal_autocheckpoint = 0")
    rows = database.execute("SELECT topic_id, timestamp, data FROM messages").fetchall()
    database.executemany("INSERT INTO messages (topic_id, timestamp, data) VALUES (?, ?, ?)",
                         [(topic, time + 10**10, data) for topic, time, data in rows])
    database.commit()
else:
    database.execute("UPDATE messages SET data = zeroblob(9000), timestamp = 5")
os._exit(9)
"""


@pytest.fixture
def killed(tmp_path: Path) -> Callable[[str], Path]:
    """A .db3 whose recorder was killed with a journal of this kind."""
    def kill(journal: str) -> Path:
        rosbag2.write(tmp_path / "walk", recording(), "sqlite3")
        path = tmp_path / "walk" / "walk.db3"
        subprocess.run([sys.executable, "-c", KILLED, str(path), journal], check=False)
        return path

    return kill


def test_messages_beside_the_database_are_read_and_nothing_is_written(
        killed: Callable[[str], Path]) -> None:
    path = killed("WAL")
    path.with_name("walk.db3-shm").unlink()  # as where only the other two were copied
    before = {file: file.read_bytes() for file in path.parent.iterdir()}
    assert len(found(path)) == 4 * FRAMES
    assert rosbag2.topics(path)[RGB].messages == 2 * FRAMES
    assert before == {file: file.read_bytes() for file in path.parent.iterdir()}


def test_half_a_transaction_is_refused_with_the_command_that_undoes_it(
        killed: Callable[[str], Path]) -> None:
    path = killed("DELETE")
    before = path.read_bytes()
    with pytest.raises(SsmaError, match=r"walk\.db3-journal, .*sqlite3 walk\.db3 '(.*)'") as told:
        found(path)
    assert "damaged" not in str(told.value) and path.read_bytes() == before
    database = sqlite3.connect(path)
    database.execute("SELECT count(*) FROM messages").fetchall()  # the command
    database.close()
    assert found(path) == EXPECTED


@pytest.mark.parametrize("value", [None, "soon", b"\0\0", 1.5, -1])
def test_a_time_that_is_none_is_damage(tmp_path: Path, value: Any) -> None:
    rosbag2.write(tmp_path / "walk", recording(), "sqlite3")
    path = tmp_path / "walk" / "walk.db3"
    with sqlite3.connect(path) as database:
        sql = "\n".join(line.replace("timestamp INTEGER NOT NULL", "timestamp")
                        for line in database.iterdump())
    path.unlink()
    with sqlite3.connect(path) as database:
        database.executescript(sql)
        database.execute("UPDATE messages SET timestamp = ? WHERE id = 3", (value,))
    database.close()
    with pytest.raises(SsmaError, match=f"cannot read the bag {path}: A message in it was recorded "
                                        "at .*, which is no time.*sqlite3"):
        found(path)


def test_a_view_in_place_of_a_table_is_not_run(tmp_path: Path) -> None:
    path = tmp_path / "endless.db3"
    with sqlite3.connect(path) as database:
        database.execute("CREATE VIEW messages AS WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL "
                         "SELECT id FROM n) SELECT id, 1 topic_id, 1 timestamp, 1 data FROM n")
        database.execute("CREATE TABLE topics (id, name, type, serialization_format)")
    database.close()
    with pytest.raises(SsmaError, match="has not the tables of a bag"):
        rosbag2.topics(path)


@pytest.mark.parametrize("profile", ["ros2", "", "mine"])
@pytest.mark.parametrize("compression", [None, "", "lz4"])
def test_without_an_index_messages_are_sorted(
        tmp_path: Path, compression: str | None, profile: str) -> None:
    """compression: of chunks, each with its channels; None: there are no chunks."""
    shuffled = [EXPECTED[i] for i in np.random.default_rng(0).permutation(len(EXPECTED))]
    records = in_mcap(shuffled)
    body = [CHANNELS, *records] if compression is None else [
        chunk(CHANNELS + b"".join(records[i:i + 4]), compression) for i in (0, 4, 8)]
    path = tmp_path / "loose.mcap"
    path.write_bytes(mcap(*body, profile=profile))
    assert found(path) == EXPECTED
    assert rosbag2.topics(path)[AUX].messages == FRAMES
    assert rosbag2.seconds(path) == pytest.approx((FRAMES - 1) / 10 + 5e-9)


def test_foreign_channels_keep_no_image_from_being_read(tmp_path: Path) -> None:
    foreign = (schema(7, "foxglove.Log", "protobuf") + channel(7, "/log", 7, "protobuf")
               + schema(8, "x", "jsonschema") + channel(8, "/json", 8, "json")
               + channel(9, "/none", 0, "ros1"))
    path = tmp_path / "mixed.mcap"
    path.write_bytes(mcap(foreign, record(0x7F, b"private"), CHANNELS, *in_mcap(EXPECTED),
                          message(7, EXPECTED[0]), record(12, text("about"), text(""))))
    assert found(path) == EXPECTED
    with pytest.raises(SsmaError, match=r"/log has messages \(foxglove.Log\) that are encoded as "
                                        "protobuf, and only ROS 2's own cdr") as refusal:
        found(path, RGB, "/log")
    assert "damaged" not in str(refusal.value)


def test_two_types_on_a_topic_are_told(tmp_path: Path) -> None:
    path = tmp_path / "two.mcap"
    path.write_bytes(mcap(CHANNELS, schema(2, "std_msgs/msg/String"), channel(3, RGB, 2),
                          *in_mcap(EXPECTED), message(3, EXPECTED[0])))
    assert found(path, AUX) == EXPECTED[1::2]
    with pytest.raises(SsmaError, match="/rgb has messages of several types, sensor_msgs/msg/Image,"
                                        " std_msgs/msg/String"):
        found(path)


def test_a_topic_of_two_publishers_is_one(tmp_path: Path) -> None:
    path = tmp_path / "two.mcap"
    records = [message(3 if i in (2, 6) else 1 + i % 2, each) for i, each in enumerate(EXPECTED)]
    path.write_bytes(mcap(CHANNELS, channel(3, RGB), *records))
    assert found(path) == EXPECTED
    assert rosbag2.topics(path)[RGB].messages == FRAMES


@pytest.mark.parametrize(("records", "says"), [
    ([CHANNELS, chunk(b"x" * 50)], "A record in it is cut short"),
    ([CHANNELS, chunk(CHANNELS).replace(b"/rgb", b"/rgc")], "A chunk in it is not as it was"),
    ([CHANNELS, chunk(CHANNELS, "lz4").replace(b"lz4", b"zip")], "compression 'zip' is not read"),
    ([CHANNELS, record(5, b"xx")], "make no sense|cut short"),
    ([CHANNELS, struct.pack("<BQ", 6, 2**62)], "cut short: a record claims"),
])
def test_records_that_cannot_be_are_told(tmp_path: Path, records: list[bytes], says: str) -> None:
    path = tmp_path / "bad.mcap"
    path.write_bytes(mcap(*records))
    with pytest.raises(SsmaError, match=f"cannot read the bag {path}: .*({says})") as refusal:
        found(path)
    assert ("damaged" in str(refusal.value)) == ("zip" not in says)
    assert "KeyError" not in str(refusal.value)


@pytest.mark.parametrize("compression", ["zstd", "lz4"])
def test_what_unpacks_to_more_than_it_may_is_refused_unpacked(compression: str) -> None:
    zstd = pytest.importorskip("backports.zstd" if sys.version_info < (3, 14)
                               else "compression.zstd")
    compress = zstd.compress if compression == "zstd" else lz4.frame.compress
    whole = bytes(1000)
    assert unpacked(compress(whole), compression) == whole
    assert unpacked(compress(whole) + compress(b"more"), compression) == whole + b"more"
    with pytest.raises(Exception, match="unpacks to more than"):
        unpacked(compress(bytes(5 << 20)), compression, 4 << 20)
    with pytest.raises(Exception, match=r"cut short|cannot unpack"):
        unpacked(compress(whole)[:-3], compression)


@pytest.mark.parametrize("storage", [StoragePlugin.SQLITE3, StoragePlugin.MCAP])
@pytest.mark.parametrize("mode", ["MESSAGE", "FILE", "STORAGE"])
def test_compressed_bags_are_read(tmp_path: Path, storage: StoragePlugin, mode: str) -> None:
    if mode == "STORAGE" and storage is StoragePlugin.SQLITE3:
        pytest.skip("SQLite has no compression of its own")
    writer = Writer(tmp_path / "walk", version=9, storage_plugin=storage)
    writer.set_compression(CompressionMode[mode], CompressionFormat.ZSTD)
    store = rosbag2.jazzy()
    with writer:
        topics = {topic: writer.add_connection(topic, rosbag2.IMAGE, typestore=store)
                  for topic in (RGB, AUX)}
        for each in EXPECTED:
            writer.write(topics[each.topic], each.time_ns, each.data)
    assert found(tmp_path / "walk") == EXPECTED


def test_an_index_that_does_not_add_up_is_not_believed(tmp_path: Path) -> None:
    rosbag2.write(tmp_path / "walk", recording(), "mcap")
    path = tmp_path / "walk" / "walk.mcap"
    content = path.read_bytes()
    summary = content.rindex(struct.pack("<BQ", 15, 4))  # behind the data's end
    counted = struct.pack("<HQ", 1, FRAMES)
    at = content.index(counted, summary)
    path.write_bytes(content[:at] + struct.pack("<HQ", 1, FRAMES - 1) + content[at + 10:])
    assert found(path) == EXPECTED
    assert rosbag2.topics(path)[RGB].messages == FRAMES


class At(tuple):
    @property
    def time_ns(self) -> int:
        return self[0]


@given(st.lists(st.lists(st.integers(0, 50), min_size=1)))
def test_parts_are_merged_in_order_and_begun_when_their_time_has_come(
        parts: list[list[int]]) -> None:
    newest = [-1]

    def begun(times: list[int]) -> Iterator[At]:
        assert newest[0] <= min(times)  # not before what it could be needed for, and in time
        yield from (At((time,)) for time in sorted(times))

    merged = []
    for each in in_order([(min(part), lambda part=part: begun(part)) for part in parts]):
        newest[0] = each.time_ns
        merged.append(each.time_ns)
    assert merged == sorted(time for part in parts for time in part)


@given(data=st.data())
def test_any_changed_byte_is_read_or_told(
        tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Not seen may be: another pixel or stamp. Never seen: another error than ours."""
    folder = tmp_path_factory.getbasetemp() / "changed"
    folder.mkdir(exist_ok=True)
    storage = data.draw(st.sampled_from(["mcap", "sqlite3", "loose"]))
    path = folder / f"{storage}.{'db3' if storage == 'sqlite3' else 'mcap'}"
    source = folder / f"source_{storage}"
    if not source.exists():
        if storage == "loose":
            source.write_bytes(mcap(chunk(CHANNELS), *in_mcap(EXPECTED)))
        else:
            rosbag2.write(folder / f"bag_{storage}", recording(), storage)
            shutil.copy(next((folder / f"bag_{storage}").glob("bag*.*")), source)
    content = bytearray(source.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        messages = list(rosbag2.messages(path, list(rosbag2.topics(path))))
    except SsmaError:
        return
    times = [each.time_ns for each in messages]
    assert times == sorted(times)


CASES = {
    "bag_qos_edited/bag": 36, "bag_wal/bag/d_wal_half.db3": 36, "bag_split_swapped/bag": 36,
    "bag_no_storage_id/bag": 36, "bag_path_hash/dir #1?x%20y": 36, "bag_odd_step/bag": 36,
    "mcap_protobuf_beside/bag/m_protobuf_beside.mcap": 36,
    "mcap_qos_partial/bag/m_qos_partial.mcap": 36,
    "mcap_profile_empty/bag/m_profile_empty.mcap": 36,
    "mcap_unindexed_unordered/bag/m_nochunk_unordered.mcap": 36,
}


@pytest.mark.parametrize(("name", "messages"), CASES.items())
def test_the_bags_of_our_users_are_read_whole_and_in_order(
        cases: Path, name: str, messages: int) -> None:
    topics = ("/camera/color/image_raw", "/camera/second/image_raw", "/truth/label")
    times = [each.time_ns for each in rosbag2.messages(cases / name, topics)]
    assert len(times) == messages and times == sorted(times)


@pytest.mark.parametrize(("name", "says"), [
    ("bag_runtime.mcap", "It is damaged or cut short; `mcap recover`"),
    ("bag_time.db3", "which is no time.*sqlite3"),
])
def test_the_damaged_bags_of_our_users_are_told(cases: Path, name: str, says: str) -> None:
    path = cases / "damaged" / name
    with pytest.raises(SsmaError, match=f"cannot read the bag {path}: .*{says}"):
        list(rosbag2.messages(path, list(rosbag2.topics(path))))

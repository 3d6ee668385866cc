"""Bags: what is written is read again, and a bad bag is named."""
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from rosbags.highlevel import AnyReader

from ssma_core import SsmaError
from ssma_core.bags import open_bag, rosbag2

START = 1_700_000_000 * 10**9
RGB, AUX = "/camera/color/image_raw", "/camera/depth/image_raw"
STORAGES = pytest.mark.parametrize("storage", ["mcap", "sqlite3"])


def pictures(i: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(i)
    return (random.integers(0, 256, (6, 8, 3), np.uint8),
            random.integers(0, 65536, (6, 8), np.uint16))


def recording(frames: int) -> Iterator[rosbag2.Recorded]:
    for i in range(frames):
        rgb, aux = pictures(i)
        stamp = START + i * 10**8
        yield rosbag2.image(RGB, stamp + 5, stamp, rgb, "bgr8")
        yield rosbag2.image(AUX, stamp + 9, stamp - 3, aux, "16UC1", frame_id="depth_optical")


@pytest.fixture(params=["mcap", "sqlite3"])
def bag(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    rosbag2.write(tmp_path / "walk", recording(20), request.param)
    return tmp_path / "walk"


def data_file(bag: Path) -> Path:
    return next(p for p in bag.iterdir() if p.suffix in (".mcap", ".db3"))


def test_messages_come_back_in_recorded_order_with_pixels_stamps_and_frames(bag: Path) -> None:
    found = list(rosbag2.messages(bag, [AUX, RGB]))
    assert [m.topic for m in found] == [RGB, AUX] * 20
    assert [m.time_ns for m in found] == sorted(m.time_ns for m in found)
    for i in range(20):
        rgb, aux = (rosbag2.decode(m) for m in found[2 * i:2 * i + 2])
        stamp = START + i * 10**8
        assert found[2 * i].time_ns == stamp + 5
        assert (rgb.header.stamp.sec * 10**9 + rgb.header.stamp.nanosec) == stamp
        assert (aux.header.stamp.sec * 10**9 + aux.header.stamp.nanosec) == stamp - 3
        assert (rgb.header.frame_id, aux.header.frame_id) == ("camera", "depth_optical")
        assert (rgb.encoding, rgb.step, aux.encoding, aux.step) == ("bgr8", 24, "16UC1", 16)
        assert not rgb.is_bigendian and not aux.is_bigendian
        assert np.array_equal(rgb.data.reshape(6, 8, 3), pictures(i)[0])
        assert np.array_equal(aux.data.view("<u2").reshape(6, 8), pictures(i)[1])


def test_one_topic_alone_is_read_without_the_others(bag: Path) -> None:
    assert {m.topic for m in rosbag2.messages(bag, [AUX])} == {AUX}
    assert list(rosbag2.messages(bag, [])) == []


def test_the_single_file_reads_like_its_folder(bag: Path) -> None:
    assert list(rosbag2.messages(data_file(bag), [RGB, AUX])) == list(
        rosbag2.messages(bag, [RGB, AUX]))


def test_a_bag_is_opened_once_to_be_read(bag: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is packed as a whole is unpacked each time."""
    opened: list[Path] = []
    monkeypatch.setattr(rosbag2, "opened",
                        lambda path: opened.append(path) or open_bag.opened(path))
    assert list(rosbag2.messages(bag, [RGB]))
    assert opened == [bag]


def test_topics_are_listed_with_type_count_and_qos(bag: Path) -> None:
    found = rosbag2.topics(bag)
    assert set(found) == {RGB, AUX}
    assert (found[RGB].type, found[RGB].messages) == ("sensor_msgs/msg/Image", 20)
    assert [qos.reliability.name for qos in found[RGB].offered_qos] == ["RELIABLE"]


def test_a_bag_is_as_long_as_from_its_first_message_to_its_last(bag: Path) -> None:
    for path in (bag, data_file(bag)):
        assert rosbag2.seconds(path) == pytest.approx(19 * 0.1 + 4e-9, abs=2e-9)


def test_the_folder_is_a_rosbag2_that_others_read(bag: Path) -> None:
    """metadata.yaml as rosbag2 writes it; and rosbags reads the bag with the message definitions
    that travel in it, knowing no types of its own."""
    about = yaml.safe_load((bag / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
    assert about["relative_file_paths"] == [data_file(bag).name]
    storage = {".mcap": "mcap", ".db3": "sqlite3"}[data_file(bag).suffix]
    assert about["storage_identifier"] == storage
    assert about["message_count"] == 40
    assert about["starting_time"]["nanoseconds_since_epoch"] == START + 5
    with AnyReader([bag]) as reader:
        connection, _, data = next(reader.messages())
        assert reader.deserialize(data, connection.msgtype).encoding == "bgr8"


def test_a_missing_topic_is_named_together_with_those_there_are(bag: Path) -> None:
    with pytest.raises(SsmaError) as error:
        list(rosbag2.messages(bag, [RGB, "/nir"]))
    assert "no topic /nir" in str(error.value)
    assert f"{RGB}  sensor_msgs/msg/Image  20 messages" in str(error.value)


@pytest.mark.parametrize("kept", [0, 10, 500, 0.5])
def test_a_bag_cut_short_is_refused(bag: Path, kept: float) -> None:
    file = data_file(bag)
    content = file.read_bytes()
    file.write_bytes(content[:int(kept if kept > 1 else kept * len(content))])
    for path in (bag, file):
        with pytest.raises(SsmaError, match=f"cannot read the bag {path}.*cut short"):
            list(rosbag2.messages(path, [RGB]))


def test_a_damaged_chunk_is_refused_when_it_is_reached(tmp_path: Path) -> None:
    rosbag2.write(tmp_path / "walk", recording(20), "mcap")
    file = data_file(tmp_path / "walk")
    content = bytearray(file.read_bytes())
    middle = slice(len(content) // 3, len(content) // 2)
    content[middle] = b"\xff" * len(content[middle])
    file.write_bytes(content)
    with pytest.raises(SsmaError, match="cannot read the bag"):
        for message in rosbag2.messages(file, [RGB, AUX]):
            rosbag2.decode(message)


@pytest.mark.parametrize(("name", "says"), [
    ("nowhere", "there is no bag at"),
    ("folder", "no metadata.yaml"),
    ("picture.png", "give a rosbag2 folder, an .mcap or a .db3 file"),
    ("text.mcap", "cannot read the bag"),
    ("text.db3", "cannot read the bag"),
    ("broken", "cannot read the bag"),
])
def test_what_is_no_bag_is_refused_with_the_reason(tmp_path: Path, name: str, says: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "metadata.yaml").write_text("rosbag2_bagfile_information: {version: 9}")
    for file in ("picture.png", "text.mcap", "text.db3"):
        (tmp_path / file).write_text("not a bag, whatever its name says" * 10)
    with pytest.raises(SsmaError, match=says) as error:
        rosbag2.topics(tmp_path / name)
    assert str(tmp_path / name) in str(error.value)


def test_bytes_that_are_no_image_are_named_by_topic() -> None:
    whole = rosbag2.image(RGB, 1, 1, pictures(0)[0], "bgr8")
    with pytest.raises(SsmaError, match=f"on {RGB} cannot be read as sensor_msgs/msg/Image"):
        rosbag2.decode(whole._replace(data=whole.data[:40]))
    with pytest.raises(SsmaError, match="robot_msgs/msg/Secret"):
        rosbag2.decode(whole._replace(type="robot_msgs/msg/Secret"))


@pytest.mark.parametrize("little_endian", [True, False])
@pytest.mark.parametrize(("seconds", "nanoseconds"), [(1_700_000_000, 5), (-1, 999_999_999)])
def test_a_stamp_is_read_without_decoding_the_rest(
        little_endian: bool, seconds: int, nanoseconds: int) -> None:
    whole = rosbag2.image(RGB, 1, 1, pictures(0)[0], "bgr8")
    message = rosbag2.decode(whole)
    message.header.stamp.sec, message.header.stamp.nanosec = seconds, nanoseconds
    data = rosbag2.jazzy().serialize_cdr(
        message, rosbag2.IMAGE, little_endian=little_endian)
    assert rosbag2.stamp_ns(whole._replace(data=bytes(data))) == seconds * 10**9 + nanoseconds
    with pytest.raises(SsmaError, match=f"message on {RGB} of 11 bytes has no header"):
        rosbag2.stamp_ns(whole._replace(data=bytes(data[:11])))


@STORAGES
def test_a_bag_is_written_whole_or_not_at_all(tmp_path: Path, storage: rosbag2.Storage) -> None:
    def breaking_off() -> Iterator[rosbag2.Recorded]:
        yield from recording(3)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rosbag2.write(tmp_path / "walk", breaking_off(), storage)
    assert list(tmp_path.iterdir()) == []


def test_a_bag_is_never_overwritten(bag: Path) -> None:
    before = data_file(bag).read_bytes()
    with pytest.raises(SsmaError, match="is there already"):
        rosbag2.write(bag, recording(1))
    assert data_file(bag).read_bytes() == before


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(SsmaError, match="give a folder that exists"):
        rosbag2.write(tmp_path / "no" / "such" / "walk", recording(1))

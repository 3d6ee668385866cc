"""`ssma predict --into`: a copy of a bag in which nothing that was recorded has changed, with the
labels beside it. Read by the official MCAP library and by rosbags."""
from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import yaml
from many_frames import (
    AUX,
    HALF,
    LATE,
    MODEL,
    RGB,
    START,
    STEP,
    frame,
    predict,
    recorded,
    segmenter,
)
from mcap.reader import make_reader
from mcap.writer import Writer
from rosbags.highlevel import AnyReader
from rosbags.interfaces import QosDurability
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin
from rosbags.rosbag2 import Writer as RosbagsWriter

from ssma_core import BagSource, evaluate_bags
from ssma_core.bags import recorded_images, rosbag2
from ssma_core.registration import write

FRAMES = 3
TOPICS = ("--topics", RGB, AUX)
IMAGE_TEXT = rosbag2.jazzy().generate_msgdef(rosbag2.IMAGE, ros_version=2)[0]
LATCHED = """\
- {history: keep_last, depth: 1, reliability: reliable, durability: transient_local,
   deadline: {sec: 0, nsec: 0}, lifespan: {sec: 0, nsec: 0}, liveliness: automatic,
   liveliness_lease_duration: {sec: 0, nsec: 0}, avoid_ros_namespace_conventions: false}
"""


def write_mcap(path: Path) -> None:
    """Images, a type of the robot's own, one that is not ROS 2's, and a topic without a message."""
    with path.open("wb") as file:
        writer = Writer(file)
        writer.start(profile="ros2", library="test")
        image = writer.register_schema(rosbag2.IMAGE, "ros2msg", IMAGE_TEXT.encode())
        own = writer.register_schema("robot_msgs/msg/State", "ros2msg", b"uint8[] wheels\n")
        log = writer.register_schema("foxglove.Log", "protobuf", bytes(range(256)))
        channels = {topic: writer.register_channel(
            topic, "cdr", image, {"offered_qos_profiles": ""}) for topic in (RGB, AUX)}
        state = writer.register_channel("/state", "cdr", own, {
            "offered_qos_profiles": LATCHED, "topic_type_hash": "RIHS01_" + "7" * 64})
        text = writer.register_channel("/log", "protobuf", log)
        writer.register_channel("/silent", "cdr", own)
        for number, message in enumerate(recorded(FRAMES)):
            writer.add_message(channels[message.topic], message.time_ns, message.data,
                               message.time_ns - 77)
            for channel in (state, text):  # at the same time, and one out of order
                writer.add_message(channel, message.time_ns - number % 2, bytes([9, number]), 5)
        writer.finish()


class Found(NamedTuple):
    topic: str
    type: str
    definition: tuple[str, bytes]
    encoding: str
    times: tuple[int, int]
    data: bytes


def read(path: Path, ours: bool = False) -> list[Found]:
    """By the official library. ours: the labels' topics, or all others."""
    with path.open("rb") as file:
        return [Found(channel.topic, schema.name, (schema.encoding, schema.data),
                      channel.message_encoding, (message.log_time, message.publish_time),
                      message.data)
                for schema, channel, message in make_reader(file).iter_messages()
                if channel.topic.startswith("/semantic") == ours]


def test_nothing_that_was_recorded_changes(tmp_path: Path) -> None:
    bag, target = tmp_path / "walk.mcap", tmp_path / "labelled.mcap"
    write_mcap(bag)
    assert predict(bag, *TOPICS, "--into", target, "--confidence", "--trust", "--overlay") == 0
    assert sorted(read(target)) == sorted(read(bag))
    assert {message.topic for message in read(bag)} == {RGB, AUX, "/state", "/log"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["labelled.mcap", "walk.mcap"]
    times = [m.times[0] for m in read(target, ours=False) + read(target, ours=True)]
    with target.open("rb") as file:  # as they lie in the file
        in_file = [message.log_time for *_, message in make_reader(file).iter_messages(
            log_time_order=False)]
    assert in_file == sorted(times)


def test_qos_hash_and_topics_without_a_message_are_kept(tmp_path: Path) -> None:
    """QoS in numbers, which every rosbag2 reads: transient local is 1, see rmw/types.h."""
    write_mcap(tmp_path / "walk.mcap")
    assert predict(tmp_path / "walk.mcap", *TOPICS, "--into", tmp_path / "labelled.mcap") == 0
    with (tmp_path / "labelled.mcap").open("rb") as file:
        summary = make_reader(file).get_summary()
    assert summary is not None
    channels = {channel.topic: channel for channel in summary.channels.values()}
    assert channels.keys() == {RGB, AUX, "/state", "/log", "/silent", "/semantic/label"}
    about = channels["/state"].metadata
    qos, = yaml.safe_load(about["offered_qos_profiles"])
    assert (qos["durability"], qos["reliability"], qos["history"], qos["depth"]) == (1, 1, 1, 1)
    assert qos["deadline"] == {"sec": 0, "nsec": 0}
    assert about["topic_type_hash"] == "RIHS01_" + "7" * 64
    assert next(iter(summary.metadata_indexes)).name == "rosbag2"


def test_labels_have_stamp_and_frame_of_their_colour_image(tmp_path: Path) -> None:
    rosbag2.write(tmp_path / "walk", recorded(FRAMES))
    assert predict(tmp_path / "walk", *TOPICS, "--into", tmp_path / "labelled.mcap",
                   "--confidence", "--trust", "--overlay") == 0
    found: dict[str, list[Any]] = {}
    with AnyReader([tmp_path / "labelled.mcap"]) as reader:
        ours = [each for each in reader.connections if each.topic.startswith("/semantic")]
        for connection, time_ns, data in reader.messages(ours):
            found.setdefault(connection.topic, []).append(
                (time_ns, reader.deserialize(data, connection.msgtype)))
    assert found.keys() == {"/semantic/label", "/semantic/confidence", "/semantic/trust",
                            "/semantic/overlay/compressed"}
    for topic, messages in found.items():
        for number, (time_ns, message) in enumerate(messages):
            stamp = message.header.stamp
            assert stamp.sec * 10**9 + stamp.nanosec == START + number * STEP, topic
            assert message.header.frame_id == "/camera_link"
            # The model can have run when both images had come.
            assert time_ns >= START + number * STEP + 2 * LATE
        assert len(messages) == FRAMES
    expected = segmenter().segment(*frame(1), confidence=True, trust=True)
    for name, values in (("label", expected.labels), ("confidence", expected.confidence),
                         ("trust", expected.trust)):
        message = found[f"/semantic/{name}"][1][1]
        assert (message.encoding, message.step) == ("mono8", 96)
        np.testing.assert_array_equal(message.data.reshape(48, 96), values)
    assert found["/semantic/overlay/compressed"][0][1].format.startswith("bgr8; jpeg")


def test_our_own_reader_and_evaluation_take_the_copy(tmp_path: Path) -> None:
    """The model's labels as the truth: all of them are right."""
    rosbag2.write(tmp_path / "walk", recorded(FRAMES))
    target = tmp_path / "labelled.mcap"
    assert predict(tmp_path / "walk", *TOPICS, "--into", target, "--overlay") == 0
    overlay = next(rosbag2.messages(target, ["/semantic/overlay/compressed"]))
    assert recorded_images.read(overlay, "rgb", as_depth=False).array().shape == (48, 96, 3)
    result = evaluate_bags([str(target)], MODEL, BagSource(
        rgb=RGB, aux=AUX, label="/semantic/label"))
    confusion = result.result.drives[0].counts.sum(axis=0)
    assert confusion.sum() and confusion.sum() == np.trace(confusion)


def before_iron(path: Path) -> None:
    rosbag2.write(path, recorded(FRAMES), "sqlite3")
    with sqlite3.connect(path / "walk.db3") as database:
        database.execute("DROP TABLE message_definitions")
        database.execute("ALTER TABLE topics DROP COLUMN type_description_hash")
    database.close()


def compressed(path: Path) -> None:
    writer = RosbagsWriter(path, version=9, storage_plugin=StoragePlugin.SQLITE3)
    writer.set_compression(CompressionMode.MESSAGE, CompressionFormat.ZSTD)
    with writer:
        topics = {topic: writer.add_connection(topic, rosbag2.IMAGE, typestore=rosbag2.jazzy())
                  for topic in (RGB, AUX)}
        for message in recorded(FRAMES):
            writer.write(topics[message.topic], message.time_ns, message.data)


@pytest.mark.parametrize("write", [
    lambda path: rosbag2.write(path, recorded(FRAMES), "sqlite3"), before_iron, compressed],
    ids=["sqlite3", "before iron", "compressed"])
def test_other_bags_become_the_same(tmp_path: Path, write: Callable[[Path], None]) -> None:
    write(tmp_path / "walk")
    assert predict(tmp_path / "walk", *TOPICS, "--into", tmp_path / "labelled.mcap") == 0
    assert read(tmp_path / "labelled.mcap") == [
        Found(m.topic, m.type, ("ros2msg", IMAGE_TEXT.encode()), "cdr", (m.time_ns, m.time_ns),
              m.data) for m in recorded(FRAMES)]


def test_edited_qos_holds_and_half_of_one_is_left_out(tmp_path: Path) -> None:
    """As for `ros2 bag play`; a profile without its fields would keep it from opening the file."""
    rosbag2.write(tmp_path / "walk", recorded(FRAMES))
    file = tmp_path / "walk/metadata.yaml"
    content = yaml.safe_load(file.read_text())
    for topic in content["rosbag2_bagfile_information"]["topics_with_message_count"]:
        about = topic["topic_metadata"]
        about["offered_qos_profiles"] = (yaml.safe_load(LATCHED) if about["name"] == RGB
                                         else [{"depth": 5}])
    file.write_text(yaml.safe_dump(content))
    assert predict(tmp_path / "walk", *TOPICS, "--into", tmp_path / "labelled.mcap") == 0
    with AnyReader([tmp_path / "labelled.mcap"]) as reader:
        offered = {each.topic: each.ext.offered_qos_profiles for each in reader.connections}
    assert [qos.durability for qos in offered[RGB]] == [QosDurability.TRANSIENT_LOCAL]
    assert offered[AUX] == []


def test_colour_alone_is_labelled_where_one_topic_is_given(tmp_path: Path) -> None:
    rosbag2.write(tmp_path / "walk", recorded(FRAMES))
    target = tmp_path / "labelled.mcap"
    assert predict(tmp_path / "walk", "--topics", RGB, "--into", target) == 0
    label = rosbag2.decode(next(rosbag2.messages(target, ["/semantic/label"])))
    np.testing.assert_array_equal(label.data.reshape(48, 96),
                                  segmenter().segment(frame(0)[0]).labels)


def test_a_second_sensor_that_is_not_registered_is_brought_to_colour(tmp_path: Path) -> None:
    rgb, depth = frame(0)[0], frame(0, (48, 24))[1]
    rosbag2.write(tmp_path / "walk", [
        rosbag2.image(topic, START, START, pixels, encoding)
        for topic, pixels, encoding in ((RGB, rgb, "bgr8"), (AUX, depth, "16UC1"))])
    write(tmp_path / "half.yaml", HALF, "")
    assert predict(tmp_path / "walk", *TOPICS, "--into", tmp_path / "labelled.mcap",
                   "--registration", tmp_path / "half.yaml") == 0
    label = rosbag2.decode(next(rosbag2.messages(tmp_path / "labelled.mcap", ["/semantic/label"])))
    np.testing.assert_array_equal(label.data.reshape(48, 96), segmenter().segment(
        rgb, depth.repeat(2, axis=0).repeat(2, axis=1)).labels)


def test_a_bag_becomes_a_drive_of_label_pictures(tmp_path: Path) -> None:
    rosbag2.write(tmp_path / "walk", recorded(FRAMES))
    assert predict(tmp_path / "walk", *TOPICS, "--output", tmp_path / "out") == 0
    assert sorted(path.name for path in (tmp_path / "out/walk/label").iterdir()) == [
        f"{START + number * STEP}.png" for number in range(FRAMES)]


def none(path: Path) -> None:
    pass


def of_two_sizes(path: Path) -> None:
    small = [rosbag2.image(topic, START - STEP, START - STEP, pixels, encoding)
             for topic, pixels, encoding in ((RGB, frame(0)[0], "bgr8"),
                                             (AUX, np.ones((8, 9), np.uint16), "16UC1"))]
    rosbag2.write(path, [*small, *recorded(FRAMES)])


def of_two_clocks(path: Path) -> None:
    rosbag2.write(path, [message if message.topic == RGB else rosbag2.image(
        AUX, message.time_ns, rosbag2.stamp_ns(message) + 10**12, frame(0)[1], "16UC1")
        for message in recorded(FRAMES)])


def labelled_already(path: Path) -> None:
    rosbag2.write(path, [*recorded(FRAMES), rosbag2.image(
        "/semantic/label", START + 10 * STEP, START, frame(0)[1], "16UC1")])


@pytest.mark.parametrize(("write", "more", "says"), [
    (none, TOPICS, "there is no bag at"),
    (write_mcap, ("--topics", RGB, "/nir"), "has no topic /nir; it has"),
    (write_mcap, (), "is a bag: give --topics with those of rgb and depth, in this order; the bag"),
    (write_mcap, (*TOPICS, "/truth"), "is a bag: give --topics with those of rgb and depth"),
    (of_two_clocks, TOPICS, "none belong together"),
    (write_mcap, ("--topics", AUX, RGB), f"the two cameras look swapped: {AUX} was given as colour "
     f"and has one channel (16UC1), and {RGB}, given as the second sensor, has colours (bgr8)"),
    (of_two_sizes, TOPICS, "the rgb image is 96x48 and the depth image 9x8"),
    (labelled_already, TOPICS, "has /semantic/label already"),
    (write_mcap, (*TOPICS, "--into", "there.mcap"), "there.mcap is there already"),
    (write_mcap, (*TOPICS, "--into", "labelled.db3"), "is one MCAP file; name it .mcap"),
    (write_mcap, (*TOPICS, "--into", "no/such.mcap"), "no/such.mcap: No such file or directory"),
])
def test_bad_input_is_one_clear_error_and_nothing_is_written(
        tmp_path: Path, capsys: pytest.CaptureFixture[str], write: Callable[[Path], None],
        more: tuple[str, ...], says: str) -> None:
    (tmp_path / "there.mcap").write_text("mine")
    bag = tmp_path / "walk.mcap"  # also where it is a folder
    write(bag)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    *more, target = more if "--into" in more else (*more, "--into", "labelled.mcap")
    assert predict(bag, *more, tmp_path / target) == 1
    told = capsys.readouterr().err
    assert says in told and told.startswith("ssma predict: ") and "Traceback" not in told
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}


def test_a_damaged_bag_leaves_no_copy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The damage lies in what is only carried over."""
    rosbag2.write(tmp_path / "walk", [*recorded(FRAMES), rosbag2.image(
        "/other", START + 10 * STEP, START, np.full((40, 40), 123, np.uint8), "mono8")], "sqlite3")
    with sqlite3.connect(tmp_path / "walk/walk.db3") as database:
        database.execute("UPDATE messages SET data = 5 WHERE id = (SELECT max(id) FROM messages)")
    database.close()
    assert predict(tmp_path / "walk", *TOPICS, "--into", tmp_path / "labelled.mcap") == 1
    assert f"cannot read the bag {tmp_path / 'walk'}" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["walk"]

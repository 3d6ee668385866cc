"""Frames for calibration and parity: the same from folders, lists, records and bags."""
from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from ssma_core import Modality, ModelSpec, SsmaError
from ssma_core.bags import image_messages, rosbag2
from ssma_core.bags.pairing import PairingSettings
from ssma_core.datasets.file_list import write_list
from ssma_core.datasets.inputs import Input, open_inputs

RGB, DEPTH, LABEL = "/camera/color", "/camera/depth", "/truth"
TOPICS = (RGB, DEPTH, LABEL)
START, PERIOD, MS = 1_700_000_000 * 10**9, 10**8, 10**6


def pictures(root: Path) -> list[tuple[np.ndarray, ...]]:
    """Colour, depth and label of the frames of `easy_frames`, by drive and name."""
    return [tuple(cv2.imread(str(path.parents[1] / folder / path.name), cv2.IMREAD_UNCHANGED)
                  for folder in ("rgb", "depth", "label"))
            for path in sorted(root.glob("drive_*/rgb/*"))]


def check_frames(found: list[Input], expected: list[tuple[np.ndarray, ...]]) -> None:
    """Frames of different names, with the same arrays."""
    assert len({frame.name for frame in found}) == len(found)
    check_arrays(found, expected)


def check_arrays(found: list[Input], expected: list[tuple[np.ndarray, ...]]) -> None:
    """The same arrays, and labels where the expected frames have a third."""
    assert len(found) == len(expected)
    for frame, arrays in zip(found, expected):
        for array, picture in zip(frame.arrays, arrays[:2], strict=True):
            np.testing.assert_array_equal(array, picture, strict=True)
        if len(arrays) == 3:
            assert frame.label is not None
            np.testing.assert_array_equal(frame.label, arrays[2], strict=True)
        else:
            assert frame.label is None


def alone(spec: ModelSpec, *modalities: Modality) -> ModelSpec:
    return replace(spec, architecture="adapnet++", modalities=modalities)


def recording(frames: list[tuple[np.ndarray, ...]]) -> Iterator[rosbag2.Recorded]:
    """Depth 4 ms after colour; every label comes in after all the frames."""
    stamps = [START + i * PERIOD for i in range(len(frames))]
    for stamp, (rgb, depth, _) in zip(stamps, frames):
        yield rosbag2.image(DEPTH, stamp + 8 * MS, stamp + 4 * MS, depth, "16UC1")
        yield rosbag2.image(RGB, stamp + 9 * MS, stamp, rgb, "bgr8")
    for stamp, (*_, label) in zip(stamps, frames):
        yield rosbag2.image(LABEL, stamps[-1] + PERIOD, stamp, label, "mono8")


@pytest.fixture
def drives(easy_frames: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(easy_frames, tmp_path / "drives"))


@pytest.fixture
def bag(easy_frames: Path, tmp_path: Path) -> Path:
    rosbag2.write(tmp_path / "drive", recording(pictures(easy_frames)))
    return tmp_path / "drive"


def test_drives_are_gone_through_in_order_and_again(
        easy_frames: Path, tiny_spec: ModelSpec) -> None:
    frames = open_inputs(easy_frames, tiny_spec)
    assert len(frames) == 6
    for _ in range(2):
        check_frames(list(frames), pictures(easy_frames))


def test_a_folder_of_sensors_is_a_drive_of_its_own(
        easy_frames: Path, tiny_spec: ModelSpec) -> None:
    check_frames(list(open_inputs(easy_frames / "drive_000", tiny_spec)), pictures(easy_frames)[:3])


def test_labels_may_lack(drives: Path, tiny_spec: ModelSpec) -> None:
    shutil.rmtree(drives / "drive_000" / "label")
    (drives / "drive_001" / "label" / "000003.png").unlink()
    expected = [frame[:2] if i < 3 or i == 4 else frame
                for i, frame in enumerate(pictures(drives))]
    check_frames(list(open_inputs(drives, tiny_spec)), expected)


def test_half_written_drives_are_passed_over(drives: Path, tiny_spec: ModelSpec) -> None:
    (drives / "drive_001").rename(drives / ".drive_001.partial")
    assert len(open_inputs(drives, tiny_spec)) == 3


def test_a_list_file(easy_frames: Path, tmp_path: Path, tiny_spec: ModelSpec) -> None:
    colour = sorted(easy_frames.glob("drive_*/rgb/*"))
    write_list(tmp_path / "frames.txt", [
        (path, *(path.parents[1] / folder / path.name for folder in ("depth", "label")))
        for path in colour])
    check_frames(list(open_inputs(tmp_path / "frames.txt", tiny_spec)), pictures(easy_frames))


def test_records(shared: Path, tiny_spec: ModelSpec) -> None:
    spec = replace(tiny_spec, class_names=tuple("abcdefghijkl"),
                   class_colours=tuple((i, i, i) for i in range(12)))
    golden = np.load(shared / "golden" / "three_examples.npz")
    expected = list(zip(golden["modality1"], golden["modality2"], golden["label"].squeeze()))
    check_frames(list(open_inputs(shared / "golden" / "three_examples.tfrecord", spec)), expected)


@pytest.mark.parametrize("modalities, taken", [
    ((Modality("rgb", "image"),), [0]),
    ((Modality("depth", "jet", 8000.0),), [1]),
    ((Modality("depth", "evi"),), [0, 1]),
])
def test_a_lone_modality_s_model_gets_what_it_takes(
        easy_frames: Path, bag: Path, tiny_spec: ModelSpec,
        modalities: tuple[Modality, ...], taken: list[int]) -> None:
    """An index is made of colour and its sensor; the list file has both for every model."""
    spec = alone(tiny_spec, *modalities)
    folder, listed = easy_frames / "drive_000", bag.parent / "frames.txt"
    write_list(listed, [tuple(  # type: ignore[misc]
        folder / name / f"00000{i}.png" for name in ("rgb", "depth", "label")) for i in (0, 2, 4)])
    for frames in (open_inputs(folder, spec), open_inputs(listed, spec),
                   open_inputs(bag, spec, [TOPICS[i] for i in taken])):
        for frame, expected in zip(frames, pictures(easy_frames)):
            for array, i in zip(frame.arrays, taken, strict=True):
                np.testing.assert_array_equal(array, expected[i], strict=True)


def test_a_bag_gives_what_its_frames_were(
        easy_frames: Path, bag: Path, tiny_spec: ModelSpec) -> None:
    expected = pictures(easy_frames)
    for path in (bag, next(bag.glob("*.mcap"))):
        frames = open_inputs(path, tiny_spec, TOPICS)
        assert len(frames) == 6
        check_frames(list(frames), expected)
        check_frames(list(open_inputs(path, tiny_spec, TOPICS[:2])),
                     [frame[:2] for frame in expected])


def test_a_bag_whose_images_are_cut_off_gives_the_whole_frames(
        easy_frames: Path, tmp_path: Path, tiny_spec: ModelSpec) -> None:
    expected = pictures(easy_frames)
    kept = [message for i, message in enumerate(recording(expected))
            if i not in (0, 5, 14)]  # the first depth, the third colour, the third label
    kept = [message for message in kept if rosbag2.stamp_ns(message) != START + 3 * PERIOD
            or message.topic != LABEL]
    rosbag2.write(tmp_path / "drive", kept)
    found = list(open_inputs(tmp_path / "drive", tiny_spec, TOPICS))
    check_frames(found, [expected[1], expected[3][:2], expected[4], expected[5]])


def late_depth(frames: list[tuple[np.ndarray, ...]], late: int) -> Iterator[rosbag2.Recorded]:
    """Colour and the depth that belongs to it, stamped that many nanoseconds later."""
    for i, (rgb, depth, _) in enumerate(frames):
        stamp = START + i * PERIOD
        yield rosbag2.image(RGB, stamp, stamp, rgb, "bgr8")
        yield rosbag2.image(DEPTH, stamp + MS, stamp + late, depth, "16UC1")


def test_the_slop_says_what_belongs_together(
        easy_frames: Path, tmp_path: Path, tiny_spec: ModelSpec) -> None:
    expected = pictures(easy_frames)
    rosbag2.write(tmp_path / "drive", late_depth(expected, 30 * MS))
    with pytest.raises(SsmaError, match=r"at most 0\.02 s apart"):  # the node's default
        open_inputs(tmp_path / "drive", tiny_spec, TOPICS[:2])
    frames = open_inputs(tmp_path / "drive", tiny_spec, TOPICS[:2], PairingSettings(slop=0.03))
    check_frames(list(frames), [frame[:2] for frame in expected])


def test_stamps_that_are_always_late_are_set_right(
        easy_frames: Path, tmp_path: Path, tiny_spec: ModelSpec) -> None:
    """By more than a frame's period, so that every neighbour is nearer."""
    expected = pictures(easy_frames)
    rosbag2.write(tmp_path / "drive", late_depth(expected, 150 * MS))
    frames = open_inputs(tmp_path / "drive", tiny_spec, TOPICS[:2], PairingSettings(aux_delay=0.15))
    check_frames(list(frames), [frame[:2] for frame in expected])


def test_a_clock_that_is_set_back_loses_no_frame(
        easy_frames: Path, tmp_path: Path, tiny_spec: ModelSpec) -> None:
    """As when a recorded simulation is reset: the same stamps come again, with other images."""
    expected = pictures(easy_frames)
    blank = [rosbag2.image(topic, START, START + 20 * PERIOD, np.zeros_like(pixels), encoding)
             for topic, pixels, encoding in ((RGB, expected[0][0], "bgr8"),
                                             (DEPTH, expected[0][1], "16UC1"))]
    rounds = [*recording(expected[:3]), *blank, *recording(expected[3:])]
    rosbag2.write(tmp_path / "drive", [message._replace(time_ns=START + i * MS)
                                       for i, message in enumerate(rounds)])
    frames = open_inputs(tmp_path / "drive", tiny_spec, TOPICS[:2])
    zeros = tuple(np.zeros_like(array) for array in expected[0][:2])
    check_arrays(list(frames), [*(frame[:2] for frame in expected[:3]), zeros,
                                *(frame[:2] for frame in expected[3:])])


@pytest.mark.parametrize("apart, labelled", [(0, True), (20, True), (21, False)])
def test_a_label_is_the_colour_image_s_by_its_stamp(
        easy_frames: Path, tmp_path: Path, tiny_spec: ModelSpec, apart: int,
        labelled: bool) -> None:
    """The same, or the nearest within the slop of 20 ms; the depth image's stamp says nothing."""
    rgb, depth, label = pictures(easy_frames)[0]
    rosbag2.write(tmp_path / "drive", [
        rosbag2.image(RGB, START, START, rgb, "bgr8"),
        rosbag2.image(DEPTH, START, START + 20 * MS, depth, "16UC1"),
        rosbag2.image(LABEL, START, START + apart * MS, label, "mono8")])
    frame, = open_inputs(tmp_path / "drive", tiny_spec, TOPICS)
    assert (frame.label is not None) == labelled


def compressed(message: rosbag2.Recorded) -> rosbag2.Recorded:
    """The same image as a PNG; depth as image_transport's compressedDepth sends it."""
    store = rosbag2.jazzy()
    image = rosbag2.decode(message)
    png = cv2.imencode(".png", image_messages.to_array(image))[1].reshape(-1)
    is_depth = message.topic == DEPTH
    body = np.concatenate([np.zeros(12, np.uint8), png]) if is_depth else png
    kind = "sensor_msgs/msg/CompressedImage"
    small = store.types[kind](image.header, "16UC1; compressedDepth png" if is_depth else "png",
                              body)
    return message._replace(type=kind, data=bytes(store.serialize_cdr(small, kind)))


def test_compressed_images_are_frames_like_any_others(
        easy_frames: Path, tmp_path: Path, tiny_spec: ModelSpec) -> None:
    expected = pictures(easy_frames)
    rosbag2.write(tmp_path / "drive", map(compressed, recording(expected)))
    check_frames(list(open_inputs(tmp_path / "drive", tiny_spec, TOPICS)), expected)


def test_a_bag_is_read_no_further_than_its_frames_are_requested(
        bag: Path, tiny_spec: ModelSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read stays in memory until it is paired; 12 images make the 6 frames."""
    frames = open_inputs(bag, tiny_spec, TOPICS[:2])
    read: list[rosbag2.Recorded] = []
    messages = rosbag2.messages

    def counted(path: Path, topics: list[str]) -> Iterator[rosbag2.Recorded]:
        for message in messages(path, topics):
            read.append(message)
            yield message

    monkeypatch.setattr(rosbag2, "messages", counted)
    for number, _ in enumerate(frames, 1):
        assert len(read) <= 2 * (number + 1)
    assert len(read) == 12


def test_images_without_a_stamp_are_named(
        easy_frames: Path, tmp_path: Path, tiny_spec: ModelSpec) -> None:
    rgb, depth, _ = pictures(easy_frames)[0]
    rosbag2.write(tmp_path / "bag", [rosbag2.image(RGB, START, 0, rgb, "bgr8"),
                                     rosbag2.image(DEPTH, START, 0, depth, "16UC1")])
    with pytest.raises(SsmaError, match=f"the message on {RGB} .*a stamp of zero"):
        open_inputs(tmp_path / "bag", tiny_spec, TOPICS[:2])


def test_a_missing_topic_is_named_with_those_there_are(bag: Path, tiny_spec: ModelSpec) -> None:
    with pytest.raises(SsmaError, match=rf"(?s)no topic /nir; it has\n.*\n  {DEPTH}  sensor_msgs"):
        open_inputs(bag, tiny_spec, (RGB, "/nir"))


@pytest.mark.parametrize("topics", [(), (RGB,), (*TOPICS, "/more")])
def test_a_bag_s_topics_are_required(
        bag: Path, tiny_spec: ModelSpec, topics: tuple[str, ...]) -> None:
    with pytest.raises(SsmaError, match=f"those of rgb and depth, in this order.*\n  {RGB}  "):
        open_inputs(bag, tiny_spec, topics)


def test_only_images_are_frames(bag: Path, tmp_path: Path, tiny_spec: ModelSpec) -> None:
    strange = rosbag2.Recorded("/turtle", "geometry_msgs/msg/PoseStamped", START, bytes(80))
    rosbag2.write(tmp_path / "other", [strange, *rosbag2.messages(bag, TOPICS)])
    with pytest.raises(SsmaError, match="/turtle has geometry_msgs/msg/PoseStamped, not sensor_m"):
        open_inputs(tmp_path / "other", tiny_spec, (RGB, "/turtle"))


def test_sensors_that_never_see_the_same_are_no_frames(
        easy_frames: Path, tmp_path: Path, tiny_spec: ModelSpec) -> None:
    rgb, depth, _ = pictures(easy_frames)[0]
    rosbag2.write(tmp_path / "bag", [rosbag2.image(RGB, START, START, rgb, "bgr8"),
                                     rosbag2.image(DEPTH, START, START + 21 * MS, depth, "16UC1")])
    with pytest.raises(SsmaError, match=rf"{RGB} \(1\) and {DEPTH} \(1\), none .* 0\.02 s apart"):
        open_inputs(tmp_path / "bag", tiny_spec, (RGB, DEPTH))


@pytest.mark.parametrize("image, says", [
    ((0, np.zeros((48, 64), np.uint16), "16UC1"), f"{RGB}: images of encoding '16UC1'"),
    ((1, np.zeros((48, 64), np.int16), "16SC1"), f"{DEPTH}: images of encoding '16SC1'"),
    ((2, np.zeros((48, 64), np.float32), "32FC1"), f"{LABEL}: images of encoding '32FC1'"),
    ((2, np.full((48, 64), 6, np.uint8), "mono8"), "label has the id 6, but there are only 6"),
    ((2, np.zeros((24, 64), np.uint8), "mono8"), "is 64x48, but its label is 64x24"),
])
def test_images_in_a_bag_that_cannot_be_used_are_refused(
        easy_frames: Path, tmp_path: Path, tiny_spec: ModelSpec,
        image: tuple[int, np.ndarray, str], says: str) -> None:
    column, array, encoding = image
    stamped = list(recording(pictures(easy_frames)[:1]))
    rosbag2.write(tmp_path / "bag", [
        rosbag2.image(message.topic, message.time_ns, rosbag2.stamp_ns(message), array, encoding)
        if message.topic == TOPICS[column] else message for message in stamped])
    with pytest.raises(SsmaError, match=says):
        list(open_inputs(tmp_path / "bag", tiny_spec, TOPICS))


def test_a_grey_camera_in_a_bag_is_three_equal_channels(
        easy_frames: Path, tmp_path: Path, tiny_spec: ModelSpec) -> None:
    grey = np.arange(48 * 64, dtype=np.uint8).reshape(48, 64)
    rosbag2.write(tmp_path / "bag", [
        rosbag2.image(RGB, message.time_ns, rosbag2.stamp_ns(message), grey, "mono8")
        if message.topic == RGB else message for message in recording(pictures(easy_frames)[:1])])
    frame, = open_inputs(tmp_path / "bag", tiny_spec, TOPICS)
    np.testing.assert_array_equal(frame.arrays[0], np.dstack([grey] * 3))


def test_a_frame_without_its_second_image_is_named(drives: Path, tiny_spec: ModelSpec) -> None:
    (drives / "drive_001" / "depth" / "000003.png").unlink()
    with pytest.raises(SsmaError, match=r"drive_001/rgb/000003.png has no partner: there is no "
                       r".*drive_001/depth/000003"):
        open_inputs(drives, tiny_spec)


@pytest.mark.parametrize("label, says", [
    (np.full((48, 64), 6, np.uint8), "has the id 6"),
    (np.zeros((48, 64, 3), np.uint8), "is no label image"),
    (np.zeros((24, 64), np.uint8), "is 64x48, but its label is 64x24"),
])
def test_a_label_that_does_not_fit_is_refused(
        drives: Path, tiny_spec: ModelSpec, label: np.ndarray, says: str) -> None:
    cv2.imwrite(str(drives / "drive_000" / "label" / "000002.png"), label)
    with pytest.raises(SsmaError, match=f"drive_000/.*/000002.png.*{says}"):
        list(open_inputs(drives, tiny_spec))


def test_what_is_no_data_is_reported(tmp_path: Path, tiny_spec: ModelSpec) -> None:
    (tmp_path / "empty" / "rgb").mkdir(parents=True)
    (tmp_path / "lists.txt").write_text("\n")
    for name, says in [("nowhere", "is no data, or is not there: give a folder"),
                       ("empty", "holds no frames.*folders rgb and depth"),
                       ("nowhere.mcap", "there is no bag at"),
                       ("nowhere.tfrecord", "cannot read"),
                       ("lists.txt", "lists no frame")]:
        with pytest.raises(SsmaError, match=says):
            open_inputs(tmp_path / name, tiny_spec, TOPICS if name.endswith("mcap") else ())
    with pytest.raises(SsmaError, match="is no bag, and only bags have topics: leave out /a /b"):
        open_inputs(tmp_path / "empty", tiny_spec, ("/a", "/b"))

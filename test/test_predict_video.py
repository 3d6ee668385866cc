"""`ssma predict --video`: each frame at its stamp's pace, and what the model says beside it."""
from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from many_frames import (
    AUX,
    RGB,
    START,
    STEP,
    frame,
    predict,
    recorded,
    segmenter,
    write_drive,
)

from ssma_core.bags import rosbag2
from ssma_core.prediction.video import HZ, Shown, paced
from ssma_core.registration import write
from ssma_core.registration.homography import HomographyRegistration

SECOND = 10**9


def shown(*seconds: float | None) -> list[int]:
    """How often each of the frames with these stamps is in the video."""
    frames = [Shown(np.full((1, 1, 3), number, np.uint8),
                    None if stamp is None else round(stamp * SECOND))
              for number, stamp in enumerate(seconds)]
    found = [int(picture[0, 0, 0]) for picture in paced(frames)]
    assert found == sorted(found)
    return [found.count(number) for number in range(len(seconds))]


@pytest.mark.parametrize(("seconds", "expected"), [
    ([5.0, 5.1, 5.2], [3, 3, 1]),  # 10 Hz
    ([0.0, 0.05, 0.1, 0.15, 0.2], [2, 1, 2, 1, 1]),  # 20 Hz: 1.5 pictures each in the mean
    ([0.0, 1.5, 1.6], [45, 3, 1]),  # a pause
    ([0.0, 500.0, 500.1], [60, 3, 1]),  # a long one is cut
    ([9.0, 9.1, 2.0, 2.1], [3, 3, 3, 1]),  # the clock was set back
    ([None, None, None], [3, 3, 1]),
    ([1.0], [1]),
])
def test_a_frame_is_shown_until_the_next_ones_stamp(
        seconds: list[float | None], expected: list[int]) -> None:
    assert HZ == 30
    assert shown(*seconds) == expected


def test_more_frames_than_the_video_shows_keep_its_pace() -> None:
    counts = shown(*(number / 120 for number in range(121)))
    assert sum(counts) == 31 and set(counts) == {0, 1}


def pictures(path: Path) -> list[np.ndarray]:
    video, found = cv2.VideoCapture(str(path)), []
    assert video.get(cv2.CAP_PROP_FPS) == HZ
    while True:
        there, picture = video.read()
        if not there:
            return found
        found.append(picture)


def test_the_panels_show_sensors_labels_and_trust(tmp_path: Path) -> None:
    """Of a grey image and one depth, each in the middle of its panel."""
    rgb, depth = np.full((48, 96, 3), (40, 80, 160), np.uint8), np.full((48, 96), 9000, np.uint16)
    rosbag2.write(tmp_path / "walk", [
        rosbag2.image(topic, START + number * STEP, START + number * STEP, pixels, encoding)
        for number in range(3)
        for topic, pixels, encoding in ((RGB, rgb, "bgr8"), (AUX, depth, "16UC1"))])
    assert predict(tmp_path / "walk", "--topics", RGB, AUX, "--video", tmp_path / "v.mp4") == 0
    found = pictures(tmp_path / "v.mp4")
    assert len(found) == 7  # 0.1 s, 0.1 s, and the last one
    answer = segmenter().segment(rgb, depth, trust=True)
    assert answer.trust is not None
    middle, half = (24, 48), found[0].shape[1] // 2
    # A caption of 28 rows, a panel of half the width, 4 white rows, and so again.
    panel = round(half / 2)
    rows = (28 + panel // 2, 2 * 28 + 4 + panel + panel // 2)
    colours = segmenter().spec.class_colours[answer.labels[middle]][::-1]
    for row, column, expected in (
            (rows[0], half // 2, rgb[middle]),
            (rows[1], half // 2, (rgb[middle] + np.array(colours)) / 2),
            (rows[1], half // 2 + half, [answer.trust[middle]] * 3)):
        near = found[3][row - 5:row + 5, column - 5:column + 5].mean((0, 1))
        np.testing.assert_allclose(near, expected, atol=12)
    jet = found[3][rows[0], half // 2 + half]  # 9 of 20 m: green in jet's middle
    assert jet.argmax() == 1


def test_a_simulation_s_stamps_are_stamps_too(tmp_path: Path) -> None:
    """They count from the start of the simulation, so they have few digits."""
    rgb, depth = np.full((48, 96, 3), 90, np.uint8), np.full((48, 96), 9000, np.uint16)
    second = 10**9
    rosbag2.write(tmp_path / "walk", [
        rosbag2.image(topic, stamp, stamp, pixels, encoding)
        for stamp in (5 * second, 6 * second)
        for topic, pixels, encoding in ((RGB, rgb, "bgr8"), (AUX, depth, "16UC1"))])
    assert predict(tmp_path / "walk", "--topics", RGB, AUX, "--video", tmp_path / "v.mp4") == 0
    assert len(pictures(tmp_path / "v.mp4")) == HZ + 1


def test_the_second_sensors_panel_is_registered(tmp_path: Path) -> None:
    """Near in its left half, far in its right one; in colour both lie a quarter farther right."""
    depth = np.full((48, 96), 20_000, np.uint16)
    depth[:, :48] = 1
    write(tmp_path / "r.yaml", HomographyRegistration(
        ((1.0, 0.0, 24.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)), (96, 48), (96, 48), "nearest"), "")
    rosbag2.write(tmp_path / "walk", [
        rosbag2.image(topic, START, START, pixels, encoding) for topic, pixels, encoding in (
            (RGB, frame(0)[0], "bgr8"), (AUX, depth, "16UC1"))])
    assert predict(tmp_path / "walk", "--topics", RGB, AUX, "--video", tmp_path / "v.mp4",
                   "--registration", tmp_path / "r.yaml") == 0
    found, = pictures(tmp_path / "v.mp4")
    half = found.shape[1] // 2
    row = found[28 + half // 4, half:].astype(int)
    for eighths, colour in ((1, (0, 0, 0)), (4, (128, 0, 0)), (7, (0, 0, 128))):  # jet's two ends
        near = row[eighths * half // 8 - 5:eighths * half // 8 + 5].mean(0)
        np.testing.assert_allclose(near, colour, atol=25)


def test_drives_of_other_cameras_are_all_shown(tmp_path: Path) -> None:
    write_drive(tmp_path / "data/a", ["1", "2"])
    for name, shape, dtype in (("rgb", (60, 40, 3), np.uint8), ("depth", (60, 40), np.uint16)):
        (tmp_path / "data/b" / name).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "data/b" / name / "1.png"), np.full(shape, 90, dtype))
    assert predict(tmp_path / "data", "--video", tmp_path / "v.mp4") == 0
    found = pictures(tmp_path / "v.mp4")
    assert len(found) == 3 + 3 + 1 and np.ptp(found[-1]) > 0


def test_colour_alone_has_its_panels_too(tmp_path: Path) -> None:
    rosbag2.write(tmp_path / "walk", recorded(2))
    assert predict(tmp_path / "walk", "--topics", RGB, "--video", tmp_path / "v.mp4") == 0
    assert len(pictures(tmp_path / "v.mp4")) == 4


@pytest.mark.parametrize(("broken", "says"), [
    ("isOpened", "this OpenCV has no encoder for mp4v"),
    ("write", "OpenCV could not finish it; is there room")])
def test_where_opencv_cannot_write_nothing_is_left(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
        broken: str, says: str) -> None:
    real = cv2.VideoWriter

    class Broken:
        def __init__(self, *arguments: object) -> None:
            self._real = real(*arguments)

        def __getattr__(self, name: str) -> object:
            return (lambda *_: False) if name == broken else getattr(self._real, name)

    rosbag2.write(tmp_path / "walk", recorded(2))
    monkeypatch.setattr(cv2, "VideoWriter", Broken)
    assert predict(tmp_path / "walk", "--topics", RGB, AUX, "--video", tmp_path / "v.mp4") == 1
    assert says in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["walk"]

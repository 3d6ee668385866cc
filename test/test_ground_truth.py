"""True labels are found by stamp, wherever near they were recorded, and none is held for long."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ssma_core import Modality, ModelSpec, SsmaError
from ssma_core.bags import rosbag2
from ssma_core.bags.ground_truth import GroundTruth, Recordings
from ssma_core.evaluation.of_bag import score
from ssma_core.spec import grouped

LABEL = "/truth/label"
START, SECOND = 1_700_000_000 * 10**9, 10**9
SPEC = ModelSpec("ssma", "tiny", ("void", "a", "b"), ((0, 0, 0),) * 3,
                 (Modality("rgb", "image"), Modality("depth", "jet", 9000.0)), (16, 16))
CLASSES = grouped(SPEC, {})


def write(path: Path, stamps_and_times: list[tuple[float, float]]) -> str:
    """A bag of labels that hold their number, stamped and recorded so many seconds after START."""
    rosbag2.write(path, sorted(
        (rosbag2.image(LABEL, START + round(recorded * SECOND), START + round(stamp * SECOND),
                    np.full((2, 3), i % 256, np.uint8), "mono8")
         for i, (stamp, recorded) in enumerate(stamps_and_times)), key=lambda m: m.time_ns))
    return str(path)


def found(truths: GroundTruth, seconds: float, recorded: float | None = None) -> int | None:
    """The number of the label for an image of that stamp."""
    at = seconds if recorded is None else recorded
    truth = truths.near(START + round(seconds * SECOND), START + round(at * SECOND))
    return None if truth is None else int(truth.labels[0, 0])


def test_a_label_may_be_recorded_before_or_after_its_image(tmp_path: Path) -> None:
    bag = write(tmp_path / "bag", [(0, 1.5), (1, 0.2), (2, 3.9), (3, 5.5)])
    truths = GroundTruth(bag, LABEL, 0.02)
    assert [found(truths, second) for second in range(4)] == [0, 1, 2, None]


def test_the_nearest_within_the_slop_is_taken_once(tmp_path: Path) -> None:
    truths = GroundTruth(write(tmp_path / "bag", [(0.98, 1), (1.01, 1), (2.03, 2)]), LABEL, 0.02)
    assert [found(truths, second) for second in (1, 1, 1, 2)] == [1, 0, None, None]


def test_labels_of_some_frames_alone_are_found(tmp_path: Path) -> None:
    every_tenth = [(i, i + 0.05) for i in range(10)]
    truths = GroundTruth(write(tmp_path / "bag", every_tenth), LABEL, 0.02)
    answers = [found(truths, i / 10) for i in range(100)]
    assert answers[::10] == list(range(10))
    assert {answer for i, answer in enumerate(answers) if i % 10} == {None}


def test_labels_are_found_after_the_clock_was_set_back(tmp_path: Path) -> None:
    looped = [(i % 5, i) for i in range(15)]
    truths = GroundTruth(write(tmp_path / "bag", looped), LABEL, 0.02)
    assert [found(truths, i % 5, recorded=i) for i in range(15)] == list(range(15))


def test_no_more_than_a_few_seconds_are_held(tmp_path: Path) -> None:
    bag = write(tmp_path / "bag", [(i / 10, i / 10) for i in range(300)])
    truths = GroundTruth(bag, LABEL, 0.02)
    for i in range(300):
        found(truths, i / 10 + 0.05)  # belongs to none of them
        assert len(truths._kept) <= 4 * 10 + 1


def test_what_is_wrong_with_a_label_is_reported_with_its_message(tmp_path: Path) -> None:
    truth = GroundTruth(write(tmp_path / "bag", [(0, 0.25)] * 4), LABEL, 0.02).near(START, START)
    assert truth
    assert score(truth, np.zeros((2, 3), np.uint8), CLASSES).confusion.sum() == 6
    with pytest.raises(SsmaError, match=rf"{LABEL} recorded at 1700000000.250: .* differ in size"):
        score(truth, np.zeros((4, 6), np.uint8), CLASSES)
    beyond = truth._replace(labels=np.full((2, 3), 3, np.uint8))
    with pytest.raises(SsmaError, match=rf"{LABEL} recorded .* there are only 3 classes"):
        score(beyond, np.zeros((2, 3), np.uint8), CLASSES)


def test_an_image_is_found_in_the_bag_however_late_its_label_comes(tmp_path: Path) -> None:
    looped = write(tmp_path / "bag", [(i % 5, i) for i in range(10)])
    recordings = Recordings(looped, [LABEL])
    assert recordings.stamps_ns == {LABEL: [START + i % 5 * SECOND for i in range(10)]}
    for stamp, until, recorded in ((3, 3.5, 3), (3, 7.9, 3), (3, 8, 8), (3, 100, 8),
                                   (4, 2, 4)):  # before the first message of /clock
        assert recordings.of(START + round(stamp * SECOND), START + round(until * SECOND)
                             ) == START + round(recorded * SECOND)

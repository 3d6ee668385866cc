"""The boundary F-score: what a boundary is, how near is near, what void does to it; then that it
reaches the file, the tables, the comparison and the page."""
from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import example_report as example
import numpy as np
import pytest
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ssma_core import SsmaError
from ssma_core.evaluation import boundary
from ssma_core.evaluation.comparison import compare_boundaries, compare_files
from ssma_core.evaluation.inference import Options
from ssma_core.evaluation.metrics import frame_counts, stacked
from ssma_core.evaluation.report.compare import comparison_page
from ssma_core.evaluation.report.page import report_page
from ssma_core.evaluation.report.words import in_words
from ssma_core.evaluation.result_file import pooled, read_result, write_result
from ssma_core.evaluation.results import DatasetSource, DriveResult, FrameResult, Result
from ssma_core.evaluation.seeds import over_seeds

Labels = np.ndarray[Any, Any]
VOID, GROUND, SKY = range(3)
SPEC = example.spec(("void", "ground", "sky"))


def block(left: int, top: int, size: int, shape: tuple[int, int] = (40, 60)) -> Labels:
    """A square of sky on ground."""
    labels = np.full(shape, GROUND, np.uint8)
    labels[top:top + size, left:left + size] = SKY
    return labels


def scores(truth: Labels, prediction: Labels) -> Labels:
    return boundary.f_score(boundary.count(truth, prediction, 3, VOID))


def by_definition(truth: Labels, prediction: Labels, classes: int) -> Labels:
    """Without void, pixel by pixel and pair by pair: classes×2×4, as `boundary.count`."""
    found = np.zeros((classes, 2, 4), int)
    for c in range(classes):
        own, other = (edge_pixels(labels, c) for labels in (truth, prediction))
        for side, (these, those) in enumerate(((own, other), (other, own))):
            for y, x in these:
                nearest = min(((y - v)**2 + (x - u)**2 for v, u in those), default=10**6)
                found[c, side] += [nearest <= 1, nearest <= 4, nearest <= 16, True]
    return found


def edge_pixels(labels: Labels, c: int) -> list[tuple[int, int]]:
    height, width = labels.shape
    return [(y, x) for y in range(height) for x in range(width) if labels[y, x] == c and any(
        0 <= v < height and 0 <= u < width and labels[v, u] != c
        for v, u in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)))]


def maps(classes: Sequence[int]) -> st.SearchStrategy[tuple[Labels, Labels]]:
    """Two maps of one size."""
    return st.tuples(st.integers(1, 12), st.integers(1, 12)).flatmap(lambda shape: st.tuples(
        *[arrays(np.uint8, shape, elements=st.sampled_from(classes))] * 2))


# What is counted

def test_the_boundary_of_a_square_by_hand() -> None:
    """8×8 pixels of sky have 4·8 − 4 on their rim; the ground beside it has 4·8, without the
    corners. The image's border is no boundary."""
    square = block(20, 15, 8)
    counts = boundary.count(square, square, 3, VOID)
    assert counts[SKY].tolist() == [[28] * 4] * 2
    assert counts[GROUND].tolist() == [[32] * 4] * 2
    assert not counts[VOID].any()


@pytest.mark.parametrize(("shift", "near"), [(0, (1, 1, 1)), (1, (1, 1, 1)), (2, (0, 1, 1)),
                                             (3, (0, 0, 1)), (4, (0, 0, 1)), (5, (0, 0, 0))])
def test_a_straight_border_that_lies_beside_by_so_many_pixels(
        shift: int, near: tuple[int, int, int]) -> None:
    """Every pixel of it is as far off as the shift."""
    truth, prediction = (np.where(np.arange(40) < edge, GROUND, SKY)[None].repeat(9, axis=0)
                         for edge in (20, 20 + shift))
    np.testing.assert_array_equal(scores(truth, prediction)[1:], [near] * 2)


def test_a_shifted_square_by_hand() -> None:
    """20×20, so 76 pixels of rim, moved 3 to the right. Within 1: of the upper and the lower edge
    all but the first two, 18 each, and of the right side the two next to the other square's edges.
    Within 2: all but the first one, 19 each, and four of the right side. Within 4: all."""
    found = boundary.count(block(20, 10, 20), block(23, 10, 20), 3, VOID)[SKY]
    assert found.tolist() == [[38, 42, 76, 76]] * 2
    np.testing.assert_allclose(boundary.f_score(found), [38 / 76, 42 / 76, 1])


def test_distances_are_euclidean() -> None:
    """A single pixel, 1 to the right and 1 below: √2 away. Its four neighbours likewise have one
    of the other's four at 0 or √2."""
    found = boundary.count(block(20, 10, 1), block(21, 11, 1), 3, VOID)[SKY]
    assert found[0].tolist() == [0, 1, 1, 1]
    far = boundary.count(block(20, 10, 1), block(23, 13, 1), 3, VOID)[SKY]  # √18 > 4
    assert far[0].tolist() == [0, 0, 0, 1]


def test_precision_and_recall_weigh_alike() -> None:
    """Both squares of the truth are 28 pixels each; one is predicted: P = 1, R = ½, F = ⅔."""
    truth = np.maximum(block(8, 8, 8), block(40, 20, 8))
    np.testing.assert_allclose(scores(truth, block(8, 8, 8))[SKY], [2 / 3] * 3)
    np.testing.assert_allclose(scores(block(8, 8, 8), truth)[SKY], [2 / 3] * 3)


def test_a_class_without_a_boundary_has_no_score_and_one_that_is_only_predicted_0() -> None:
    ground = np.full((20, 20), GROUND)
    assert np.isnan(scores(ground, ground)).all()
    np.testing.assert_array_equal(scores(ground, block(5, 5, 4, (20, 20)))[1:], np.zeros((2, 3)))
    np.testing.assert_array_equal(scores(block(5, 5, 4, (20, 20)), ground)[1:], np.zeros((2, 3)))


def test_the_mean_is_over_the_classes_that_have_a_boundary() -> None:
    found = np.array([[np.nan] * 3, [0.5, 0.6, 1], [0.1, 0.2, 0.5], [np.nan] * 3])
    np.testing.assert_allclose(boundary.mean(found), [0.3, 0.4, 0.75])
    assert np.isnan(boundary.mean(np.full((4, 3), np.nan))).all()


@given(maps(range(1, 4)))
def test_counts_are_those_of_the_definition(pair: tuple[Labels, Labels]) -> None:
    np.testing.assert_array_equal(boundary.count(*pair, 4, VOID), by_definition(*pair, 4))


@given(maps(range(4)))
def test_equal_maps_have_1_and_a_greater_distance_no_less(pair: tuple[Labels, Labels]) -> None:
    equal = boundary.f_score(boundary.count(pair[0], pair[0], 4, VOID))
    assert ((equal == 1) | np.isnan(equal)).all()
    found = boundary.f_score(boundary.count(*pair, 4, VOID))
    assert (np.isnan(found).all(axis=1) | (np.diff(found) >= 0).all(axis=1)).all()
    assert not (found > 1).any()


@given(maps(range(1, 4)), arrays(bool, (12, 12)))
def test_swapped_maps_swap_precision_and_recall(pair: tuple[Labels, Labels],
                                                unknown: Labels) -> None:
    """Void in one place of both."""
    void = unknown[:pair[0].shape[0], :pair[0].shape[1]]
    a, b = (np.where(void, VOID, labels) for labels in pair)
    np.testing.assert_array_equal(boundary.count(a, b, 4, VOID),
                                  boundary.count(b, a, 4, VOID)[:, ::-1])


def test_ids_up_to_255_and_any_place_of_void() -> None:
    square = np.where(block(20, 15, 8) == SKY, 255, 0).astype(np.uint8)
    counts = boundary.count(square, square, 256, 7)
    assert counts[255, 0, -1] == 28 and counts[0, 0, -1] == 32
    assert counts.sum() == 8 * 60


# Void

@given(maps(range(4)), st.integers(0, 3))
def test_nothing_that_is_predicted_in_void_counts(pair: tuple[Labels, Labels], other: int) -> None:
    truth, prediction = pair
    changed = np.where(truth == VOID, other, prediction)
    np.testing.assert_array_equal(boundary.count(truth, prediction, 4, VOID),
                                  boundary.count(truth, changed, 4, VOID))


def ground_void_sky(line: int) -> Labels:
    """20 columns of ground, some of void, then sky; 12 rows."""
    row = np.full(60, SKY)
    row[:20], row[20:20 + line] = GROUND, VOID
    return row[None].repeat(12, axis=0)


@pytest.mark.parametrize("line", [1, 2, 5, 8])
def test_a_line_of_void_between_two_classes_is_their_boundary(line: int) -> None:
    """Whatever is predicted in it. One pixel a row and class, in its middle."""
    truth = ground_void_sky(line)
    for edge in range(20, 21 + line):
        prediction = np.where(np.arange(60) < edge, GROUND, SKY)[None].repeat(12, axis=0)
        found = boundary.count(truth, prediction, 3, VOID)
        assert found[1:].tolist() == [[[12] * 4] * 2] * 2
    missed = boundary.count(truth, np.full_like(truth, GROUND), 3, VOID)
    assert missed[1:].tolist() == [[[0, 0, 0, 12], [0] * 4]] * 2


def test_a_border_beside_a_line_of_void_is_as_far_off_as_from_its_middle() -> None:
    """Void in columns 20 to 23: the boundary lies between 21 and 22, the predicted one 5 to the
    left of it: between 16 and 17."""
    prediction = np.where(np.arange(60) < 17, GROUND, SKY)[None].repeat(12, axis=0)
    found = boundary.count(ground_void_sky(4), prediction, 3, VOID)
    assert found[1:].tolist() == [[[0, 0, 0, 12]] * 2] * 2


def test_what_lies_at_wide_void_is_not_judged() -> None:
    """Void of 12 columns: neither its edges nor what is predicted within 4 pixels of it; beyond
    that there is a false boundary."""
    truth = ground_void_sky(12)  # from column 20 on
    for width, wrong in ((3, 0), (4, 12), (5, 12)):  # the false boundary's pixels: 20 − width − 1
        prediction = np.where((np.arange(60) >= 20 - width), SKY, GROUND)[None].repeat(12, axis=0)
        found = boundary.count(truth, prediction, 3, VOID)
        assert found[GROUND].tolist() == [[0] * 4, [0, 0, 0, wrong]]
    assert np.isnan(scores(truth, np.full_like(truth, GROUND))).all()


def test_all_void_has_no_boundary() -> None:
    assert not boundary.count(np.zeros((20, 30), int), block(5, 5, 9, (20, 30)), 3, VOID).any()


def test_void_that_is_predicted_is_a_class_like_the_others() -> None:
    square = block(20, 15, 8)
    found = boundary.count(square, np.where(square == SKY, VOID, GROUND), 3, VOID)
    assert found[GROUND].tolist() == [[32] * 4] * 2
    assert found[SKY].tolist() == [[0, 0, 0, 28], [0] * 4]


# Results

def result(*shifts: int, condition: str | None = None) -> Result:
    """A frame a drive, whose square was predicted so many pixels to the right."""
    drives = []
    for i, shift in enumerate(shifts):
        counts = stacked([frame_counts(block(20, 10, 20), block(20 + shift, 10, 20), SPEC)], 3)
        drives.append(DriveResult(f"d{i}", (FrameResult(f"{i}.png", condition),), counts.confusion,
                                  boundaries=counts.boundaries))
    return Result("m.onnx", SPEC, DatasetSource("c.yaml", "validation", Options()), (),
                  tuple(drives))


def older(found: Result) -> Result:
    """As if its file had been written before boundaries were counted."""
    return replace(found, drives=tuple(replace(each, boundaries=None) for each in found.drives))


def written(found: Result, path: Path) -> str:
    write_result(found, path)
    return str(path)


def mean_f(*shifts: int) -> Labels:
    """By distance, of all frames' counts together."""
    pairs = [(block(20, 10, 20), block(20 + shift, 10, 20)) for shift in shifts]
    return boundary.mean(boundary.f_score(sum(by_definition(*pair, 3) for pair in pairs)))


def test_pixels_are_added_up_over_frames() -> None:
    both = result(0, 3)
    assert both.boundaries is not None
    np.testing.assert_allclose(
        boundary.f_score(both.boundaries.sum(axis=0))[SKY], [114 / 152, 118 / 152, 1])


def test_the_file_holds_counts_and_figures(tmp_path: Path) -> None:
    path = written(result(0, 3, condition="fog"), tmp_path / "result.json")
    assert read_result(path) == result(0, 3, condition="fog")
    figures = json.loads(Path(path).read_text())["figures"]
    for part in (figures["total"], figures["conditions"]["fog"]):
        assert part["boundary_f"]["classes"]["sky"] == {
            "1": pytest.approx(114 / 152), "2": pytest.approx(118 / 152), "4": 1}
        assert list(part["boundary_f"]["mean"].values()) == pytest.approx(mean_f(0, 3).tolist())
    assert figures["drives"]["d0"]["boundary_f"]["mean"] == {"1": 1, "2": 1, "4": 1}


def test_a_bags_file_does_so_too(tmp_path: Path) -> None:
    made = example.report(SPEC, ["a", "b"], live=True, frames=13)
    write_result(made, tmp_path / "bags.json")
    found = read_result(tmp_path / "bags.json")
    assert found == made and found.boundaries is not None
    figures = json.loads((tmp_path / "bags.json").read_text())["figures"]
    for part in (figures, figures["live"], figures["bags"]["a"]):
        assert set(part["boundary_f"]["classes"]) == {"ground", "sky"}


@pytest.mark.parametrize("name", ["result.json", "bags.json"])
def test_an_older_file_has_none(name: str) -> None:
    found = read_result(ROOT / "test" / "last_version" / name)
    assert found.boundaries is None
    assert "boundary" not in in_words(found)


@pytest.mark.parametrize(("change", "complaint"), [
    (lambda frame: frame.pop("boundaries"), "the boundaries of 0.png are missing"),
    (lambda frame: frame.update(boundaries=[[1]]), "the boundaries of 0.png are not 3 by 8"),
    (lambda frame: frame["boundaries"][1].__setitem__(0, 0.5), "of 0.png must be whole numbers"),
    (lambda frame: frame["boundaries"][1].__setitem__(0, -1), "of 0.png are not from 0 to"),
    (lambda frame: frame["boundaries"][1].__setitem__(0, 10**9), "no fewer at a greater distance"),
    (lambda frame: frame["boundaries"][1].__setitem__(3, 10**12 + 1), "0.png are not from 0 to"),
])
def test_boundaries_that_are_none_are_refused_with_the_frames_name(
        tmp_path: Path, change: Any, complaint: str) -> None:
    path = Path(written(result(0, 3), tmp_path / "result.json"))
    values = json.loads(path.read_text())
    values["runs"] = [{"name": "d", "frames": [frame for run in values["runs"]
                                               for frame in run["frames"]]}]
    change(values["runs"][0]["frames"][0])
    path.write_text(json.dumps(values))
    with pytest.raises(SsmaError, match=rf"result.json is no result of .*: .*{complaint}"):
        read_result(path)


def test_the_table_has_a_column_a_distance() -> None:
    lines = in_words(result(0, 3)).splitlines()
    assert lines[1].endswith("share %  boundary F %: 1 px   2 px   4 px")
    (sky,) = (line.split() for line in lines if line.startswith("sky"))
    assert sky[-3:] == ["75.0", "77.6", "100.0"]
    (mean,) = (line.split() for line in lines if line.startswith("mean"))
    assert mean[2:] == [f"{100 * value:.1f}" for value in mean_f(0, 3)]
    drive = next(i for i, line in enumerate(lines) if line.startswith("drive"))
    assert lines[drive].split() == ["drive", "mIoU", "%", "F", "2", "px", "%", "frames"]
    assert lines[drive + 1].split() == ["d0", "100.0", "100.0", "1"]
    assert lines[drive + 2].split()[2] == f"{100 * mean_f(3)[1]:.1f}"


def test_folds_of_which_one_is_older_have_none(tmp_path: Path) -> None:
    """A sum over some of the frames would look like that over all."""
    whole = result(0, 3)
    one = written(replace(whole, drives=whole.drives[:1]), tmp_path / "one.json")
    two = written(older(replace(whole, drives=whole.drives[1:])), tmp_path / "two.json")
    assert pooled(f"{one}+{two}").boundaries is None


def test_two_drives_compared_by_hand() -> None:
    """As for IoU, the interval runs from the one drive's difference to the other's."""
    a, b = result(3, 3).boundaries, result(0, 3).boundaries
    assert a is not None and b is not None
    of_a, of_b, interval = compare_boundaries(a, b, ["1", "2"])
    assert (of_a, of_b) == (pytest.approx(mean_f(3)[1]), pytest.approx(mean_f(0, 3)[1]))
    assert interval.difference == pytest.approx(of_b - of_a)
    assert (interval.low, interval.high) == (0, pytest.approx(1 - mean_f(3)[1]))


def test_a_comparison_names_the_difference_in_words_and_on_the_page(tmp_path: Path) -> None:
    a = written(result(*[3] * 6), tmp_path / "a.json")
    b = written(result(*[0] * 6), tmp_path / "b.json")
    found = compare_files(a, b)
    before = mean_f(3)[1]
    (line,) = (line.split() for line in in_words(found).splitlines() if line.startswith("mean, 2"))
    assert line[3:6] == [f"{100 * before:.1f}", "100.0", f"{100 * (1 - before):+.2f}"]
    assert line[-3:] == ["B", "is", "better"]
    assert "Boundary F, 2 px" in comparison_page(found)
    old = compare_files(a, written(older(result(*[0] * 6)), tmp_path / "old.json"))
    assert "oundary" not in in_words(old) + comparison_page(old)


def test_other_true_labels_are_told_apart_by_their_boundaries(tmp_path: Path) -> None:
    """A square and two halves of it, apart: as many pixels of each class."""
    halves = np.maximum(block(5, 10, 20) * (np.arange(60) < 15), block(40, 10, 20)
                        * (np.arange(60) >= 50)).clip(GROUND)
    assert np.bincount(halves.ravel()).tolist() == np.bincount(block(0, 0, 20).ravel()).tolist()
    counts = frame_counts(halves, halves, SPEC)
    other = replace(result(0).drives[0], counts=counts.confusion[None],
                    boundaries=counts.boundaries[None])
    a = written(result(0), tmp_path / "a.json")
    b = written(replace(result(0), drives=(other,)), tmp_path / "b.json")
    with pytest.raises(SsmaError, match=r"true labels of 0.png are not the same"):
        compare_files(a, b)


def test_the_mean_over_seeds(tmp_path: Path) -> None:
    files = [written(result(shift), tmp_path / f"{shift}.json") for shift in (0, 3)]
    table = [line.split() for line in over_seeds(files).splitlines()]
    at = next(i for i, row in enumerate(table) if row[:2] == ["boundary", "F"])
    means = np.array([mean_f(0), mean_f(3)])
    assert table[at + 1:] == [
        ["mean,", str(d), "px", f"{100 * m:.1f}", f"{100 * sd:.1f}"]
        for d, m, sd in zip((1, 2, 4), means.mean(axis=0), means.std(axis=0, ddof=1))]
    old = written(older(result(5)), tmp_path / "old.json")
    assert "boundary" not in over_seeds([*files, old])


def test_the_page_has_a_column_a_distance() -> None:
    made = example.report(SPEC, frames=13)
    assert made.boundaries is not None
    page = report_page(made, [], [])
    for value in boundary.mean(boundary.f_score(made.boundaries.sum(axis=0))):
        assert f'<td class="number">{100 * value:.1f} %</td>' in page
    assert "boundary F, 1 px" in page and ">4 px</th>" in page
    assert "oundary" not in report_page(older(made), [], [])

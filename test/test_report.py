"""The report: the right frames are shown, figures are those of the frames, names are only names."""
from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import cv2
import example_report as example
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssma_core import ConfusionMatrix, SsmaError
from ssma_core.evaluation.comparison import compare_files, matched
from ssma_core.evaluation.report import charts
from ssma_core.evaluation.report.compare import comparison_page
from ssma_core.evaluation.report.page import report_page
from ssma_core.evaluation.report.shown_frames import (
    SAMPLED,
    TYPICAL,
    WORST,
    FrameSelection,
    ShownFrame,
    chosen,
    show_frame,
)
from ssma_core.evaluation.report.words import in_words
from ssma_core.evaluation.result_file import read_result, write_result
from ssma_core.evaluation.results import Timeline, TimelineEvent
from ssma_core.files import short_names

SPEC = example.spec()
SECOND = 10**9
# Halves of surrogate pairs too: Python makes them of file names that are no UTF-8.
NAMES = st.text(st.characters(exclude_categories=()), min_size=1, max_size=20) | st.sampled_from([
    "<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "a&b &amp; &lt;", "'--%>",
    "</style>", "]]>", "<!--", "javascript:alert(1)"])


class Document(HTMLParser):
    """What a browser makes of a page: its elements with their attributes' names, and its texts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, ...]] = []
        self.texts: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, *(name for name, _ in attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.add(data)


def look(stamp_ns: int, score: float, bag: str = "drive") -> ShownFrame:
    return ShownFrame(bag, stamp_ns, score, {}, (1, 1), *[b""] * 5)


def shown(name: str) -> str:
    """A name without the characters that no page may hold."""
    return re.sub("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]", "\ufffd", name)


def both_pages(classes: list[str], others: list[str]) -> str:
    bag, model, topic, drop, version, second = others
    spec = example.spec(classes, second)
    made = example.report(spec, [bag], model=model, topic=topic, drop=drop, version=version,
                          live=True, frames=15)
    frames = example.looks(spec, bag, 1)
    both = matched(made, made, "a.json", "b.json")
    return report_page(made, frames, frames) + comparison_page(both)


@given(st.lists(NAMES, min_size=3, max_size=3, unique=True),
       st.lists(NAMES.filter(lambda name: name != "rgb"), min_size=6, max_size=6))
@settings(max_examples=60, deadline=None)
def test_any_name_is_text_and_nothing_else(classes: list[str], others: list[str]) -> None:
    """However classes, topics, bags, models, sensors, versions and causes are called, the pages
    have the elements that they have for plain names, and show the names unchanged."""
    page = both_pages(classes, others)
    page.encode("utf-8")
    found = Document(page)
    assert found.elements == Document(both_pages(["a", "b", "c"], ["bag", *"mtdvs"])).elements
    _, _, _, drop, version, _ = others
    assert found.texts >= {shown(name) for name in (*classes[1:], drop, version)}


def test_a_page_needs_nothing_from_elsewhere() -> None:
    page = both_pages(["a", "b", "c"], ["bag", *"mtdvs"])
    addresses = re.findall(r"""(?:src|href|action|data|poster)=["']?([^"'> ]*)""", page)
    assert addresses
    assert all(address.startswith(("#", "data:")) for address in addresses)
    assert not re.search(r"https?:|@import|url\(|fetch\(|XMLHttpRequest|WebSocket", page)


def test_figures_are_those_of_the_frames(tmp_path: Path) -> None:
    made = example.report(SPEC, ["a/drive", "b/drive"], live=True)
    write_result(made, tmp_path / "report.json")
    assert read_result(tmp_path / "report.json") == made

    figures = json.loads((tmp_path / "report.json").read_text())["figures"]
    summed = ConfusionMatrix(SPEC.classes, SPEC.void_id)
    for i in range(30):
        summed.counts += example.matrix(SPEC, i).counts
    assert figures["bags"]["a/drive"]["counts"] == summed.counts.tolist()
    assert figures["counts"] == figures["live"]["counts"] == (2 * summed.counts).tolist()
    assert figures["miou"] == summed.mean_iou()
    assert figures["scored"] == figures["labelled"] == 60
    assert figures["frames"]["rgb"] == {"paired": 60, "unmatched": 4}
    # 20 to 26 ms in turn: of 30 each, 20 and 21 five times and the others four times
    assert figures["latency_ms"] == {"p50": 23.0, "p99": 26.0}


def test_the_words_name_every_bag_and_the_figures() -> None:
    made = example.report(SPEC, ["a/drive", "b/drive"], live=True)
    words = in_words(made)
    miou = f"{100 * made.total().mean_iou():.1f}"
    assert "bag      a/drive\nbag      b/drive\n" in words
    assert f"scored   60 of 60 labelled, mIoU {miou} %\nlatency  p50 23.0 ms, p99 26.0 ms" in words
    assert "colour   60 paired, 4 unmatched" in words
    assert words.count(f"mIoU {miou} %") == 2  # with DDS and without


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"model": 1}'])
def test_what_is_no_result_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(SsmaError, match=r"x\.json is no"):
        read_result(tmp_path / "x.json")


@pytest.mark.parametrize(("paths", "names"), [
    (["/data/drive"], ["drive"]),
    (["/a/drive", "/b/drive"], ["a/drive", "b/drive"]),
    (["x/1/bag", "x/2/bag", "other"], ["1/bag", "2/bag", "other"]),
    (["bag", "x/bag"], ["bag", "x/bag"]),
])
def test_bags_have_the_shortest_names_that_distinguish_them(
        paths: list[str], names: list[str]) -> None:
    assert short_names(paths) == names


@given(st.lists(st.floats(0, 1), min_size=1, max_size=200))
def test_the_worst_frames_of_any_order_are_kept(scores: list[float]) -> None:
    sheet = FrameSelection(0)
    for i, score in enumerate(scores):
        sheet.offer(score, i * SECOND, lambda i=i, score=score: look(i * SECOND, score))
    assert [kept.score for kept in sheet.worst] == sorted(scores)[:WORST]


@pytest.mark.parametrize(("seconds", "apart"), [(30, 1), (600, 10)])
@given(frames=st.lists(st.tuples(st.integers(0, 30 * 10**9), st.floats(0, 1)), min_size=1))
def test_the_worst_frames_are_of_different_moments(
        seconds: float, apart: float, frames: list[tuple[int, float]]) -> None:
    """Ten neighbours that are bad for one reason are one frame to look at, the worst of them."""
    sheet = FrameSelection(seconds)
    for stamp, score in frames:
        sheet.offer(score, stamp, lambda stamp=stamp, score=score: look(stamp, score))
    stamps = sorted(kept.stamp_ns for kept in sheet.worst)
    assert all(later - before >= apart * SECOND for before, later in pairwise(stamps))
    assert sheet.worst[0].score == min(score for _, score in frames)


def test_a_long_bag_takes_no_more_memory_and_encodes_few_frames() -> None:
    sheet, encoded = FrameSelection(600), []
    scores = np.random.default_rng(0).random(6000)
    for i, score in enumerate(scores.tolist()):
        def encode(i: int = i, score: float = score) -> ShownFrame:
            encoded.append(i)
            return look(i * 10**8, score)

        sheet.offer(score, i * 10**8, encode)
    assert (len(sheet.worst), len(sheet.sampled)) == (WORST, SAMPLED)
    assert len({kept.stamp_ns for kept in sheet.sampled}) == SAMPLED
    assert len(encoded) < 600  # that many would be a tenth


def test_every_frame_has_the_same_chance_to_be_sampled() -> None:
    """Of 100 frames 24 are kept: in 400 bags each 96 times, with a standard deviation of 9."""
    times = np.zeros(100)
    for seed in range(400):
        sheet = FrameSelection(0)
        sheet._random.seed(seed)
        for i in range(100):
            sheet.offer(1.0, i, lambda i=i: look(i, 1.0))
        times[[kept.stamp_ns for kept in sheet.sampled]] += 1
    assert np.abs(times - 96).max() < 5 * 9


def test_typical_frames_are_those_near_the_median_that_are_not_shown_as_the_worst() -> None:
    sheet = FrameSelection(0)
    scores = np.array([0.1, 0.2, *np.linspace(0.5, 0.9, 20)])
    for i, score in enumerate(scores):
        sheet.offer(score, i * SECOND, lambda i=i, score=score: look(i * SECOND, score))
    worst, typical = chosen([sheet], scores)
    assert [kept.score for kept in worst] == sorted(scores)[:WORST]
    others = sorted(scores)[WORST:]
    nearest = sorted(others, key=lambda score: abs(score - np.median(scores)))[:TYPICAL]
    assert sorted(kept.score for kept in typical) == sorted(nearest)
    stamps = [kept.stamp_ns for kept in typical]
    assert stamps == sorted(stamps)


def test_a_frame_that_is_all_void_is_not_shown() -> None:
    sheet = FrameSelection(0)
    sheet.offer(float("nan"), 0, lambda: look(0, 0))
    assert chosen([sheet], np.array([np.nan])) == ([], [])


def test_the_errors_are_where_label_and_known_ground_truth_differ() -> None:
    labels = np.array([[0, 1, 2, 1]], np.uint8).repeat(2, 0)
    truth = np.array([[0, 1, 1, 0]], np.uint8).repeat(2, 0)
    matrix = ConfusionMatrix(3, 0)
    matrix.add(truth, labels)
    made = show_frame(SPEC, "drive", 0, matrix, rgb=np.full((2, 4, 3), 200, np.uint8),
                   aux=np.full((2, 4), 9000, np.uint16), labels=labels, truth=truth)
    wrong = cv2.imdecode(np.frombuffer(made.wrong, np.uint8), cv2.IMREAD_UNCHANGED)
    assert (wrong[0, 2] != wrong[0, 0]).any()
    assert (wrong[:, [0, 1, 3]] == wrong[0, 0]).all()
    assert wrong[0, 0, 3] < wrong[0, 2, 3] == 255  # what is right lets the colour image through


def test_pictures_are_no_wider_than_a_page_needs() -> None:
    matrix = ConfusionMatrix(3, 0)
    big = np.ones((1080, 1920), np.uint8)
    matrix.add(big, big)
    made = show_frame(SPEC, "drive", 0, matrix, rgb=big[..., None].repeat(3, 2),
                   aux=big.astype(np.uint16), labels=big, truth=big)
    for name in ("colour", "second", "label", "truth", "wrong"):
        picture = cv2.imdecode(np.frombuffer(getattr(made, name), np.uint8), cv2.IMREAD_UNCHANGED)
        assert picture.shape[:2] == (432, 768) == made.size[::-1]


@given(st.lists(st.floats(0.01, 1e4), min_size=1, max_size=300))
def test_a_histogram_counts_every_value(values: list[float]) -> None:
    end = charts.nice_end(np.array(values))
    counts = re.findall(r"ms: (\d+)</title>", charts.histogram(np.array(values), end, "ms"))
    assert sum(map(int, counts)) == len(values)
    assert end >= np.percentile(values, 99) or end >= max(values)


@given(st.floats(1e-3, 1e6))
def test_ticks_are_round_and_few(end: float) -> None:
    ticks = charts.ticks(end)
    assert ticks[0] == 0 and end / 2 < ticks[-1] <= end * 1.001
    assert 3 <= len(ticks) <= 9
    assert {f"{later - before:.0e}"[0] for before, later in pairwise(ticks)} <= set("125")


@pytest.mark.parametrize(("seconds", "words"), [
    (0, "0.0 s"), (12.34, "12.3 s"), (60, "1:00"), (187.4, "3:07"), (59.99, "1:00")])
def test_time_is_reported_in_seconds_and_then_in_minutes(seconds: float, words: str) -> None:
    assert charts.clock(seconds) == words


def test_modes_last_until_the_next_and_the_last_to_the_end() -> None:
    timeline = Timeline(0, 60 * SECOND, modes=tuple(
        TimelineEvent(at * SECOND, mode) for at, mode in
        [(0, "fused"), (20, "colour only"), (25, "fused"), (50, "none")]))
    lane = Document(charts.mode_lane(timeline))
    assert {"fused 45.0 s", "colour only 5.0 s", "none 10.0 s"} <= lane.texts
    assert len([tag for tag, *_ in lane.elements if tag == "rect"]) == 4


def test_each_cause_has_a_line_with_its_number_and_a_tick_a_drop() -> None:
    drops = [TimelineEvent(10 * SECOND, "late"), TimelineEvent(30 * SECOND, "unmatched"),
             TimelineEvent(60 * SECOND, "unmatched")]
    lanes = charts.drop_lanes(Timeline(0, 60 * SECOND, tuple(drops)))
    assert {"late", "1", "unmatched", "2"} <= Document(lanes).texts
    assert re.findall(r'd="([^"]*)"', lanes) == ["M167 0V1", "M500 0V1M1000 0V1"]


def write(folder: Path, name: str, **changes: object) -> str:
    write_result(example.report(**({"of": SPEC} | changes)), folder / name)  # type: ignore[arg-type]
    return str(folder / name)


def test_two_reports_are_compared_on_the_frames_that_both_scored(tmp_path: Path) -> None:
    a = write(tmp_path, "a.json", frames=20)
    b = write(tmp_path, "b.json", frames=30)
    both = compare_files(a, b)
    assert len(both.frames) == 20
    assert both.comparison.mean.difference == 0
    assert "20 frames of both" in in_words(both)


def test_the_better_one_is_named(tmp_path: Path) -> None:
    """B is A with every frame perfect."""
    made = example.report(SPEC)
    perfect = [[[sum(row) if i == j else 0 for j in range(3)] for i, row in enumerate(counts)]
               for counts in made.counts.tolist()]
    a = write(tmp_path, "a.json")
    values = json.loads(Path(a).read_text())
    for frame, counts in zip(values["runs"][0]["frames"], perfect):
        frame["counts"] = counts
    (tmp_path / "b.json").write_text(json.dumps(values))
    both = compare_files(a, str(tmp_path / "b.json"))
    assert both.matrices[1].mean_iou() == 1
    assert "B is better than A" in in_words(both)
    assert "B is better than A" in comparison_page(both)


@pytest.mark.parametrize(("change", "complaint"), [
    ({"of": example.spec(["void", "sky", "grass"])}, "they cannot be compared"),
    ({"bags": ["other"]}, "no frame in common"),
    ({"seed": 1}, r"true labels of drive at 1700000000\.000 are not the same"),
])
def test_what_cannot_be_compared_is_named(
        tmp_path: Path, change: dict[str, object], complaint: str) -> None:
    a, b = write(tmp_path, "a.json"), write(tmp_path, "b.json", **change)
    with pytest.raises(SsmaError, match=complaint):
        compare_files(a, b)

"""One result for data sets and for bags: one file format, which also reads what the last version
wrote, and one comparison. The files in `last_version/` were written by that version's own code."""
from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import example_report as example
import numpy as np
import pytest
from conftest import ROOT, SMALL_SPEC

from ssma_core import SsmaError
from ssma_core.evaluation.comparison import compare_files
from ssma_core.evaluation.inference import Options
from ssma_core.evaluation.report.compare import comparison_page
from ssma_core.evaluation.report.words import in_words
from ssma_core.evaluation.result_file import pooled, read_result, write_result
from ssma_core.evaluation.results import (
    BagSource,
    DatasetSource,
    DriveResult,
    FrameResult,
    Result,
    Timeline,
    TimelineEvent,
)
from ssma_core.evaluation.seeds import over_seeds

LAST_VERSION = ROOT / "test" / "last_version"
GOOD, BAD = [[4, 0, 0], [0, 10, 0], [0, 0, 10]], [[4, 0, 0], [0, 2, 8], [0, 0, 10]]
BEGIN, SECOND = 1_700_000_000 * 10**9, 10**9


def of_data_set(*drives: DriveResult) -> Result:
    source = DatasetSource("c.yaml", "validation", Options())
    return Result("m.onnx", SMALL_SPEC, source, (), drives)


def drive(name: str, counts: list[list[list[int]]], condition: str | None = None) -> DriveResult:
    frames = tuple(FrameResult(f"{name}/{i}.png", condition) for i in range(len(counts)))
    return DriveResult(name, frames, np.array(counts, np.int64))


def written(result: Result, path: Path) -> str:
    write_result(result, path)
    return str(path)


# What the last version wrote

def test_the_last_versions_file_of_a_data_set_reads_as_it_was_meant() -> None:
    found = read_result(LAST_VERSION / "result.json")
    assert (found.model, found.versions, found.spec) == (
        "m.safetensors", ("python 3", "torch 2"), SMALL_SPEC)
    assert found.source == DatasetSource("c.yaml fold=1", "validation",
                                         Options(scales=(0.75, 1.0), without="depth"))
    assert found.backend is None and found.machine is None
    assert [(name, frame.name, frame.condition) for name, frame in found.scored] == [
        ("a", "a/1.png", "fog"), ("a", "a/2.png", "fog"), ("b", "b/1.png", None)]
    assert found.counts.tolist() == [GOOD, BAD, BAD]


def test_the_last_versions_file_of_bags_reads_as_it_was_meant() -> None:
    found = read_result(LAST_VERSION / "bags.json")
    assert (found.model, found.backend, found.precision, found.machine, found.processes) == (
        "m.onnx", "onnxruntime", "fp32", "a CPU, 2 cores", 2)
    assert found.source == BagSource(0.03, 7, -0.5, rgb="/rgb", aux="/depth", label="/label")
    assert found.spec == SMALL_SPEC and found.names == ["one", "two"]
    first, _ = found.drives
    assert first == DriveResult(
        "bags/one",
        (FrameResult(stamp_ns=BEGIN, latency_ms=20.5),
         FrameResult(stamp_ns=BEGIN + SECOND, latency_ms=21.0, scored=False),
         FrameResult(stamp_ns=BEGIN + 2 * SECOND, latency_ms=40.25)),
        np.array([GOOD, BAD]),
        Timeline(BEGIN, BEGIN + 3 * SECOND,
                 (TimelineEvent(BEGIN + 3 * SECOND, "colour unmatched"),)),
        {"rgb": {"paired": 3, "unmatched": 1}, "aux": {"paired": 3}}, 1)
    live, _ = found.live
    assert live.ends == {"rgb": {"labelled": 2, "failed": 1}} and live.counts.tolist() == [GOOD]
    assert live.timeline is not None
    assert live.timeline.modes == (
        TimelineEvent(BEGIN, "fused"), TimelineEvent(BEGIN + SECOND, "colour only"))


def holds(after: Any, before: Any) -> bool:
    """Whether all that was there still is, at any depth; a mapping may have more."""
    if isinstance(before, dict):
        return before.keys() <= after.keys() and all(holds(after[k], before[k]) for k in before)
    if isinstance(before, list):
        return len(after) == len(before) and all(map(holds, after, before))
    return bool(after == before)


@pytest.mark.parametrize("name", ["result.json", "bags.json"])
def test_what_scripts_read_stays_under_its_keys(tmp_path: Path, name: str) -> None:
    """Written again, a file has the same figures, and the facts about the model under the same
    names."""
    before = json.loads((LAST_VERSION / name).read_text())
    write_result(read_result(LAST_VERSION / name), tmp_path / name)
    after = json.loads((tmp_path / name).read_text())
    assert after["figures"] == before["figures"]
    moved = {"frames", "runs", "live", "spec"}
    assert holds(after["spec"], before["spec"])  # a model may have more facts now
    assert {key: after[key] for key in before if key not in moved} == {
        key: value for key, value in before.items() if key not in moved}
    for run, old in zip(after.get("live", []), before.get("live", [])):
        assert {key: run[key] for key in ("timeline", "ends", "clock_jumps", "frames")} == {
            key: old[key] for key in ("timeline", "ends", "clock_jumps", "frames")}


def test_old_and_new_files_are_compared(tmp_path: Path) -> None:
    for name, frames in (("result.json", 3), ("bags.json", 4)):
        old = str(LAST_VERSION / name)
        new = written(read_result(old), tmp_path / name)
        found = compare_files(old, new)
        assert len(found.frames) == frames
        assert found.comparison.mean.difference == 0


# The file

def test_both_kinds_have_one_form_with_a_line_a_frame(tmp_path: Path) -> None:
    bags = example.report(SMALL_SPEC, ["a", "b"], live=True, frames=13)
    data_set = of_data_set(drive("a", [GOOD, BAD]), drive("b", [BAD]))
    for result, lines in ((bags, 4 * 13), (data_set, 3)):
        path = tmp_path / "result.json"
        write_result(result, path)
        assert read_result(path) == result
        values = json.loads(path.read_text())
        assert [run["name"] for run in values["runs"]] == ["a", "b"]
        assert len([line for line in path.read_text().splitlines() if '"counts": [[' in line]
                   ) == lines


@pytest.mark.parametrize("most", [0, 1, 400, 10**12])
def test_counts_are_whole_arrays_that_read_back_to_the_digit(tmp_path: Path, most: int) -> None:
    """38 classes, as ScanNet-like data sets have; all zero, nearly so, dense, and as large as they
    may be."""
    names = tuple(f"class {i}" for i in range(38))
    spec = replace(SMALL_SPEC, class_names=names, class_colours=((0, 0, 0),) * 38)
    counts = np.random.default_rng(0).integers(0, most, (50, 38, 38), np.int64, endpoint=True)
    frames = tuple(FrameResult(f'"counts": [[{i}]]') for i in range(50))  # only a name
    result = Result(
        "m.onnx", spec, DatasetSource("c", "train", Options()), (),
        (DriveResult("a", frames, counts),))
    write_result(result, tmp_path / "result.json")
    found = read_result(tmp_path / "result.json")
    assert found == result
    assert found.counts.dtype == np.int64 and found.counts.shape == (50, 38, 38)


def test_a_file_reads_however_its_json_is_laid_out(tmp_path: Path) -> None:
    result = of_data_set(drive("a", [GOOD, BAD]))
    write_result(result, tmp_path / "result.json")
    values = json.loads((tmp_path / "result.json").read_text())
    for indent, separators in ((None, (",", ":")), (4, (" , ", " : ")), (None, (", ", ": "))):
        text = json.dumps(values, indent=indent, separators=separators)
        (tmp_path / "other.json").write_text(text)
        assert read_result(tmp_path / "other.json") == result


@pytest.mark.parametrize("table", ["[[4, 0, 0], [0, 10, 0], [0, 0, ]]", "[-1]", "[0]", "[]",
                                   "[[4, 0, 0], [0, 1 0, 0], [0, 0, 10]]"])
def test_a_table_that_is_no_json_is_refused(tmp_path: Path, table: str) -> None:
    write_result(of_data_set(drive("a", [GOOD])), tmp_path / "result.json")
    text = (tmp_path / "result.json").read_text()
    (tmp_path / "bad.json").write_text(text.replace(json.dumps(GOOD), table))
    with pytest.raises(SsmaError, match=r"bad\.json"):
        read_result(tmp_path / "bad.json")


@pytest.mark.parametrize(("counts", "complaint"), [
    (np.array([GOOD, [[0, 0, 0], [0, -1, 0], [0, 0, 0]]]), "counts of a/1.png are not all from 0"),
    (np.array([GOOD, [[0, 0, 0], [0, 10**12 + 1, 0], [0, 0, 0]]]), "counts of a/1.png are not all"),
    (np.array([GOOD, GOOD], np.float64), "must be int64"),
    (np.array([GOOD]), r"counts of a must be int64 and 2×N×N, got int64 and 1×3×3"),
    (np.zeros((2, 3, 4), np.int64), r"must be int64 and 2×N×N"),
])
def test_counts_that_are_none_are_refused_with_the_frames_name(
        counts: np.ndarray, complaint: str) -> None:
    frames = (FrameResult("a/0.png"), FrameResult("a/1.png"))
    with pytest.raises(SsmaError, match=complaint):
        DriveResult("a", frames, counts)


def test_a_bags_result_is_whole(tmp_path: Path) -> None:
    made = example.report(SMALL_SPEC, ["a", "b"], frames=13)
    with pytest.raises(SsmaError, match="two bags have the same path"):
        replace(made, drives=made.drives[:1] * 2)
    with pytest.raises(SsmaError, match="the bag a has no timeline"):
        replace(made, drives=(replace(made.drives[0], timeline=None),))
    with pytest.raises(SsmaError, match="a frame of the bag a lacks stamp_ns or latency_ms"):
        replace(made, drives=(replace(made.drives[0], frames=(FrameResult("x"),),
                                      counts=made.drives[0].counts[:1], boundaries=None),))


# Comparing

def test_of_data_sets_the_same_frames_are_compared_and_of_bags_those_in_common(
        tmp_path: Path) -> None:
    whole = of_data_set(drive("a", [GOOD, BAD]), drive("b", [BAD]))
    a = written(whole, tmp_path / "a.json")
    b = written(replace(whole, drives=whole.drives[:1]), tmp_path / "b.json")
    with pytest.raises(SsmaError, match=r"a\.json has the frame b/0\.png, .*b\.json has not"):
        compare_files(a, b)
    a = written(example.report(SMALL_SPEC, ["x/one", "x/two"], frames=13), tmp_path / "a.json")
    b = written(example.report(SMALL_SPEC, ["x/two", "x/three"], frames=20), tmp_path / "b.json")
    found = compare_files(a, b)
    assert [name for name, _, _ in found.frames] == ["two"] * 13
    with pytest.raises(SsmaError, match="have only 13 frames in common"):
        over_seeds([a, b])


def test_a_data_set_and_bags_have_nothing_in_common(tmp_path: Path) -> None:
    a = written(of_data_set(drive("a", [GOOD])), tmp_path / "a.json")
    b = written(example.report(SMALL_SPEC, frames=13), tmp_path / "b.json")
    for files in ((a, b), (b, a)):
        with pytest.raises(SsmaError, match=r"b\.json is about bags, .*a\.json about a data set"):
            compare_files(*files)


def test_comparisons_of_both_kinds_have_words_and_a_page(tmp_path: Path) -> None:
    """Of a data set there are no latencies and no timelines; the rest is there."""
    a = written(of_data_set(drive("d1", [BAD, BAD], "fog"), drive("d2", [BAD])),
                tmp_path / "a.json")
    b = written(of_data_set(drive("d1", [BAD, GOOD], "fog"), drive("d2", [GOOD])),
                tmp_path / "b.json")
    found = compare_files(a, b)
    page = comparison_page(found)
    assert in_words(found).startswith(f"A: {a} (m.onnx, at the label's size)\n")
    assert "fog" in in_words(found)
    for name in ("d1/1.png", "d2/0.png", "Two results", "c.yaml"):
        assert name in page
    assert 'id="latency"' not in page and 'href="#timeline"' not in page
    bags = written(example.report(SMALL_SPEC, ["d1", "d2"], frames=13), tmp_path / "bags.json")
    found = compare_files(bags, bags)
    assert "95 % interval" in in_words(found) and "2 whole drives" in in_words(found)
    assert 'id="latency"' in comparison_page(found)


def test_a_result_whose_name_has_a_plus_is_one_file(tmp_path: Path) -> None:
    path = written(of_data_set(drive("a", [GOOD])), tmp_path / "rgb+depth.json")
    assert len(pooled(path).scored) == 1


def test_bags_of_several_files_are_one_result(tmp_path: Path) -> None:
    files = [written(example.report(SMALL_SPEC, [name], frames=13), tmp_path / f"{name}.json")
             for name in ("one", "two")]
    assert pooled("+".join(files)).names == ["one", "two"]
    with pytest.raises(SsmaError, match="two bags have the same path"):
        pooled(f"{files[0]}+{files[0]}")

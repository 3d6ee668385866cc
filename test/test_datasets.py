"""How a data set is given: list files, folds, and the choice between the sources."""
from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ssma_core import SsmaError
from ssma_core.datasets.file_list import ListFile, write_list
from ssma_core.datasets.samples import Folded
from ssma_core.datasets.sources import Folders, Records, Source
from ssma_core.plain import from_plain

ROOT = Path(__file__).resolve().parent.parent
RGB = np.full((40, 60, 3), 90, np.uint8)
LABEL = np.ones((40, 60), np.uint8)

same_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def write(path: Path, picture: np.ndarray = RGB) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), picture)
    return path


def triple(folder: Path, name: str) -> tuple[Path, Path, Path]:
    return (write(folder / "rgb" / f"{name}.png"), write(folder / "jet" / f"{name}.png"),
            write(folder / "label" / f"{name}.png", LABEL))


def numbered(folder: Path, count: int) -> Path:
    """A list of so many frames, called 0, 1, …"""
    write_list(folder / "all.txt", [triple(folder, str(i)) for i in range(count)])
    return folder / "all.txt"


def names(source: Source) -> list[str]:
    return [Path(sample.name).stem for sample in source.samples()]


# List files

def test_a_list_has_a_frame_a_line(tmp_path):
    triple(tmp_path, "b")
    triple(tmp_path, "a")
    path = tmp_path / "train.txt"
    path.write_bytes(b"rgb/b.png jet/b.png label/b.png\r\n\n"
                     b"  rgb/a.png\tjet/a.png   label/a.png")
    first, second = ListFile(str(path)).samples()
    assert [first.name, second.name] == [str(tmp_path / "rgb" / f"{n}.png") for n in "ba"]
    rgb, aux, label = first.read(classes=2)
    np.testing.assert_array_equal(rgb, RGB)
    np.testing.assert_array_equal(aux, RGB)
    np.testing.assert_array_equal(label, LABEL)


def test_relative_paths_are_seen_from_the_list_wherever_one_stands(tmp_path, monkeypatch):
    numbered(tmp_path / "set", 1)
    monkeypatch.chdir(tmp_path)
    (sample,) = ListFile("set/all.txt").samples()
    sample.read(classes=2)


def test_absolute_paths_are_taken_as_they_are(tmp_path):
    path = tmp_path / "elsewhere" / "all.txt"
    path.parent.mkdir()
    path.write_text(" ".join(map(str, triple(tmp_path, "a"))))
    assert names(ListFile(str(path))) == ["a"]


@pytest.mark.parametrize(("line", "complaint"), [
    ("rgb/0.png jet/0.png", "line 3: a line has three paths.*got 2: 'rgb/0.png jet/0.png'"),
    ("my rgb/0.png jet/0.png label/0.png", r"line 3: .*none with blanks in it; got 4"),
    ("rgb/0.png jet/9.png label/0.png", "line 3: there is no file .*jet/9.png.*list's folder"),
    ("rgb/0.png jet label/0.png", "line 3: there is no file .*jet;"),
    ("rgb/0.png jet/0.png label/0.png", "line 3: .*rgb/0.png is listed in line 1 already"),
    ("\0 \xff x", "line 3: there is no file"),
    ("x" * 5000 + " b c", "line 3: there is no file"),
])
def test_a_line_that_is_wrong_is_named(tmp_path, line, complaint):
    path = numbered(tmp_path, 1)
    path.write_text(f"{path.read_text()}\n{line}\n", encoding="latin-1")
    with pytest.raises(SsmaError, match=rf"all.txt, {complaint}"):
        ListFile(str(path)).samples()


@pytest.mark.parametrize(("text", "encoding"), [
    ("{0}\n{1}\n", "utf-8-sig"), ("{0}\r\n{1}\r\n", "utf-16"), ("{0}\r{1}", "ascii"),
    ("# rgb jet label\n{0}\n#\n{1}", "ascii"), ("{0}\n\n  \n{1}", "utf-16")])
def test_a_list_from_another_system_or_program_is_read(tmp_path, text, encoding):
    path = numbered(tmp_path, 2)
    path.write_bytes(text.format(*path.read_text().splitlines()).encode(encoding))
    assert names(ListFile(str(path))) == ["0", "1"]


@pytest.mark.parametrize(("text", "says"), [
    ("rgb/0.png,jet/0.png,label/0.png", "write blanks between the paths, and not ','"),
    ("rgb/0.png;jet/0.png;label/0.png", "write blanks between the paths, and not ';'"),
    ('"rgb/0.png" "jet/0.png" "label/0.png"', "a list has no quotation marks"),
    (r".\rgb\0.png .\jet\0.png .\label\0.png", "a list has / between folders"),
    ("/rgb/0.png /jet/0.png /label/0.png", "without the / before it, rgb/0.png is there"),
])
def test_a_list_of_another_form_is_refused_with_the_way_out(tmp_path, text, says):
    path = numbered(tmp_path, 1)
    path.write_text(text)
    with pytest.raises(SsmaError, match=f"all.txt, line 1: .*{says}"):
        ListFile(str(path)).samples()


@pytest.mark.parametrize("ids", [[255], [-1, 65535, 255]])
def test_ids_that_mean_not_labelled_are_named_in_the_configuration(tmp_path, ids):
    path = numbered(tmp_path, 2)
    label = np.array([[0, 1, ids[-1]]], np.uint8)
    for name in ("0", "1"):
        for folder, picture in (("rgb", np.dstack([label] * 3)), ("jet", label), ("label", label)):
            cv2.imwrite(str(tmp_path / folder / f"{name}.png"), picture)
    source = from_plain(Source, {"list": str(path), "ignore": ids}, "data.train")
    for sample in source.samples(void_id=1):
        np.testing.assert_array_equal(sample.read(2)[2], [[0, 1, 1]])
    with pytest.raises(SsmaError, match=r"label/0\.png has the id 255.*ignore"):
        ListFile(str(path)).samples()[0].read(2)


def test_the_lists_of_our_users_are_read_or_refused_in_words(cases):
    for name in ("bom", "utf16", "cr", "crlf", "tab", "comment", "lg4", "l16", "ltif32"):
        sample, = ListFile(str(cases / f"lists/{name}.txt")).samples()
        np.testing.assert_array_equal(
            sample.read(6)[2], cv2.imread(str(cases / "lists/label.png"), cv2.IMREAD_UNCHANGED))
    for name, unlabelled in (("l255", 255), ("lneg", -1)):
        source = ListFile(list=str(cases / f"lists/{name}.txt"), ignore=(unlabelled,))
        sample, = source.samples()
        written = cv2.imread(str(sample.label), cv2.IMREAD_UNCHANGED)
        expected = np.where(written == unlabelled, 0, written)
        np.testing.assert_array_equal(sample.read(6)[2], expected)
    for name in ("comma", "quotes", "backslash", "slash", "two", "ljpg", "lpal", "lrgb", "lLA"):
        with pytest.raises(SsmaError):
            ListFile(str(cases / f"lists/{name}.txt")).samples()[0].read(6)


@given(st.binary(max_size=200))
@same_folder
def test_bytes_that_are_no_list_are_refused(tmp_path, data):
    path = tmp_path / "bytes.txt"
    path.write_bytes(data)
    with pytest.raises(SsmaError, match=r"bytes\.txt"):
        ListFile(str(path)).samples()


def test_a_list_that_is_none(tmp_path):
    with pytest.raises(SsmaError, match=r"cannot read .*none.txt: No such file"):
        ListFile(str(tmp_path / "none.txt")).samples()
    with pytest.raises(SsmaError, match=f"cannot read {tmp_path}: Is a directory"):
        ListFile(str(tmp_path)).samples()


def test_a_written_list_moves_with_its_pictures(tmp_path):
    os.symlink(tmp_path / "set", tmp_path / "link")
    (tmp_path / "set" / "lists").mkdir(parents=True)
    write_list(tmp_path / "link" / "lists" / "train.txt", [triple(tmp_path / "set", "ä")])
    assert (tmp_path / "set" / "lists" / "train.txt").read_text(encoding="utf-8") == (
        "../rgb/ä.png ../jet/ä.png ../label/ä.png\n")
    (tmp_path / "set").rename(tmp_path / "moved data")
    (sample,) = ListFile(str(tmp_path / "moved data" / "lists" / "train.txt")).samples()
    sample.read(classes=2)


def test_a_name_that_a_list_cannot_say_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(SsmaError, match=r"'rgb/a 1.png' cannot be written.*blanks"):
        write_list(tmp_path / "train.txt", [triple(tmp_path, "a 1")])
    assert not (tmp_path / "train.txt").exists()


@given(st.lists(st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=9)
                .filter(lambda name: name not in (".", "..")), max_size=4, unique=True))
@example(["#"])
@same_folder
def test_what_is_written_is_what_is_read(tmp_path, files):
    """Of files that exist; any name that can be written comes back."""
    for number, name in enumerate(files):
        try:
            (tmp_path / name).touch()
        except (OSError, ValueError):
            return  # a name that this file system does not take
        rows = [(tmp_path / name,) * 3]
        path = tmp_path / f"{number}.list"
        try:
            write_list(path, rows)
        except SsmaError:
            assert any(character.isspace() for character in name)
        else:
            (sample,) = ListFile(str(path)).samples()
            assert os.path.samefile(sample.name, tmp_path / name)


# Folds

@dataclass(frozen=True)
class Numbers(Folded):
    count: int

    def every(self):
        return range(self.count)


@given(st.integers(1, 40), st.data())
def test_folds_are_runs_of_neighbours_of_equal_length(count, data):
    folds = data.draw(st.integers(1, count))
    parts = [Numbers(folds=folds, take=(fold,), count=count).samples() for fold in range(folds)]
    assert [sample for part in parts for sample in part] == list(range(count))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_the_other_folds_are_the_training_set(tmp_path):
    path = str(numbered(tmp_path, 7))
    assert names(ListFile(path, folds=3, take=(1,))) == ["2", "3"]
    assert names(ListFile(path, folds=3, take=(2, 0))) == ["0", "1", "4", "5", "6"]


@pytest.mark.parametrize(("values", "complaint"), [
    ({"folds": 3}, "folds and take go together"),
    ({"take": (0,)}, "folds and take go together"),
    ({"folds": 0, "take": (0,)}, "folds must be 1 or more, got 0"),
    ({"folds": 3, "take": (3,)}, "the 3 folds, 0 to 2; got \\[3\\]"),
    ({"folds": 3, "take": (-1,)}, "the 3 folds, 0 to 2; got \\[-1\\]"),
    ({"folds": 3, "take": (1, 1)}, "different ones"),
])
def test_folds_that_do_not_exist_are_refused(values, complaint):
    with pytest.raises(SsmaError, match=complaint):
        ListFile("all.txt", **values)


def test_more_folds_than_frames_are_refused(tmp_path):
    source = ListFile(str(numbered(tmp_path, 2)), folds=3, take=(0,))
    with pytest.raises(SsmaError, match=r"2 frames, from .*0.png on, cannot be divided into 3"):
        source.samples()


# The choice between the sources

@dataclass(frozen=True)
class Data:
    train: Source
    extra: Source | None = None


@pytest.mark.parametrize(("values", "expected"), [
    ({"root": "a", "rgb": "rgb/*", "aux": "b", "label": "c"}, Folders("a", "rgb/*", "b", "c")),
    ({"list": "train.txt"}, ListFile("train.txt")),
    ({"list": "train.txt", "folds": 5, "take": [0, 2]}, ListFile("train.txt", folds=5,
                                                                 take=(0, 2))),
    ({"tfrecord": "a.tfrecord"}, Records("a.tfrecord")),
])
def test_a_source_is_known_by_its_fields(values, expected):
    assert from_plain(Data, {"train": values}, "data") == Data(expected)
    assert from_plain(Data, {"train": values, "extra": None}, "data") == Data(expected)
    assert from_plain(Data, {"train": values, "extra": values}, "data") == Data(expected, expected)


@pytest.mark.parametrize(("values", "complaint"), [
    ({"root": "a", "rgb": "rgb/*", "aux": "b"}, "data.train lacks label"),
    ({"root": "a", "rgb": "rgb/*", "list": "b"}, "data.train has an unknown field 'list'"),
    ({"list": 3}, "data.train.list must be of type str, got 3"),
    ({"list": "a", "take": 0}, "data.train.take must be a list"),
    ({"list": "a", "take": [0]}, "data.train: folds and take go together"),
    *[(nothing, r"data.train must have the fields \{root, rgb, aux, label\} or \{list\} or "
                r"\{tfrecord\}, got") for nothing in (
        {}, {"file": "a"}, {"folds": 3, "take": [0]}, {"list": "a", "tfrecord": "b"},
        "train.txt", None)],
])
def test_a_source_that_is_none_says_what_there_is(values, complaint):
    with pytest.raises(SsmaError, match=complaint):
        from_plain(Data, {"train": values}, "data")


# Real frames: what docs/data_sets.md shows

def documented() -> list[dict]:
    """The `data` sections of docs/data_sets.md that use real frames, train and validation each."""
    text = (ROOT / "docs" / "data_sets.md").read_text(encoding="utf-8")
    blocks = [block.split("```")[0] for block in text.split("```yaml\n")[1:]]
    return [yaml.safe_load(block)["data"] for block in blocks if "../shared" in block]


@dataclass(frozen=True)
class Split:
    train: Source
    validation: Source


@pytest.mark.parametrize(("index", "train", "validation"), [(0, 22, 32), (1, 36, 18), (2, 36, 12)])
def test_the_documented_splits_open_and_share_no_frame(shared, monkeypatch, index, train,
                                                       validation):
    monkeypatch.chdir(ROOT)
    data = from_plain(Split, documented()[index], "data")
    parts = [data.train.samples(), data.validation.samples()]
    assert [len(part) for part in parts] == [train, validation]
    assert len({sample.name for part in parts for sample in part}) == train + validation
    for sample in (parts[0][0], parts[1][-1]):
        rgb, aux, label = sample.read(classes=4)
        assert rgb.shape == (*aux.shape, 3)
        assert rgb.shape[:2] == label.shape

"""A full disk is reported in one line, and no partial file is left."""
from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import ROOT
from many_frames import AUX, RGB, predict, recorded

from ssma_core.bags import rosbag2
from ssma_core.cli import main

FOREST = str(ROOT / "config/training/tiny_forest.yaml")


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """No file gets more bytes: it is then as if the disk were full."""
    before, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (before, most))


@pytest.mark.parametrize("command", ["export", "build-engine"])
def test_the_file_is_named_and_not_there(
        tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
        command: str) -> None:
    model, output = tiny_model.with_suffix(".safetensors"), tmp_path / "m.onnx"
    more: list[str] = []
    if command == "build-engine":
        pytest.importorskip("tensorrt_rtx", reason="no TensorRT for RTX here")
        model, output, more = tiny_model, tmp_path / "m.engine", ["--library", "tensorrt_rtx"]
    with room_for(100_000):
        assert main([command, "--model", str(model), "--output", str(output), *more]) == 1
    told = capsys.readouterr().err
    assert told.startswith(f"ssma {command}: cannot write {tmp_path}/") and told.count("\n") == 1
    assert f"{output.name}: File too large; make room there" in told
    assert not list(tmp_path.iterdir())


def test_of_several_files_the_one_is_named_that_had_no_room(
        tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("rgb", "aux"):
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.zeros((96, 192, 3), np.uint8))
    before = set(tmp_path.iterdir())
    with room_for(10_000):
        assert main(["predict", "--model", str(tiny_model), "--rgb", str(tmp_path / "rgb.png"),
                     "--aux", str(tmp_path / "aux.png"), "--output", str(tmp_path / "l.png"),
                     "--logits", str(tmp_path / "l.npy")]) == 1
    assert capsys.readouterr().err.startswith(
        f"ssma predict: cannot write {tmp_path / 'l.npy'}: ")
    assert set(tmp_path.iterdir()) == before


@pytest.mark.parametrize(("option", "name"), [
    ("--into", "labelled.mcap"), ("--video", "v.mp4"), ("--output", "out")])
def test_a_bag_s_labels_need_room(tmp_path: Path, capsys: pytest.CaptureFixture[str],
                                  option: str, name: str) -> None:
    """Of a folder, what had room stays for the next run."""
    rosbag2.write(tmp_path / "walk", recorded(6))
    with room_for(5000 if option != "--output" else 300):
        assert predict(tmp_path / "walk", "--topics", RGB, AUX, option, tmp_path / name) == 1
    told = capsys.readouterr().err.strip().splitlines()[-1]
    assert told.startswith(f"ssma predict: cannot write {tmp_path / name}")
    assert "room" in told
    left = {"walk", "out"} if option == "--output" else {"walk"}
    assert {path.name for path in tmp_path.iterdir()} == left
    assert not list((tmp_path / "out").rglob("*.png"))


@pytest.mark.parametrize("tool", ["cvat", "coco", "label-studio", "labelme", "palette"])
def test_labels_for_an_annotation_tool_are_all_there_or_none_is(
        annotated: Path, capsys: pytest.CaptureFixture[str], tool: str) -> None:
    output = annotated.parent / {"cvat": "o.zip", "coco": "o.json"}.get(tool, "o")
    before = set(annotated.parent.rglob("*"))
    with room_for(2000):
        assert main(["export-labels", str(annotated), "--format", tool, "--classes", FOREST,
                     "--output", str(output)]) == 1
    assert f"ssma export-labels: cannot write {output}: File too large" in capsys.readouterr().err
    assert set(annotated.parent.rglob("*")) == before


def test_masks_of_an_annotation_tool_are_all_there_or_none_is(
        annotated: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (annotated / "drive/label").rename(annotated.parent / "masks")
    before = set(annotated.parent.rglob("*"))
    with room_for(2000):
        assert main(["import-labels", str(annotated.parent / "masks"), "--data", str(annotated),
                     "--classes", FOREST]) == 1
    assert f"import-labels: cannot write {annotated}/" in capsys.readouterr().err
    assert set(annotated.parent.rglob("*")) == before


@pytest.fixture
def annotated(tmp_path: Path) -> Path:
    """A frame with a label that cannot be compressed."""
    label = np.random.default_rng(0).integers(0, 6, (100, 100), np.uint8)
    for name in ("rgb", "label"):
        (tmp_path / "DATA/drive" / name).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "DATA/drive" / name / "1.png"), label)
    return tmp_path / "DATA"

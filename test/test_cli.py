"""The `ssma` command: what it writes, and that a user's mistake is a message and no traceback."""
from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import TINY_SPEC

from ssma_core import Modality, Segmenter, SsmaError
from ssma_core.cli import COMMANDS, main
from ssma_core.model import build
from ssma_core.model_files import checkpoint


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    cv2.imwrite(str(tmp_path / "rgb.png"), random.integers(0, 256, (96, 192, 3), np.uint8))
    cv2.imwrite(str(tmp_path / "aux.png"), random.integers(0, 9000, (96, 192)).astype(np.uint16))
    return tmp_path


def predict(folder: Path, model: Path, *more: str) -> int:
    return main(["predict", "--model", str(model), "--rgb", str(folder / "rgb.png"),
                 "--aux", str(folder / "aux.png"), "--output", str(folder / "label.png"), *more])


def test_predict_writes_labels_overlay_and_logits(pictures: Path, tiny_model: Path) -> None:
    assert predict(pictures, tiny_model, "--overlay", str(pictures / "overlay.png"),
                   "--logits", str(pictures / "logits.npy")) == 0
    label = cv2.imread(str(pictures / "label.png"), cv2.IMREAD_UNCHANGED)
    assert label.shape == (96, 192) and label.dtype == np.uint8 and label.max() < 6
    assert cv2.imread(str(pictures / "overlay.png")).shape == (96, 192, 3)
    logits = np.load(pictures / "logits.npy")
    assert logits.shape == (192, 384, 6) and logits.dtype == np.float32


def swap(folder: Path) -> None:
    (folder / "rgb.png").rename(folder / "old.png")
    (folder / "aux.png").rename(folder / "rgb.png")
    (folder / "old.png").rename(folder / "aux.png")


@pytest.mark.parametrize(("breakage", "message"), [
    (lambda folder: (folder / "rgb.png").unlink(), "rgb.png: No such file"),
    (lambda folder: (folder / "rgb.png").write_bytes(b"x"), "rgb.png: it is not a picture"),
    (lambda folder: (folder / "aux.png").write_bytes(b""), "aux.png: it is not a picture"),
    (lambda folder: cv2.imwrite(str(folder / "aux.png"), np.ones((8, 9), np.uint16)),
     "depth image 9x8"),
    (swap, "rgb.png: it has one channel of uint16, as depth has, and is no colour image; save it "
     "with 8 bits if it is. And {folder}/aux.png, given as the second sensor's, has colours: the "
     "two look swapped"),
])
def test_a_bad_picture_is_named_and_nothing_is_written(
        pictures: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str],
        breakage: object, message: str) -> None:
    breakage(pictures)  # type: ignore[operator]
    assert predict(pictures, tiny_model) == 1
    assert message.format(folder=pictures) in capsys.readouterr().err
    assert {path.name for path in pictures.iterdir()} <= {"rgb.png", "aux.png"}


@pytest.mark.parametrize(("target", "message"), [
    (["--overlay", "/nowhere/o.png"], "cannot write /nowhere/o.png"),
    (["--logits", "/nowhere/q.npy"], "cannot write /nowhere/q.npy"),
    (["--output", "/nowhere/l.png"], "cannot write /nowhere/l.png"),
    (["--output", "folder.png"], "cannot write folder.png: it is a folder"),
    (["--overlay", "o.xyz"], "cannot write o.xyz: no picture format for '.xyz'"),
    (["--output", "label.jpg"], "cannot write labels to label.jpg"),
    (["--output", "./rgb.png"], "cannot write rgb.png: it is one of the files that are read"),
    (["--overlay", "./aux.png"], "cannot write aux.png: it is one of the files that are read"),
])
def test_where_one_file_cannot_be_written_none_is_and_no_work_is_done(
        pictures: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
        target: list[str], message: str) -> None:
    """No work: there is no model that could do it."""
    monkeypatch.chdir(pictures)
    (pictures / "folder.png").mkdir()
    assert predict(pictures, Path("/nowhere/m.onnx"), "--overlay", "o.png", "--logits", "q.npy",
                   *target) == 1
    assert message in capsys.readouterr().err
    assert {path.name for path in pictures.iterdir()} == {"rgb.png", "aux.png", "folder.png"}


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".tiff", ".PNG"])
def test_labels_are_written_unchanged(pictures: Path, tiny_model: Path, suffix: str) -> None:
    rgb = cv2.imread(str(pictures / "rgb.png"))
    depth = cv2.imread(str(pictures / "aux.png"), cv2.IMREAD_UNCHANGED)
    assert predict(pictures, tiny_model, "--output", str(pictures / f"label{suffix}")) == 0
    written = cv2.imread(str(pictures / f"label{suffix}"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(written, Segmenter(tiny_model).segment(rgb, depth).labels)


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ""])
def test_labels_in_a_format_that_would_change_them_are_refused(
        pictures: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str],
        suffix: str) -> None:
    target = pictures / f"label{suffix}"
    assert predict(pictures, tiny_model, "--output", str(target)) == 1
    assert "name the file .png, .bmp, .tif, .tiff" in capsys.readouterr().err
    assert not target.exists()


def test_what_fails_while_it_is_written_leaves_nothing(
        pictures: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def disk_is_full(*_: object) -> None:
        raise SsmaError("no space left")

    monkeypatch.setattr(np, "save", disk_is_full)  # the last that is written
    assert predict(pictures, tiny_model, "--overlay", str(pictures / "o.png"),
                   "--logits", str(pictures / "q.npy")) == 1
    assert {path.name for path in pictures.iterdir()} == {"rgb.png", "aux.png"}


@pytest.mark.parametrize(("modality", "sensors"), [
    (Modality("depth", "jet", 9000.0), ["--rgb", "aux.png"]),
    (Modality("nir", "ndvi"), ["--rgb", "grey.png", "--aux", "nir.png"]),
    (Modality("nir", "ndvi"), ["--rgb", "rgb.png"]),  # encoded already
])
def test_a_lone_expert_takes_its_own_sensors(pictures: Path, modality: Modality,
                                             sensors: list[str]) -> None:
    """A field camera has one red channel: it is read as a colour image whose channels are equal."""
    for name in ("grey.png", "nir.png"):
        cv2.imwrite(str(pictures / name), np.full((96, 192), 90, np.uint8))
    spec = replace(TINY_SPEC, architecture="adapnet++", modalities=(modality,))
    checkpoint.save(pictures / "lone.safetensors", build(spec).eval(), spec)
    files = [word if word.startswith("--") else str(pictures / word) for word in sensors]
    assert main(["predict", "--model", str(pictures / "lone.safetensors"), *files,
                 "--output", str(pictures / "label.png"),
                 "--overlay", str(pictures / "overlay.png")]) == 0
    assert cv2.imread(str(pictures / "label.png"), cv2.IMREAD_UNCHANGED).shape == (96, 192)
    assert cv2.imread(str(pictures / "overlay.png")).shape == (96, 192, 3)


def test_an_interrupted_command_reports_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
                                        capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ssma_core.commands.synthesize.drive", interrupted)
    assert main(["synthesize", "--output", str(tmp_path / "drives")]) == 130
    assert capsys.readouterr().err.splitlines()[-1] == "ssma synthesize: interrupted"


def test_export_makes_a_file_that_predict_can_use(
        pictures: Path, tiny_model_safetensors: Path) -> None:
    target = pictures / "m.onnx"
    assert main(["export", "--model", str(tiny_model_safetensors), "--output", str(target)]) == 0
    assert predict(pictures, target) == 0


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    result = subprocess.run([sys.executable, "-m", "ssma_core.cli", command, "--help"],
                            capture_output=True, text=True, check=True)
    assert f"usage: ssma {command}" in result.stdout

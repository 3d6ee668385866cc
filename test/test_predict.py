"""`ssma predict` over pictures and data sets: a label for every frame, under the frame's own name;
and which options go together."""
from __future__ import annotations

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from many_frames import HALF, frame, predict, segmenter, write_drive, written

from ssma_core import SsmaError
from ssma_core.datasets.folders import places
from ssma_core.registration import write


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two drives of two frames."""
    for drive in ("monday", "tuesday"):
        write_drive(tmp_path / "data" / drive, ["10", "20"])
    return tmp_path / "data"


def picture(path: Path) -> np.ndarray:
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def test_every_frame_gets_its_files_under_its_drive_and_name(
        data: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    assert predict(data, "--output", output, "--confidence", "--trust", "--overlay") == 0
    assert written(output) == {"monday/predict.json", "tuesday/predict.json"} | {
        f"{drive}/{kind}/{stem}{'.jpg' if kind == 'overlay' else '.png'}"
        for drive in ("monday", "tuesday") for stem in ("10", "20")
        for kind in ("label", "confidence", "trust", "overlay")}
    expected = segmenter().segment(*frame(1), confidence=True, trust=True)
    drive = output / "tuesday"
    for kind, values in (("label", expected.labels), ("confidence", expected.confidence),
                         ("trust", expected.trust)):
        np.testing.assert_array_equal(picture(drive / kind / "20.png"), values)
    assert picture(drive / "overlay/20.jpg").shape == (48, 96, 3)


def test_a_drive_alone_has_its_own_name(data: Path, tmp_path: Path) -> None:
    assert predict(data / "monday", "--output", tmp_path / "out") == 0
    assert written(tmp_path / "out") == {
        "monday/predict.json", "monday/label/10.png", "monday/label/20.png"}


def test_drives_of_several_runs_lie_side_by_side(data: Path, tmp_path: Path) -> None:
    for drive in ("monday", "tuesday"):
        assert predict(data / drive, "--output", tmp_path / "out") == 0
    assert len(list((tmp_path / "out").glob("*/label/*.png"))) == 4
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"monday", "tuesday"}


@pytest.mark.parametrize("missing", ["depth/20.png", "depth"])
def test_colour_without_its_partner_is_labelled_alone(
        data: Path, tmp_path: Path, missing: str) -> None:
    place = data / "monday" / missing
    for file in [place] if place.is_file() else list(place.iterdir()):
        file.unlink()
    if place.is_dir():
        place.rmdir()
    assert predict(data, "--output", tmp_path / "out") == 0
    rgb, depth = frame(1)
    for drive, arrays in (("monday", (rgb,)), ("tuesday", (rgb, depth))):
        np.testing.assert_array_equal(picture(tmp_path / "out" / drive / "label/20.png"),
                                      segmenter().segment(*arrays).labels)


def test_labels_that_are_there_are_not_looked_at(data: Path, tmp_path: Path) -> None:
    """They may be of other classes, or half done."""
    (data / "monday/label").mkdir()
    cv2.imwrite(str(data / "monday/label/10.png"), np.full((3, 3), 200, np.uint8))
    assert predict(data, "--output", tmp_path / "out") == 0


def test_the_next_run_makes_what_is_missing_and_leaves_the_rest(
        data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "out"
    assert predict(data, "--output", output) == 0
    (output / "monday/label/20.png").unlink()
    times = {path: path.stat().st_mtime_ns for path in output.rglob("*.png")}
    assert predict(data, "--output", output) == 0
    assert capsys.readouterr().out.splitlines()[-1] == (
        f"1 frames labelled, 3 were there already: {output}")
    assert times == {path: path.stat().st_mtime_ns for path in times}
    assert (output / "monday/label/20.png").exists()


def test_more_pictures_leave_a_label_that_somebody_corrected(data: Path, tmp_path: Path) -> None:
    corrected = tmp_path / "out/monday/label/20.png"
    assert predict(data, "--output", tmp_path / "out") == 0
    cv2.imwrite(str(corrected), np.full((48, 96), 2, np.uint8))
    assert predict(data, "--output", tmp_path / "out", "--trust") == 0
    assert (tmp_path / "out/monday/trust/20.png").exists()
    assert (picture(corrected) == 2).all()


def test_a_frame_that_was_replaced_is_labelled_again(
        data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output, changed = tmp_path / "out", data / "monday/depth/20.png"
    assert predict(data, "--output", output) == 0
    cv2.imwrite(str(changed), frame(7)[1])
    later = (output / "monday/label/20.png").stat().st_mtime_ns + 10**9
    os.utime(changed, ns=(later, later))
    assert predict(data, "--output", output) == 0
    assert "1 frames labelled, 3 were there already" in capsys.readouterr().out
    np.testing.assert_array_equal(picture(output / "monday/label/20.png"),
                                  segmenter().segment(frame(1)[0], frame(7)[1]).labels)


def test_that_colour_was_labelled_alone_is_said(
        data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (data / "monday/depth").rename(data / "monday/nir")
    assert predict(data, "--output", tmp_path / "out") == 0
    assert "2 of them from rgb alone: there is no picture of depth" in capsys.readouterr().out


def test_labels_of_two_models_or_sources_are_never_mixed(
        data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "out"
    assert predict(data, "--output", output) == 0
    before = written(output)
    assert predict(data / "monday", "--output", output) == 1
    made = json.loads((output / "monday/predict.json").read_text())
    (output / "monday/predict.json").write_text(json.dumps(made | {"sha256": "0" * 64}))
    assert predict(data, "--output", output) == 1
    says = f"{output / 'monday'} holds the labels of another model, registration or groups"
    assert capsys.readouterr().err.count(says) == 2
    assert written(output) == before


def test_predictions_never_mix_with_the_data(
        data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = written(data)
    assert predict(data, "--output", data) == 1
    told = capsys.readouterr().err
    assert f"{data / 'monday'} holds something else: predictions would mix with it" in told
    assert written(data) == before


def test_a_frame_that_the_model_refuses_is_named_and_what_was_done_stays(
        data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = data / "tuesday/depth/10.png"
    cv2.imwrite(str(bad), np.ones((8, 9), np.uint16))
    assert predict(data, "--output", tmp_path / "out") == 1
    told = capsys.readouterr().err.strip().splitlines()[-1]
    assert told.startswith(f"ssma predict: {data / 'tuesday/rgb/10.png'}: ") and "9x8" in told
    assert written(tmp_path / "out") == {
        "monday/predict.json", "monday/label/10.png", "monday/label/20.png"}, "tuesday is free"


# A second sensor that is not registered, and groups

def half_as_large(folder: Path, stems: list[str]) -> Path:
    """A drive whose depth has half the size; returns the registration by which it fits."""
    write_drive(folder, stems)
    for number, stem in enumerate(stems):
        cv2.imwrite(str(folder / f"depth/{stem}.png"), frame(number, (48, 24))[1])
    path = folder.parent / "half.yaml"
    write(path, HALF, "")
    return path


def test_a_second_sensor_that_is_not_registered_is_brought_to_colour(
        tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    registration = half_as_large(tmp_path / "walk", ["10", "20"])
    more = ("--registration", registration)
    assert predict(tmp_path / "walk", "--output", tmp_path / "out", *more) == 0
    depth = frame(1, (48, 24))[1].repeat(2, axis=0).repeat(2, axis=1)
    expected = segmenter().segment(frame(1)[0], depth).labels
    np.testing.assert_array_equal(picture(tmp_path / "out/walk/label/20.png"), expected)
    assert predict("--rgb", tmp_path / "walk/rgb/20.png", "--aux", tmp_path / "walk/depth/20.png",
                   "--output", tmp_path / "one.png", *more) == 0
    np.testing.assert_array_equal(picture(tmp_path / "one.png"), expected)
    # Another one, and none, are refused.
    assert predict(tmp_path / "walk", "--output", tmp_path / "out") == 1
    assert "of another model, registration or groups" in capsys.readouterr().err
    (tmp_path / "walk/drive.json").write_text('{"registration": {}}')
    assert predict(tmp_path / "walk", "--output", tmp_path / "new", *more) == 1
    assert "was extracted with a registration" in capsys.readouterr().err


def test_a_registration_of_other_images_is_named(
        data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    registration = half_as_large(tmp_path / "walk", ["10"])
    assert predict(data, "--output", tmp_path / "out", "--registration", registration) == 1
    told = capsys.readouterr().err.strip().splitlines()[-1]
    assert told.startswith(f"ssma predict: {data / 'monday/rgb/10.png'}: {registration}: ")
    assert "the second sensor's images of 48x24, and they are 96x48" in told


def test_labels_are_of_groups_where_these_are_given(data: Path, tmp_path: Path) -> None:
    """Of void, trail, grass, vegetation, sky and obstacle remain void, drivable and obstacle."""
    groups = tmp_path / "groups.yaml"
    groups.write_text("drivable: [trail, grass]\nobstacle: [vegetation, sky, obstacle]\n")
    assert predict(data, "--output", tmp_path / "out", "--groups", groups) == 0
    assert segmenter().spec.class_names == (
        "void", "trail", "grass", "vegetation", "sky", "obstacle")
    np.testing.assert_array_equal(
        picture(tmp_path / "out/monday/label/10.png"),
        np.array([0, 1, 1, 2, 2, 2])[segmenter().segment(*frame(0)).labels])


def test_a_list_file_gives_drives_by_its_folders(data: Path, tmp_path: Path) -> None:
    """Labels have to be listed; what is in them does not matter."""
    label = tmp_path / "label.png"
    cv2.imwrite(str(label), np.full((48, 96), 255, np.uint8))
    rows = [f"{data / drive / 'rgb/10.png'} {data / drive / 'depth/10.png'} {label}"
            for drive in ("monday", "tuesday")]
    (tmp_path / "list.txt").write_text("\n".join(rows))
    assert predict(tmp_path / "list.txt", "--output", tmp_path / "out") == 0
    assert {path.as_posix() for path in (tmp_path / "out").glob("*/label/*")} == {
        f"{tmp_path}/out/{drive}/label/10.png" for drive in ("monday", "tuesday")}


def test_a_replaced_picture_of_a_list_file_is_labelled_again(
        data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rgb, depth = data / "monday/rgb/10.png", data / "monday/depth/10.png"
    (tmp_path / "label.png").write_bytes(cv2.imencode(".png", np.zeros((48, 96), np.uint8))[1])
    (tmp_path / "list.txt").write_text(f"{rgb} {depth} {tmp_path / 'label.png'}")
    assert predict(tmp_path / "list.txt", "--output", tmp_path / "out") == 0
    later = (tmp_path / "out/monday/label/10.png").stat().st_mtime_ns + 10**9
    os.utime(depth, ns=(later, later))
    assert predict(tmp_path / "list.txt", "--output", tmp_path / "out") == 0
    assert "1 frames labelled, 0 were there already" in capsys.readouterr().out.splitlines()[-1]


def test_two_frames_never_share_a_file(data: Path, tmp_path: Path,
                                       capsys: pytest.CaptureFixture[str]) -> None:
    rgb = data / "monday/rgb/10.png"
    cv2.imwrite(str(rgb.with_suffix(".bmp")), frame(0)[0])
    depth = data / "monday/depth/10.png"
    (tmp_path / "list.txt").write_text("".join(
        f"{each} {depth} {depth}\n" for each in (rgb, rgb.with_suffix(".bmp"))))
    assert predict(tmp_path / "list.txt", "--output", tmp_path / "out") == 1
    assert "2 frames are called 10 in monday" in capsys.readouterr().err


@pytest.mark.parametrize(("pictures", "expected"), [
    (["/d/a/rgb/1.png", "/d/b/rgb/2.png"], [("a", "1"), ("b", "2")]),
    (["/d/a/rgb/1.png", "/d/a/rgb/2.png"], [("a", "1"), ("a", "2")]),
    (["/d/rgb/aachen/1.png", "/d/rgb/bonn/1.png"], [("aachen", "1"), ("bonn", "1")]),
    (["/d/x/a/rgb/1.png", "/d/y/a/rgb/1.png"], [("x/a", "1"), ("y/a", "1")]),
    (["/d/rgb/1.png", "/d/a/rgb/1.png"], [("d", "1"), ("a", "1")]),
])
def test_drives_are_named_by_their_folders(
        pictures: list[str], expected: list[tuple[str, str]]) -> None:
    assert places([Path(picture) for picture in pictures]) == expected


A_PAIR, MANY = ["--rgb", "a.png", "--output", "o.png"], ["data", "--output", "o"]


@pytest.mark.parametrize(("arguments", "says"), [
    ([], "give INPUT"),
    (["--output", "o", "--overlay", "data"], "give INPUT .* before --overlay"),
    (["data"], "say where to write to: --output"),
    ([*MANY, "--video", "v.mp4"], "give one of --output, --into and --video, not --output"),
    ([*MANY, "--rgb", "a.png"], "--rgb cannot be given with INPUT: it is for one pair"),
    ([*MANY, "--logits", "q.npy"], "--logits cannot be given with INPUT"),
    ([*MANY, "--overlay", "o.png"], "with INPUT, --overlay takes no file, and 'o.png'"),
    (["data", "--video", "v.mp4", "--trust"], "--trust cannot be given with --video"),
    ([*A_PAIR, "--trust", "--topics", "/a"], "--topics and --trust cannot be given with --rgb"),
    ([*A_PAIR, "--into", "b.mcap"], "--into cannot be given with --rgb"),
    ([*A_PAIR, "--overlay"], "name the file: --overlay PICTURE"),
    (["data", "--into", "b.mcap"], "data is no bag, and --into copies one"),
    (["data", "--video", "v.avi"], "cannot write v.avi: .* name it .mp4"),
    ([*MANY, "--topics", "/a", "/b"], "data is no bag, and only bags have topics"),
    (["nowhere", "--output", "o"], "nowhere is no data, or is not there"),
])
def test_what_does_not_go_together_is_told_and_nothing_is_written(
        data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
        arguments: list[str], says: str) -> None:
    monkeypatch.chdir(data.parent)
    before = written(data.parent)
    assert predict(*arguments) == 1
    with pytest.raises(SsmaError, match=says):
        raise SsmaError(capsys.readouterr().err)
    assert written(data.parent) == before

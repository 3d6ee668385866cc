"""`ssma prepare`: the public data sets, from trees of the published layout to list files."""
from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from published import (
    GREY,
    OF_THE_FIELD,
    SIZE,
    TREES,
    cityscapes,
    files,
    freiburg_forest,
    jet,
    listed,
    prepare,
    scannet,
    stripes,
    sun_rgbd,
    synthia,
    write,
)

from ssma_core import ModelSpec, SsmaError
from ssma_core.datasets.file_list import ListFile
from ssma_core.datasets.prepare import DATA_SETS
from ssma_core.datasets.prepare.classes import CITYSCAPES_19, SCANNET_20, STREET_11, SUN_RGBD_37
from ssma_core.datasets.prepare.data_set import PublishedFrame
from ssma_core.files import read_colour, read_sensor

EVERY = TREES | OF_THE_FIELD


def test_cityscapes_with_11_classes(tmp_path: Path) -> None:
    root, output = cityscapes(tmp_path / "published"), tmp_path / "prepared"
    assert prepare("cityscapes", root, output) == 0
    assert listed(output / "train.txt") == [
        [f"../published/leftImg8bit/train/{city}/{city}_000000_000019_leftImg8bit.png",
         f"disparity/train/{city}/{city}_000000_000019.png",
         f"label/train/{city}/{city}_000000_000019.png"] for city in ("aachen", "bochum")]
    assert [line[2] for line in listed(output / "validation.txt")] == [
        "label/val/frankfurt/frankfurt_000000_000019.png"]
    label = read_sensor(output / "label/train/aachen/aachen_000000_000019.png")
    # road, sidewalk, wall (void), traffic light (void), car, bicycle, unlabeled, sky
    assert np.array_equal(label, stripes(3, 4, 0, 0, 8, 11, 0, 1)) and label.dtype == np.uint8


def test_cityscapes_with_19_classes_is_the_published_train_id_and_one(tmp_path: Path) -> None:
    root, output = cityscapes(tmp_path / "published"), tmp_path / "prepared"
    assert prepare("cityscapes", root, output, "--classes", "19") == 0
    label = read_sensor(output / "label/val/frankfurt/frankfurt_000000_000019.png")
    assert np.array_equal(label, stripes(1, 2, 4, 7, 14, 19, 0, 11))


def test_cityscapes_disparity_is_red_where_it_is_near_and_has_no_holes(tmp_path: Path) -> None:
    root, output = cityscapes(tmp_path / "published"), tmp_path / "prepared"
    assert prepare("cityscapes", root, output) == 0
    image = read_colour(output / "disparity/train/aachen/aachen_000000_000019.png")
    half, near = jet(127), jet(255)  # 48 and 96 of 96 pixels
    assert image[0, 0].tolist() == half and image[0, -1].tolist() == near
    assert image[8, 4].tolist() == half  # was a hole


def test_cityscapes_hha_knows_metres_from_the_frames_own_camera(tmp_path: Path) -> None:
    root, output = cityscapes(tmp_path / "published"), tmp_path / "prepared"
    frame = DATA_SETS["cityscapes"].frames(root, "hha")["train"][0]
    metres = DATA_SETS["cityscapes"].second("hha").read(frame)
    assert metres[0, 0] == pytest.approx(2.0)  # 0.2 m · 480 / 48
    assert metres[0, -1] == pytest.approx(1.0)
    assert metres[8, 4] == 0
    assert prepare("cityscapes", root, output, "--modality", "hha") == 0
    assert read_colour(output / "hha/train/aachen/aachen_000000_000019.png").shape == (*SIZE, 3)


def test_synthia(tmp_path: Path) -> None:
    root, output = synthia(tmp_path / "published"), tmp_path / "prepared"
    assert prepare("synthia", root, output) == 0
    assert [line[2] for line in listed(output / "validation.txt")] == [
        "label/0000000.png", "label/0000010.png"]
    assert len(listed(output / "train.txt")) == 9
    # void, sky, road, lane marking is road, parking slot, truck, rider, train
    assert np.array_equal(read_sensor(output / "label/0000003.png"),
                          stripes(0, 1, 3, 3, 0, 8, 11, 0))
    image = read_colour(output / "depth/0000003.png")
    assert image[0, 0].tolist() == jet(127)  # 25 of 50 m
    assert image[0, -1].tolist() == jet(255)


def test_sun_rgbd_pairs_the_lists_with_the_numbered_labels(tmp_path: Path) -> None:
    root, output = sun_rgbd(tmp_path / "published"), tmp_path / "prepared"
    assert prepare("sun-rgbd", root, output) == 0
    hotel, nyu = listed(output / "train.txt")
    assert hotel[1:] == ["depth/xtion/sun3ddata/a_hotel/a_hotel/0000110-0036.png",
                         "label/xtion/sun3ddata/a_hotel/a_hotel/0000110-0036.png"]
    assert read_sensor(output / hotel[2]).max() == 2 and read_sensor(output / nyu[2]).max() == 37
    (tested,) = listed(output / "validation.txt")
    assert np.array_equal(read_sensor(output / tested[2]), stripes(0, 1))
    assert np.all(read_colour(output / tested[1]) == jet(127))  # 3.5 of 7 m


def test_sun_rgbd_hha(tmp_path: Path) -> None:
    assert prepare("sun-rgbd", sun_rgbd(tmp_path / "published"), tmp_path / "prepared",
                   "--modality", "hha") == 0
    described = yaml.safe_load((tmp_path / "prepared/model.yaml").read_text())
    assert described["modalities"][1] == {"name": "hha", "encoding": "image"}


def test_scannet_brings_depth_to_the_size_of_the_colour_image(tmp_path: Path) -> None:
    root, output = scannet(tmp_path / "published"), tmp_path / "prepared"
    assert prepare("scannet", root, output) == 0
    assert [line[2] for line in listed(output / "validation.txt")] == [
        "label/scene0011_00/000000.png", "label/scene0011_00/000100.png"]
    # none, wall, blinds (of the 40 but not of the 20), desk, other furniture, other prop
    assert np.array_equal(read_sensor(output / "label/scene0000_00/000100.png"),
                          stripes(0, 1, 0, 13, 20, 0, size=(32, 64)))
    image = read_colour(output / "depth/scene0000_00/000100.png")
    assert image.shape == (32, 64, 3) and np.all(image == jet(127))


def test_scannet_hha(tmp_path: Path) -> None:
    output = tmp_path / "prepared"
    assert prepare("scannet", scannet(tmp_path / "published"), output, "--modality", "hha") == 0
    assert read_colour(output / "hha/scene0000_00/000100.png").shape == (32, 64, 3)


@pytest.mark.parametrize(("modality", "grey"), [("depth", 121), ("evi", 122)])
def test_freiburg_forest(tmp_path: Path, modality: str, grey: int) -> None:
    root, output = freiburg_forest(tmp_path / "published"), tmp_path / "prepared"
    assert prepare("freiburg-forest", root, output, "--modality", modality) == 0
    assert listed(output / "train.txt") == [
        [f"../published/train/rgb/{name}_Clipped.jpg", f"{modality}/train/{name}.png",
         f"label/train/{name}.png"] for name in ("b1-09517", "b10-002")]
    # white, trail, grass, vegetation, tree, sky, obstacle
    label = read_sensor(output / "label/test/b275-311.png")
    assert np.array_equal(label, stripes(0, 1, 2, 3, 3, 4, 5, 5))
    assert np.all(read_colour(output / modality / "test/b275-311.png") == grey)


@pytest.mark.parametrize("name", EVERY)
def test_what_was_prepared_is_a_data_set(name: str, tmp_path: Path) -> None:
    output = tmp_path / "prepared"
    assert prepare(name, EVERY[name](tmp_path / "published"), output) == 0
    described = yaml.safe_load((output / "model.yaml").read_text())
    spec = ModelSpec.from_dict({"architecture": "ssma", "size": "tiny", "input_size": [64, 32],
                                **described})
    assert len(set(spec.class_colours)) == spec.classes and spec.class_names[0] == "void"
    for path in output.glob("*.txt"):
        for sample in ListFile(list=str(path)).samples():
            rgb, second, label = sample.read(spec.classes)
            assert rgb.shape == second.shape == (*label.shape, 3) and second.dtype == np.uint8


def test_model_yaml_is_a_models(tmp_path: Path) -> None:
    """With the few fields it lacks it is a spec."""
    output = tmp_path / "prepared"
    assert prepare("cityscapes", cityscapes(tmp_path / "published"), output) == 0
    described = yaml.safe_load((output / "model.yaml").read_text())
    spec = ModelSpec.from_dict({"architecture": "ssma", "size": "full", "input_size": [768, 384],
                                **described})
    assert spec.class_names[3] == "road" and spec.class_colours[3] == (128, 64, 128)
    assert spec.modalities[1].name == "disparity" and spec.modalities[1].encoding == "jet"


def test_the_classes_stand_in_the_order_of_the_released_checkpoints() -> None:
    def names(classes: tuple) -> str:
        return ", ".join(each.name for each in classes)

    assert names(STREET_11) == (
        "sky, building, road, sidewalk, fence, vegetation, pole, car/truck/bus, traffic sign, "
        "pedestrian, rider/bicycle/motorcycle")
    assert names(CITYSCAPES_19) == (
        "road, sidewalk, building, wall, fence, pole, traffic light, traffic sign, vegetation, "
        "terrain, sky, person, rider, car, truck, bus, train, motorcycle, bicycle")
    assert names(SUN_RGBD_37) == (
        "wall, floor, cabinet, bed, chair, sofa, table, door, window, bookshelf, picture, counter, "
        "blinds, desk, shelves, curtain, dresser, pillow, mirror, floor mat, clothes, ceiling, "
        "books, fridge, tv, paper, towel, shower curtain, box, whiteboard, person, night stand, "
        "toilet, sink, lamp, bathtub, bag")
    assert names(SCANNET_20) == (
        "wall, floor, cabinet, bed, chair, sofa, table, door, window, bookshelf, picture, counter, "
        "desk, curtain, refrigerator, shower curtain, toilet, sink, bathtub, other furniture")


def test_the_summary_reports_frames_and_shares(tmp_path: Path,
                                               capsys: pytest.CaptureFixture[str]) -> None:
    assert prepare("sun-rgbd", sun_rgbd(tmp_path / "published"), tmp_path / "prepared") == 0
    printed = capsys.readouterr().out
    assert "train: 2 frames (of 5285 that were published)" in printed
    assert "50.00 % void" in printed and "16.67 % floor" in printed


def test_workers_make_the_same(tmp_path: Path) -> None:
    root = synthia(tmp_path / "published")
    for workers in ("1", "2"):
        assert prepare("synthia", root, tmp_path / workers, "--workers", workers) == 0
    assert files(tmp_path / "1") == files(tmp_path / "2")


def test_what_is_there_is_not_made_again(tmp_path: Path) -> None:
    root, output = synthia(tmp_path / "published"), tmp_path / "prepared"
    assert prepare("synthia", root, output) == 0
    whole = files(output)
    (output / "depth/0000004.png").unlink()
    (output / "label/0000005.png").unlink()
    (output / "depth/.0000006.x1y2.png").write_bytes(b"half")  # what a killed run leaves
    before = {name: (output / name).stat().st_mtime_ns for name in whole if (output / name).exists()
              and name.endswith(".png")}
    assert prepare("synthia", root, output) == 0
    assert files(output) == whole
    assert all((output / name).stat().st_mtime_ns == when for name, when in before.items())


def test_a_killed_run_leaves_whole_files_and_no_workers_and_continues(tmp_path: Path) -> None:
    root, output = synthia(tmp_path / "published", 150, (256, 512)), tmp_path / "prepared"
    command = [sys.executable, "-m", "ssma_core.cli", "prepare", "synthia", "--root", str(root),
               "--output", str(output), "--workers", "2"]
    run = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    while not list(output.glob("depth/0*.png")):
        assert run.poll() is None
        time.sleep(0.01)
    workers = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
    run.send_signal(signal.SIGKILL)
    run.wait()
    assert not (output / "train.txt").exists()
    for path in output.rglob("0*.png"):
        read_sensor(path)  # whole
    for _ in range(200):
        if not any(os.path.exists(f"/proc/{worker}") for worker in workers):
            break
        time.sleep(0.05)
    else:
        pytest.fail("a worker outlives the run")
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    assert prepare("synthia", root, tmp_path / "in_one_go") == 0
    assert files(output) == files(tmp_path / "in_one_go")


@pytest.mark.parametrize("name", EVERY)
def test_another_folder_is_no_data_set(name: str, tmp_path: Path,
                                       capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "elsewhere").mkdir()
    assert prepare(name, tmp_path / "elsewhere", tmp_path / "prepared") == 1
    said = capsys.readouterr().err
    assert str(tmp_path / "elsewhere") in said and "--help" in said
    assert not (tmp_path / "prepared").exists()


@pytest.mark.parametrize(("name", "lost"), [
    ("cityscapes", "disparity/train/bochum/bochum_000000_000019_disparity.png"),
    ("cityscapes", "gtFine/val/frankfurt/frankfurt_000000_000019_gtFine_labelIds.png"),
    ("cityscapes", "leftImg8bit/train/bochum/bochum_000000_000019_leftImg8bit.png"),
    ("synthia", "GT/LABELS/0000003.png"),
    ("synthia", "Depth/0000003.png"),
    ("synthia", "RGB/0000003.png"),
    ("sun-rgbd", "SUNRGBD/kv1/NYUdata/NYU0034/depth_bfx/0000099.png"),
    ("sun-rgbd", "SUNRGBD/kv1/NYUdata/NYU0034/image/0000103.jpg"),
    ("sun-rgbd", "sunrgbd_train_test_labels/img-000003.png"),
    ("scannet", "scannet_frames_25k/scene0011_00/label/000100.png"),
    ("scannet", "scannet_frames_25k/scene0011_00/depth/000100.png"),
    ("scannet", "scannet_frames_25k/scene0011_00/color/000100.jpg"),
    ("freiburg-forest", "train/rgb/b10-002_Clipped.jpg"),
    ("freiburg-forest", "train/depth_color/b10-002_Clipped_redict_depth.png"),
    ("freiburg-forest", "train/GT_color/b10-002_mask.png"),
])
def test_a_missing_partner_is_named_before_anything_is_made(
        name: str, lost: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = TREES[name](tmp_path / "published")
    (root / lost).unlink()
    assert prepare(name, root, tmp_path / "prepared") == 1
    said = capsys.readouterr().err
    assert "1 files are missing" in said and str((root / lost).parent) in said
    assert not (tmp_path / "prepared").exists()


@pytest.mark.parametrize("name", TREES)
def test_a_whole_kind_of_file_that_is_missing_is_named(
        name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As when one of a data set's packages was not unpacked: here the colour images'."""
    root = TREES[name](tmp_path / "published")
    for picture in [*root.rglob("*_leftImg8bit.png"), *root.rglob("RGB/*"), *root.rglob("*.jpg")]:
        picture.unlink()
    assert prepare(name, root, tmp_path / "prepared") == 1
    said = capsys.readouterr().err
    assert str(root) in said and "is the download complete" in said and "*" not in said
    assert not (tmp_path / "prepared").exists()


def test_synthias_split_is_by_number(tmp_path: Path) -> None:
    """A frame of which nothing was downloaded moves no other one to the other split."""
    root, output = synthia(tmp_path / "published"), tmp_path / "prepared"
    for folder in ("RGB", "Depth", "GT/LABELS"):
        (root / folder / "0000003.png").unlink()
    assert prepare("synthia", root, output) == 0
    assert [line[2] for line in listed(output / "validation.txt")] == [
        "label/0000000.png", "label/0000010.png"]
    assert len(listed(output / "train.txt")) == 8


def test_what_others_left_beside_the_frames_is_none(tmp_path: Path) -> None:
    root = synthia(tmp_path / "synthia")
    (root / "GT/LABELS/._0000003.png").write_bytes(b"macOS")
    write(root / "GT/LABELS/0000003_labelTrainIds.png", GREY)
    forest = freiburg_forest(tmp_path / "forest")
    (forest / "train/rgb/Thumbs.db").write_bytes(b"Windows")
    write(forest / "test/depth_color/b223-093_Clipped_redict_depth.png", GREY)
    city = cityscapes(tmp_path / "city")
    write(city / "gtFine/train/aachen/aachen_000000_000019_gtFine_labelTrainIds.png", GREY)
    (city / "disparity/train/aachen/._aachen_000000_000019_disparity.png").write_bytes(b"macOS")
    for name, published, frames in (("synthia", root, 11), ("freiburg-forest", forest, 3),
                                    ("cityscapes", city, 3)):
        output = tmp_path / f"{name} prepared"  # a blank that no path in the lists has
        assert prepare(name, published, output) == 0
        assert sum(len(listed(output / f"{split}.txt")) for split in ("train", "validation")
                   ) == frames


def test_a_folder_without_pictures_is_named_in_words(
        tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = freiburg_forest(tmp_path / "published")
    (root / "test/evi_color/b275-311.png").unlink()
    assert prepare("freiburg-forest", root, tmp_path / "prepared", "--modality", "evi") == 1
    assert f"there is no picture in {root}/test/evi_color: " in capsys.readouterr().err


@pytest.mark.parametrize("name", TREES)
def test_a_blank_in_a_path_is_named_before_anything_is_made(
        name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert prepare(name, TREES[name](tmp_path / "my data"), tmp_path / "prepared") == 1
    said = capsys.readouterr().err
    assert "'../my data/" in said and "rename the folder or file" in said
    assert not (tmp_path / "prepared").exists()


@pytest.mark.parametrize(("name", "emptied"), [
    ("sun-rgbd", "sunrgbd_training_images.txt"), ("sun-rgbd", "sunrgbd_testing_images.txt"),
    ("scannet", "scannetv2_train.txt"), ("scannet", "scannetv2_val.txt")])
def test_an_empty_list_is_named(name: str, emptied: str, tmp_path: Path,
                                capsys: pytest.CaptureFixture[str]) -> None:
    root = TREES[name](tmp_path / "published")
    (root / emptied).write_text("\n")
    assert prepare(name, root, tmp_path / "prepared") == 1
    assert f"{root / emptied} is empty" in capsys.readouterr().err
    assert not (tmp_path / "prepared").exists()


def test_a_split_without_frames_is_refused(tmp_path: Path,
                                           capsys: pytest.CaptureFixture[str]) -> None:
    root = synthia(tmp_path / "published", frames=1)
    assert prepare("synthia", root, tmp_path / "prepared") == 1
    assert f"{root} has no frame for train" in capsys.readouterr().err
    assert not (tmp_path / "prepared").exists()


def test_sun_rgbds_list_that_lost_a_line_is_refused(tmp_path: Path,
                                                    capsys: pytest.CaptureFixture[str]) -> None:
    """The frames behind it would have the labels of those before them."""
    root = sun_rgbd(tmp_path / "published")
    training = root / "sunrgbd_training_images.txt"
    training.write_text(training.read_text().splitlines(keepends=True)[1])
    assert prepare("sun-rgbd", root, tmp_path / "prepared") == 1
    said = capsys.readouterr().err
    assert f"{root}/sunrgbd_train_test_labels/img-000003.png" in said and str(training) in said
    assert not (tmp_path / "prepared").exists()


def test_sun_rgbds_list_of_another_folder_is_refused(tmp_path: Path,
                                                     capsys: pytest.CaptureFixture[str]) -> None:
    root = sun_rgbd(tmp_path / "published")
    training = root / "sunrgbd_training_images.txt"
    training.write_text(training.read_text().replace("SUNRGBD/", "elsewhere/"))
    assert prepare("sun-rgbd", root, tmp_path / "prepared") == 1
    said = capsys.readouterr().err
    assert "'elsewhere/" in said and "is not below SUNRGBD/" in said


@pytest.mark.parametrize("name", ["/elsewhere/1", "../1", "train/../../1"])
def test_no_data_set_can_name_a_frame_outside_the_output_folder(name: str) -> None:
    file = Path("file.png")
    with pytest.raises(SsmaError, match="outside the output folder"):
        PublishedFrame(name, file, file, file)


@pytest.mark.parametrize(("name", "listing", "line"), [
    ("scannet", "scannetv2_train.txt", "../../../elsewhere"),
    ("scannet", "scannetv2_val.txt", "{elsewhere}"),
    ("scannet", "scannetv2_train.txt", "scene0000_00/../../../../elsewhere"),
    ("sun-rgbd", "sunrgbd_training_images.txt", "{elsewhere}/image/0000103.jpg"),
    ("sun-rgbd", "sunrgbd_training_images.txt", "SUNRGBD/../../../elsewhere/image/0000103.jpg"),
    ("sun-rgbd", "sunrgbd_training_images.txt", "../../elsewhere/image/0000103.jpg")])
def test_a_list_cannot_lead_out_of_the_output(name: str, listing: str, line: str, tmp_path: Path,
                                              capsys: pytest.CaptureFixture[str]) -> None:
    """All that the list names is there, so that nothing else is wrong with it."""
    root = TREES[name](tmp_path / "deep" / "published")
    frame = next(path.parents[1] for path in root.rglob("*.jpg"))
    shutil.copytree(frame, tmp_path / "elsewhere")
    line = line.format(elsewhere=tmp_path / "elsewhere")
    kept = (root / listing).read_text().splitlines()[0]
    (root / listing).write_text(f"{kept}\n\n{line}\n")
    before = files(tmp_path)
    assert prepare(name, root, tmp_path / "deep" / "prepared") == 1
    said = capsys.readouterr().err
    assert f"{root / listing}, line 3: {line!r} leads out of the data set's folder" in said
    assert files(tmp_path) == before


def test_an_unknown_id_is_named_before_the_second_modality_is_made(
        tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root, output = scannet(tmp_path / "published"), tmp_path / "prepared"
    wrong = root / "scannet_frames_25k/scene0011_00/label/000100.png"
    write(wrong, stripes(1, 41, size=(32, 64)))
    assert prepare("scannet", root, output, "--workers", "2") == 1
    said = capsys.readouterr().err
    assert f"{wrong} has id 41 at 1024 pixels" in said and "Traceback" not in said
    assert not (output / "depth").exists() and not (output / "train.txt").exists()


def test_an_unknown_colour_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = freiburg_forest(tmp_path / "published")
    write(root / "train/GT_color/b1-09517_mask.png", np.full((*SIZE, 3), (3, 2, 1), np.uint8))
    assert prepare("freiburg-forest", root, tmp_path / "prepared") == 1
    assert "colour (red, green, blue) = (1, 2, 3) at 512 pixels" in capsys.readouterr().err


@pytest.mark.parametrize("folder", ["Depth", "GT/LABELS"])
def test_another_view_is_refused_before_the_second_modality_is_made(
        folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root, output = synthia(tmp_path / "published"), tmp_path / "prepared"
    write(root / folder / "0000004.png", np.full((16, 16, 3), 9, np.uint16))
    assert prepare("synthia", root, output) == 1
    said = capsys.readouterr().err
    assert f"{folder}/0000004.png is 16x16" in said and "32x16" in said
    assert not (output / "depth").exists()


def test_a_picture_without_its_header_is_named_before_the_second_modality_is_made(
        tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root, output = synthia(tmp_path / "published"), tmp_path / "prepared"
    picture = root / "Depth" / "0000004.png"
    picture.write_bytes(picture.read_bytes()[:20])
    assert prepare("synthia", root, output) == 1
    assert f"cannot read {picture}: it is cut short" in capsys.readouterr().err
    assert not (output / "depth").exists()


def test_another_view_that_is_no_png_is_refused_too(tmp_path: Path,
                                                    capsys: pytest.CaptureFixture[str]) -> None:
    root = freiburg_forest(tmp_path / "published")
    (root / "train/evi_color/b10-002.png").unlink()
    write(root / "train/evi_color/b10-002.jpg", np.full((16, 16, 3), 9, np.uint8))
    assert prepare("freiburg-forest", root, tmp_path / "prepared", "--modality", "evi") == 1
    assert "b10-002.jpg is 16x16" in capsys.readouterr().err


def test_depth_that_was_saved_with_8_bits_is_refused(
        tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = scannet(tmp_path / "published")
    write(root / "scannet_frames_25k/scene0000_00/depth/000000.png", np.full(SIZE, 9, np.uint8))
    assert prepare("scannet", root, tmp_path / "prepared") == 1
    assert "one channel of 16 bits" in capsys.readouterr().err


def test_a_folder_with_other_things_in_it_keeps_them(tmp_path: Path) -> None:
    root, output = cityscapes(tmp_path / "published"), tmp_path / "mine"
    write(output / "label/.mine.png", GREY)
    assert prepare("cityscapes", root, output) == 0
    assert (output / "label/.mine.png").exists()


def test_an_output_that_cannot_be_one_is_named(tmp_path: Path,
                                               capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert prepare("cityscapes", cityscapes(tmp_path / "published"), tmp_path / "file") == 1
    assert "cannot make the folder" in capsys.readouterr().err


def test_one_output_holds_one_preparation(tmp_path: Path,
                                          capsys: pytest.CaptureFixture[str]) -> None:
    root, output = cityscapes(tmp_path / "published"), tmp_path / "prepared"
    assert prepare("cityscapes", root, output) == 0
    whole = files(output)
    assert prepare("cityscapes", root, output, "--classes", "19") == 1
    assert "give another --output" in capsys.readouterr().err
    assert files(output) == whole

"""`ssma prepare`: the sets of robots in the field, and NYU Depth v2, from trees of the published
layout. What holds for every data set is in test_prepare.py too."""
from __future__ import annotations

import builtins
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
import pytest
import yaml
from conftest import ROOT
from published import (
    GREY,
    OF_THE_FIELD,
    SCAN,
    files,
    goose,
    jet,
    listed,
    mfnet,
    nyuv2,
    prepare,
    rellis3d,
    stripes,
    write,
)
from scipy import io

from ssma_core.datasets.prepare import DATA_SETS
from ssma_core.datasets.prepare.classes import NYU_LABELS
from ssma_core.datasets.prepare.field_classes import (
    GOOSE_63,
    GOOSE_FOREST,
    MFNET_9,
    RELLIS_18,
    RELLIS_FOREST,
)
from ssma_core.files import read_colour, read_sensor
from ssma_core.training.stages import read_training

FOREST = ["trail", "grass", "vegetation", "sky", "obstacle"]


# GOOSE

def test_goose_has_its_own_ids(tmp_path: Path) -> None:
    root, output = goose(tmp_path / "published"), tmp_path / "prepared"
    assert prepare("goose", root, output) == 0
    frame = "2022-07-22_flight/2022-07-22_flight__0018_1677754323813048729"
    assert listed(output / "train.txt")[0] == [
        f"../published/images/train/{frame}_windshield_vis.png", f"nir/train/{frame}.png",
        f"label/train/{frame}.png"]
    assert len(listed(output / "train.txt")) == 2 and len(listed(output / "validation.txt")) == 1
    assert np.array_equal(read_sensor(output / f"label/train/{frame}.png"),
                          stripes(0, 23, 50, 27, 53, 14, 8, 5))
    assert np.array_equal(read_sensor(output / f"nir/train/{frame}.png"),
                          np.dstack([stripes(0, 40, 120, 200)] * 3))


def test_goose_in_the_forests_classes_and_as_an_index(tmp_path: Path) -> None:
    root, output = goose(tmp_path / "published"), tmp_path / "prepared"
    assert prepare("goose", root, output, "--classes", "5", "--modality", "ndvi") == 0
    _, index, label = listed(output / "validation.txt")[0]
    # undefined, asphalt, low_grass, tree_crown, sky, person, ego_vehicle, leaves
    assert np.array_equal(read_sensor(output / label), stripes(0, 1, 2, 3, 4, 5, 0, 0))
    # (N − R) / (N + R) with R = 120, over the whole of jet
    assert read_colour(output / index)[0, ::8].tolist() == [
        jet(0), jet(63), jet(127), jet(159)]


def test_gooses_labels_of_a_challenge_are_refused(
        tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = goose(tmp_path / "published")
    mapping = root / "goose_label_mapping.csv"
    mapping.write_text(mapping.read_text().replace("snow,2,", "vehicle,2,"))
    assert prepare("goose", root, tmp_path / "prepared") == 1
    assert f"{mapping}: label_key 2 is vehicle, but was snow" in capsys.readouterr().err
    mapping.write_text("name;id\nsnow;2\n")
    assert prepare("goose", root, tmp_path / "prepared") == 1
    assert "has the columns class_name and label_key" in capsys.readouterr().err
    mapping.unlink()
    assert prepare("goose", root, tmp_path / "prepared") == 1
    assert f"cannot read {mapping}" in capsys.readouterr().err


# RELLIS-3D

def test_rellis3d_sees_the_nearest_points_where_the_camera_does(tmp_path: Path) -> None:
    root = rellis3d(tmp_path / "published")
    frame = DATA_SETS["rellis3d"].frames(root, "depth")["validation"][0]
    metres = DATA_SETS["rellis3d"].second("depth").read(frame)
    assert metres.shape == (16, 32) and metres.dtype == np.float32
    # 20 · 2 / 10 right of 16, and 20 · 1 / 10 above 8; the lens moves that by 0.03 pixels
    assert np.argwhere(metres).tolist() == [[6, 20], [8, 16]]
    assert metres[metres > 0] == pytest.approx(10)


def test_rellis3d(tmp_path: Path) -> None:
    root, output = rellis3d(tmp_path / "published"), tmp_path / "prepared"
    assert prepare("rellis3d", root, output) == 0
    assert listed(output / "test.txt") == [[
        f"../published/00002/pylon_camera_node/{SCAN}.jpg", f"depth/00002/{SCAN}.png",
        f"label/00002/{SCAN}.png"]]
    # void, dirt (void in the publishers' benchmark), grass, tree, sky, log, puddle, rubble
    assert np.array_equal(read_sensor(output / f"label/00000/{SCAN}.png"),
                          stripes(0, 0, 1, 2, 5, 10, 16, 18))
    assert np.all(read_colour(output / f"depth/00000/{SCAN}.png") == jet(85))  # 10 of 30 m


def test_rellis3d_in_the_forests_classes(tmp_path: Path) -> None:
    root, output = rellis3d(tmp_path / "published"), tmp_path / "prepared"
    assert prepare("rellis3d", root, output, "--classes", "5") == 0
    assert np.array_equal(read_sensor(output / f"label/00000/{SCAN}.png"),
                          stripes(0, 1, 2, 3, 4, 5, 1, 5))


@pytest.mark.parametrize(("file", "content", "message"), [
    ("camera_info.txt", "20 20 16", "must have four numbers, fx fy cx cy"),
    ("camera_info.txt", "20 20 16 middle", "must have four numbers"),
    ("camera_info.txt", None, "cannot read"),
    ("transforms.yaml", None, "cannot read"),
    ("transforms.yaml", "vel2os1: 3", "has no os1_cloud_node-pylon_camera_node"),
    ("transforms.yaml", "os1_cloud_node-pylon_camera_node: {q: {w: 1, x: 0, y: 0}}", "lacks"),
    ("transforms.yaml", "os1_cloud_node-pylon_camera_node: {q: {w: 1, x: 1, y: 0, z: 0}, "
     "t: {x: 0, y: 0, z: 0}}", "is no rotation: its length must be 1"),
])
def test_rellis3ds_calibration_is_looked_at_before_anything_is_made(
        file: str, content: str | None, message: str, tmp_path: Path,
        capsys: pytest.CaptureFixture[str]) -> None:
    path = rellis3d(tmp_path / "published") / "00001" / file
    path.unlink() if content is None else path.write_text(content)
    assert prepare("rellis3d", tmp_path / "published", tmp_path / "prepared") == 1
    said = capsys.readouterr().err
    assert str(path) in said and message in said
    assert not (tmp_path / "prepared").exists()


@pytest.mark.parametrize("content", [b"", b"a" * 17, struct.pack("<4f", 1, 2, 3, 4) + b"!"])
def test_a_scan_that_is_none_is_named(content: bytes, tmp_path: Path,
                                      capsys: pytest.CaptureFixture[str]) -> None:
    scan = rellis3d(tmp_path / "published") / "00002/os1_cloud_node_kitti_bin/000104.bin"
    scan.write_bytes(content)
    assert prepare("rellis3d", tmp_path / "published", tmp_path / "prepared") == 1
    assert f"{scan} is no scan of RELLIS-3D" in capsys.readouterr().err


@pytest.mark.parametrize("line", [
    "../elsewhere/pylon_camera_node/{0}.jpg", "00000/{0}.jpg", "/00000/pylon_camera_node/{0}.jpg",
    "00000/pylon_camera_node/{0}/../../../x.jpg"])
def test_rellis3ds_list_of_something_else_is_refused(line: str, tmp_path: Path,
                                                     capsys: pytest.CaptureFixture[str]) -> None:
    root = rellis3d(tmp_path / "published")
    with (root / "val.lst").open("a") as file:
        file.write(line.format(SCAN))
    assert prepare("rellis3d", root, tmp_path / "prepared") == 1
    assert f"{root}/val.lst, line 2: " in capsys.readouterr().err


# MFNet

def test_mfnet_by_day_and_by_night(tmp_path: Path) -> None:
    root, output = mfnet(tmp_path / "published"), tmp_path / "prepared"
    assert prepare("mfnet", root, output) == 0
    lists = {path.stem: [line[2] for line in listed(path)] for path in output.glob("*.txt")}
    assert lists == {"train": ["label/00001D.png", "label/00002N.png"],
                     "validation": ["label/00003D.png"], "test_day": ["label/00004D.png"],
                     "test_night": ["label/00005N.png"]}
    # What has no label is a class, as in the published figures.
    assert np.array_equal(read_sensor(output / "label/00001D.png"),
                          stripes(*range(1, 10)))
    thermal = read_sensor(output / "thermal/00001D.png")
    assert np.array_equal(thermal, np.dstack([stripes(0, 50, 255)] * 3))
    (rgb, *_), _ = listed(output / "train.txt")
    assert np.array_equal(read_colour(output / rgb), GREY)  # the fourth channel is left out


def test_mfnets_picture_without_thermal_is_named(tmp_path: Path,
                                                 capsys: pytest.CaptureFixture[str]) -> None:
    root = mfnet(tmp_path / "published")
    write(root / "images/00003D.png", GREY)
    assert prepare("mfnet", root, tmp_path / "prepared") == 1
    assert f"{root}/images/00003D.png must have four channels" in capsys.readouterr().err


def test_mfnets_test_frame_of_neither_day_nor_night_is_named(
        tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = mfnet(tmp_path / "published")
    (root / "test.txt").write_text("00004D\n00005\n")
    assert prepare("mfnet", root, tmp_path / "prepared") == 1
    assert f"{root}/test.txt, line 2: the frame '00005' ends neither" in capsys.readouterr().err


# NYU Depth v2

def test_nyuv2_is_taken_from_matlabs_file(tmp_path: Path) -> None:
    root, output = nyuv2(tmp_path / "published"), tmp_path / "prepared"
    assert prepare("nyuv2", root, output) == 0
    assert listed(output / "train.txt") == [
        [f"rgb/{name}.png", f"depth/{name}.png", f"label/{name}.png"] for name in ("0003", "0001")]
    assert listed(output / "validation.txt")[0][2] == "label/0002.png"
    assert np.array_equal(read_sensor(output / "label/0001.png"),
                          stripes(0, 2, 40, 1, 15, size=(48, 64)))  # 894 % 40 + 1
    colour = read_colour(output / "rgb/0001.png")
    assert colour.shape == (48, 64, 3)
    assert colour[0, 0].tolist() == [30, 20, 250] and colour[0, -1].tolist() == [130, 120, 10]
    assert np.all(read_colour(output / "depth/0001.png") == jet(127))  # 3.5 of 7 m


def test_nyuv2_hha(tmp_path: Path) -> None:
    output = tmp_path / "prepared"
    assert prepare("nyuv2", nyuv2(tmp_path / "published"), output, "--modality", "hha") == 0
    hha = read_colour(output / "hha/0002.png")
    assert np.all(abs(hha[..., 2] - 310 / 3.5) <= 1)  # disparity, docs/modalities.md


def test_nyuv2_continues_and_makes_a_lost_colour_image_again(tmp_path: Path) -> None:
    root, output = nyuv2(tmp_path / "published"), tmp_path / "prepared"
    assert prepare("nyuv2", root, output) == 0
    whole = files(output)
    (output / "rgb/0003.png").unlink()
    (output / "depth/0002.png").unlink()
    assert prepare("nyuv2", root, output) == 0
    assert files(output) == whole


def test_nyuv2s_unknown_name_is_an_error(tmp_path: Path,
                                         capsys: pytest.CaptureFixture[str]) -> None:
    root = nyuv2(tmp_path / "published")
    with h5py.File(root / "nyu_depth_v2_labeled.mat", "r+") as file:
        file["labels"][1, :, :3] = 900
    assert prepare("nyuv2", root, tmp_path / "prepared") == 1
    assert "nyu_depth_v2_labeled.mat has id 900 at 192 pixels" in capsys.readouterr().err


@pytest.mark.parametrize(("file", "break_it", "message"), [
    ("nyu_depth_v2_labeled.mat", lambda p: p.write_bytes(b"MATLAB 5.0"), "cannot read"),
    ("nyu_depth_v2_labeled.mat", lambda p: p.write_bytes(p.read_bytes()[:9000]), "cannot read"),
    ("nyu_depth_v2_labeled.mat", lambda p: h5py.File(p, "w").create_group("depths"),
     "must have images, depths and labels"),
    ("splits.mat", lambda p: p.write_bytes(b"nothing"), "cannot read"),
    ("splits.mat", lambda p: p.write_bytes(bytes(200_000)), "more than 100000 bytes"),
    ("splits.mat", lambda p: io.savemat(p, {"other": 1}), "has no trainNdxs"),
    ("splits.mat", lambda p: io.savemat(p, {"trainNdxs": [1, 4], "testNdxs": [2]}),
     "trainNdxs has the frames 1 to 4, but"),
    ("classMapping40.mat", lambda p: io.savemat(p, {"mapClass": [[1, 2]]}), "must be 894 numbers"),
    ("classMapping40.mat", lambda p: io.savemat(p, {"mapClass": [[41] * 894]}), "from 1 to 40"),
])
def test_nyuv2s_file_that_is_none_is_named(
        file: str, break_it: Callable[[Path], Any], message: str, tmp_path: Path,
        capsys: pytest.CaptureFixture[str]) -> None:
    path = nyuv2(tmp_path / "published") / file
    break_it(path)
    assert prepare("nyuv2", tmp_path / "published", tmp_path / "prepared") == 1
    said = capsys.readouterr().err
    assert str(path) in said and message in said
    assert not (tmp_path / "prepared").exists()


def test_nyuv2_says_what_it_needs(tmp_path: Path, capsys: pytest.CaptureFixture[str],
                                  monkeypatch: pytest.MonkeyPatch) -> None:
    installed = builtins.__import__

    def without(name: str, *more: Any) -> Any:
        if name == "h5py":
            raise ImportError(name)
        return installed(name, *more)

    root = nyuv2(tmp_path / "published")
    monkeypatch.setattr(builtins, "__import__", without)
    assert prepare("nyuv2", root, tmp_path / "prepared") == 1
    assert "needs h5py and scipy: pip install h5py scipy" in capsys.readouterr().err


# Several of them

@pytest.mark.parametrize(("name", "lost"), [
    ("goose", "images/train/*/*_windshield_vis.png"), ("goose", "images/val/*/*_nir.png"),
    ("goose", "labels/train/*/*_labelids.png"),
    ("rellis3d", "00000/pylon_camera_node/*"), ("rellis3d", "00001/os1_cloud_node_kitti_bin/*"),
    ("rellis3d", "00002/pylon_camera_node_label_id/*"),
    ("mfnet", "images/00004D.png"), ("mfnet", "labels/00003D.png")])
def test_a_missing_partner_is_named_before_anything_is_made(
        name: str, lost: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = OF_THE_FIELD[name](tmp_path / "published")
    path = next(root.glob(lost))
    path.unlink()
    assert prepare(name, root, tmp_path / "prepared") == 1
    said = capsys.readouterr().err
    assert "files are missing" in said and str(path) in said
    assert not (tmp_path / "prepared").exists()


@pytest.mark.parametrize(("name", "label", "id"), [
    ("goose", "labels/val/*/*_labelids.png", 64), ("rellis3d", "00001/*_label_id/*.png", 2),
    ("mfnet", "labels/00005N.png", 9)])
def test_an_unknown_id_is_named_with_its_file(
        name: str, label: str, id: int, tmp_path: Path,
        capsys: pytest.CaptureFixture[str]) -> None:
    root = OF_THE_FIELD[name](tmp_path / "published")
    path = next(root.glob(label))
    write(path, np.full((16, 32), id, np.uint8))
    assert prepare(name, root, tmp_path / "prepared") == 1
    assert f"{path} has id {id} at 512 pixels" in capsys.readouterr().err
    assert not list((tmp_path / "prepared").glob("*.txt"))


# The classes

@pytest.mark.parametrize(("name", "forest", "void"), [
    ("goose", GOOSE_FOREST, {"void", "ego_vehicle", "outlier", "leaves", "snow"}),
    ("rellis3d", RELLIS_FOREST, {"void"})])
def test_every_label_outdoors_is_of_one_of_the_forests_classes(
        name: str, forest: tuple, void: set[str]) -> None:
    assert [each.name for each in forest] == FOREST
    taken = [label for each in forest for label in each.labels]
    assert len(taken) == len(set(taken))
    assert set(DATA_SETS[name].labels.values()) - set(taken) == void


def test_the_published_classes_are_all_there() -> None:
    assert [each.name for each in GOOSE_63][22:24] == ["asphalt", "gravel"]  # ids 23 and 24
    assert len(GOOSE_63) == 63 and len(MFNET_9) == 9
    unseen = set(DATA_SETS["rellis3d"].labels.values()) - {each.name for each in RELLIS_18}
    assert unseen == {"void", "dirt"}
    assert len(NYU_LABELS) == 41


@pytest.mark.parametrize(("config", "name", "classes"), [
    ("goose", "goose", 5), ("rellis3d", "rellis3d", 5), ("mfnet", "mfnet", 9),
    ("nyuv2", "nyuv2", 40)])
def test_its_configuration_is_of_what_is_prepared(config: str, name: str, classes: int,
                                                  tmp_path: Path) -> None:
    """Classes and second modality; fill is in pixels of the network's input there."""
    path = ROOT / f"config/training/{config}.yaml"
    spec = read_training(path).model
    assert f"ssma prepare {name} " in path.read_text()
    more = {"goose": ["--classes", "5"], "rellis3d": ["--classes", "5"],
            "nyuv2": ["--modality", "hha"]}.get(name, [])
    root = OF_THE_FIELD[name](tmp_path / "published")
    assert prepare(name, root, tmp_path / "prepared", *more) == 0
    described = yaml.safe_load((tmp_path / "prepared/model.yaml").read_text())
    assert list(spec.class_names) == described["class_names"] and spec.classes == classes + 1
    assert [list(colour) for colour in spec.class_colours] == described["class_colours"]
    second = described["modalities"][1]
    assert (spec.modalities[1].name, spec.modalities[1].encoding, spec.modalities[1].range) == (
        second["name"], second["encoding"], second.get("range"))


def test_a_picture_that_is_no_png_of_nir_is_named(tmp_path: Path,
                                                  capsys: pytest.CaptureFixture[str]) -> None:
    root = goose(tmp_path / "published")
    path = next(root.glob("images/val/*/*_nir.png"))
    assert cv2.imwrite(str(path), np.full((16, 32), 900, np.uint16))
    assert prepare("goose", root, tmp_path / "prepared") == 1
    assert f"{path} must have 8 bits, got uint16" in capsys.readouterr().err

"""A few small frames of each public data set in its published layout, for the tests of
`ssma prepare`."""
from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import h5py
import numpy as np
import yaml
from scipy import io

from ssma_core.cli import main
from ssma_core.datasets.prepare.field_classes import GOOSE_63

SIZE = (16, 32)  # height, width
GREY = np.full((*SIZE, 3), 120, np.uint8)


def write(path: Path, picture: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), picture)


def stripes(*values: int, size: tuple[int, int] = SIZE, dtype: type = np.uint8) -> np.ndarray:
    """The values side by side, in columns of one width."""
    height, width = size
    columns = np.repeat(np.array(values, dtype), width // len(values))
    return np.tile(np.pad(columns, (0, width - len(columns)), "edge"), (height, 1))


def jet(index: int) -> list[int]:
    return cv2.applyColorMap(np.full((1, 1), index, np.uint8), cv2.COLORMAP_JET)[0, 0].tolist()


def prepare(data_set: str, root: Path, output: Path, *arguments: str) -> int:
    return main(["prepare", data_set, "--root", str(root), "--output", str(output),
                 "--workers", "1", *arguments])


def listed(path: Path) -> list[list[str]]:
    return [line.split() for line in path.read_text().splitlines()]


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes()
            for path in sorted(folder.rglob("*")) if path.is_file()}


def cityscapes(root: Path) -> Path:
    """Ids: road, sidewalk, wall, traffic light, car, bicycle, unlabeled, sky. Disparities of 48 and
    96 pixels, written as 256·d + 1, and in the middle a hole."""
    disparity = stripes(48 * 256 + 1, 96 * 256 + 1, dtype=np.uint16)
    disparity[8, 4] = 0
    for split, city in (("train", "aachen"), ("train", "bochum"), ("val", "frankfurt")):
        frame = f"{city}_000000_000019"
        write(root / "leftImg8bit" / split / city / f"{frame}_leftImg8bit.png", GREY)
        write(root / "disparity" / split / city / f"{frame}_disparity.png", disparity)
        write(root / "gtFine" / split / city / f"{frame}_gtFine_labelIds.png",
              stripes(7, 8, 12, 19, 26, 33, 0, 23))
        camera = root / "camera" / split / city / f"{frame}_camera.json"
        camera.parent.mkdir(parents=True)
        camera.write_text(json.dumps({
            "extrinsic": {"baseline": 0.2, "pitch": 0.03, "x": 1.7},
            "intrinsic": {"fx": 480.0, "fy": 480.0, "u0": 16.0, "v0": 8.0}}))
    return root


def synthia(root: Path, frames: int = 11, size: tuple[int, int] = SIZE) -> Path:
    """Ids: void, sky, road, lane marking, parking slot, truck, rider, train. 25 m and 655.35 m."""
    ids = stripes(0, 1, 3, 22, 13, 18, 17, 20, size=size, dtype=np.uint16)
    instances = np.full_like(ids, 976)
    depth = stripes(2500, 65535, size=size, dtype=np.uint16)
    for number in range(frames):
        name = f"{number:07d}.png"
        write(root / "RGB" / name, np.full((*size, 3), number % 256, np.uint8))
        write(root / "Depth" / name, np.dstack([depth] * 3))
        write(root / "GT" / "LABELS" / name, np.dstack([np.zeros_like(ids), instances, ids]))
    return root


def sun_rgbd(root: Path) -> Path:
    """Two training frames and one for testing, whose label comes first. 3500 mm, rotated."""
    rotated = np.full(SIZE, (3500 << 3) & 0xFFFF | 3500 >> 13, np.uint16)
    places = {"testing": ["kv2/kinect2data/000002_x-resize"],
              "training": ["xtion/sun3ddata/a_hotel/a_hotel/0000110-0036", "kv1/NYUdata/NYU0034"]}
    for split, names in places.items():
        for name in names:
            place = root / "SUNRGBD" / name
            write(place / "image" / "0000103.jpg", GREY)
            write(place / "depth_bfx" / "0000099.png", rotated)
            (place / "intrinsics.txt").write_text("529.5 0 365 \n0 529.5 265 \n0 0 1 ")
        images = [f"SUNRGBD/{name}//image/0000103.jpg" for name in names]  # "//" as published
        (root / f"sunrgbd_{split}_images.txt").write_text("\n".join(images) + "\n")
    for number, value in ((1, 1), (2, 2), (3, 37)):
        write(root / f"sunrgbd_train_test_labels/img-{number:06d}.png", stripes(0, value))
    return root


def scannet(root: Path) -> Path:
    """Colour and label larger than depth, as published. Ids: none, wall, blinds, desk, other
    furniture, other prop."""
    for scene in ("scene0000_00", "scene0011_00"):
        place = root / "scannet_frames_25k" / scene
        for name in ("000000", "000100"):
            write(place / "color" / f"{name}.jpg", np.full((32, 64, 3), 120, np.uint8))
            write(place / "depth" / f"{name}.png", np.full(SIZE, 3500, np.uint16))
            write(place / "label" / f"{name}.png", stripes(0, 1, 13, 14, 39, 40, size=(32, 64)))
        (place / "intrinsics_depth.txt").write_text(
            "577.5 0 319.5 0\n0 578.7 239.5 0\n0 0 1 0\n0 0 0 1\n")
    (root / "scannetv2_train.txt").write_text("scene0000_00\n")
    (root / "scannetv2_val.txt").write_text("scene0011_00\n")
    return root


def freiburg_forest(root: Path) -> Path:
    """Names as published, which differ from folder to folder after the "_"."""
    colours = [(255, 255, 255), (170, 170, 170), (0, 255, 0), (102, 102, 51), (0, 60, 0),
               (0, 120, 255), (0, 0, 0), (0, 0, 0)]
    label = np.dstack([stripes(*channel) for channel in reversed(list(zip(*colours)))])
    for split, name, mask in (("train", "b1-09517", "mask"), ("train", "b10-002", "mask"),
                              ("test", "b275-311", "Clipped")):
        write(root / split / "rgb" / f"{name}_Clipped.jpg", GREY)
        write(root / split / "GT_color" / f"{name}_{mask}.png", label)
        write(root / split / "depth_color" / f"{name}_Clipped_redict_depth.png", GREY + 1)
        write(root / split / "evi_color" / f"{name}.png", GREY + 2)
    return root


TREES: dict[str, Callable[[Path], Path]] = {
    "cityscapes": cityscapes, "synthia": synthia, "sun-rgbd": sun_rgbd, "scannet": scannet,
    "freiburg-forest": freiburg_forest}


SCAN = "frame000104-1581624663_149"


def goose(root: Path) -> Path:
    """Ids: undefined, asphalt, low_grass, tree_crown, sky, person, ego_vehicle, leaves."""
    names = ["undefined", *(each.name for each in GOOSE_63)]
    rows = [f"{name},{number},0,#00000{number % 9}" for number, name in enumerate(names)]
    (root / "labels").mkdir(parents=True)
    (root / "goose_label_mapping.csv").write_text(
        "\n".join(["class_name,label_key,has_instance,hex", *rows]) + "\n")
    for split, scenario in (("train", "2022-07-22_flight"), ("train", "2023-03-02_garching"),
                            ("val", "2022-12-07_aying_hills")):
        frame = f"{scenario}/{scenario}__0018_1677754323813048729"
        write(root / f"images/{split}/{frame}_windshield_vis.png", GREY)
        write(root / f"images/{split}/{frame}_windshield_nir.png", stripes(0, 40, 120, 200))
        write(root / f"labels/{split}/{frame}_labelids.png",
              stripes(0, 23, 50, 27, 53, 14, 8, 5))
        for other in ("color", "instanceids"):
            write(root / f"labels/{split}/{frame}_{other}.png", GREY)
    return root


def rellis3d(root: Path) -> Path:
    """The camera looks along the LiDAR's x, 0.1 m before it and 0.2 m below. In its view: a point
    at 10 m in the middle, with another at 25 m behind it, and one 2 m right, 1 m up."""
    seen = [(0, 0, 25), (0, 0, 10), (2, -1, 10), (0, 0, -10), (300, 0, 10)]
    scan = [(z + 0.1, -x, -y - 0.2, 0.5) for x, y, z in seen] + [(np.nan, 0, 0, 0)]
    for sequence in ("00000", "00001", "00002"):
        place = root / sequence
        write(place / f"pylon_camera_node/{SCAN}.jpg", GREY)
        write(place / f"pylon_camera_node_label_id/{SCAN}.png",
              stripes(0, 1, 3, 4, 7, 15, 31, 34))
        (place / "os1_cloud_node_kitti_bin").mkdir()
        np.array(scan, "<f4").tofile(place / "os1_cloud_node_kitti_bin/000104.bin")
        (place / "camera_info.txt").write_text("20.0 20.0 16.0 8.0")
        (place / "transforms.yaml").write_text(yaml.safe_dump({"os1_cloud_node-pylon_camera_node": {
            "q": {"w": 0.5, "x": -0.5, "y": 0.5, "z": -0.5},
            "t": {"x": 0.1, "y": 0.0, "z": -0.2}}}))
    for sequence, name in enumerate(("train", "val", "test")):
        place = f"0000{sequence}/pylon_camera_node"
        (root / f"{name}.lst").write_text(f"{place}/{SCAN}.jpg {place}_label_id/{SCAN}.png\n")
    return root


def mfnet(root: Path) -> Path:
    """Thermal is the fourth channel. Two training frames, and the mirrored one of make_flip.py."""
    lists = {"train": ["00001D", "00002N", "00001D_flip"], "val": ["00003D"],
             "test": ["00004D", "00005N"]}
    root.mkdir()
    for split, names in lists.items():
        (root / f"{split}.txt").write_text("\n".join(names) + "\n")
        for name in names:
            write(root / "images" / f"{name}.png", np.dstack([GREY, stripes(0, 50, 255)]))
            write(root / "labels" / f"{name}.png", stripes(0, 1, 2, 3, 4, 5, 6, 7, 8))
    return root


def nyuv2(root: Path) -> Path:
    """Three frames of 64×48, numbered from 1; a name's class is its number modulo 40, and one more.
    Names: none, 1, 39, 40, 894."""
    root.mkdir()
    labels = stripes(0, 1, 39, 40, 894, size=(48, 64), dtype=np.uint16)
    colour = np.dstack([stripes(*channel, size=(48, 64)) for channel in
                        ((250, 10), (20, 120), (30, 130))])  # red, green, blue
    with h5py.File(root / "nyu_depth_v2_labeled.mat", "w", userblock_size=512) as file:
        file["images"] = np.stack([colour.T] * 3)
        file["depths"] = np.stack([np.full((64, 48), 3.5, np.float32)] * 3)
        file["labels"] = np.stack([labels.T] * 3)
    io.savemat(root / "splits.mat", {"trainNdxs": np.array([[3], [1]], np.uint16),
                                     "testNdxs": np.array([[2]], np.uint16)})
    io.savemat(root / "classMapping40.mat", {
        "mapClass": np.array([number % 40 + 1 for number in range(1, 895)], np.uint8)[None]})
    return root


OF_THE_FIELD: dict[str, Callable[[Path], Path]] = {
    "goose": goose, "rellis3d": rellis3d, "mfnet": mfnet, "nyuv2": nyuv2}

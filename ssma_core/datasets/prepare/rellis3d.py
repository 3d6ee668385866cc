"""RELLIS-3D (Jiang et al., ICRA 2021): colour, and its LiDAR as depth in the camera's view.
unmannedlab/RELLIS-3D describes layout, ids and, in utils/lidar2img.ipynb, the calibration."""
from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ssma_core.datasets.prepare.data_set import (
    Array,
    DataSet,
    ListedPath,
    PublishedFrame,
    Second,
    Split,
    label_ids,
    lines,
    listed_paths,
)
from ssma_core.datasets.prepare.field_classes import RELLIS_18, RELLIS_FOREST
from ssma_core.errors import SsmaError
from ssma_core.files import read_colour
from ssma_core.plain import from_plain, read_yaml

LAYOUT = """\
the images, their annotations in ID format, the Ouster LiDAR in SemanticKITTI format, the two
calibrations and the image split, unpacked into one folder:
  00000/pylon_camera_node/frame000104-1581624663_149.jpg
  00000/pylon_camera_node_label_id/frame000104-1581624663_149.png
  00000/os1_cloud_node_kitti_bin/000104.bin   float32: x, y, z, intensity of each point
  00000/camera_info.txt                       fx fy cx cy
  00000/transforms.yaml                       the camera's pose in the LiDAR's frame
  00001/… 00004/…                             the same
  train.lst, val.lst, test.lst                image and label of a frame a line"""

LABELS = {0: "void", 1: "dirt", 3: "grass", 4: "tree", 5: "pole", 6: "water", 7: "sky",
          8: "vehicle", 9: "object", 10: "asphalt", 12: "building", 15: "log", 17: "person",
          18: "fence", 19: "bush", 23: "concrete", 27: "barrier", 31: "puddle", 33: "mud",
          34: "rubble"}
IMAGE = re.compile(r"(?P<sequence>\d{5})/pylon_camera_node/"
                   r"(?P<name>frame(?P<number>\d{6})-\w+)\.jpg", re.ASCII)
TRANSFORM = "os1_cloud_node-pylon_camera_node"
# The lens' k1, k2, p1, p2, k3, as the publishers' notebook has them; no file of the set has them.
DISTORTION = np.array([-0.134313, -0.025905, 0.002181, 0.00084, 0])
FARTHEST = 30_000.0  # millimetres; our choice: beyond, few points are left of a tree
# Pixels. Two of its rings are 26 pixels apart in the middle of the image, and some points are lost.
BETWEEN_RINGS = 40
NEAREST = 0.5  # metres; the robot itself is nearer
POINT = 16  # bytes: four float32
MOST_POINTS = 1 << 20  # eight times those of a scan


@dataclass(frozen=True)
class Quaternion:
    w: float
    x: float
    y: float
    z: float


@dataclass(frozen=True)
class Vector:
    x: float
    y: float
    z: float


@dataclass(frozen=True)
class Pose:
    """As transforms.yaml has it: rotation and place, in metres."""

    q: Quaternion
    t: Vector


@dataclass(frozen=True)
class Calibration:
    """matrix: the camera's, 3×3. rotation (3×3), translation (3): from a point of the LiDAR, in
    metres, to the camera's frame."""

    matrix: Array
    rotation: Array
    translation: Array


def frames(root: Path, second: str) -> dict[Split, list[PublishedFrame]]:
    lists: dict[Split, str] = {"train": "train.lst", "validation": "val.lst", "test": "test.lst"}
    found = {split: [_frame(root, listed) for listed in listed_paths(root / name)]
             for split, name in lists.items()}
    for place in sorted({frame.rgb.parents[1] for each in found.values() for frame in each}):
        calibration(place)  # what is wrong with it is said before the work
    return found


def _frame(root: Path, listed: ListedPath) -> PublishedFrame:
    image = listed.path.split()[0]
    match = IMAGE.fullmatch(image)
    if match is None:
        raise SsmaError(f"{listed.where}: {image!r} is no image of RELLIS-3D, such as "
                        "00000/pylon_camera_node/frame000104-1581624663_149.jpg: get the list "
                        "again, as it was published")
    place, name = root / match["sequence"], match["name"]
    return PublishedFrame(f"{match['sequence']}/{name}", root / match[0],
                          place / "os1_cloud_node_kitti_bin" / f"{match['number']}.bin",
                          place / "pylon_camera_node_label_id" / f"{name}.png")


def calibration(place: Path) -> Calibration:
    """Of a sequence's folder. Raises SsmaError where a file is missing or is none."""
    info, transforms = place / "camera_info.txt", place / "transforms.yaml"
    try:
        fx, fy, cx, cy = (float(word) for line in lines(info).values() for word in line.split())
    except ValueError as error:
        raise SsmaError(f"{info} must have four numbers, fx fy cx cy: {error}") from error
    facts = read_yaml(transforms)
    if not isinstance(facts, dict) or TRANSFORM not in facts:
        raise SsmaError(f"{transforms} has no {TRANSFORM}: get the calibration of camera and LiDAR "
                        "again")
    pose = from_plain(Pose, facts[TRANSFORM], f"{transforms}: {TRANSFORM}")
    turned = _rotation(pose.q, transforms)
    return Calibration(np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]]), turned.T,
                       -turned.T @ np.array([pose.t.x, pose.t.y, pose.t.z]))


def _rotation(q: Quaternion, path: Path) -> Array:
    """The matrix 3×3 of a unit quaternion."""
    axis = np.array([q.x, q.y, q.z])
    if abs(q.w ** 2 + axis @ axis - 1) > 1e-3:
        raise SsmaError(f"{path}: {q} is no rotation: its length must be 1")
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + 2 * q.w * cross + 2 * cross @ cross


def depth(frame: PublishedFrame) -> Array:
    """Metres along the camera's axis, H×W float32, 0 where no point is seen: about one pixel of
    300 has one. Of the points that fall on one pixel, the nearest is seen."""
    height, width = read_colour(frame.rgb).shape[:2]
    known = calibration(frame.rgb.parents[1])
    points = _points(frame.second) @ known.rotation.T + known.translation
    matrix = known.matrix
    # Only what is about in view: far outside, the lens' polynomial folds back into the image.
    along = np.maximum(points[:, 2], NEAREST)
    x = points[:, 0] / along * matrix[0, 0] + matrix[0, 2]
    y = points[:, 1] / along * matrix[1, 1] + matrix[1, 2]
    points = points[(points[:, 2] > NEAREST) & (abs(x / width - 0.5) < 0.7)
                    & (abs(y / height - 0.5) < 0.7)]
    image = np.zeros((height, width), np.float32)
    if len(points):
        points = points[np.argsort(-points[:, 2])]
        places, _ = cv2.projectPoints(points, np.zeros(3), np.zeros(3), matrix, DISTORTION)
        column, row = np.round(places[:, 0]).astype(int).T
        inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        image[row[inside], column[inside]] = points[inside, 2]  # the last one stays: the nearest
    return image


def _points(path: Path) -> Array:
    """N×3 float64, metres, in the LiDAR's frame; without those that are not finite."""
    size = path.stat().st_size
    if not size or size % POINT or size > MOST_POINTS * POINT:
        raise SsmaError(f"{path} is no scan of RELLIS-3D: it must have 16 bytes for each point, at "
                        f"most {MOST_POINTS} points, got {size} bytes")
    points = np.fromfile(path, "<f4").reshape(-1, 4)[:, :3].astype(np.float64)
    return points[np.isfinite(points).all(axis=1)]


RELLIS_3D = DataSet(
    "RELLIS-3D", LAYOUT, {18: RELLIS_18, 5: RELLIS_FOREST}, LABELS,
    (Second("depth", "jet", depth, FARTHEST, BETWEEN_RINGS),),
    frames, label_ids, {"train": 3302, "validation": 983, "test": 1672})

"""SUN RGB-D (Song et al., CVPR 2015), with its 37-class labels as pictures: the data set's own
SUNRGBD2Dseg.mat takes 64 GB of memory to load, so ankurhanda/sunrgbd-meta-data republishes them."""
from __future__ import annotations

from pathlib import Path

import numpy as np

from ssma_core.datasets.prepare.classes import NYU_LABELS, SUN_RGBD_37
from ssma_core.datasets.prepare.data_set import (
    ALL_HOLES,
    Array,
    DataSet,
    ListedPath,
    PublishedFrame,
    Second,
    Split,
    folder,
    label_ids,
    listed_paths,
    matrix,
    sixteen_bits,
)
from ssma_core.errors import SsmaError
from ssma_core.spec import Camera

LAYOUT = """\
SUNRGBD.zip, and from the repository ankurhanda/sunrgbd-meta-data the two lists and the
label pictures of sunrgbd_train_test_labels.tar.gz, unpacked side by side:
  SUNRGBD/{kv1,kv2,realsense,xtion}/…/FRAME/{image/*.jpg,depth_bfx/*.png,intrinsics.txt}
  sunrgbd_testing_images.txt             the 5050 frames that are used for validation
  sunrgbd_training_images.txt            5285 frames
  sunrgbd_train_test_labels/img-000001.png … img-010335.png
                                         of the testing frames first, then of the training frames"""

LABELS = {number: name for number, name in NYU_LABELS.items() if number <= len(SUN_RGBD_37)}


def frames(root: Path, second: str) -> dict[Split, list[PublishedFrame]]:
    testing, training = (root / f"sunrgbd_{each}_images.txt" for each in ("testing", "training"))
    listed: dict[Split, list[ListedPath]] = {"validation": listed_paths(testing),
                                             "train": listed_paths(training)}
    folder(root / "SUNRGBD")
    labels = folder(root / "sunrgbd_train_test_labels")
    first = {"validation": 1, "train": 1 + len(listed["validation"])}
    found: dict[Split, list[PublishedFrame]] = {
        split: [_frame(root, image, _label_file(labels, number), second)
                for number, image in enumerate(listed[split], first[split])]
        for split in listed}
    total = sum(map(len, listed.values()))
    beyond = _label_file(labels, total + 1)
    if beyond.is_file():  # a list lost a line: the frames after it would get another's label
        raise SsmaError(f"{beyond} belongs to no listed frame: {testing} and {training} list "
                        f"{total} frames, and the labels are numbered by their lines: get both "
                        "lists again, whole")
    return found


def _label_file(labels: Path, number: int) -> Path:
    return labels / f"img-{number:06d}.png"


def _frame(root: Path, image: ListedPath, label: Path, second: str) -> PublishedFrame:
    """image: SUNRGBD/…/FRAME/image/NAME.jpg."""
    rgb = root / image.path
    place = rgb.parent.parent
    if root / "SUNRGBD" not in place.parents:
        raise SsmaError(f"{image.where}: {image.path!r} is not below SUNRGBD/: get the list again")
    return PublishedFrame(place.relative_to(root / "SUNRGBD").as_posix(), rgb, _depth_file(place),
                          label, place / "intrinsics.txt" if second == "hha" else None)


def _depth_file(place: Path) -> Path:
    """The one file in depth_bfx, the depth with its holes filled; its name is not the image's."""
    found = sorted((place / "depth_bfx").glob("*.png"))
    if len(found) > 1:
        raise SsmaError(f"{found[0]} and {found[1]} could both be the frame's depth: remove one")
    return found[0] if found else place / "depth_bfx" / "….png"


def depth(frame: PublishedFrame) -> Array:
    """Metres, H×W float32, 0 for none. The file's 16 bits are millimetres, rotated left by 3, as
    the toolbox's read3dPoints.m undoes it."""
    written = sixteen_bits(frame.second)
    return ((written >> 3) | (written << 13)).astype(np.float32) / 1000


def camera(frame: PublishedFrame, size: tuple[int, int]) -> Camera:
    assert frame.camera is not None  # `frames` gives one for hha
    fx, _, cx, _, fy, cy, *_ = matrix(frame.camera, 3)
    return Camera(fx, fy, cx, cy, size)


SUN_RGBD = DataSet(
    "SUN RGB-D", LAYOUT, {37: SUN_RGBD_37}, LABELS,
    (Second("depth", "jet", depth, fill=ALL_HOLES),
     Second("hha", "hha", depth, fill=ALL_HOLES, camera=camera)),
    frames, label_ids, {"train": 5285, "validation": 5050})

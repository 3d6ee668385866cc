"""ScanNet v2 (Dai et al., CVPR 2017), the frames of its 2D benchmark. ScanNet/ScanNet describes ids
and files: README.md, BenchmarkScripts/README.md and Tasks/Benchmark."""
from __future__ import annotations

from pathlib import Path

import numpy as np

from ssma_core.datasets.prepare.classes import NYU_LABELS, SCANNET_20
from ssma_core.datasets.prepare.data_set import (
    ALL_HOLES,
    Array,
    DataSet,
    PublishedFrame,
    Second,
    Split,
    frame_names,
    label_ids,
    listed_paths,
    matrix,
    sixteen_bits,
)
from ssma_core.spec import Camera

LAYOUT = """\
the package scannet_frames_25k, whose labels are NYU's 40 ids already, and beside it the benchmark's
lists of scenes:
  scannet_frames_25k/scene0000_00/color/000000.jpg
  scannet_frames_25k/scene0000_00/depth/000000.png  16 bits, millimetres
  scannet_frames_25k/scene0000_00/label/000000.png  8 bits
  scannet_frames_25k/scene0000_00/intrinsics_depth.txt
  scannetv2_train.txt, scannetv2_val.txt"""


def frames(root: Path, second: str) -> dict[Split, list[PublishedFrame]]:
    return {"train": _split(root, "scannetv2_train.txt", second),
            "validation": _split(root, "scannetv2_val.txt", second)}


def _split(root: Path, scenes: str, second: str) -> list[PublishedFrame]:
    found = []
    for scene in (listed.path for listed in listed_paths(root / scenes)):
        place = root / "scannet_frames_25k" / scene
        camera_file = place / "intrinsics_depth.txt" if second == "hha" else None
        rgb, depth_file, label = place / "color", place / "depth", place / "label"
        found += [PublishedFrame(f"{scene}/{name}", rgb / f"{name}.jpg", depth_file / f"{name}.png",
                        label / f"{name}.png", camera_file)
                  for name in frame_names((rgb, ".jpg"), (depth_file, ".png"), (label, ".png"))]
    return found


def depth(frame: PublishedFrame) -> Array:
    """Metres, H×W float32, 0 for none."""
    written = sixteen_bits(frame.second)
    return written.astype(np.float32) / 1000


def camera(frame: PublishedFrame, size: tuple[int, int]) -> Camera:
    assert frame.camera is not None  # `frames` gives one for hha
    fx, _, cx, _, _, fy, cy, *_ = matrix(frame.camera, 4)
    return Camera(fx, fy, cx, cy, size)


SCANNET = DataSet(
    "ScanNet v2", LAYOUT, {20: SCANNET_20}, NYU_LABELS,
    (Second("depth", "jet", depth, fill=ALL_HOLES),
     Second("hha", "hha", depth, fill=ALL_HOLES, camera=camera)),
    frames, label_ids)

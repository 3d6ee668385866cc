"""Cityscapes (Cordts et al., CVPR 2016). Its scripts describe layout, ids and the meaning of the
files: mcordts/cityscapesScripts, README.md and helpers/labels.py."""
from __future__ import annotations

from pathlib import Path

import numpy as np

from ssma_core.datasets.prepare.classes import CITYSCAPES_19, STREET_11
from ssma_core.datasets.prepare.data_set import (
    ALL_HOLES,
    Array,
    DataSet,
    PublishedFrame,
    Second,
    Split,
    frame_names,
    label_ids,
    sixteen_bits,
)
from ssma_core.errors import SsmaError
from ssma_core.files import read_json
from ssma_core.spec import Camera

LAYOUT = """\
the packages leftImg8bit_trainvaltest, gtFine_trainvaltest, disparity_trainvaltest and, for hha,
camera_trainvaltest, unpacked side by side:
  leftImg8bit/{train,val}/CITY/CITY_000000_000019_leftImg8bit.png
  gtFine/{train,val}/CITY/CITY_000000_000019_gtFine_labelIds.png
  disparity/{train,val}/CITY/CITY_000000_000019_disparity.png
  camera/{train,val}/CITY/CITY_000000_000019_camera.json"""

LABELS = dict(enumerate((
    "unlabeled", "ego vehicle", "rectification border", "out of roi", "static", "dynamic", "ground",
    "road", "sidewalk", "parking", "rail track", "building", "wall", "fence", "guard rail",
    "bridge", "tunnel", "pole", "polegroup", "traffic light", "traffic sign", "vegetation",
    "terrain", "sky", "person", "rider", "car", "truck", "bus", "caravan", "trailer", "train",
    "motorcycle", "bicycle")))

# Pixels. The original's scale is not published. On the flat road of its own example picture
# (camera 1.22 m above it) the colours fit a scale that ends at 85 to 95 pixels.
NEAREST_DISPARITY = 96.0


def frames(root: Path, second: str) -> dict[Split, list[PublishedFrame]]:
    return {"train": _split(root, "train", second), "validation": _split(root, "val", second)}


def _split(root: Path, split: str, second: str) -> list[PublishedFrame]:
    rgb, disparity, label = kinds = (
        (root / "leftImg8bit" / split, "_leftImg8bit.png"),
        (root / "disparity" / split, "_disparity.png"),
        (root / "gtFine" / split, "_gtFine_labelIds.png"))
    cameras = (root / "camera" / split, "_camera.json") if second == "hha" else None
    return [PublishedFrame(f"{split}/{name}", _file(rgb, name), _file(disparity, name),
                           _file(label, name), _file(cameras, name) if cameras else None)
            for name in frame_names(*kinds, within="*/")]


def _file(kind: tuple[Path, str], name: str) -> Path:
    """name: CITY/CITY_000000_000019."""
    place, ending = kind
    return place / f"{name}{ending}"


def disparity(frame: PublishedFrame) -> Array:
    """Pixels, H×W float32, 0 where nothing was measured. The file has 0 there, and 256·disparity +
    1 elsewhere; an infinitely far point keeps a small disparity, so that it differs from 0."""
    written = sixteen_bits(frame.second)
    shifted = np.maximum(written.astype(np.float32) - 1, 1) / 256
    return np.where(written > 0, shifted, 0).astype(np.float32)


def depth(frame: PublishedFrame) -> Array:
    """Metres, H×W float32, 0 where nothing was measured: baseline · focal length / disparity."""
    pixels = disparity(frame)
    known = _calibration(frame)
    scale = np.float32(known["extrinsic.baseline"] * known["intrinsic.fx"])
    return np.divide(scale, pixels, out=np.zeros_like(pixels), where=pixels > 0)


def camera(frame: PublishedFrame, size: tuple[int, int]) -> Camera:
    known = _calibration(frame)
    return Camera(known["intrinsic.fx"], known["intrinsic.fy"], known["intrinsic.u0"],
                  known["intrinsic.v0"], size)


def _calibration(frame: PublishedFrame) -> dict[str, float]:
    assert frame.camera is not None  # `frames` gives one for hha
    names = ("extrinsic.baseline", "intrinsic.fx", "intrinsic.fy", "intrinsic.u0", "intrinsic.v0")
    try:
        facts = read_json(frame.camera)
        return {name: float(facts[name.split(".")[0]][name.split(".")[1]]) for name in names}
    except (SsmaError, ValueError, LookupError, TypeError, OverflowError) as error:
        raise SsmaError(f"{frame.camera} is no camera file of Cityscapes, which has "
                        f"{', '.join(names)}: {error!r}") from error


CITYSCAPES = DataSet(
    "Cityscapes", LAYOUT, {11: STREET_11, 19: CITYSCAPES_19}, LABELS,
    (Second("disparity", "jet", disparity, NEAREST_DISPARITY, ALL_HOLES),
     Second("hha", "hha", depth, fill=ALL_HOLES, camera=camera)),
    frames, label_ids, {"train": 2975, "validation": 500})

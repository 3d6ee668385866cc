"""NYU Depth v2, its labelled frames (Silberman et al., ECCV 2012), with the 40 classes of Gupta et
al. (CVPR 2013). The data set's own page describes the file; ankurhanda/nyuv2-meta-data has the two
small ones."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ssma_core.datasets.prepare.classes import NYU_40, NYU_LABELS
from ssma_core.datasets.prepare.data_set import (
    ALL_HOLES,
    IS_IT_WHOLE,
    Array,
    DataSet,
    PublishedFrame,
    Second,
    Split,
)
from ssma_core.errors import SsmaError
from ssma_core.image_files.header import check_megapixels
from ssma_core.spec import Camera

LAYOUT = """\
  nyu_depth_v2_labeled.mat   2.8 GB, from the data set's own page
  splits.mat                 from ankurhanda/nyuv2-meta-data, as the next one
  classMapping40.mat
They are read with h5py and scipy: pip install h5py scipy. The colour images are written to
the output."""

FRAMES, SPLITS, CLASSES = "nyu_depth_v2_labeled.mat", "splits.mat", "classMapping40.mat"
# What is read of each frame: how many axes, of which type. MATLAB's first axis is the last here.
PARTS = {"images": (4, np.uint8), "depths": (3, np.float32), "labels": (3, np.uint16)}
NAMES = 894  # that the labels were merged from
SMALL = 100_000  # bytes; the two small files have some 10,000, and unpack to little more

# Of the colour camera, whose view depth has in this file: toolbox_nyu_depth_v2, camera_params.m.
COLOUR_CAMERA = Camera(518.85790117450188, 519.46961112127485, 325.58244941119034,
                       253.73616633400465, (640, 480))


def frames(root: Path, second: str) -> dict[Split, list[PublishedFrame]]:
    number = _number_of_frames(root / FRAMES)
    _classes(root / CLASSES)
    return {"train": _split(root, "trainNdxs", number),
            "validation": _split(root, "testNdxs", number)}


def _split(root: Path, name: str, number: int) -> list[PublishedFrame]:
    places = small_file(root / SPLITS, name)
    if not np.all((places >= 1) & (places <= number)):
        raise SsmaError(f"{root / SPLITS}: {name} has the frames {places.min()} to {places.max()}, "
                        f"but {root / FRAMES} has 1 to {number}: {IS_IT_WHOLE}")
    return [PublishedFrame(f"{place:04d}", *[root / FRAMES] * 3) for place in places]


def _number_of_frames(path: Path) -> int:
    """Raises SsmaError unless all parts are there, of one length and size."""
    with _opened(path) as file:
        shapes: dict[str, tuple[int, ...]] = {
            name: getattr(file.get(name), "shape", ()) for name in PARTS}
        if (any((len(shapes[name]), getattr(file.get(name), "dtype", None)) != kind
                for name, kind in PARTS.items()) or shapes["images"][1] != 3
                or len({(shape[0], *shape[-2:]) for shape in shapes.values()}) > 1):
            raise SsmaError(f"{path} must have images, depths and labels of one number and size, "
                            f"got {shapes}: {IS_IT_WHOLE}")
        number, width, height = shapes["depths"]
        check_megapixels(str(path), width, height)
        return int(number)


def _part(path: Path, frame: PublishedFrame, name: str) -> Array:
    """Of one frame, with MATLAB's axes: rows first."""
    try:
        with _opened(path) as file:
            return np.ascontiguousarray(file[name][int(frame.name) - 1].T)
    except OSError as error:
        raise SsmaError(f"{path}: cannot read {name} of frame {frame.name} ({error}): "
                        f"{IS_IT_WHOLE}") from error


def _opened(path: Path) -> Any:
    h5py, _ = _libraries(path)
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise SsmaError(f"cannot read {path} ({error}): {IS_IT_WHOLE}") from error


def small_file(path: Path, name: str) -> Array:
    """The numbers of a variable in a small file of MATLAB, as one row of int64."""
    _, scipy_io = _libraries(path)
    try:
        if path.stat().st_size > SMALL:
            raise SsmaError(f"it has more than {SMALL} bytes")
        return scipy_io.loadmat(path, variable_names=[name])[name].astype(np.int64).ravel()
    except KeyError as error:
        raise SsmaError(f"{path} has no {name}: it must be the file of nyuv2-meta-data") from error
    except Exception as error:  # scipy raises many kinds for a file that is none
        raise SsmaError(f"cannot read {path} ({error}); this command's --help says where it comes "
                        "from") from error


def _libraries(path: Path) -> tuple[Any, Any]:
    try:
        import h5py
        from scipy import io
    except ImportError as error:
        raise SsmaError(f"{path} is a file of MATLAB, which needs h5py and scipy: "
                        "pip install h5py scipy") from error
    return h5py, io


def _classes(path: Path) -> Array:
    """The class 1–40 of each of the 894 names, behind a 0 for none."""
    classes = small_file(path, "mapClass")
    if classes.shape != (NAMES,) or not np.all((classes >= 1) & (classes <= len(NYU_40))):
        raise SsmaError(f"{path}: mapClass must be {NAMES} numbers from 1 to {len(NYU_40)}")
    return np.concatenate([[0], classes])


def colour(frame: PublishedFrame) -> Array:
    return _part(frame.rgb, frame, "images")[..., ::-1]


def depth(frame: PublishedFrame) -> Array:
    """Metres, H×W float32; the publishers filled the holes."""
    return _part(frame.second, frame, "depths")


def read_ids(frame: PublishedFrame) -> Array:
    """The class of each pixel, of the 40; a name beyond the 894 keeps its number, as unknown."""
    names = _part(frame.label, frame, "labels").astype(np.int64)
    classes = _classes(frame.label.parent / CLASSES)
    return np.where(names <= NAMES, classes[np.minimum(names, NAMES)], names)


def camera(frame: PublishedFrame, size: tuple[int, int]) -> Camera:
    return COLOUR_CAMERA


NYU_V2 = DataSet(
    "NYU Depth v2", LAYOUT, {40: NYU_40}, NYU_LABELS,
    (Second("depth", "jet", depth, fill=ALL_HOLES),
     Second("hha", "hha", depth, fill=ALL_HOLES, camera=camera)),
    frames, read_ids, {"train": 795, "validation": 654}, read_rgb=colour)

"""The readers of files from outside, each with the contents of a small whole file: for the property
tests, and for the fuzzer of `make torture`.

Where a checksum would find any change, what is changed is within it, and the checksum is right.
"""
from __future__ import annotations

import io
import json
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import example_report
import numpy as np
import scipy.io
import torch
import yaml
from conftest import ROOT, TINY_SPEC
from onnx import TensorProto, helper
from protobuf_messages import example, field, framed, varint
from safetensors.numpy import save

from ssma_core.bags import recorded_images, rosbag2
from ssma_core.datasets.annotations.classes import Classes
from ssma_core.datasets.annotations.importing import import_labels
from ssma_core.datasets.file_list import ListFile
from ssma_core.datasets.folders import Folders
from ssma_core.datasets.prepare import nyuv2, rellis3d
from ssma_core.datasets.tfrecord import Records
from ssma_core.evaluation.comparison import matched
from ssma_core.evaluation.report.compare import comparison_page
from ssma_core.evaluation.report.words import in_words
from ssma_core.evaluation.result_file import read_result, write_result
from ssma_core.extraction.listing import read_rows
from ssma_core.files import read_colour, read_sensor
from ssma_core.model_files import checkpoint, engine_file, onnx_parts
from ssma_core.model_files.exported import Exported, FrameFormat, to_metadata
from ssma_core.model_files.npz import read_npz
from ssma_core.model_files.tf_checkpoint import masked_crc32c, read_checkpoint
from ssma_core.registration import read as read_registration
from ssma_core.spec import grouped_by_file
from ssma_core.training.resume import StageFiles, load_state
from ssma_core.training.stages import read_training

EXPORTED = Exported(TINY_SPEC, "fp16", FrameFormat((1280, 720), "uint16"), "0" * 64)


@dataclass(frozen=True)
class Reader:
    """content: makes one that is right. file: the file's name. read: takes its path. whole: what
    the file is with that content."""

    content: Callable[[], bytes]
    file: str
    read: Callable[[Path], object]
    whole: Callable[[bytes], bytes] = bytes


@cache
def _result() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "result.json")
        spec = example_report.spec()
        write_result(example_report.report(spec, ["a", "b"], live=True, frames=14), path)
        return path.read_bytes()


def _shown(path: Path) -> None:
    found = matched(read_result(path), read_result(path), str(path), str(path))
    in_words(found)
    comparison_page(found)


@cache
def _picture(suffix: str) -> bytes:
    colour = np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8)
    return bytes(cv2.imencode(suffix, colour[..., 0] if suffix == ".tif" else colour)[1])


def _read_pictures(path: Path) -> None:
    read_sensor(path)
    read_colour(path)


@cache
def _npy() -> bytes:
    file = io.BytesIO()
    np.save(file, np.arange(6, dtype=np.float32).reshape(2, 3))
    return file.getvalue()


def _zipped(member: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("conv/weights.npy", member)
    return file.getvalue()


_FRONT = 22  # bytes before an engine's header: magic, its length, the checksum


@cache
def _engine() -> bytes:
    gpu = engine_file.Gpu("Orin", (8, 7))
    header = engine_file.EngineHeader(EXPORTED, "tensorrt", "10.13", gpu, (), "ssma build-engine")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "m.engine")
        engine_file.write(path, header, {"": b"plan", "rgb": b"other plan"})
        return path.read_bytes()


def _engine_of(rest: bytes) -> bytes:
    begin = _engine()[:_FRONT - 4]
    return begin + struct.pack("<I", zlib.crc32(rest, zlib.crc32(begin[14:]))) + rest


_DATA = np.arange(6, dtype="<f4").tobytes()


def _tf_entries() -> bytes:
    weights = b"".join([field(1, 1), field(2, field(2, field(1, 2)) + field(2, field(1, 3))),
                        field(5, len(_DATA)), varint(6 << 3 | 5),
                        struct.pack("<I", masked_crc32c(_DATA))])
    entries = {b"": field(1, 1), b"conv/weights": weights}
    return b"".join(_entry(key, value) for key, value in entries.items()) + struct.pack("<II", 0, 1)


def _entry(key: bytes, value: bytes) -> bytes:
    return b"\0" + varint(len(key)) + varint(len(value)) + key + value


def _table(block: bytes) -> bytes:
    handle = varint(0) + varint(len(block))
    index = _entry(b"z", handle) + struct.pack("<II", 0, 1)
    sealed = [part + b"\0" + struct.pack("<I", masked_crc32c(part + b"\0"))
              for part in (block, index)]
    footer = varint(0) * 2 + varint(len(sealed[0])) + varint(len(index))
    return b"".join([*sealed, footer.ljust(40, b"\0"), struct.pack("<Q", 0xDB4775248B80FB57)])


def _read_tf(path: Path) -> None:
    path.with_name("model.ckpt.data-00000-of-00001").write_bytes(_DATA)
    read_checkpoint(path)


def _tfrecord() -> bytes:
    return example({"height": 2, "width": 3, "modality1": bytes(18), "modality2": bytes(18),
                    "label": bytes(6)})


def _read_records(path: Path) -> None:
    for record in Records(tfrecord=str(path)).every():
        record.read(6)


@cache
def _onnx() -> bytes:
    value = helper.make_tensor_value_info("labels", TensorProto.FLOAT, [1])
    graph = helper.make_graph([helper.make_node("Identity", ["rgb"], ["labels"])], "g",
                              [helper.make_tensor_value_info("rgb", TensorProto.FLOAT, [1])],
                              [value])
    model = helper.make_model(graph)
    helper.set_model_props(model, to_metadata(EXPORTED))
    return bytes(model.SerializeToString())


def _read_onnx(path: Path) -> None:
    model, _ = onnx_parts.read(path)
    onnx_parts.cuts(model, {"": {"labels"}})


SETTINGS: dict[str, Any] = {"seed": 0}


@cache
def _state() -> bytes:
    file = io.BytesIO()
    torch.save({"network": {"w": torch.zeros(3)}, "configuration": SETTINGS,
                "history": {"losses": [1.0], "validation": [], "seconds": 1.0}}, file)
    return file.getvalue()


def _read_state(path: Path) -> None:
    trainer: Any = SimpleNamespace(load_state=lambda state: torch.zeros(3).copy_(
        state["network"]["w"]))
    load_state(StageFiles(path.parent, "fusion"), trainer, SETTINGS)


def _drive() -> bytes:
    return json.dumps({"weather": ["clear", "rain"], "seed": 1}).encode()


def _read_drive(path: Path) -> None:
    for channel in ("rgb", "depth", "label"):
        (path.parent / channel).mkdir(exist_ok=True)
        (path.parent / channel / "000000.png").touch()
    Folders(str(path.parent), "rgb/*", "depth", "label").samples()


def _transforms() -> bytes:
    return json.dumps({rellis3d.TRANSFORM: {"q": {"w": 1, "x": 0, "y": 0, "z": 0},
                                            "t": {"x": 0.5, "y": 0, "z": 0}}}).encode()


def _read_transforms(path: Path) -> None:
    (path.parent / "camera_info.txt").write_text("20 20 16 8")
    rellis3d.calibration(path.parent)


@cache
def _matlab() -> bytes:
    file = io.BytesIO()
    scipy.io.savemat(file, {"trainNdxs": np.array([[1], [3]], np.uint16)}, do_compression=True)
    return file.getvalue()


def _configuration() -> bytes:
    return (ROOT / "config/training/tiny_forest.yaml").read_bytes()


@cache
def _bag(storage: rosbag2.Storage) -> bytes:
    pixels = np.zeros((2, 3), np.uint16)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "bag")
        rosbag2.write(path, (rosbag2.image("/depth", i, i, pixels, "16UC1") for i in range(3)),
                      storage)
        return next(path.glob("bag.*")).read_bytes()


def _read_bag(path: Path) -> None:
    rosbag2.seconds(path)
    for message in rosbag2.messages(path, list(rosbag2.topics(path))):
        rosbag2.stamp_ns(message)
        recorded_images.read(message, "aux", as_depth=True).array()


@cache
def _metadata() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        rosbag2.write(Path(folder, "bag"), [])
        return Path(folder, "bag", "metadata.yaml").read_bytes()


def _read_metadata(path: Path) -> None:
    path.with_name("bag.mcap").write_bytes(_bag("mcap"))
    rosbag2.topics(path.parent)


def _list() -> bytes:
    return b"# colour depth label\na.png b.png c.png\n"


def _read_list(path: Path) -> None:
    for name in ("a.png", "b.png", "c.png"):
        path.with_name(name).touch()
    ListFile(list=str(path)).samples()


def _stroke() -> bytes:
    """Of a picture of one pixel."""
    value = {"rle": [0, 0, 0, 4, 57, 27, 252, 127, 224], "brushlabels": ["a"]}
    region = {"id": "r", "type": "brushlabels", "original_width": 1, "original_height": 1,
              "value": value}
    return json.dumps([{"data": {"image": "/data/upload/0a1b2c3d-0.png"},
                        "annotations": [{"result": [region]}]}]).encode()


def _shapes() -> bytes:
    shapes = [{"label": "a", "points": [[0, 0], [1, 0], [1, 1]], "shape_type": "polygon"},
              {"label": "b", "points": [[0, 0], [1, 1]], "shape_type": "circle"}]
    return json.dumps({"shapes": shapes, "imagePath": "0.png", "imageWidth": 1,
                       "imageHeight": 1}).encode()


def _instances() -> bytes:
    regions: list[object] = [[[0, 0, 1, 0, 1, 1]], {"size": [1, 1], "counts": [0, 1]},
                             {"size": [1, 1], "counts": "01"}]
    return json.dumps({
        "categories": [{"id": 1, "name": "a"}],
        "images": [{"id": 1, "file_name": "0.png", "width": 1, "height": 1}],
        "annotations": [{"image_id": 1, "category_id": 1, "segmentation": each}
                        for each in regions]}).encode()


def _cvat(labelmap: bytes) -> bytes:
    file = io.BytesIO()
    mask = cv2.imencode(".png", np.ones((1, 1, 3), np.uint8))[1].tobytes()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("labelmap.txt", labelmap)
        archive.writestr("SegmentationClass/0.png", mask)
    return file.getvalue()


def _labelmap() -> bytes:
    return b"# label:color_rgb:parts:actions\nbackground:0,0,0::\na:1,1,1::\nb:2,2,2::\n"


def _read_export(path: Path) -> None:
    data = path.parent / "data"
    (data / "drive/rgb").mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(data / "drive/rgb/0.png"), np.zeros((1, 1), np.uint8))
    import_labels(path, data, Classes(("void", "a", "b"), ((0, 0, 0), (1, 1, 1), (2, 2, 2))))


def _registration() -> bytes:
    return yaml.safe_dump({"matrix": [[1.0, 0.0, 3.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
                           "aux_size": [64, 48], "colour_size": [64, 48]}).encode()


def _checkpoint() -> bytes:
    return bytes(save({"w": np.zeros(3, np.float32)},
                      {"format": "ssma", "version": "1", "spec": TINY_SPEC.to_json()}))


def _frames() -> bytes:
    return b"drive,stamp,chosen,why_not,sharpness,novelty,uncertainty,disagreement\na,1,yes,,,,,\n"


READERS = {
    "frames.csv": Reader(_frames, "frames.csv", read_rows),
    "result": Reader(_result, "result.json", _shown),
    "configuration": Reader(_configuration, "run.yaml", read_training),
    **{suffix: Reader(partial(_picture, f".{suffix}"), f"p.{suffix}", _read_pictures)
       for suffix in ("png", "jpg", "tif", "bmp", "webp", "ppm")},
    "npz": Reader(lambda: _zipped(_npy()), "v.npz", read_npz),
    "npy": Reader(_npy, "v.npz", read_npz, _zipped),
    "engine": Reader(lambda: _engine()[_FRONT:], "m.engine", engine_file.read, _engine_of),
    "TensorFlow": Reader(_tf_entries, "model.ckpt.index", _read_tf, _table),
    "TFRecord": Reader(_tfrecord, "r.tfrecord", _read_records, framed),
    "checkpoint": Reader(_checkpoint, "m.safetensors", checkpoint.read_spec),
    "onnx": Reader(_onnx, "m.onnx", _read_onnx),
    "state": Reader(_state, "fusion.state.pt", _read_state),
    "mcap": Reader(partial(_bag, "mcap"), "bag.mcap", _read_bag),
    "db3": Reader(partial(_bag, "sqlite3"), "bag.db3", _read_bag),
    "metadata": Reader(_metadata, "metadata.yaml", _read_metadata),
    "list": Reader(_list, "frames.txt", _read_list),
    "transforms": Reader(_transforms, "transforms.yaml", _read_transforms),
    "MATLAB": Reader(_matlab, "splits.mat", partial(nyuv2.small_file, name="trainNdxs")),
    "registration": Reader(_registration, "r.yaml", read_registration),
    "drive": Reader(_drive, "drive.json", _read_drive),
    "Label Studio": Reader(_stroke, "export.json", _read_export),
    "labelme": Reader(_shapes, "export.json", _read_export),
    "COCO": Reader(_instances, "export.json", _read_export),
    "labelmap": Reader(_labelmap, "export.zip", _read_export, _cvat),
    "export's zip": Reader(lambda: _cvat(_labelmap()), "export.zip", _read_export),
    "groups": Reader(lambda: b"drivable: [trail, grass]\nvoid: [sky]\n", "groups.yaml",
                     partial(grouped_by_file, TINY_SPEC)),
}

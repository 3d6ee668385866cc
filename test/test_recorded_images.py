"""Images out of a bag's messages, labels among them; other types are refused before the work."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from conftest import TINY_SPEC

from ssma_core import BagSource, Modality, SsmaError
from ssma_core.bags import recorded_images, rosbag2
from ssma_core.bags.ground_truth import GroundTruth
from ssma_core.datasets.inputs import open_inputs
from ssma_core.evaluation.of_bags import evaluate_bags

RGB, AUX, LABEL = "/rgb", "/aux", "/label"
STAMP = 1_700_000_000 * 10**9
STORE = rosbag2.jazzy()
COLOUR = np.full((4, 6, 3), 90, np.uint8)


def serialized(topic: str, kind: str, message: Any) -> rosbag2.Recorded:
    return rosbag2.Recorded(topic, kind, STAMP, bytes(STORE.serialize_cdr(message, kind)))


def disparity(values: npt.NDArray[np.float32], encoding: str = "32FC1") -> rosbag2.Recorded:
    """Of a stereo camera with f = 100 pixels and a baseline of 0.2 m, from 1 pixel on."""
    image = rosbag2.decode(rosbag2.image(AUX, STAMP, STAMP, values, encoding))
    types = STORE.types
    roi = types["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False)
    return serialized(AUX, recorded_images.DISPARITY, types[recorded_images.DISPARITY](
        image.header, image, 100.0, 0.2, roi, 1.0, 64.0, 0.125))


def compressed(topic: str, image_format: str, suffix: str, pixels: npt.NDArray[Any]
               ) -> rosbag2.Recorded:
    header = rosbag2.decode(rosbag2.image(topic, STAMP, STAMP, COLOUR, "bgr8")).header
    message = STORE.types[rosbag2.COMPRESSED_IMAGE](
        header, image_format, cv2.imencode(suffix, pixels)[1].reshape(-1))
    return serialized(topic, rosbag2.COMPRESSED_IMAGE, message)


def text(topic: str) -> rosbag2.Recorded:
    kind = "std_msgs/msg/String"
    return serialized(topic, kind, STORE.types[kind]("hello"))


VALUES = np.array([[2, 10, 64, 0, -1, np.nan, np.inf, 0.5]], np.float32)


def test_disparity_is_disparity_and_0_where_nothing_was_found() -> None:
    """A matcher gives what it did not find a value below min_disparity."""
    found = recorded_images.read(disparity(VALUES), "aux", as_depth=False).array()
    np.testing.assert_array_equal(found, [[2, 10, 64, 0, 0, 0, 0, 0]])
    assert found.dtype == np.float32


def test_a_model_of_depth_gets_metres() -> None:
    """focal length · baseline / disparity: 100 · 0.2 / 2 = 10 m."""
    found = recorded_images.read(disparity(VALUES), "aux", as_depth=True).array()
    np.testing.assert_allclose(found, [[10, 2, 20 / 64, 0, 0, 0, 0, 0]], rtol=1e-6)


def test_a_disparity_of_another_encoding_is_refused() -> None:
    with pytest.raises(SsmaError, match=r"/aux: images of encoding '16UC1'.*32FC1"):
        recorded_images.read(disparity(np.zeros((4, 6), np.uint16), "16UC1"), "aux", as_depth=True)


@pytest.mark.parametrize(("name", "expected"), [("depth", 2.0), ("disparity", 10.0)])
def test_inputs_give_what_the_models_sensor_is(tmp_path: Path, name: str, expected: float) -> None:
    spec = TINY_SPEC.__class__(**{**vars(TINY_SPEC), "modalities": (
        Modality("rgb", "image"), Modality(name, "jet", 100.0))})
    rosbag2.write(tmp_path / "bag", [rosbag2.image(RGB, STAMP, STAMP, COLOUR, "bgr8"),
                                     disparity(np.full((4, 6), 10, np.float32))])
    frame, = open_inputs(tmp_path / "bag", spec, (RGB, AUX))
    assert np.all(frame.arrays[1] == np.float32(expected))


@pytest.mark.parametrize("wrong", ["rgb", "aux", "label"])
def test_a_topic_of_another_type_is_refused_by_name_before_the_model_is_opened(
        tmp_path: Path, wrong: str) -> None:
    images = {topic: rosbag2.image(topic, STAMP, STAMP, COLOUR, "bgr8")
              for topic in (RGB, AUX, LABEL)}
    rosbag2.write(tmp_path / "bag", [*images.values(), text("/text")])
    topics = {"rgb": RGB, "aux": AUX, "label": LABEL, wrong: "/text"}
    with pytest.raises(SsmaError, match="/text has std_msgs/msg/String, not sensor_msgs/msg/Image"):
        evaluate_bags([str(tmp_path / "bag")], tmp_path / "no.onnx", BagSource(**topics))


def test_disparity_is_no_colour(tmp_path: Path) -> None:
    rosbag2.write(tmp_path / "bag", [disparity(VALUES)])
    with pytest.raises(SsmaError, match=f"{AUX} has {recorded_images.DISPARITY}, not sensor_msgs"):
        evaluate_bags([str(tmp_path / "bag")], tmp_path / "no.onnx", BagSource(
            rgb=AUX, aux=AUX, label=AUX))


def truth(tmp_path: Path, label: rosbag2.Recorded, *ignored: int) -> npt.NDArray[Any]:
    rosbag2.write(tmp_path / "bag", [label])
    found = GroundTruth(tmp_path / "bag", LABEL, 0.02, ignored, void_id=3).near(STAMP, STAMP)
    assert found is not None
    return found.labels


@pytest.mark.parametrize(("encoding", "dtype"), [
    ("mono8", np.uint8), ("8UC1", np.uint8), ("8SC1", np.int8), ("mono16", np.uint16),
    ("16UC1", np.uint16), ("16SC1", np.int16), ("32SC1", np.int32)])
def test_labels_of_any_integers_and_ids_that_mean_not_labelled(
        tmp_path: Path, encoding: str, dtype: Any) -> None:
    unlabelled = -1 if np.iinfo(dtype).min < 0 else np.iinfo(dtype).max
    ids = np.array([[0, 1, 2, unlabelled]], dtype)
    found = truth(tmp_path, rosbag2.image(LABEL, STAMP, STAMP, ids, encoding), unlabelled)
    np.testing.assert_array_equal(found, [[0, 1, 2, 3]])


def test_compressed_labels_are_exact_or_refused(tmp_path: Path) -> None:
    ids = np.random.default_rng(0).integers(0, 6, (8, 12), np.uint8)
    label = compressed(LABEL, "mono8; png compressed ", ".png", ids)
    np.testing.assert_array_equal(truth(tmp_path, label), ids)
    (tmp_path / "jpeg").mkdir()
    with pytest.raises(SsmaError, match=f"{LABEL}: a JPEG changes the numbers of a label"):
        truth(tmp_path / "jpeg", compressed(LABEL, "mono8; jpeg compressed mono8", ".jpg", ids))


def test_the_types_of_our_users(cases: Path) -> None:
    bag = cases / "bag_other_types/bag"
    first = next(rosbag2.messages(bag, ["/disparity"]))
    for as_depth, expected in ((False, 30), (True, 80 * 0.1 / 30)):
        found = recorded_images.read(first, "aux", as_depth=as_depth).array()
        np.testing.assert_allclose(found, np.full((48, 96), expected), rtol=1e-6)
    plain, unlabelled = (next(rosbag2.messages(bag, [topic])) for topic in (
        "/truth/label", "/truth/label_255"))
    expected_ids = rosbag2.decode(plain).data.reshape(48, 96)
    found = GroundTruth(bag, "/truth/label_255", 0.02, (255,)).near(
        rosbag2.stamp_ns(unlabelled), unlabelled.time_ns)
    assert found is not None and found.labels.max() == expected_ids.max()
    for topic in ("/truth/label_8uc1", "/truth/label_32sc1"):
        label = GroundTruth(bag, topic, 0.02).near(rosbag2.stamp_ns(plain), plain.time_ns)
        assert label is not None
        np.testing.assert_array_equal(label.labels, expected_ids)


def test_the_compressed_depths_of_our_users_are_all_the_same(cases: Path) -> None:
    bag = cases / "bag_compressed/bag"
    raw = rosbag2.decode(next(rosbag2.messages(bag, ["/camera/second/image_raw"])))
    millimetres = raw.data.view("<u2").reshape(raw.height, raw.width).astype(np.float64)
    for name in ("f32", "f32_nofmt", "f32_fmt2", "f32_ros1"):
        depth = recorded_images.read(next(rosbag2.messages(bag, [f"/d/{name}"])), "aux",
                                     as_depth=True).array()
        assert depth.dtype == np.float32
        near = (millimetres > 0) & (millimetres < 5000)
        np.testing.assert_allclose(1000 * depth[near], millimetres[near], rtol=0.02)

"""The node's topics and parameters over real DDS: what it publishes beside the label, what it takes
in, what can change while it runs, and that two of them get along."""
from __future__ import annotations

import array
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from conftest import ROOT

pytest.importorskip("rclpy", reason="needs rclpy")
from lifecycle_msgs.msg import State
from rclpy.qos import QoSProfile, ReliabilityPolicy
from robot import (
    ACTIVATE,
    CLEANUP,
    COLOUR,
    CONFIGURE,
    DEACTIVATE,
    DEPTH,
    LATCHED,
    SIZE,
    Robot,
    header,
    pixels,
)
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2
from std_msgs.msg import String

from ssma_core import Segmenter
from ssma_core.cli import main

pytestmark = pytest.mark.ros

HEIGHT, WIDTH = SIZE
BEST_EFFORT = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)


def active(start: Callable[..., Robot], *arguments: str, **options: Any) -> Robot:
    robot = start(*arguments, **options)
    assert robot.change(CONFIGURE, ACTIVATE), robot.said()
    return robot


def compressed(picture: npt.NDArray[Any], extension: str, text: str, before: bytes = b""
               ) -> CompressedImage:
    data = before + cv2.imencode(extension, picture)[1].tobytes()
    return CompressedImage(header=header(time.time()), format=text, data=array.array("B", data))


# What it publishes

def test_confidence_trust_and_overlay_are_the_labels_own(
        start: Callable[..., Robot], tiny_model: Path) -> None:
    robot = active(start, "-p", f"model:={tiny_model}", "-p", "threads:=1")
    came = {name: robot.listen(Image, f"semantic/{name}")
            for name in ("confidence", "trust", "overlay")}
    robot.until(lambda: all(came.values()), meanwhile=lambda: robot.send_pair(time.time()))
    expected = Segmenter(tiny_model, 1).segment(COLOUR, DEPTH, confidence=True, trust=True)
    np.testing.assert_array_equal(pixels(came["confidence"][0]), expected.confidence)
    np.testing.assert_array_equal(pixels(came["trust"][0]), expected.trust)
    overlay = came["overlay"][0]
    assert (overlay.encoding, overlay.height, overlay.width) == ("bgr8", *SIZE)
    labelled = [label.header for label in robot.labels]
    assert all(images[0].header in labelled for images in came.values())


def test_points_are_where_depth_and_calibration_say(
        start: Callable[..., Robot], tiny_model: Path) -> None:
    robot = active(start, "-p", f"model:={tiny_model}")
    camera = robot.node.create_publisher(CameraInfo, "rgb/camera_info", 10)
    clouds = robot.listen(PointCloud2, "semantic/points")
    info = CameraInfo(height=HEIGHT, width=WIDTH, k=[100.0, 0, 90.0, 0, 110.0, 40.0, 0, 0, 1.0])
    depth = np.full(SIZE, 2000, np.uint16)
    depth[:, 0] = 0

    def look() -> None:
        camera.publish(info)
        robot.send_pair(time.time(), aux=depth)

    robot.until(lambda: bool(clouds), meanwhile=look)
    cloud = clouds[0]
    assert (cloud.height, cloud.width, cloud.is_dense) == (*SIZE, False)
    assert [field.name for field in cloud.fields] == ["x", "y", "z", "rgb", "label", "confidence"]
    at = 70 * cloud.row_step + 190 * cloud.point_step
    xyz = np.frombuffer(cloud.data[at:at + 12].tobytes(), np.float32)
    np.testing.assert_allclose(xyz, [2 * (190 - 90) / 100, 2 * (70 - 40) / 110, 2], rtol=1e-6)
    assert np.isnan(np.frombuffer(cloud.data[:12].tobytes(), np.float32)).all()
    label = next(each for each in robot.labels if each.header == cloud.header)
    assert cloud.data[at + cloud.fields[4].offset] == pixels(label)[70, 190]


def test_points_without_calibration_are_missed_aloud(
        start: Callable[..., Robot], tiny_model: Path) -> None:
    robot = active(start, "-p", f"model:={tiny_model}")
    clouds = robot.listen(PointCloud2, "semantic/points")
    robot.until(lambda: "CameraInfo" in robot.said(),
                meanwhile=lambda: robot.send_pair(time.time()))
    assert robot.label() and not clouds


def test_what_labels_mean_comes_before_the_first_and_again_when_it_changes(
        start: Callable[..., Robot], tiny_model: Path) -> None:
    """There are no vision_msgs in pip: words stand in for their message."""
    robot = start("-p", f"model:={tiny_model}", program=(
        "-c", "from std_msgs.msg import String\n"
              "from ssma_ros import distro\n"
              "from ssma_ros.node import lifecycle, program\n"
              "distro.LabelInfo = String\n"
              "lifecycle.label_info = lambda spec, void, header: "
              "String(data=f'{spec.class_names[0]} {void}')\n"
              "program.main()"))
    robot.change(CONFIGURE, ACTIVATE)
    said = robot.listen(String, "semantic/label_info", LATCHED)
    robot.until(lambda: [message.data for message in said] == ["void False"])
    assert not robot.labels
    assert robot.set("void_as_unlabeled", True).successful
    robot.until(lambda: [message.data for message in said] == ["void False", "void True"])


def test_void_can_be_published_as_unlabeled(
        start: Callable[..., Robot], tiny_model: Path) -> None:
    model = Segmenter(tiny_model, 1)
    ids = model.segment(COLOUR, DEPTH).labels
    assert 0.01 < (ids == model.spec.void_id).mean() < 0.99
    robot = active(start, "-p", f"model:={tiny_model}", "-p", "threads:=1")
    np.testing.assert_array_equal(pixels(robot.label()), ids)
    assert robot.set("void_as_unlabeled", True).successful
    np.testing.assert_array_equal(
        pixels(robot.label()), np.where(ids == model.spec.void_id, 255, ids))


# What it takes in

def test_compressed_images(start: Callable[..., Robot], tiny_model: Path) -> None:
    robot = active(
        start, "-p", f"model:={tiny_model}", "-p", "threads:=1", "-p", "rgb_transport:=compressed",
        "-p", "aux_transport:=compressedDepth", "-r", "rgb/image:=/front/color")
    robot.plug_in("rgb", "/front/color/compressed", CompressedImage)
    robot.plug_in("aux", "aux/image/compressedDepth", CompressedImage)

    def look() -> None:
        rgb = compressed(COLOUR, ".jpg", "bgr8; jpeg compressed bgr8")
        aux = compressed(DEPTH, ".png", "16UC1; compressedDepth png", bytes(12))
        aux.header = rgb.header
        robot.cameras["rgb"].publish(rgb)
        robot.cameras["aux"].publish(aux)

    robot.until(lambda: bool(robot.labels), meanwhile=look)
    decoded = cv2.imdecode(cv2.imencode(".jpg", COLOUR)[1], cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(
        pixels(robot.labels[0]), Segmenter(tiny_model, 1).segment(decoded, DEPTH).labels)


def test_near_infrared_and_colour_make_the_vegetation_index(start: Callable[..., Robot]) -> None:
    model = ROOT / "models" / "forest_evi.onnx"
    robot = active(start, "-p", f"model:={model}", "-p", "threads:=1")
    infrared = DEPTH.astype(np.uint8)
    label = robot.label(aux=infrared, aux_encoding="mono8")
    np.testing.assert_array_equal(
        pixels(label), Segmenter(model, 1).segment(COLOUR, infrared).labels)
    assert robot.node.count_publishers("semantic/points") == 0


def test_a_model_that_was_exported_for_one_camera(
        start: Callable[..., Robot], tiny_model_safetensors: Path, tmp_path: Path) -> None:
    model = tmp_path / "camera.onnx"
    assert main(["export", "--model", str(tiny_model_safetensors), "--output", str(model),
                 "--camera", f"{WIDTH}x{HEIGHT}", "--aux", "uint16"]) == 0
    robot = active(start, "-p", f"model:={model}", "-p", "threads:=1")
    np.testing.assert_array_equal(
        pixels(robot.label()), Segmenter(model, 1).segment(COLOUR, DEPTH).labels)


def test_depth_that_is_not_registered_is_refused_until_the_user_knows_better(
        start: Callable[..., Robot], tiny_model: Path) -> None:
    """With a model whose experts label nothing alone; test_node_modes.py has one of the others."""
    robot = active(start, "-p", f"model:={tiny_model}")

    def look() -> None:
        now = time.time()
        robot.send("rgb", COLOUR, "bgr8", now, "color_optical")
        robot.send("aux", DEPTH, "16UC1", now, "depth_optical")

    robot.until(lambda: "depth_optical" in robot.said(), meanwhile=look)
    assert "must be registered" in robot.said() and not robot.labels
    assert robot.set("check_frame_id", False).successful
    robot.until(lambda: bool(robot.labels), meanwhile=look)


# What can change while it runs

def test_parameters_change_while_it_runs_or_say_why_not(
        start: Callable[..., Robot], tiny_model: Path) -> None:
    robot = start("-p", "model:=/no/such.onnx", "-p", "slop:=0.001", "-p", "aux_timeout:=3600.0")
    assert robot.set("model", str(tiny_model)).successful
    assert robot.change(CONFIGURE, ACTIVATE), robot.said()
    robot.until(lambda: "none pair" in robot.said(),
                meanwhile=lambda: robot.send_pair(time.time()))
    assert not robot.labels
    assert robot.set("slop", 0.02).successful
    assert robot.label()
    for name, value, reason in (
            ("model", "other.onnx", "model is read when the node is configured"),
            ("slop", -1.0, "slop out of range"),
            ("slop", "wide", "Wrong parameter type")):
        refused = robot.set(name, value)
        assert not refused.successful and reason in refused.reason
    assert robot.change(DEACTIVATE, CLEANUP)
    assert robot.set("model", "/no/such.onnx").successful
    assert not robot.change(CONFIGURE)
    assert "Traceback" not in robot.said()


# Others beside it

def test_a_publisher_whose_qos_does_not_fit_is_named_with_what_to_do(
        start: Callable[..., Robot], tiny_model: Path) -> None:
    """And the override for one topic is for that topic alone."""
    override = "qos_overrides./rgb/image.subscription.reliability"
    robot = start("-p", f"model:={tiny_model}", "-p", f"{override}:=reliable")
    robot.unplug("rgb")
    robot.plug_in("rgb", qos=BEST_EFFORT)
    assert robot.change(CONFIGURE, ACTIVATE), robot.said()
    activated = time.time()
    robot.until(lambda: override in robot.said(),
                meanwhile=lambda: robot.send_pair(time.time()))
    # Within 3 s of the discovery, which on a busy machine now and then takes three seconds more.
    assert robot.said_at(override) - activated < 7
    assert "RELIABILITY" in robot.said()
    info, = robot.node.get_subscriptions_info_by_topic("/aux/image")
    assert info.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT


def test_an_override_that_cannot_be_taken_fails_the_transition(
        start: Callable[..., Robot], tiny_model: Path) -> None:
    robot = start("-p", f"model:={tiny_model}", "-p",
                  "qos_overrides./aux/image.subscription.reliability:=relaible")
    assert robot.change(CONFIGURE)
    assert not robot.change(ACTIVATE)
    assert robot.state() == State.PRIMARY_STATE_INACTIVE
    assert "relaible" in robot.said() and "aux/image" in robot.said()
    assert "Traceback" not in robot.said()
    assert robot.node.count_subscribers("rgb/image") == 0


def test_an_override_of_a_topic_that_is_not_there_is_logged_with_the_one_that_is_meant(
        start: Callable[..., Robot], tiny_model: Path) -> None:
    wrong, right = (f"qos_overrides./{topic}.subscription.depth" for topic in (
        "rgb/imagee", "aux/image"))
    robot = start("-p", f"model:={tiny_model}", "-p", f"{wrong}:=3", "-p", f"{right}:=3")
    assert robot.change(CONFIGURE, ACTIVATE)
    assert f"no topic of this node has '{wrong}', so its value has no effect" in robot.said()
    assert "is qos_overrides./rgb/image.subscription.depth meant?" in robot.said()
    assert right not in robot.said()


@pytest.mark.parametrize("remapped, reason", [
    ("aux/image:=/rgb/image", "both images are subscribed on /rgb/image"),
    ("rgb/camera_info:=/rgb/image", "remapped to a topic of another type")])
def test_two_inputs_on_one_topic_fail_the_transition(
        start: Callable[..., Robot], tiny_model: Path, remapped: str, reason: str) -> None:
    robot = start("-p", f"model:={tiny_model}", "-r", remapped)
    assert robot.change(CONFIGURE)
    assert not robot.change(ACTIVATE)
    assert reason in robot.said()
    assert robot.state() == State.PRIMARY_STATE_INACTIVE


def test_two_in_two_namespaces_do_not_see_each_other(
        start: Callable[..., Robot], tiny_model: Path) -> None:
    front = active(start, "-p", f"model:={tiny_model}", namespace="front")
    rear = active(start, "-p", f"model:={tiny_model}", namespace="rear", beside=True)
    for one, other in ((front, rear), (rear, front)):
        other.labels.clear()
        assert one.label()
        assert not other.labels
    assert front.set("slop", 0.5).successful
    names: set[str] = set()

    def both_are_distinguished() -> bool:
        names.update(status.name for status in front.diagnostics)
        return names == {f"/{each}/segmentation_node: segmentation" for each in ("front", "rear")}

    front.until(both_are_distinguished)


def test_a_fault_in_a_transition_is_logged_and_the_transition_fails(
        start: Callable[..., Robot]) -> None:
    robot = start("-p", "model:=m.onnx", program=(
        "-c", "from ssma_ros.node import model, program\n"
              "def broken(*_, **__): raise RuntimeError('of our own')\n"
              "model.Segmenter = broken\n"
              "program.main()"))
    assert not robot.change(CONFIGURE)
    assert "on_configure failed" in robot.said() and "RuntimeError: of our own" in robot.said()
    assert robot.state() == State.PRIMARY_STATE_UNCONFIGURED
    assert robot.end() == 0

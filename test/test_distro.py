"""What a ROS distribution brings behaves as our stand-ins for it do, and is used where it is.

PyPI has no cv_bridge or message_filters of ROS 2: stand_ins/ has what we use of them, our own, with
the faults of cv_bridge that distro.py avoids.
"""
from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import Mock, call

import numpy as np
import pytest
from conftest import ROOT
from test_messages import CHANNELS, DTYPES, message, pixels

from ssma_ros import distro

STAND_INS = ROOT / "test" / "stand_ins"
ENCODINGS = [*CHANNELS, *DTYPES]
MODULES = ("cv_bridge", "cv_bridge.boost", "cv_bridge.boost.cv_bridge_boost", "message_filters")


def distro_anew() -> ModuleType:
    """A second ssma_ros.distro, which finds what there is now."""
    spec = importlib.util.spec_from_file_location("distro_anew", distro.__file__)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def sourced(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """As where ROS has been sourced."""
    pytest.importorskip("sensor_msgs.msg", reason="needs ROS's message packages")
    for name in MODULES:
        monkeypatch.setitem(sys.modules, name, None)  # so that it is forgotten afterwards
        del sys.modules[name]
    monkeypatch.syspath_prepend(STAND_INS)
    return distro_anew()


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """As where there is no ROS."""
    with monkeypatch.context() as patch:
        for name in MODULES:
            patch.setitem(sys.modules, name, None)
        return distro_anew()


@pytest.mark.parametrize("padding", [0, 1, 2, 12])
@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_encoding_and_layout_is_the_same_with_cv_bridge_and_without(
        sourced: ModuleType, bare: ModuleType, encoding: str, big_endian: bool,
        padding: int) -> None:
    for like in ("rclpy", "rosbags"):
        image = message(encoding, padding=padding, big_endian=big_endian, like=like)
        theirs, ours = (module.imgmsg_to_cv2(image)
                        for module in (sourced, bare))
        np.testing.assert_array_equal(theirs, ours)
        assert theirs.dtype == ours.dtype and theirs.dtype.isnative


@pytest.mark.parametrize("encoding", ["bgr8", "mono8", "16UC1", "32FC1"])
def test_what_needs_no_change_is_not_copied_with_cv_bridge_either(
        sourced: ModuleType, encoding: str) -> None:
    image = message(encoding)
    pixels = sourced.imgmsg_to_cv2(image)
    assert np.shares_memory(pixels, np.frombuffer(image.data, np.uint8))


class Watched:
    """A bridge that says so when it is used."""

    def imgmsg_to_cv2(self, *_: object) -> str:
        return "with cv_bridge"

    cv2_to_imgmsg = imgmsg_to_cv2


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_cv_bridge_converts_all_but_the_two_layouts_that_it_takes_for_others(
        sourced: ModuleType, monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    monkeypatch.setattr(sourced, "_bridge", Watched())

    def used(**layout: Any) -> bool:
        return isinstance(sourced.imgmsg_to_cv2(message(encoding, **layout)), str)

    assert used()
    assert not used(padding=1)
    assert not used(big_endian=True)


@pytest.mark.parametrize("encoding", ["mono8", "bgr8"])
def test_messages_are_the_same_with_cv_bridge_and_without(
        sourced: ModuleType, bare: ModuleType, monkeypatch: pytest.MonkeyPatch,
        encoding: str) -> None:
    from std_msgs.msg import Header

    header = Header(frame_id="camera")
    views = pixels(encoding)[:, ::-1]  # not contiguous
    assert sourced.cv2_to_imgmsg(views, encoding, header) == bare.cv2_to_imgmsg(
        views, encoding, header)
    monkeypatch.setattr(sourced, "_bridge", Watched())
    assert sourced.cv2_to_imgmsg(views, encoding, header) == "with cv_bridge"


def test_cv_bridge_is_left_aside_where_its_compiled_half_cannot_be_loaded(
        sourced: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    assert sourced.CV_BRIDGE == "cv_bridge"
    monkeypatch.setitem(sys.modules, "cv_bridge.boost.cv_bridge_boost", None)
    assert distro_anew().CV_BRIDGE == "no cv_bridge that fits this NumPy and OpenCV"


@pytest.mark.parametrize("fault", [
    "import sys\nprint('compiled using NumPy 1.x, it may crash', file=sys.stderr)\n",
    "NUMBERS['bgr8'] += 1000\n",
], ids=["numpy", "opencv"])
def test_cv_bridge_is_left_aside_where_its_compiled_half_is_made_for_another(
        sourced: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fault: str) -> None:
    """As apt's is where pip has brought NumPy 2 or OpenCV 5: it can be imported, and fails in
    use, in NumPy's case by a segmentation fault."""
    assert sourced.CV_BRIDGE == "cv_bridge"
    shutil.copytree(STAND_INS / "cv_bridge", tmp_path / "cv_bridge")
    with (tmp_path / "cv_bridge" / "boost" / "cv_bridge_boost.py").open("a") as compiled:
        compiled.write(fault)
    monkeypatch.syspath_prepend(tmp_path)
    for name in MODULES:
        sys.modules.pop(name, None)
    assert distro_anew().CV_BRIDGE == "no cv_bridge that fits this NumPy and OpenCV"


class Node:
    """Keeps what it was to subscribe to, and sends a message when a test calls for it."""

    def create_subscription(self, message_type: type, topic: str, callback: Callable[[Any], None],
                            **options: Any) -> Node:
        self.asked = (message_type, topic, options)
        self.send = callback
        return self


def test_a_subscriber_is_the_same_with_message_filters_and_without(
        sourced: ModuleType, bare: ModuleType) -> None:
    assert sourced.HAS_MESSAGE_FILTERS and not bare.HAS_MESSAGE_FILTERS
    for subscribe in (sourced.Subscriber, bare.Subscriber):
        node, received = Node(), Mock()
        subscriber = subscribe(node, dict, "rgb/image", qos_profile=7)
        assert subscriber.sub is node
        assert node.asked == (dict, "rgb/image", {"qos_profile": 7})
        subscriber.registerCallback(received, "/rgb/image")
        subscriber.registerCallback(received)
        node.send("an image")
        assert received.call_args_list == [call("an image", "/rgb/image"), call("an image")]

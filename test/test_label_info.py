"""vision_msgs/LabelInfo beside the labels. vision_msgs is not on PyPI: a stand-in is made here of
its messages, and what goes into them is written and read by their definitions."""
from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest
from conftest import ROOT
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from ssma_core import Modality, ModelSpec
from ssma_ros import distro
from ssma_ros.node.messages import label_info

STAND_INS = ROOT / "test" / "stand_ins"
SPEC = ModelSpec(
    architecture="adapnet++", size="tiny", class_names=("sky", "void", "trail"),
    class_colours=((0, 0, 0),) * 3, modalities=(Modality("rgb", "image"),), input_size=(32, 16),
    void_id=1)
# ros-perception/vision_msgs, branch ros2: the fields of the two .msg files.
DEFINITIONS = {
    "vision_msgs/msg/VisionClass": "uint16 class_id\nstring class_name\n",
    "vision_msgs/msg/LabelInfo": "std_msgs/Header header\nvision_msgs/VisionClass[] class_map\n"
                                 "float32 threshold\n",
}


@pytest.fixture(autouse=True)
def vision_msgs(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "vision_msgs"]:
        monkeypatch.delitem(sys.modules, name)  # a distribution's own
    monkeypatch.syspath_prepend(STAND_INS)
    import vision_msgs.msg

    monkeypatch.setattr(distro, "LabelInfo", vision_msgs.msg.LabelInfo)
    monkeypatch.setattr(distro, "VisionClass", vision_msgs.msg.VisionClass)


def sent(message: Any) -> Any:
    """What arrives of a message that is sent as its definition says."""
    store = get_typestore(Stores.ROS2_JAZZY)
    for name, text in DEFINITIONS.items():
        store.register(get_types_from_msg(text, name))
    kind = "vision_msgs/msg/LabelInfo"
    return store.deserialize_cdr(store.serialize_cdr(message, kind), kind)


def header() -> Any:
    types = get_typestore(Stores.ROS2_JAZZY).types
    return types["std_msgs/msg/Header"](types["builtin_interfaces/msg/Time"](12, 34), "camera")


def classes(message: Any) -> list[tuple[int, str]]:
    return [(one.class_id, one.class_name) for one in message.class_map]


def test_every_class_has_its_id() -> None:
    arrived = sent(label_info(SPEC, False, header()))
    assert classes(arrived) == [(0, "sky"), (1, "void"), (2, "trail")]
    assert (arrived.header.stamp.sec, arrived.header.frame_id) == (12, "camera")
    assert arrived.threshold == 0


def test_void_can_be_unlabeled_which_is_the_highest_id() -> None:
    """VisionClass.msg: "UNLABELED" is the maximum value in the uint8 range."""
    assert classes(sent(label_info(SPEC, True, header()))) == [
        (0, "sky"), (2, "trail"), (255, "UNLABELED")]


@pytest.mark.parametrize("path, found", [
    ([ROOT, STAND_INS], "vision_msgs.msg"), ([ROOT], None)])
def test_the_types_are_the_distributions_where_there_is_one(path: list[Any], found: Any) -> None:
    program = ("import sys\nfrom ssma_ros import distro\n"
               f"kinds = {{getattr(t, '__module__', None) for t in (distro.LabelInfo, "
               f"distro.VisionClass)}}\nassert kinds == {{{found!r}}}, kinds\n")
    if not found:  # also where ROS has been sourced
        program = "import sys\nsys.modules['vision_msgs'] = None\n" + program
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, path))}
    subprocess.run([sys.executable, "-c", program], check=True, env=environment)

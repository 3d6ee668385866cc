"""The launch file: its arguments, what it sets, and that it says nothing twice.

Without a ROS distribution there is no launch library; then a stand-in records what the file builds
from it, which is enough to see that the file names what exists.
"""
from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar
from xml.etree import ElementTree

import pytest
import yaml
from conftest import ROOT

LAUNCH_FILE = ROOT / "launch" / "forest_robot.launch.py"
CONFIG = ROOT / "config"
ARGUMENTS = {"model", "rgb_topic", "aux_topic", "params_file", "use_sim_time", "autostart",
             "log_level"}


class Call:
    """Something the launch file called: the name, and with what."""

    made: ClassVar[list[Call]] = []

    def __init__(self, name: str, arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
        self.name, self.arguments, self.options = name, arguments, options
        Call.made.append(self)

    def __str__(self) -> str:
        return "/".join(str(part) for group in self.arguments for part in
                        (group if isinstance(group, list) else [group]))


class Recorder(ModuleType):
    """A module in which every name is a function that records its call."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *arguments, **options: Call(name, arguments, options)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Call]:
    """Everything that generate_launch_description calls."""
    for name in ("launch", "launch.actions", "launch.conditions", "launch.events",
                 "launch.substitutions", "launch_ros", "launch_ros.actions",
                 "launch_ros.event_handlers", "launch_ros.events", "launch_ros.events.lifecycle",
                 "launch_ros.parameter_descriptions", "launch_ros.substitutions"):
        monkeypatch.setitem(sys.modules, name, Recorder(name))
    pytest.importorskip("lifecycle_msgs.msg", reason="needs ROS's message packages")
    Call.made = []
    _module().generate_launch_description()
    return Call.made


def _module() -> Any:
    spec = importlib.util.spec_from_file_location("forest_robot_launch", LAUNCH_FILE)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def named(calls: list[Call], name: str) -> list[Call]:
    return [call for call in calls if call.name == name]


def test_it_has_these_arguments_and_each_is_described(calls: list[Call]) -> None:
    declared = {call.arguments[0]: call.options for call in named(calls, "DeclareLaunchArgument")}
    assert set(declared) == ARGUMENTS
    assert all(options["description"] and "default_value" in options
               for options in declared.values())


def test_every_argument_is_used_and_every_use_declared(calls: list[Call]) -> None:
    assert {call.arguments[0] for call in named(calls, "LaunchConfiguration")} == ARGUMENTS


def test_the_files_it_names_are_in_the_package(calls: list[Call]) -> None:
    paths = [call.arguments[0] for call in named(calls, "PathJoinSubstitution")]
    named_files = {Path(*path[1:]) for path in paths}
    assert Path("models/tiny_forest.onnx") in named_files
    for file in named_files - {Path("models/tiny_forest.onnx")}:
        assert (ROOT / file).is_file()


def test_the_node_is_the_packages_lifecycle_node_with_relative_topics(calls: list[Call]) -> None:
    node, = named(calls, "LifecycleNode")
    assert (node.options["package"], node.options["executable"]) == (
        "ssma_ros", "segmentation_node")
    assert [name for name, _ in node.options["remappings"]] == ["rgb/image", "aux/image"]


def test_parameters_have_no_second_defaults(calls: list[Call]) -> None:
    node, = named(calls, "LifecycleNode")
    params_file, overrides = node.options["parameters"]
    assert str(params_file) == "params_file"
    assert set(overrides) == {"model", "use_sim_time"}


def test_images_get_room_unless_the_user_has_a_profile(calls: list[Call]) -> None:
    for call in named(calls, "SetEnvironmentVariable"):
        name, value = call.arguments
        assert value.name == "EnvironmentVariable" and value.arguments == (name,)
        assert str(value.options["default_value"]).endswith("config/fastdds_images.xml")
    assert {call.arguments[0] for call in named(calls, "SetEnvironmentVariable")} == {
        "FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE"}


def test_it_configures_and_then_activates_when_autostart_is_true(calls: list[Call]) -> None:
    from lifecycle_msgs.msg import Transition

    changes = [call.options["transition_id"] for call in named(calls, "ChangeState")]
    assert set(changes) == {Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE}
    condition, = named(calls, "IfCondition")
    assert str(condition) == "autostart"
    begin = [c for c in named(calls, "EmitEvent") if "condition" in c.options]
    then, = named(calls, "RegisterEventHandler")
    assert [c.options["condition"] for c in (*begin, then)] == [condition] * 2


def test_the_params_file_holds_only_known_parameters_that_differ_from_the_defaults() -> None:
    pytest.importorskip("rclpy", reason="needs rclpy")
    from ssma_ros.parameters import Parameters

    given = yaml.safe_load((CONFIG / "forest_robot.yaml").read_text())["/**"]["ros__parameters"]
    defaults = vars(Parameters())
    assert given
    for name, value in given.items():
        assert type(value) is type(defaults[name])
        assert value != defaults[name], f"{name} repeats the node's default"


def test_the_fast_dds_segment_holds_images() -> None:
    root = ElementTree.parse(CONFIG / "fastdds_images.xml").getroot()
    space = {"dds": root.tag.partition("}")[0].lstrip("{")}
    size = root.findtext(".//dds:segment_size", namespaces=space)
    assert size and int(size) >= 8 * 1920 * 1080 * 3


@pytest.mark.ros
def test_the_real_launch_library_reads_it() -> None:
    pytest.importorskip("launch_ros.actions", reason="needs a ROS distribution's launch_ros")
    from launch.actions import DeclareLaunchArgument

    entities = _module().generate_launch_description().entities
    assert {e.name for e in entities if isinstance(e, DeclareLaunchArgument)} == ARGUMENTS

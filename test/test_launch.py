"""The launch files: their arguments, what they set, and that they say nothing twice.

Without a ROS distribution there is no launch library; then a stand-in records what a file builds
from it, which is enough to see that the file names what exists.
"""
from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar
from xml.etree import ElementTree

import pytest
import yaml
from conftest import ROOT

from ssma_ros.node.parameters import Parameters

FOREST_ROBOT = ROOT / "launch" / "forest_robot.launch.py"
REPLAY = ROOT / "launch" / "replay.launch.py"
CONFIG = ROOT / "config"
ARGUMENTS = {"model", "namespace", "rgb_topic", "aux_topic", "camera_info_topic", "params_file",
             "use_sim_time", "autostart", "log_level", "bag", "republish"}


class Call:
    """Something the launch file called: the name, and with what."""

    made: ClassVar[list[Call]] = []

    def __init__(self, name: str, arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
        self.name, self.arguments, self.options = name, arguments, options
        Call.made.append(self)

    def perform(self, context: Mapping[str, str]) -> str:
        """The value of a LaunchConfiguration: "" where the user gave none, as is their default."""
        return context.get(str(self), "")

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
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("launch", "launch.actions", "launch.conditions", "launch.events",
                 "launch.substitutions", "launch_ros", "launch_ros.actions",
                 "launch_ros.event_handlers", "launch_ros.events", "launch_ros.events.lifecycle",
                 "launch_ros.parameter_descriptions", "launch_ros.substitutions"):
        monkeypatch.setitem(sys.modules, name, Recorder(name))
    pytest.importorskip("lifecycle_msgs.msg", reason="needs ROS's message packages")
    Call.made = []


@pytest.fixture
def calls(stand_in: None) -> list[Call]:
    """Everything that the robot's launch file calls, without arguments."""
    return calls_with({})


def calls_with(arguments: Mapping[str, str], launch_file: Path = FOREST_ROBOT) -> list[Call]:
    Call.made = []
    description(launch_file)
    later, = named(Call.made, "OpaqueFunction")
    later.options["function"](arguments)
    return Call.made


@pytest.fixture
def replay_calls(stand_in: None) -> list[Call]:
    """Everything that bag_to_topics.launch.py calls, without arguments."""
    return calls_with({}, REPLAY)


def description(launch_file: Path) -> Any:
    spec = importlib.util.spec_from_file_location("launch_file", launch_file)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.generate_launch_description()


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
    assert paths and all(ROOT.joinpath(*path[1:]).is_file() for path in paths)


def test_the_node_is_the_packages_lifecycle_node_with_relative_topics(calls: list[Call]) -> None:
    node, = named(calls, "LifecycleNode")
    assert (node.options["package"], node.options["executable"]) == (
        "ssma_ros", "segmentation_node")
    assert [name for name, _ in node.options["remappings"]] == [
        "rgb/image", "aux/image", "rgb/camera_info"]
    assert str(node.options["namespace"]) == "namespace"


@pytest.mark.parametrize("given", [{}, {"model": "m.onnx"}, {"use_sim_time": "true"},
                                   {"model": "m.onnx", "use_sim_time": "false"}])
def test_only_parameters_that_are_given_override_the_params_file(
        stand_in: None, given: dict[str, str]) -> None:
    node, = named(calls_with(given), "LifecycleNode")
    params_file, *overrides = node.options["parameters"]
    assert str(params_file) == "params_file"
    assert {name: str(value) for override in overrides for name, value in override.items()} == {
        name: name for name in given}


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
    begin = [c for c in named(calls, "EmitEvent") if "condition" in c.options]
    then = named(calls, "RegisterEventHandler")[0]
    assert [str(c.options["condition"]) for c in (*begin, then)] == ["autostart"] * 2
    # Who configures it again by hand finds it inactive.
    assert named(calls, "OnStateTransition")[0].options["handle_once"]


def test_a_bag_is_replayed_with_its_time_when_the_node_listens(calls: list[Call]) -> None:
    pytest.importorskip("rclpy", reason="needs rclpy")
    from ssma_ros.replay import bag_to_topics

    process, = named(calls, "ExecuteProcess")
    program, *arguments = process.options["cmd"]
    assert program.options == {"package": "ssma_ros", "executable": "replay"}
    options = bag_to_topics._parser().parse_args([str(argument) for argument in arguments])
    assert (options.bag, options.clock) == ("bag", True)
    when = named(calls, "OnStateTransition")[-1]
    assert when.options["goal_state"] == "active" and when.options["entities"] == [process]
    condition = named(calls, "RegisterEventHandler")[-1].options["condition"]
    assert is_true(condition, bag="it's/a bag")
    assert not is_true(condition, bag="")


def test_the_overlay_is_republished_where_it_is_requested(calls: list[Call]) -> None:
    node, = named(calls, "Node")
    assert (node.options["package"], node.options["executable"]) == (
        "image_transport", "republish")
    assert str(node.options["namespace"]) == "namespace"  # its topics are relative like the node's
    assert ("in", "semantic/overlay") in node.options["remappings"]
    assert [str(argument) for argument in node.options["arguments"]] == ["raw", "republish"]
    parameters, = node.options["parameters"]  # after Humble
    assert {name: str(value) for name, value in parameters.items()} == {
        "in_transport": "raw", "out_transport": "republish"}
    # Any plugin publishes beneath "out".
    *_, (beneath, topic) = node.options["remappings"]
    assert "".join(map(str, beneath)) == "out/republish"
    assert "".join(map(str, topic)) == "semantic/overlay/republish"
    assert is_true(node.options["condition"], republish="compressed")
    assert not is_true(node.options["condition"], republish="")
    # It would republish what it publishes.
    assert not is_true(node.options["condition"], republish="raw")


def is_true(condition: Call, **arguments: str) -> bool:
    expression, = condition.arguments
    before, argument, after = expression.arguments[0]
    return eval(before + arguments[str(argument)] + after)


def test_a_drives_evaluation_asks_for_what_evaluate_bag_takes(replay_calls: list[Call]) -> None:
    from ssma_ros.replay import evaluate_bag

    process, = named(replay_calls, "ExecuteProcess")
    program, *arguments = process.options["cmd"]
    assert program.options == {"package": "ssma_ros", "executable": "evaluate_bag"}
    options = evaluate_bag._options([str(argument) for argument in arguments])
    assert (options.bags, options.rgb, options.aux, options.label) == (
        ["bag"], "rgb_topic", "aux_topic", "label_topic")
    assert options.live
    declared = {call.arguments[0] for call in named(replay_calls, "DeclareLaunchArgument")}
    assert declared == {c.arguments[0] for c in named(replay_calls, "LaunchConfiguration")}


def test_a_drive_is_evaluated_by_the_pairing_that_is_given(stand_in: None) -> None:
    from ssma_ros.replay import evaluate_bag

    process, = named(calls_with({"slop": "0.03", "aux_delay": "-0.1"}, REPLAY), "ExecuteProcess")
    values = {"slop": "0.03", "aux_delay": "-0.1"}
    arguments = [values.get(str(argument), str(argument)) for argument in process.options["cmd"]]
    options = evaluate_bag._options(arguments[1:])
    assert (options.slop, options.aux_delay) == (0.03, -0.1)
    assert options.queue_size == Parameters().queue_size


def test_the_params_file_holds_only_known_parameters_that_differ_from_the_defaults() -> None:
    text = (CONFIG / "forest_robot.yaml").read_text()
    given = yaml.safe_load(text)["/**"]["ros__parameters"]
    defaults = vars(Parameters())
    found, file = re.fullmatch(r"\$\(find-pkg-share (\w+)\)/(.*)", given["model"]).groups()
    assert found == "ssma_ros" and (ROOT / file).is_file()
    assert text.count("$(") == 1  # launch reads the comments, too
    for name, value in given.items():
        assert type(value) is type(defaults[name])
        assert value != defaults[name], f"{name} repeats the node's default"


def test_the_fast_dds_segment_holds_images() -> None:
    root = ElementTree.parse(CONFIG / "fastdds_images.xml").getroot()
    space = {"dds": root.tag.partition("}")[0].lstrip("{")}
    size = root.findtext(".//dds:segment_size", namespaces=space)
    assert size and int(size) >= 8 * 1920 * 1080 * 3


@pytest.mark.ros
def test_the_real_launch_library_reads_them() -> None:
    pytest.importorskip("launch_ros.actions", reason="needs a ROS distribution's launch_ros")
    from launch.actions import DeclareLaunchArgument

    entities = description(FOREST_ROBOT).entities
    assert {e.name for e in entities if isinstance(e, DeclareLaunchArgument)} == ARGUMENTS
    assert description(REPLAY).entities

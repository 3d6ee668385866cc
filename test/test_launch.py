"""The launch files: their arguments, what they set, and that they say nothing twice.

Without a ROS distribution there is no launch library; then a stand-in records what a file builds
from it, which is enough to see that the file names what exists.
"""
from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar
from xml.etree import ElementTree

import pytest
import yaml
from conftest import ROOT

from ssma_ros.node.advice import silence
from ssma_ros.node.parameters import Parameters

FOREST_ROBOT = ROOT / "launch" / "forest_robot.launch.py"
REPLAY = ROOT / "launch" / "replay.launch.py"
CONFIG = ROOT / "config"
ARGUMENTS = {"model", "namespace", "rgb_topic", "aux_topic", "camera_info_topic", "params_file",
             "registration", "label_groups", "use_sim_time", "autostart", "respawn", "log_level",
             "bag", "republish"}


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
    for name in ("launch", "launch.actions", "launch.event_handlers", "launch.events",
                 "launch.events.process", "launch.substitutions", "launch_ros",
                 "launch_ros.actions", "launch_ros.parameter_descriptions",
                 "launch_ros.substitutions"):
        monkeypatch.setitem(sys.modules, name, Recorder(name))
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


def segmentation_node(calls: list[Call]) -> Call:
    node, = (call for call in named(calls, "Node") if call.options["package"] == "ssma_ros")
    return node


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


def test_the_node_is_the_packages_with_relative_topics(calls: list[Call]) -> None:
    node = segmentation_node(calls)
    assert node.options["executable"] == node.options["name"] == "segmentation_node"
    assert [name for name, _ in node.options["remappings"]] == [
        "rgb/image", "aux/image", "rgb/camera_info"]
    assert str(node.options["namespace"]) == "namespace"


@pytest.mark.parametrize("given, expected", [
    ({}, {}),
    ({"model": "m.onnx"}, {"model": "m.onnx"}),
    ({"registration": "r.yaml", "label_groups": "g.yaml"},
     {"registration": "r.yaml", "label_groups": "g.yaml"}),
    ({"use_sim_time": "true"}, {"use_sim_time": "True"}),
    ({"model": "m.onnx", "use_sim_time": "false"}, {"model": "m.onnx", "use_sim_time": "False"}),
    # A bag's images have the bag's time; who says otherwise is obeyed.
    ({"bag": "drive.mcap"}, {"use_sim_time": "True"}),
    ({"bag": "drive.mcap", "use_sim_time": "false"}, {"use_sim_time": "False"})])
def test_only_parameters_that_are_given_override_the_params_file(
        stand_in: None, given: dict[str, str], expected: dict[str, str]) -> None:
    params_file, *overrides = segmentation_node(calls_with(given)).options["parameters"]
    assert str(params_file) == "params_file"
    assert {name: str(value) for override in overrides for name, value in override.items()} == {
        "autostart": "autostart", **expected}


def test_images_get_room_unless_the_user_has_a_profile(calls: list[Call]) -> None:
    for call in named(calls, "SetEnvironmentVariable"):
        name, value = call.arguments
        assert value.name == "EnvironmentVariable" and value.arguments == (name,)
        assert str(value.options["default_value"]).endswith("config/fastdds_images.xml")
    assert {call.arguments[0] for call in named(calls, "SetEnvironmentVariable")} == {
        "FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE"}


@pytest.fixture
def when_it_ends(calls: list[Call]) -> Callable[..., list[Call]]:
    """What the launch does when the node ends with a status, and whether it is ending already."""
    handler, = named(calls, "OnProcessExit")
    assert handler.options["target_action"] is segmentation_node(calls)
    assert named(calls, "RegisterEventHandler")[0].arguments == (handler,)

    def ended(status: int, *, is_shutdown: bool = False) -> list[Call]:
        found: list[Call] = handler.options["on_exit"](
            SimpleNamespace(returncode=status), SimpleNamespace(is_shutdown=is_shutdown))
        return found

    return ended


@pytest.mark.parametrize("status", [1, -9])
def test_a_node_that_fails_ends_the_launch_with_an_error(
        when_it_ends: Callable[..., list[Call]], status: int) -> None:
    """launch has no other way to a status that is not 0 than an exception."""
    with pytest.raises(RuntimeError, match=f"exit status {status}"):
        when_it_ends(status)


def test_a_node_that_is_ended_ends_the_launch(when_it_ends: Callable[..., list[Call]]) -> None:
    shutdown, = when_it_ends(0)
    assert shutdown.name == "Shutdown"


@pytest.mark.parametrize("status", [0, 1])
def test_a_launch_that_is_ending_is_left_alone(
        when_it_ends: Callable[..., list[Call]], status: int) -> None:
    assert when_it_ends(status, is_shutdown=True) == []


def test_a_node_is_started_again_instead_where_that_is_requested(stand_in: None) -> None:
    assert not segmentation_node(calls_with({})).options["respawn"]
    calls = calls_with({"respawn": "true"})
    assert segmentation_node(calls).options["respawn"]
    assert not named(calls, "OnProcessExit")


@pytest.mark.parametrize("namespace, topic", [
    ("", "/semantic/mode"), ("front", "/front/semantic/mode"), ("/front/", "/front/semantic/mode")])
def test_a_bag_is_replayed_with_its_time_when_the_node_listens(
        stand_in: None, namespace: str, topic: str) -> None:
    pytest.importorskip("rclpy", reason="needs rclpy")
    from ssma_ros.replay import bag_to_topics

    assert not named(calls_with({}), "ExecuteProcess")
    process, = named(calls_with({"bag": "drive.mcap", "namespace": namespace}), "ExecuteProcess")
    program, *arguments = process.options["cmd"]
    assert program.options == {"package": "ssma_ros", "executable": "replay"}
    options = bag_to_topics._parser().parse_args([str(argument) for argument in arguments])
    assert (options.bag, options.clock, options.wait_for_mode) == ("bag", True, topic)


def republishers(calls: list[Call]) -> list[Call]:
    return [call for call in named(calls, "Node") if call.options["executable"] == "republish"]


def test_the_overlay_is_republished_where_it_is_requested(stand_in: None) -> None:
    node, = republishers(calls_with({"republish": "compressed"}))
    assert node.options["package"] == "image_transport"
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


@pytest.mark.parametrize("transport", ["", "raw"])  # raw would be its own messages
def test_the_overlay_is_not_republished_otherwise(stand_in: None, transport: str) -> None:
    assert not republishers(calls_with({"republish": transport}))


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


def transports(profile: str) -> dict[str, dict[str, str]]:
    """What a profile of Fast DDS says of each transport, by its type; all of them are in use, and
    no others."""
    root = ElementTree.parse(CONFIG / profile).getroot()
    for element in root.iter():
        element.tag = element.tag.partition("}")[2]
    found = [{child.tag: child.text or "" for child in element}
             for element in root.iter("transport_descriptor")]
    participant = next(root.iter("participant"))
    assert participant.get("is_default_profile") == "true"
    assert participant.findtext("rtps/useBuiltinTransports") == "false"
    assert {each.text for each in participant.iterfind("rtps/userTransports/transport_id")} == {
        each["transport_id"] for each in found}
    return {each["type"]: each for each in found}


def test_the_fast_dds_segment_holds_images() -> None:
    found = transports("fastdds_images.xml")
    assert int(found["SHM"]["segment_size"]) >= 8 * 1920 * 1080 * 3
    assert "UDPv4" in found


def test_messages_over_a_network_fit_a_packet_and_its_buffers_an_image() -> None:
    udp, = transports("fastdds_network.xml").values()
    assert udp["type"] == "UDPv4"
    headers = 20 + 8  # of IP and UDP, in a packet of Ethernet
    assert int(udp["maxMessageSize"]) == 1400 <= 1500 - headers
    assert int(udp["sendBufferSize"]) == int(udp["receiveBufferSize"]) == 4 * 1024**2


def test_the_advice_names_profiles_that_are_there() -> None:
    assert (ROOT / silence.PROFILE).is_file() and (ROOT / silence.NETWORK_PROFILE).is_file()


@pytest.mark.ros
def test_the_real_launch_library_reads_them() -> None:
    pytest.importorskip("launch_ros.actions", reason="needs a ROS distribution's launch_ros")
    from launch.actions import DeclareLaunchArgument

    entities = description(FOREST_ROBOT).entities
    assert {e.name for e in entities if isinstance(e, DeclareLaunchArgument)} == ARGUMENTS
    assert description(REPLAY).entities

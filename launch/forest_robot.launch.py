"""Starts the segmentation node on a robot, and activates it unless autostart is false.

    ros2 launch ssma_ros forest_robot.launch.py rgb_topic:=/camera/color/image_raw \
        aux_topic:=/camera/aligned_depth_to_color/image_raw \
        camera_info_topic:=/camera/color/camera_info

Arguments can also replay a recorded drive instead of cameras, and publish the overlay compressed,
for a viewer behind a slow link:

    … bag:=drive.mcap republish:=compressed

When the node ends by itself, so does the launch, with a status that is not 0 if the node failed.
With respawn:=true the node is started again instead.

Topics are set here. Parameters have their defaults in the node and the robot's values in the params
file; an argument overrides both.
"""
from __future__ import annotations

from typing import Any

from launch import Action, LaunchContext, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    OpaqueFunction,
    RegisterEventHandler,
    SetEnvironmentVariable,
    Shutdown,
)
from launch.event_handlers import OnProcessExit
from launch.events.process import ProcessExited
from launch.substitutions import (
    EnvironmentVariable,
    LaunchConfiguration,
    PathJoinSubstitution,
)
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterFile, ParameterValue
from launch_ros.substitutions import ExecutableInPackage, FindPackageShare

from ssma_ros.replay.dds import PROFILE_VARIABLES

RESPAWN_DELAY_S = 2.0


def generate_launch_description() -> LaunchDescription:
    return LaunchDescription([*_arguments(), *_room_for_images(), OpaqueFunction(function=_robot)])


def _robot(context: LaunchContext) -> list[Action]:
    respawn = LaunchConfiguration("respawn").perform(context) == "true"
    node = Node(
        package="ssma_ros",
        executable="segmentation_node",
        name="segmentation_node",
        namespace=LaunchConfiguration("namespace"),
        output="screen",
        parameters=[ParameterFile(LaunchConfiguration("params_file"), allow_substs=True),
                    *_parameters_given(context)],
        remappings=[
            ("rgb/image", LaunchConfiguration("rgb_topic")),
            ("aux/image", LaunchConfiguration("aux_topic")),
            ("rgb/camera_info", LaunchConfiguration("camera_info_topic")),
        ],
        arguments=["--ros-args", "--log-level", LaunchConfiguration("log_level")],
        respawn=respawn, respawn_delay=RESPAWN_DELAY_S,
    )
    return [node, *([] if respawn else [_ends_with(node)]), *_replay(context), *_republish(context)]


def _parameters_given(context: LaunchContext) -> list[dict[str, Any]]:
    """The parameters given as arguments. The others must be absent: the params file sets them."""
    time, bag = (LaunchConfiguration(name).perform(context) for name in ("use_sim_time", "bag"))
    files = {name: LaunchConfiguration(name).perform(context)
             for name in ("model", "registration", "label_groups")}
    given: list[dict[str, Any]] = [
        {"autostart": ParameterValue(LaunchConfiguration("autostart"), value_type=bool)}]
    given += [{name: ParameterValue(path, value_type=str)} for name, path in files.items() if path]
    if time or bag:  # a bag's images have the bag's time
        given.append({"use_sim_time": time != "false"})
    return given


def _ends_with(node: Node) -> RegisterEventHandler:
    """Ends the launch when the node ends by itself. Only an exception gives a status other
    than 0."""
    def ended(event: ProcessExited, context: LaunchContext) -> list[Action]:
        if context.is_shutdown:
            return []
        if event.returncode:
            raise RuntimeError(f"segmentation_node ended with exit status {event.returncode}; its "
                               "own lines above say why")
        return [Shutdown(reason="segmentation_node ended")]

    return RegisterEventHandler(OnProcessExit(target_action=node, on_exit=ended))


def _arguments() -> list[DeclareLaunchArgument]:
    return [
        DeclareLaunchArgument(
            "model", default_value="",
            description="model file, .onnx, .engine or .safetensors; empty: as in params_file"),
        DeclareLaunchArgument(
            "registration", default_value="",
            description="a file of `ssma register`, for second images that are not registered; "
            "empty: as in params_file"),
        DeclareLaunchArgument(
            "label_groups", default_value="",
            description="a YAML file that joins the model's classes to groups; empty: as in "
            "params_file"),
        DeclareLaunchArgument(
            "namespace", default_value="",
            description="namespace of the node and its topics, for one node per camera"),
        DeclareLaunchArgument(
            "rgb_topic", default_value="rgb/image", description="the colour images"),
        DeclareLaunchArgument(
            "aux_topic", default_value="aux/image",
            description="the second sensor's images, registered to the colour images, or to be by "
            "the argument registration"),
        DeclareLaunchArgument(
            "camera_info_topic", default_value="rgb/camera_info",
            description="the colour camera's calibration, for semantic/points"),
        DeclareLaunchArgument(
            "params_file", default_value=_share("config", "forest_robot.yaml"),
            description="the robot's parameters"),
        DeclareLaunchArgument(
            "use_sim_time", default_value="", choices=["", "true", "false"],
            description="take the time from /clock, as in a simulation; empty: true with bag, "
            "otherwise as in params_file"),
        DeclareLaunchArgument(
            "autostart", default_value="true", choices=["true", "false"],
            description="configure and activate the node; false: a lifecycle manager does it"),
        DeclareLaunchArgument(
            "respawn", default_value="false", choices=["true", "false"],
            description="start the node again, configured and active, when it dies; false: the "
            "launch ends with it"),
        DeclareLaunchArgument(
            "log_level", default_value="info", description="debug, info, warn, error or fatal"),
        DeclareLaunchArgument(
            "bag", default_value="",
            description="a rosbag2 to replay, with /clock, when the node is active"),
        DeclareLaunchArgument(
            "republish", default_value="",
            description="a transport of image_transport, such as compressed, in which the overlay "
            "is also published; it is published raw in any case"),
    ]


def _share(*path: str) -> PathJoinSubstitution:
    return PathJoinSubstitution([FindPackageShare("ssma_ros"), *path])


def _room_for_images() -> list[SetEnvironmentVariable]:
    """Sets the profile of Fast DDS. One that the user has set stays."""
    return [
        SetEnvironmentVariable(
            name, EnvironmentVariable(name, default_value=_share("config", "fastdds_images.xml")))
        for name in PROFILE_VARIABLES
    ]


def _replay(context: LaunchContext) -> list[Action]:
    """Replays the whole bag: it also contains the time, and what a viewer shows beside images.
    It begins when the node says its mode, as it does when it is activated."""
    if not LaunchConfiguration("bag").perform(context):
        return []
    namespace = LaunchConfiguration("namespace").perform(context).strip("/")
    return [ExecuteProcess(
        cmd=[ExecutableInPackage(package="ssma_ros", executable="replay"),
             LaunchConfiguration("bag"), "--clock",
             "--wait-for-mode", f"{namespace and '/' + namespace}/semantic/mode"],
        name="replay", output="screen")]


def _republish(context: LaunchContext) -> list[Action]:
    """image_transport's own republish. Humble's takes the transports as arguments, and subscribes
    to the overlay also when it has no subscriber itself; later ones take parameters, and Jazzy's,
    since the end of 2024, works only while it has a subscriber."""
    transport = LaunchConfiguration("republish")
    if transport.perform(context) in ("", "raw"):  # raw would receive its own messages, endlessly
        return []
    return [Node(
        package="image_transport", executable="republish", name="republish_overlay",
        namespace=LaunchConfiguration("namespace"), arguments=["raw", transport],
        parameters=[{"in_transport": "raw", "out_transport": transport}],
        remappings=[("in", "semantic/overlay"), ("out", "semantic/overlay"),
                    (["out/", transport], ["semantic/overlay/", transport])])]

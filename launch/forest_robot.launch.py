"""Starts the segmentation node on a robot, and activates it unless autostart is false.

    ros2 launch ssma_ros forest_robot.launch.py rgb_topic:=/camera/color/image_raw \
        aux_topic:=/camera/aligned_depth_to_color/image_raw \
        camera_info_topic:=/camera/color/camera_info

Arguments can also replay a recorded drive instead of cameras, and publish the overlay compressed,
for a viewer behind a slow link:

    … bag:=drive.mcap use_sim_time:=true republish:=compressed

Topics are set here. Parameters have their defaults in the node and the robot's values in the params
file; an argument overrides both.
"""
from __future__ import annotations

from launch import Action, LaunchContext, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    ExecuteProcess,
    OpaqueFunction,
    RegisterEventHandler,
    SetEnvironmentVariable,
)
from launch.conditions import IfCondition
from launch.events import matches_action
from launch.substitutions import (
    EnvironmentVariable,
    LaunchConfiguration,
    PathJoinSubstitution,
    PythonExpression,
)
from launch_ros.actions import LifecycleNode, Node
from launch_ros.event_handlers import OnStateTransition
from launch_ros.events.lifecycle import ChangeState
from launch_ros.parameter_descriptions import ParameterFile, ParameterValue
from launch_ros.substitutions import ExecutableInPackage, FindPackageShare
from lifecycle_msgs.msg import Transition


def generate_launch_description() -> LaunchDescription:
    return LaunchDescription([*_arguments(), *_room_for_images(), OpaqueFunction(function=_robot)])


def _robot(context: LaunchContext) -> list[Action]:
    node = LifecycleNode(
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
    )
    return [node, *_brought_to_active(node), _replayed_when_active(node), _republish()]


def _parameters_given(context: LaunchContext) -> list[dict[str, ParameterValue]]:
    """The parameters given as arguments. The others must be absent: the params file sets them."""
    types = {"model": str, "use_sim_time": bool}
    return [{name: ParameterValue(LaunchConfiguration(name), value_type=types[name])}
            for name in types if LaunchConfiguration(name).perform(context)]


def _arguments() -> list[DeclareLaunchArgument]:
    return [
        DeclareLaunchArgument(
            "model", default_value="",
            description="model file, .onnx, .engine or .safetensors; empty: as in params_file"),
        DeclareLaunchArgument(
            "namespace", default_value="",
            description="namespace of the node and its topics, for one node per camera"),
        DeclareLaunchArgument(
            "rgb_topic", default_value="rgb/image", description="the colour images"),
        DeclareLaunchArgument(
            "aux_topic", default_value="aux/image",
            description="the second sensor's images, registered to the colour images"),
        DeclareLaunchArgument(
            "camera_info_topic", default_value="rgb/camera_info",
            description="the colour camera's calibration, for semantic/points"),
        DeclareLaunchArgument(
            "params_file", default_value=_share("config", "forest_robot.yaml"),
            description="the robot's parameters"),
        DeclareLaunchArgument(
            "use_sim_time", default_value="", choices=["", "true", "false"],
            description="take the time from /clock, for a simulation or a replayed bag; empty: as "
            "in params_file"),
        DeclareLaunchArgument(
            "autostart", default_value="true", choices=["true", "false"],
            description="configure and activate the node; false: a lifecycle manager does it"),
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
    """Sets the profile of Fast DDS, by the variable of versions before 3 and by that of later ones.
    A profile that the user has set stays."""
    return [
        SetEnvironmentVariable(
            name, EnvironmentVariable(name, default_value=_share("config", "fastdds_images.xml")))
        for name in ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
    ]


def _brought_to_active(node: LifecycleNode) -> list[EmitEvent | RegisterEventHandler]:
    """Activates the node once; later `ros2 lifecycle set` decides. By events, which every
    distribution's launch_ros has (Humble has no other way)."""
    autostart = IfCondition(LaunchConfiguration("autostart"))

    def change(transition_id: int) -> ChangeState:
        return ChangeState(
            lifecycle_node_matcher=matches_action(node), transition_id=transition_id)

    return [
        RegisterEventHandler(
            OnStateTransition(
                target_lifecycle_node=node, start_state="configuring", goal_state="inactive",
                handle_once=True,
                entities=[EmitEvent(event=change(Transition.TRANSITION_ACTIVATE))]),
            condition=autostart),
        EmitEvent(event=change(Transition.TRANSITION_CONFIGURE), condition=autostart),
    ]


def _replayed_when_active(node: LifecycleNode) -> RegisterEventHandler:
    """Replays the whole bag: it also contains the time, and what a viewer shows beside images."""
    return RegisterEventHandler(
        OnStateTransition(
            target_lifecycle_node=node, goal_state="active", handle_once=True,
            entities=[ExecuteProcess(
                cmd=[ExecutableInPackage(package="ssma_ros", executable="replay"),
                     LaunchConfiguration("bag"), "--clock"],
                name="replay", output="screen")]),
        condition=_is_none_of("bag", ""))


def _republish() -> Node:
    """image_transport's own republish. Humble's takes the transports as arguments, and subscribes
    to the overlay also when it has no subscriber itself; later ones take parameters, and Jazzy's,
    since the end of 2024, works only while it has a subscriber."""
    transport = LaunchConfiguration("republish")
    return Node(
        package="image_transport", executable="republish", name="republish_overlay",
        namespace=LaunchConfiguration("namespace"), arguments=["raw", transport],
        parameters=[{"in_transport": "raw", "out_transport": transport}],
        remappings=[("in", "semantic/overlay"), ("out", "semantic/overlay"),
                    (["out/", transport], ["semantic/overlay/", transport])],
        # With raw it would receive its own messages, endlessly.
        condition=_is_none_of("republish", "", "raw"))


def _is_none_of(argument: str, *values: str) -> IfCondition:
    """A condition that Humble's launch also supports."""
    return IfCondition(
        PythonExpression(["r'''", LaunchConfiguration(argument), f"''' not in {values}"]))

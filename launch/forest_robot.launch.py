"""Brings the segmentation node up on a robot: active by itself, unless autostart is false.

    ros2 launch ssma_ros forest_robot.launch.py rgb_topic:=/camera/color/image_raw \
        aux_topic:=/camera/aligned_depth_to_color/image_raw

Topics and paths stand here; parameters have their defaults in the node and the robot's values in
the params file.
"""
from __future__ import annotations

from launch import LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    RegisterEventHandler,
    SetEnvironmentVariable,
)
from launch.conditions import IfCondition
from launch.events import matches_action
from launch.substitutions import EnvironmentVariable, LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import LifecycleNode
from launch_ros.event_handlers import OnStateTransition
from launch_ros.events.lifecycle import ChangeState
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare
from lifecycle_msgs.msg import Transition


def generate_launch_description() -> LaunchDescription:
    node = LifecycleNode(
        package="ssma_ros",
        executable="segmentation_node",
        name="segmentation_node",
        namespace="",
        output="screen",
        parameters=[
            LaunchConfiguration("params_file"),
            {"model": LaunchConfiguration("model"),
             "use_sim_time": ParameterValue(LaunchConfiguration("use_sim_time"), value_type=bool)},
        ],
        remappings=[
            ("rgb/image", LaunchConfiguration("rgb_topic")),
            ("aux/image", LaunchConfiguration("aux_topic")),
        ],
        arguments=["--ros-args", "--log-level", LaunchConfiguration("log_level")],
    )
    return LaunchDescription(
        [*_arguments(), *_room_for_images(), node, *_brought_to_active(node)])


def _arguments() -> list[DeclareLaunchArgument]:
    return [
        DeclareLaunchArgument(
            "model", default_value=_share("models", "tiny_forest.onnx"),
            description="model file, .onnx or .safetensors"),
        DeclareLaunchArgument(
            "rgb_topic", default_value="rgb/image", description="the colour images"),
        DeclareLaunchArgument(
            "aux_topic", default_value="aux/image",
            description="the second sensor's images, registered to the colour images"),
        DeclareLaunchArgument(
            "params_file", default_value=_share("config", "forest_robot.yaml"),
            description="the robot's parameters"),
        DeclareLaunchArgument(
            "use_sim_time", default_value="false", choices=["true", "false"],
            description="take the time from /clock, as with a simulation or a replayed bag"),
        DeclareLaunchArgument(
            "autostart", default_value="true", choices=["true", "false"],
            description="configure and activate the node; otherwise a lifecycle manager does"),
        DeclareLaunchArgument(
            "log_level", default_value="info", description="debug, info, warn, error or fatal"),
    ]


def _share(*path: str) -> PathJoinSubstitution:
    return PathJoinSubstitution([FindPackageShare("ssma_ros"), *path])


def _room_for_images() -> list[SetEnvironmentVariable]:
    """Fast DDS' profile, under its name before version 3 and since; the user's own one stays."""
    return [
        SetEnvironmentVariable(
            name, EnvironmentVariable(name, default_value=_share("config", "fastdds_images.xml")))
        for name in ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
    ]


def _brought_to_active(node: LifecycleNode) -> list[EmitEvent | RegisterEventHandler]:
    """By events, which every distribution's launch_ros has (Humble has no other way)."""
    autostart = IfCondition(LaunchConfiguration("autostart"))

    def change(transition_id: int) -> ChangeState:
        return ChangeState(
            lifecycle_node_matcher=matches_action(node), transition_id=transition_id)

    return [
        RegisterEventHandler(
            OnStateTransition(
                target_lifecycle_node=node, start_state="configuring", goal_state="inactive",
                entities=[EmitEvent(event=change(Transition.TRANSITION_ACTIVATE))]),
            condition=autostart),
        EmitEvent(event=change(Transition.TRANSITION_CONFIGURE), condition=autostart),
    ]

"""Reports, on one page, how good a model is on a recorded drive and how many frames the node loses.

    ros2 launch ssma_ros replay.launch.py bag:=drive.mcap label_topic:=/truth/label \
        rgb_topic:=/camera/color/image_raw aux_topic:=/camera/aligned_depth_to_color/image_raw

This is `evaluate_bag --live`: the bag goes through the node's functions, where nothing is dropped,
and then at its own speed through the node, in a DDS domain where no robot listens. If the robot
does not pair with the node's defaults, give its values: slop, queue_size, aux_delay. To replay a
bag beside other nodes, use forest_robot.launch.py.
"""
from __future__ import annotations

from launch import Action, LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, ExecuteProcess, OpaqueFunction
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.substitutions import ExecutableInPackage, FindPackageShare

PAIRING = {"slop": "greatest difference of the stamps of a pair, in seconds",
           "queue_size": "number of images that may wait for their partner",
           "aux_delay": "delay of the second sensor's stamps, in seconds"}


def generate_launch_description() -> LaunchDescription:
    return LaunchDescription([
        DeclareLaunchArgument("bag", description="rosbag2 folder, .mcap or .db3 file"),
        DeclareLaunchArgument("rgb_topic", description="the colour images"),
        DeclareLaunchArgument("aux_topic", description="the second sensor's images"),
        DeclareLaunchArgument("label_topic", description="ground truth, mono8"),
        DeclareLaunchArgument(
            "model", default_value=PathJoinSubstitution(
                [FindPackageShare("ssma_ros"), "models", "tiny_forest.onnx"]),
            description="model file, .onnx, .engine or .safetensors"),
        DeclareLaunchArgument(
            "report", default_value="report.html", description="the page to write"),
        *(DeclareLaunchArgument(name, default_value="", description=f"{description}; empty: the "
                                "node's default")
          for name, description in PAIRING.items()),
        OpaqueFunction(function=_evaluation),
    ])


def _evaluation(context: LaunchContext) -> list[Action]:
    given = [name for name in PAIRING if LaunchConfiguration(name).perform(context)]
    pairing = [part for name in given
               for part in (f"--{name.replace('_', '-')}", LaunchConfiguration(name))]
    return [ExecuteProcess(
        cmd=[ExecutableInPackage(package="ssma_ros", executable="evaluate_bag"),
             LaunchConfiguration("bag"), "--model", LaunchConfiguration("model"),
             "--rgb", LaunchConfiguration("rgb_topic"),
             "--aux", LaunchConfiguration("aux_topic"),
             "--label", LaunchConfiguration("label_topic"),
             "--report", LaunchConfiguration("report"), "--live", *pairing],
        output="screen")]

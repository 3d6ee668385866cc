"""How good a model is on a recorded drive, and what the node's own pace costs, as one page.

    ros2 launch ssma_ros replay.launch.py bag:=drive.mcap label_topic:=/truth/label \
        rgb_topic:=/camera/color/image_raw aux_topic:=/camera/aligned_depth_to_color/image_raw

This is `evaluate_bag --live`: the bag goes through the node's functions with nothing dropped, and
then at its own pace through the node, in a DDS domain where no robot listens. Where the robot pairs
by other values than the node's defaults, give them: slop, queue_size, aux_delay. To look at a bag
beside other nodes, forest_robot.launch.py takes one, too.
"""
from __future__ import annotations

from launch import Action, LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, ExecuteProcess, OpaqueFunction
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.substitutions import ExecutableInPackage, FindPackageShare

PAIRING = {"slop": "how many seconds the stamps of a pair may lie apart",
           "queue_size": "how many images may wait for their partner",
           "aux_delay": "how many seconds late the second sensor's stamps are"}


def generate_launch_description() -> LaunchDescription:
    return LaunchDescription([
        DeclareLaunchArgument("bag", description="rosbag2 folder, .mcap or .db3 file"),
        DeclareLaunchArgument("rgb_topic", description="the colour images"),
        DeclareLaunchArgument("aux_topic", description="the second sensor's images"),
        DeclareLaunchArgument("label_topic", description="true labels, mono8"),
        DeclareLaunchArgument(
            "model", default_value=PathJoinSubstitution(
                [FindPackageShare("ssma_ros"), "models", "tiny_forest.onnx"]),
            description="model file, .onnx, .engine or .safetensors"),
        DeclareLaunchArgument(
            "report", default_value="report.html", description="the page that is written"),
        *(DeclareLaunchArgument(name, default_value="", description=f"{description}; empty: as the "
                                "node by default")
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

"""The sample for Nav2's lifecycle manager and semantic_segmentation_layer says what these read, in
their types (ROS refuses 5 for 5.0), and names what our model and node publish."""
from __future__ import annotations

from typing import Any

import pytest
import yaml
from conftest import ROOT

from ssma_core import Segmenter

# Declared by semantic_segmentation_layer.cpp (ros-navigation, branch jazzy of May 2026), with its
# defaults.
LAYER = {"enabled": True, "combination_method": 1, "observation_sources": "",
         "publish_debug_topics": False, "use_approximate_time_sync": True, "sensor_data_depth": 10}
SOURCE = {"segmentation_topic": "", "confidence_topic": "", "labels_topic": "",
          "pointcloud_topic": "", "observation_persistence": 0.0, "expected_update_rate": 0.0,
          "class_types": [], "max_obstacle_distance": 5.0, "min_obstacle_distance": 0.3,
          "tile_map_decay_time": 5.0, "visualize_tile_map": False, "use_cost_selection": True}
CLASS_TYPE = {"classes": [], "base_cost": 0, "max_cost": 0, "mark_confidence": 0,
              "samples_to_max_cost": 0, "dominant_priority": False}


# Declared by nav2_lifecycle_manager's lifecycle_manager.cpp, of humble, jazzy and main alike.
MANAGER = {"node_names": [], "autostart": False, "bond_timeout": 4.0,
           "bond_respawn_max_duration": 10.0, "attempt_respawn_reconnection": True}


@pytest.fixture(scope="module")
def sample() -> dict[str, Any]:
    return dict(yaml.safe_load((ROOT / "config" / "nav2_semantic_costmap.yaml").read_text()))


@pytest.fixture(scope="module")
def layer(sample: dict[str, Any]) -> dict[str, Any]:
    return dict(sample["local_costmap"]["local_costmap"]["ros__parameters"]["semantic_layer"])


def check_types(given: dict[str, Any], declared: dict[str, Any], besides: set[str]) -> None:
    assert set(given) <= set(declared) | besides
    for name in set(given) - besides:
        assert type(given[name]) is type(declared[name]), name


def test_the_lifecycle_manager_takes_its_parameters_and_manages_the_node(
        sample: dict[str, Any]) -> None:
    given = sample["lifecycle_manager_perception"]["ros__parameters"]
    check_types(given, MANAGER, set())
    launch = (ROOT / "launch" / "forest_robot.launch.py").read_text()
    assert all(f'name="{name}"' in launch for name in given["node_names"])


def test_every_parameter_is_one_of_the_layers_and_of_its_type(layer: dict[str, Any]) -> None:
    camera = layer["camera"]
    check_types(layer, LAYER, {"plugin", "camera"})
    check_types(camera, SOURCE, set(camera["class_types"]))
    assert layer["observation_sources"] == "camera"
    for kind in camera["class_types"]:
        check_types(camera[kind], CLASS_TYPE, set())


def test_costs_and_confidences_are_bytes_up_to_the_lethal_cost(layer: dict[str, Any]) -> None:
    for kind in layer["camera"]["class_types"]:
        rule = layer["camera"][kind]
        assert 0 <= rule["base_cost"] <= rule["max_cost"] <= 254
        assert 0 <= rule["mark_confidence"] < 255  # the layer asks for more than that


def test_every_class_of_the_model_that_has_depth_has_one_cost(layer: dict[str, Any]) -> None:
    named = [name for kind in layer["camera"]["class_types"]
             for name in layer["camera"][kind]["classes"]]
    spec = Segmenter(ROOT / "models" / "tiny_forest.onnx").spec
    assert sorted(named) == sorted(set(spec.class_names) - {"void", "sky"})


def test_its_topics_are_the_nodes(layer: dict[str, Any]) -> None:
    topics = {name: topic for name, topic in layer["camera"].items() if "topic" in name}
    assert topics == {
        "segmentation_topic": "/semantic/label", "confidence_topic": "/semantic/confidence",
        "pointcloud_topic": "/semantic/points", "labels_topic": "/semantic/label_info"}
    node = (ROOT / "ssma_ros" / "node" / "topics.py").read_text()
    for topic in topics.values():  # relative there: without a namespace, the first slash is its own
        assert f'"{topic.removeprefix("/")}"' in node

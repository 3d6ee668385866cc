"""The CameraInfo of a bag's cameras, as plain data."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ssma_core.bags import rosbag2
from ssma_core.bags.calibration.camera_info import CAMERA_INFO, first, info_topic
from ssma_core.bags.rosbag2 import Topic
from ssma_core.errors import SsmaError
from ssma_core.files import write_text

NONE = "none"  # in place of a topic


def topic_for(images: str, given: str | None, found: Mapping[str, Topic]) -> str | None:
    """The topic with the CameraInfo of these images: `given`, or else camera_info beside them, as
    image_transport has it, if the bag has such a topic."""
    if given is not None:
        return None if given == NONE else given
    name = info_topic(images)
    return name if name in found and found[name].type == CAMERA_INFO else None


def read(bag: Path, topic: str) -> dict[str, Any]:
    """The first message, with the fields' ROS names, and its topic. Raises SsmaError where there is
    none, or the topic has another type."""
    return {"topic": topic, **_plain(rosbag2.decode(first(bag, topic)))}


def check_size(info: Mapping[str, Any], size: tuple[int, int], where: str, images: str,
               option: str) -> None:
    """Raises SsmaError unless the CameraInfo is of images of this width and height: those of its
    region of interest, or else of the whole camera, divided by its binning.

    where: names it; images: their topic; option: which one names another CameraInfo.
    """
    whole = info["roi"] if info["roi"]["width"] and info["roi"]["height"] else info
    described = (whole["width"] // max(1, info["binning_x"]),
                 whole["height"] // max(1, info["binning_y"]))
    if described != size:
        raise SsmaError(f"{where} is of {described[0]}x{described[1]}, but the images on {images} "
                        f"are {size[0]}x{size[1]}: name another topic by {option}, or give "
                        f"{option} {NONE} to do without")


def write(path: Path, infos: Mapping[str, Any]) -> None:
    """Writes the CameraInfo of each camera, by its folder's name, as YAML."""
    import yaml

    write_text(path, "# sensor_msgs/msg/CameraInfo of each folder's camera, as recorded\n"
               + yaml.safe_dump(dict(infos), sort_keys=False, default_flow_style=None))


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)
                if not field.name.startswith("_")}
    return value.tolist() if isinstance(value, np.ndarray) else value

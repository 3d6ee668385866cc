"""DDS for this process and those it starts, without a look at what else runs on the machine."""
from __future__ import annotations

import os
import sys
from pathlib import Path

PROFILE = Path("config", "fastdds_images.xml")
# Who has found a service waits so long before he asks: until it has found him, too, its answers are
# lost.
MATCHED_S = 0.3


def isolate() -> None:
    """In a domain of its own, on this machine alone, with room for images.

    To be called before rclpy is imported: Fast DDS reads its profile when it is loaded. A profile
    that the user has set stays.
    """
    profile = str(_profile())
    os.environ.setdefault("FASTRTPS_DEFAULT_PROFILES_FILE", profile)
    os.environ.setdefault("FASTDDS_DEFAULT_PROFILES_FILE", profile)
    if os.environ.get("ROS_DISTRO") == "humble":  # does not know the other; later ones warn of this
        os.environ["ROS_LOCALHOST_ONLY"] = "1"
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    os.environ["ROS_DOMAIN_ID"] = str(1 + os.getpid() % 100)


def _profile() -> Path:
    """In a checkout, in a ROS workspace, or where pip puts it."""
    prefixes = [*os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep), sys.prefix]
    places = [Path(__file__).parents[1] / PROFILE,
              *(Path(prefix, "share", "ssma_ros", PROFILE) for prefix in prefixes if prefix)]
    return next((place for place in places if place.is_file()), places[0])

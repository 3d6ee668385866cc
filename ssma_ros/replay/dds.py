"""DDS for this process and those it starts, without a look at what else runs on the machine."""
from __future__ import annotations

import functools
import os
import sys
from pathlib import Path

PROFILE = Path("config", "fastdds_images.xml")
# Of versions before 3, and of later ones.
PROFILE_VARIABLES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
# A client waits this long after it found a service: until the service has found the client, replies
# are lost.
MATCHED_S = 0.3


def isolate() -> None:
    """In a domain of its own, on this machine alone, with room for images.

    To be called before rclpy is imported: Fast DDS reads its profile when it is loaded. A profile
    that the user has set stays.
    """
    os.environ.update({**room_for_images(), **os.environ, **own_domain()})


@functools.cache
def own_domain() -> dict[str, str]:
    """The environment variables of a domain for this process and those it starts, which is not the
    user's."""
    humble = os.environ.get("ROS_DISTRO") == "humble"
    number = os.getpid() % 100
    if str(1 + number) == os.environ.get("ROS_DOMAIN_ID"):
        number = (number + 1) % 100
    return {"ROS_DOMAIN_ID": str(1 + number),
            "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
            # Humble does not know that, and later ones warn of this.
            **({"ROS_LOCALHOST_ONLY": "1"} if humble else {})}


def room_for_images() -> dict[str, str]:
    """The environment variables of Fast DDS' profile."""
    return dict.fromkeys(PROFILE_VARIABLES, str(_profile()))


def _profile() -> Path:
    """In a checkout, in a ROS workspace, or where pip puts it."""
    prefixes = [*os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep), sys.prefix]
    places = [Path(__file__).parents[2] / PROFILE,
              *(Path(prefix, "share", "ssma_ros", PROFILE) for prefix in prefixes if prefix)]
    return next((place for place in places if place.is_file()), places[0])

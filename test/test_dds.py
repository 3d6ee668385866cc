"""What a demo or an evaluation does is neither seen nor disturbed by what else runs."""
import os

import pytest

from ssma_ros import dds


@pytest.mark.parametrize("distribution, expected", [
    ("humble", {"ROS_LOCALHOST_ONLY": "1"}),  # does not know the discovery range
    ("jazzy", {"ROS_LOCALHOST_ONLY": None}),  # warns where it is set
    (None, {"ROS_LOCALHOST_ONLY": None}),
])
def test_dds_stays_on_this_machine_in_every_distribution(
        monkeypatch: pytest.MonkeyPatch, distribution: str | None,
        expected: dict[str, str | None]) -> None:
    given = {"PATH": "/bin"} | ({"ROS_DISTRO": distribution} if distribution else {})
    monkeypatch.setattr(os, "environ", given)
    dds.isolate()
    assert {name: given.get(name) for name in expected} == expected
    assert given["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "LOCALHOST"


def test_a_profile_that_the_user_has_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"FASTDDS_DEFAULT_PROFILES_FILE": "/mine.xml"}
    monkeypatch.setattr(os, "environ", given)
    dds.isolate()
    assert given["FASTDDS_DEFAULT_PROFILES_FILE"] == "/mine.xml"
    assert given["FASTRTPS_DEFAULT_PROFILES_FILE"].endswith("config/fastdds_images.xml")

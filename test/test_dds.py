"""What a demo or an evaluation does is neither seen nor disturbed by what else runs."""
import os
from collections.abc import Iterator

import pytest

from ssma_ros.replay import dds


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """What these tests make of the domain."""
    yield
    dds.own_domain.cache_clear()


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
    dds.own_domain.cache_clear()
    dds.isolate()
    assert {name: given.get(name) for name in expected} == expected
    assert given["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "LOCALHOST"


@pytest.mark.parametrize("pid, domain", [(1234, 35), (1299, 100)])
def test_the_domain_is_not_the_users_and_stays_the_same(
        monkeypatch: pytest.MonkeyPatch, pid: int, domain: int) -> None:
    """DDS has ports for the domains up to 101."""
    monkeypatch.setattr(os, "getpid", lambda: pid)
    for users, own in (("7", domain), (str(domain), domain % 100 + 1)):
        given = {"ROS_DOMAIN_ID": users}
        monkeypatch.setattr(os, "environ", given)
        dds.own_domain.cache_clear()
        for _ in range(2):  # as where a demo calls what isolates itself
            dds.isolate()
            assert given["ROS_DOMAIN_ID"] == str(own)


def test_a_profile_that_the_user_has_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"FASTDDS_DEFAULT_PROFILES_FILE": "/mine.xml"}
    monkeypatch.setattr(os, "environ", given)
    dds.isolate()
    assert given["FASTDDS_DEFAULT_PROFILES_FILE"] == "/mine.xml"
    assert given["FASTRTPS_DEFAULT_PROFILES_FILE"].endswith("config/fastdds_images.xml")

"""The lifecycle node in this process, without DDS traffic: what its transitions leave behind."""
from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="needs rclpy")
import rclpy
from lifecycle_msgs.msg import State
from pipeline_rig import node_in_process

from ssma_core import SsmaError
from ssma_ros import distro
from ssma_ros.node import bond

pytestmark = pytest.mark.ros
UNCONFIGURED, FINALIZED = State.PRIMARY_STATE_UNCONFIGURED, State.PRIMARY_STATE_FINALIZED


@pytest.fixture
def node(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    with node_in_process(monkeypatch, model=str(tiny_model)) as node:
        yield node


def state(node: Any) -> int:
    return int(node._state_machine.current_state[0])


def fail(error: Exception) -> Callable[[], None]:
    def failing() -> None:
        raise error

    return failing


@pytest.mark.parametrize("error", [SsmaError("the GPU failed"), RuntimeError("a bug")])
@pytest.mark.parametrize("active", [False, True], ids=["inactive", "active"])
def test_a_model_that_cannot_be_freed_leaves_a_node_that_can_be_configured_again(
        node: Any, error: Exception, active: bool) -> None:
    node.trigger_configure()
    node._segmenter.close = fail(error)
    if active:
        node.trigger_activate()
        node._active.callback(fail(error))
        node.trigger_deactivate()
        assert node.count_subscribers("rgb/image") == 0
    node.trigger_cleanup()
    assert state(node) == UNCONFIGURED
    assert node.count_publishers("semantic/label") == 0
    assert str(error) in node.logged.errors[-1]
    node.logged.errors.clear()
    for transition in ("configure", "activate", "deactivate", "cleanup"):
        getattr(node, f"trigger_{transition}")()
    assert state(node) == UNCONFIGURED and not node.logged.errors


@pytest.mark.parametrize("error", [SsmaError("the GPU failed"), RuntimeError("a bug")])
def test_what_cannot_be_ended_does_not_keep_the_model(
        node: Any, error: Exception) -> None:
    closed: list[bool] = []
    node.trigger_configure()
    node.trigger_activate()
    node._segmenter._backend.close = lambda: closed.append(True)
    node._active.callback(fail(error))
    node.trigger_shutdown()
    assert state(node) == FINALIZED
    assert closed == [True]
    assert str(error) in node.logged.errors[-1]


@dataclass
class Status:
    """bond/msg/Status, with the fields of its .msg file."""

    id: str
    instance_id: str
    active: bool
    heartbeat_timeout: float
    heartbeat_period: float
    header: Any = field(default_factory=lambda: SimpleNamespace(stamp=None))


@pytest.fixture
def bonds(node: Any, monkeypatch: pytest.MonkeyPatch) -> list[Status]:
    """What comes on the topic bond; the package bond, whose type DDS would need, is not here."""
    sent: list[Status] = []
    create, destroy = node.create_publisher, node.destroy_publisher
    topic = SimpleNamespace(publish=sent.append)

    def publisher(kind: type, name: str, *arguments: Any, **options: Any) -> Any:
        return topic if kind is Status and name == "bond" else create(
            kind, name, *arguments, **options)

    monkeypatch.setattr(distro, "BondStatus", Status)
    monkeypatch.setattr(node, "create_publisher", publisher)
    monkeypatch.setattr(node, "destroy_publisher",
                        lambda given: given is topic or destroy(given))
    return sent


def spin(node: Any, until: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not until():
        assert time.monotonic() < end
        rclpy.spin_once(node, timeout_sec=0.1)


def test_a_manager_of_nav2_hears_that_an_active_node_lives(
        node: Any, bonds: list[Status]) -> None:
    """nav2_lifecycle_manager ties its bond when the node is active, by the node's name; bondcpp
    takes every sender of one instance as its sister."""
    node.trigger_configure()
    assert not bonds
    node.trigger_activate()
    spin(node, lambda: len(bonds) >= 3)
    assert {(beat.id, beat.active) for beat in bonds} == {("segmentation_node", True)}
    assert len({beat.instance_id for beat in bonds}) == 1
    assert bond.PERIOD_S < bond.TIMEOUT_S / 10


def test_every_activation_is_a_bond_of_its_own(node: Any, bonds: list[Status]) -> None:
    node.trigger_configure()
    instances = []
    for _ in range(2):
        node.trigger_activate()
        spin(node, lambda: bool(bonds))
        node.trigger_deactivate()
        instances.append({beat.instance_id for beat in bonds})
        bonds.clear()
    assert [len(each) for each in instances] == [1, 1] and instances[0] != instances[1]


@pytest.mark.parametrize("transition", ["shutdown", "deactivate"])
def test_heartbeats_stop_with_the_activity_and_say_no_end(
        node: Any, bonds: list[Status], transition: str) -> None:
    """Jazzy's manager answers the message of an end with transitions, whose answers it waits for
    without limit, also of a process that is about to end."""
    node.trigger_configure()
    node.trigger_activate()
    spin(node, lambda: bool(bonds))
    getattr(node, f"trigger_{transition}")()
    bonds.clear()
    end = time.monotonic() + 5 * bond.PERIOD_S
    while time.monotonic() < end:
        rclpy.spin_once(node, timeout_sec=bond.PERIOD_S)
    assert not bonds


def test_a_node_that_is_destroyed_offers_no_transitions(node: Any) -> None:
    """A manager that asks for one would wait for the answer."""
    other = rclpy.create_node("asks")
    try:
        offered = lambda: any(name == "/segmentation_node/change_state"  # noqa: E731
                              for name, _ in other.get_service_names_and_types())
        spin(other, offered)
        node.destroy_node()
        spin(other, lambda: not offered())
    finally:
        other.destroy_node()


def test_without_the_package_bond_the_node_says_what_the_manager_needs(
        node: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(distro, "BondStatus", None)
    monkeypatch.setattr(node.logged, "info", said.append)
    node.trigger_configure()
    node.trigger_activate()
    assert any("bond_timeout: 0.0" in text for text in said)

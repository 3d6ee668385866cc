"""The lifecycle node in this process, without DDS traffic: what its transitions leave behind."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="needs rclpy")
import rclpy
from lifecycle_msgs.msg import State
from rclpy.parameter import Parameter

from ssma_core import SsmaError
from ssma_ros.node import lifecycle, memory

pytestmark = pytest.mark.ros
UNCONFIGURED, FINALIZED = State.PRIMARY_STATE_UNCONFIGURED, State.PRIMARY_STATE_FINALIZED


class Errors:
    """In place of the node's logger."""

    def __init__(self) -> None:
        self.errors: list[str] = []

    def error(self, text: str) -> None:
        self.errors.append(text)

    def info(self, text: str) -> None:
        pass

    warning = info


@pytest.fixture
def node(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("keep", "give_back"):  # they change how this whole process allocates
        monkeypatch.setattr(memory, name, lambda: None)
    rclpy.init()
    node = lifecycle.SegmentationNode()
    node.set_parameters([Parameter("model", value=str(tiny_model))])
    node.logged = Errors()  # type: ignore[attr-defined]
    monkeypatch.setattr(node, "get_logger", lambda: node.logged)
    try:
        yield node
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


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

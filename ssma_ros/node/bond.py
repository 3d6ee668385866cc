"""The bond with Nav2's lifecycle manager: heartbeats on the topic `bond`, by which it sees that the
node lives. Without them it ends all that it manages.

By hand, because bondpy starts threads and timers of its own and differs between distributions. The
manager's heartbeats are not read: Nav2's own nodes ignore them as well.
"""
from __future__ import annotations

import uuid
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

from ssma_ros import distro

if TYPE_CHECKING:
    from rclpy.lifecycle import LifecycleNode

PERIOD_S = 0.1
TIMEOUT_S = 4.0  # the manager's default; only told, it judges by its own
DEPTH = 5


def bind(node: LifecycleNode, made: ExitStack) -> None:
    """Sends heartbeats until `made` is closed. Then they just stop: a manager that is told of the
    end asks at once for transitions, and Jazzy's waits for the answer without limit, also of a
    process that is about to end. Without the package bond does nothing, and that is logged."""
    from rclpy.clock import Clock, ClockType

    if distro.BondStatus is None:
        node.get_logger().info("no package bond here, so no heartbeats: a lifecycle manager of "
                               "Nav2 needs bond_timeout: 0.0")
        return
    publisher = node.create_publisher(distro.BondStatus, "bond", DEPTH)
    made.callback(node.destroy_publisher, publisher)
    timer = node.create_timer(PERIOD_S, partial(_send, node, publisher, str(uuid.uuid4())),
                              clock=Clock(clock_type=ClockType.STEADY_TIME))
    made.callback(node.destroy_timer, timer)


def _send(node: LifecycleNode, publisher: Any, instance: str) -> None:
    """instance: of this side; both sides have the node's name."""
    assert distro.BondStatus
    status = distro.BondStatus(id=node.get_name(), instance_id=instance, active=True,
                               heartbeat_timeout=TIMEOUT_S, heartbeat_period=PERIOD_S)
    status.header.stamp = node.get_clock().now().to_msg()
    publisher.publish(status)

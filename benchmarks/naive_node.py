"""A usual segmentation node, to compare with ours: it runs the model in the synchronizer's
callback, in the executor's only thread, and publishes bytes.

    python benchmarks/naive_node.py --ros-args -p model:=models/tiny_forest.onnx
"""
from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image

from ssma_core import Segmenter
from ssma_ros.distro import Subscriber

QUEUE_SIZE = 10
SLOP_S = 0.05

try:
    from message_filters import ApproximateTimeSynchronizer
except ImportError:

    class ApproximateTimeSynchronizer:  # type: ignore[no-redef]
        """Does for two topics what message_filters' one does: pairs a message at once with the
        nearest one that waits on the other topic, and calls the callback under the lock that the
        next message waits for."""

        def __init__(self, subscribers: list[Any], queue_size: int, slop: float) -> None:
            self._queues: list[dict[int, Any]] = [{} for _ in subscribers]
            self._queue_size, self._slop_ns = queue_size, slop * 1e9
            self._lock = threading.Lock()
            self._callback: Callable[..., None] = lambda *_: None
            for index, subscriber in enumerate(subscribers):
                subscriber.registerCallback(self.add, index)

        def registerCallback(self, callback: Callable[..., None]) -> None:
            self._callback = callback

        def add(self, message: Any, index: int) -> None:
            stamp = message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
            mine, others = self._queues[index], self._queues[1 - index]
            with self._lock:
                mine[stamp] = message
                while len(mine) > self._queue_size:
                    del mine[min(mine)]
                if not others:
                    return
                nearest = min(others, key=lambda other: abs(other - stamp))
                if abs(nearest - stamp) < self._slop_ns:
                    pair = message, others[nearest]
                    self._callback(*(pair if index == 0 else pair[::-1]))
                    del mine[stamp], others[nearest]


class NaiveNode(Node):
    """Subscribes rgb/image (bgr8) and aux/image (16UC1), publishes semantic/label."""

    def __init__(self) -> None:
        super().__init__("segmentation_node")
        model = self.declare_parameter("model", "").value
        threads = self.declare_parameter("threads", 0).value
        self.segmenter = Segmenter(model, threads or None)
        self.publisher = self.create_publisher(Image, "semantic/label", 10)
        self.synchronizer = ApproximateTimeSynchronizer(
            [Subscriber(self, Image, topic, qos_profile=qos_profile_sensor_data)
             for topic in ("rgb/image", "aux/image")], QUEUE_SIZE, SLOP_S)
        self.synchronizer.registerCallback(self.segment)

    def segment(self, rgb: Image, depth: Image) -> None:
        size = (rgb.height, rgb.width)
        colour = np.frombuffer(rgb.data, np.uint8).reshape(*size, 3)
        labels = self.segmenter.segment(
            colour, np.frombuffer(depth.data, np.uint16).reshape(size)).labels
        message = Image()
        message.header = rgb.header
        message.height, message.width = size
        message.encoding = "mono8"
        message.step = rgb.width
        message.data = labels.tobytes()
        self.publisher.publish(message)


def main() -> None:
    rclpy.init(args=sys.argv)
    with suppress(KeyboardInterrupt, ExternalShutdownException):
        rclpy.spin(NaiveNode())


if __name__ == "__main__":
    main()

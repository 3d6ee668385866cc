"""A colour and depth camera over DDS: publishes pairs at a fixed rate, and receives the labels.

    python benchmarks/camera.py WIDTHxHEIGHT RATE PAIRS

Begins when a node listens. Prints the numbers of pairs sent and labels received (JSON).
"""
from __future__ import annotations

import json
import sys
import time
from typing import Any

import numpy as np
import rclpy
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from ssma_core.synthetic.forest import drive

PICTURES = 4
PATIENCE_S = 30
SETTLED_S = 1.0  # after discovery, which matches one side first


def main() -> None:
    size, rate, pairs = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
    width, height = map(int, size.split("x"))
    scenes = [[_image(frame.rgb, "bgr8"), _image(frame.depth, "16UC1")]
              for frame in drive(0, PICTURES, (width, height), "clear")]
    rclpy.init()
    node = Node("camera")
    publishers = [node.create_publisher(Image, topic, qos_profile_sensor_data)
                  for topic in ("rgb/image", "aux/image")]
    labels: list[int] = []
    node.create_subscription(Image, "semantic/label", lambda _: labels.append(1), 10)
    deadline = time.monotonic() + PATIENCE_S
    while not all(publisher.get_subscription_count() for publisher in publishers):
        if time.monotonic() > deadline:
            sys.exit("camera: no one listens")
        rclpy.spin_once(node, timeout_sec=0.05)
    _spin(node, time.monotonic() + SETTLED_S)
    begin, late = time.monotonic(), 0.0
    for index in range(pairs):
        _spin(node, begin + index / rate)
        late = max(late, time.monotonic() - begin - index / rate)
        stamp = time.time_ns()
        for message, publisher in zip(scenes[index % PICTURES], publishers):
            message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp, 10**9)
            publisher.publish(message)
    sent_in = time.monotonic() - begin
    _spin(node, time.monotonic() + SETTLED_S)
    print(json.dumps({"pairs": pairs, "seconds": sent_in, "labels": len(labels),
                      "latest_s": late}))


def _image(pixels: Any, encoding: str) -> Image:
    message = Image(header=Header(frame_id="camera"), height=pixels.shape[0],
                    width=pixels.shape[1], encoding=encoding,
                    step=pixels.nbytes // pixels.shape[0])
    message.data.frombytes(np.ascontiguousarray(pixels).view(np.uint8).data)
    return message


def _spin(node: Node, until: float) -> None:
    """Receives labels until a time of time.monotonic."""
    while (left := until - time.monotonic()) > 0:
        rclpy.spin_once(node, timeout_sec=left)


if __name__ == "__main__":
    main()

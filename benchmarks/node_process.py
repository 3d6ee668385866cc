"""Runs one of the two nodes and logs, in the same way for both, when images arrive in its process,
when the model runs, and when labels are published.

    python benchmarks/node_process.py ours|naive MODEL LOG [--threads 1] [--inference 0.1]

Prints "ready" to standard output, and writes LOG (JSON) when SIGINT or SIGTERM ends it. Times are
nanoseconds since the epoch, as the camera's stamps are.
"""
from __future__ import annotations

import argparse
import functools
import json
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import Image

from ssma_core import Segmenter
from ssma_ros import signals
from ssma_ros.node import memory

Log = dict[str, list[tuple[int, ...]]]


def main() -> None:
    options = _parser().parse_args()
    log: Log = {"rgb": [], "aux": [], "inferences": [], "labels": []}
    _watch_images(log)
    _watch_labels(log)
    _watch_model(log, options.inference)
    ended = threading.Event()
    signals.handle(lambda *_: ended.set())
    rclpy.init(args=["--ros-args", "-p", f"model:={options.model}",
                     "-p", f"threads:={options.threads}"],
               signal_handler_options=SignalHandlerOptions.NO)
    node = _node(options.node)
    log["inferences"].clear()  # those of the warm-up
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    print("ready", flush=True)
    while not ended.is_set():
        executor.spin_once(timeout_sec=0.1)
    node.destroy_node()
    options.log.write_text(json.dumps(log))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("node", choices=["ours", "naive"])
    parser.add_argument("model", type=Path)
    parser.add_argument("log", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--inference", type=float, default=0.0,
                        help="least seconds of an inference; it sleeps for the rest")
    return parser


def _node(name: str) -> Any:
    if name == "naive":
        from naive_node import NaiveNode

        return NaiveNode()
    from ssma_ros.node.lifecycle import SegmentationNode

    memory.share()  # as its own program does
    node = SegmentationNode()
    for change in (node.trigger_configure, node.trigger_activate):
        if change() is not TransitionCallbackReturn.SUCCESS:
            sys.exit("the node refused to start")
    return node


def _watch_images(log: Log) -> None:
    """Logs every image's stamp and when the node receives it."""
    subscribe = Node.create_subscription

    @functools.wraps(subscribe)
    def watched(node: Node, kind: type, topic: str, callback: Callable[[Any], None],
                *arguments: Any, **options: Any) -> Any:
        def received(message: Any) -> None:
            arrivals.append((_stamp(message), time.time_ns()))
            callback(message)

        if kind is not Image:
            return subscribe(node, kind, topic, callback, *arguments, **options)
        arrivals = log["rgb" if "rgb" in topic else "aux"]
        return subscribe(node, kind, topic, received, *arguments, **options)

    Node.create_subscription = watched


def _watch_labels(log: Log) -> None:
    """Logs every label's stamp and when it is published."""
    publish = Publisher.publish

    @functools.wraps(publish)
    def watched(publisher: Publisher, message: Any) -> None:
        publish(publisher, message)
        if isinstance(message, Image):
            log["labels"].append((_stamp(message), time.time_ns()))

    Publisher.publish = watched


def _watch_model(log: Log, least_s: float) -> None:
    """Logs when every inference begins and ends, and extends it by sleeping: as with a GPU, the
    rest of the time needs no CPU."""
    segment = Segmenter.segment

    @functools.wraps(segment)
    def watched(segmenter: Segmenter, *arguments: Any, **options: Any) -> Any:
        begin = time.time_ns()
        answer = segment(segmenter, *arguments, **options)
        time.sleep(max(0.0, least_s - (time.time_ns() - begin) / 1e9))
        log["inferences"].append((begin, time.time_ns()))
        return answer

    Segmenter.segment = watched  # type: ignore[method-assign]


def _stamp(message: Any) -> int:
    return int(message.header.stamp.sec) * 10**9 + int(message.header.stamp.nanosec)


if __name__ == "__main__":
    main()

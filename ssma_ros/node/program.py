"""The program around the node: its arguments, its executor, and an orderly end after a signal.

ROS and the rest are imported as late as possible: that takes a second, and a signal must end the
program in that second too.
"""
from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Sequence
from concurrent import futures
from typing import TYPE_CHECKING

from ssma_ros import signals
from ssma_ros.node import memory, worker

if TYPE_CHECKING:
    from ssma_ros.node.lifecycle import SegmentationNode

GRACE_S = 0.7  # of the one second in which a node should be gone after a signal


def main(arguments: Sequence[str] | None = None) -> int:
    """The console script. Returns the exit status: 0 after SIGINT or SIGTERM, or 1 after a message
    on standard error."""
    signals.handle(lambda *_: os._exit(0))  # nothing can be lost yet
    from ssma_ros.node.lifecycle import SegmentationNode  # first: without ROS it says so
    import rclpy  # isort: skip

    from ssma_core import SsmaError

    memory.share()  # before the node's thread begins
    # rclpy's own handlers end the context at once, whatever uses it; here the worker finishes its
    # frame first, and the node is destroyed after it.
    ended = threading.Event()
    signals.handle(lambda *_: ended.set())
    try:
        _init(arguments)
        # Python handles signals only in the main thread, and only between two of its lines: the
        # node runs in another thread, or every signal would wait while a model is loaded.
        life = futures.ThreadPoolExecutor(1).submit(_live, SegmentationNode(), ended)
        life.add_done_callback(lambda _: ended.set())
        ended.wait()
        life.result(GRACE_S)
        status = 0
    except SsmaError as error:
        print(f"segmentation_node: {error}", file=sys.stderr, flush=True)
        status = 1
    except futures.TimeoutError:
        print("segmentation_node: ended while a model was loaded or during a long inference",
              file=sys.stderr, flush=True)
        os._exit(0)
    finally:
        rclpy.try_shutdown()
        # Ctrl-C under `ros2 launch` comes twice, from the terminal and from launch: a second one
        # must not kill a program that is ending already: that would be reported as a crash.
        signals.handle(signal.SIG_IGN)
    if any(thread.name == worker.THREAD for thread in threading.enumerate()):
        os._exit(status)  # it hangs in a library, and the library's own end could wait for it
    return status


def _init(arguments: Sequence[str] | None) -> None:
    import rclpy
    from rclpy.signals import SignalHandlerOptions

    from ssma_core import SsmaError

    try:
        rclpy.init(args=None if arguments is None else list(arguments),
                   signal_handler_options=SignalHandlerOptions.NO)
    except RuntimeError as error:  # what rclpy makes of wrong arguments and parameter files
        raise SsmaError(str(error)) from error


def _live(node: SegmentationNode, ended: threading.Event) -> None:
    """Runs the node until the event is set, and destroys it."""
    from rclpy.executors import SingleThreadedExecutor

    try:
        node.start()
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        while not ended.is_set():
            executor.spin_once(timeout_sec=0.1)
            node.watch()
    finally:
        node.destroy_node()


if __name__ == "__main__":
    sys.exit(main())

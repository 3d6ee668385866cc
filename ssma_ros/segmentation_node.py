"""The node: lifecycle and wiring. What is wired together stands in the modules imported here."""
from __future__ import annotations

import functools
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from concurrent import futures
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

try:
    import rclpy
    from diagnostic_msgs.msg import DiagnosticArray
    from rclpy.clock import Clock, ClockType
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
    from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data
    from rclpy.qos_overriding_options import QoSOverridingOptions
    from rclpy.signals import SignalHandlerOptions
    from sensor_msgs.msg import Image
    from std_msgs.msg import String
except ImportError as error:
    sys.exit(f"segmentation_node: ROS 2 is not here ({error}): source the setup.bash of a ROS "
             "distribution, or install ROS's Python packages with this one's extra 'ros' (pip)")

import numpy as np

from ssma_core import Segmenter, SsmaError
from ssma_ros import diagnostics, distro, parameters
from ssma_ros.labelling import Output, Outputs
from ssma_ros.pairing import STREAMS, Stream
from ssma_ros.pipeline import NO_MODE, Pipeline

RELIABLE = QoSProfile(depth=5)
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
DIAGNOSTICS_PERIOD_S = 1.0
GRACE_S = 0.7  # of the one second in which a node should be gone after a signal

Transition = Callable[["SegmentationNode", LifecycleState], TransitionCallbackReturn]


def _logged(transition: Transition) -> Transition:
    """rclpy swallows what a transition raises: say it, and let the transition fail. A mistake of
    the user leaves the node in the state it was in, anything else goes to on_error."""

    @functools.wraps(transition)
    def logged(node: SegmentationNode, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            return transition(node, state)
        except SsmaError as error:
            node.get_logger().error(str(error))
            return TransitionCallbackReturn.FAILURE
        except Exception:
            node.get_logger().error(f"{transition.__name__} failed:\n{traceback.format_exc()}")
            return TransitionCallbackReturn.ERROR

    return logged


class SegmentationNode(LifecycleNode):
    """Subscribes rgb/image and aux/image, publishes semantic/label and semantic/overlay."""

    def __init__(self) -> None:
        super().__init__("segmentation_node")
        self._given = parameters.declare(self)
        self._configured = ExitStack()  # what cleanup frees
        self._active = ExitStack()  # what deactivation ends
        self._reminder: diagnostics.Reminder
        self._segmenter: Segmenter
        self._outputs: Outputs

    @_logged
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._segmenter = self._configured.enter_context(closing(self._load()))
        self._outputs = Outputs(
            label=self._output(Image, "semantic/label"),
            confidence=self._output(Image, "semantic/confidence"),
            trust=self._output(Image, "semantic/trust"),
            overlay=self._output(Image, "semantic/overlay"),
            points=Output(lambda _: None, lambda: False),
            mode=self._mode_publisher(),
            error=self.get_logger().error,
            now_ns=lambda: int(self.get_clock().now().nanoseconds))
        self._diagnostics_publisher = self._publisher(DiagnosticArray, "/diagnostics")
        return super().on_configure(state)

    @_logged
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._reminder = diagnostics.Reminder()
        pipeline = Pipeline(self._segmenter, self._given, self._outputs)
        self._active.callback(self._outputs.mode, NO_MODE)
        self._active.callback(pipeline.worker.stop)
        topics = {stream: self._subscribe(stream, pipeline) for stream in STREAMS}
        # Steady time: with use_sim_time and no /clock, "nothing comes" must still be said.
        timer = self.create_timer(
            DIAGNOSTICS_PERIOD_S, functools.partial(self._diagnose, pipeline, topics),
            clock=Clock(clock_type=ClockType.STEADY_TIME))
        self._active.callback(self.destroy_timer, timer)
        return super().on_activate(state)

    @_logged
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._active.close()
        return super().on_deactivate(state)

    @_logged
    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._release()
        return super().on_cleanup(state)

    @_logged
    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._release()
        return super().on_shutdown(state)

    @_logged
    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._release()
        return super().on_error(state)

    def destroy_node(self) -> None:
        self._release()
        super().destroy_node()

    def _release(self) -> None:
        """Ends and frees whatever there is; the worker before the model that it uses."""
        self._active.close()
        self._configured.close()

    def _load(self) -> Segmenter:
        path = self._given.model
        if not path:
            raise SsmaError("the parameter 'model' is empty: give the path of a model file")
        segmenter = Segmenter(path, self._given.threads or None)
        names = [modality.name for modality in segmenter.spec.modalities]
        if len(names) != len(STREAMS):
            raise SsmaError(f"{path} takes {' and '.join(names)} alone, but this node pairs two "
                            "images: give it a model of two modalities")
        width, height = segmenter.spec.input_size
        black = np.zeros((height, width, 3), np.uint8)
        segmenter.segment(black, black)  # the first run allocates, and is many times slower
        self.get_logger().info(
            f"{path}: {' and '.join(names)}, {segmenter.spec.classes} classes, runs on "
            f"{segmenter.backend}; {'' if distro.HAS_CV_BRIDGE else 'no '}cv_bridge, "
            f"{'' if distro.HAS_MESSAGE_FILTERS else 'no '}message_filters here")
        return segmenter

    def _output(self, message_type: type, topic: str) -> Output:
        publisher = self._publisher(message_type, topic)
        return Output(publisher.publish, lambda: publisher.get_subscription_count() > 0)

    def _mode_publisher(self) -> Callable[[str], None]:
        publisher = self._publisher(String, "semantic/mode", LATCHED)
        return lambda mode: publisher.publish(String(data=mode))

    def _publisher(self, message_type: type, topic: str, qos: QoSProfile = RELIABLE) -> Any:
        publisher = self.create_lifecycle_publisher(
            message_type, topic, qos,
            qos_overriding_options=QoSOverridingOptions.with_default_policies())
        self._configured.callback(self.destroy_lifecycle_publisher, publisher)
        return publisher

    def _subscribe(self, stream: Stream, pipeline: Pipeline) -> str:
        """Returns the topic's full name."""
        subscriber = distro.Subscriber(
            self, Image, f"{stream}/image", qos_profile=qos_profile_sensor_data,
            qos_overriding_options=QoSOverridingOptions.with_default_policies())
        self._active.callback(self.destroy_subscription, subscriber.sub)
        topic = str(subscriber.sub.topic_name)
        subscriber.registerCallback(pipeline.receive, stream, topic)
        return topic

    def _diagnose(self, pipeline: Pipeline, topics: dict[Stream, str]) -> None:
        pipeline.say_mode()
        publishers = {stream: self.count_publishers(topic) for stream, topic in topics.items()}
        troubles = diagnostics.troubles(pipeline, topics, publishers)
        for text in self._reminder.due(troubles):
            self.get_logger().warning(text)
        facts = {"model": Path(self._given.model).name, "backend": self._segmenter.backend,
                 "precision": self._segmenter.precision}
        array = DiagnosticArray(status=[diagnostics.status(
            f"{self.get_fully_qualified_name()}: segmentation", facts, pipeline, troubles)])
        array.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics_publisher.publish(array)


def _init(arguments: Sequence[str] | None) -> None:
    try:
        rclpy.init(args=None if arguments is None else list(arguments),
                   signal_handler_options=SignalHandlerOptions.NO)
    except RuntimeError as error:  # what rclpy makes of wrong arguments and parameter files
        raise SsmaError(str(error)) from error


def _live(node: SegmentationNode, ended: threading.Event) -> None:
    """The node's life, until its end in order."""
    try:
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        while not ended.is_set():
            executor.spin_once(timeout_sec=0.1)
    finally:
        node.destroy_node()


def main(arguments: Sequence[str] | None = None) -> int:
    """The console script. Returns the exit status: 0 after SIGINT or SIGTERM, or 1 after a message
    on standard error."""
    # rclpy's own handlers end the context at once, under whatever is going on; here the worker
    # finishes its frame and the node goes in order.
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    try:
        _init(arguments)
        # Python takes signals in the main thread alone, and only between two of its lines: the
        # node lives beside it, or the loading of a model would keep every signal waiting.
        life = futures.ThreadPoolExecutor(1).submit(_live, SegmentationNode(), ended)
        life.add_done_callback(lambda _: ended.set())
        ended.wait()
        life.result(GRACE_S)
    except SsmaError as error:
        print(f"segmentation_node: {error}", file=sys.stderr)
        return 1
    except futures.TimeoutError:
        print("segmentation_node: ended in the midst of loading a model or of a long inference",
              file=sys.stderr, flush=True)
        os._exit(0)
    finally:
        rclpy.try_shutdown()
        # Ctrl-C under `ros2 launch` comes twice, from the terminal and from launch: a second one
        # must not kill what is ending already, and be told as a crash.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
    return 0


if __name__ == "__main__":
    sys.exit(main())

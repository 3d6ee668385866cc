"""A bag over real DDS, at its own pace: node and replay as processes of their own, the labels
collected here.

Call `ssma_ros.replay.dds.isolate` before this is imported.
"""
from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy.typing as npt
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.signals import SignalHandlerOptions
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image
from std_msgs.msg import String

from ssma_core import (
    BagSource,
    DriveResult,
    FrameCounts,
    FrameResult,
    Grouped,
    Mode,
    ModelSpec,
    Recordings,
    SsmaError,
    Timeline,
    TimelineEvent,
    rosbag2,
    score,
    stacked,
    true_labels,
)
from ssma_ros.node.parameters import COMPRESSED
from ssma_ros.node.pipeline import NO_MODE
from ssma_ros.replay import dds
from ssma_ros.replay.collected import Collected, TakeLabel
from ssma_ros.replay.programs import Program, running

PATIENCE_S = 30
LATCHED = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def evaluate(bag: str, model: Path, grouped: Grouped, source: BagSource,
             tick: Callable[[int], None]) -> DriveResult:
    """What happens to a bag's frames, and when. Labels are scored as they come, so that none has to
    be kept. tick, and errors: as of `replay_through_node`."""
    spec = grouped.spec
    recordings = Recordings(bag, [source.rgb, source.aux])
    truths = true_labels(bag, source, grouped, recordings)
    counts: dict[int, FrameCounts | None] = {}

    def take(stamp_ns: int, bag_time_ns: int, labels: npt.NDArray[Any]) -> None:
        # Not when the label came: a slow model's come seconds later.
        truth = truths.near(stamp_ns, recordings.of(stamp_ns, bag_time_ns))
        counts[stamp_ns] = score(truth, labels, grouped) if truth else None

    with tempfile.TemporaryDirectory(prefix="evaluate_bag.") as logs:
        collected = replay_through_node(bag, model, source, Path(logs, "live"), take=take,
                                        tick=tick)
    sent = recordings.stamps_ns[source.rgb]
    causes = {cause: n for cause, n in collected.causes_of_drops(len(sent)).items() if n}
    drops = tuple(TimelineEvent(stamp, "no label") for stamp in sent if stamp not in counts)
    frames = tuple(FrameResult(stamp_ns=stamp, latency_ms=round(collected.latency_ms(stamp), 3),
                               scored=counts[stamp] is not None) for stamp in sorted(counts))
    confusion, boundaries = stacked(
        (found for stamp in sorted(counts) if (found := counts[stamp]) is not None), spec.classes)
    return DriveResult(
        bag, frames, confusion,
        Timeline(min(sent), max(sent), drops, tuple(_modes(collected.modes, spec, max(sent)))),
        {"rgb": {"labelled": len(counts), **causes}}, boundaries=boundaries)


def _modes(modes: Iterable[tuple[int, str]], spec: ModelSpec,
           end_ns: int) -> Iterator[TimelineEvent]:
    """In the report's words."""
    colour, second = (modality.name for modality in spec.modalities)
    words: dict[str, Mode] = {f"{colour}+{second}": "fused", colour: "colour only",
                              second: "second only", NO_MODE: "none"}
    return (TimelineEvent(stamp_ns, words[mode]) for stamp_ns, mode in modes if stamp_ns < end_ns)


def replay_through_node(bag: str | Path, model: Path, source: BagSource, logs: Path, *,
                        take: TakeLabel,
                        tick: Callable[[int], None] = lambda _: None) -> Collected:
    """Starts node and replay; collects until the bag is over and the node has nothing left to do.

    logs: path and beginning of the name of the two log files. take, tick: see `Collected`.
    Raises SsmaError, with the end of a program's log, when one of them fails, and when no label
    comes.
    """
    first = next(rosbag2.messages(bag, [source.rgb]))
    collected = Collected(take, tick, first.time_ns)
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    here = Node("evaluation", enable_rosout=False, start_parameter_services=False)
    here.create_subscription(Image, "semantic/label", collected.take_label, 100)
    here.create_subscription(String, "semantic/mode", collected.take_mode, LATCHED)
    here.create_subscription(Clock, "/clock", collected.take_clock, 100)
    here.create_subscription(DiagnosticArray, "/diagnostics", collected.take_diagnostics, 10)
    try:
        with running(logs, "segmentation_node", *_node_arguments(bag, model, source)) as node:
            _bring_up(here, node)
            with running(logs, "replay", str(bag), "--clock", "--topics", source.rgb,
                          source.aux, "--wait-for-subscribers", str(PATIENCE_S),
                          "--clock-subscribers", "2") as replay:  # the node's and ours
                _spin(here, node, lambda: replay.process.poll() is not None, float("inf"))
                replay.check()
            collected.counters.clear()
            _spin(here, node, lambda: collected.settled and bool(collected.counters))
        if not collected.arrivals_ns:
            raise SsmaError(f"no label came\n{node.end_of_log()}")
        if not collected.has_clock:
            raise SsmaError(f"no /clock came\n{replay.end_of_log()}")
    finally:
        here.destroy_node()
        rclpy.try_shutdown()
    return collected


def check(bag: str | Path, source: BagSource) -> None:
    """To be called before the work. Raises SsmaError where a node cannot subscribe to the bag's
    images."""
    recorded = rosbag2.check_topics(bag, [source.rgb, source.aux])
    for topic in (source.rgb, source.aux):
        _subscribed(recorded[topic].type, topic)


def _node_arguments(bag: str | Path, model: Path, source: BagSource) -> list[str]:
    recorded = rosbag2.topics(bag)
    (rgb, rgb_transport), (aux, aux_transport) = (
        _subscribed(recorded[topic].type, topic) for topic in (source.rgb, source.aux))
    parameters = {"model": str(model), "slop": f"{source.slop:.9f}",
                  "queue_size": str(source.queue_size),
                  "aux_delay": f"{source.aux_delay:.9f}",
                  "rgb_transport": rgb_transport, "aux_transport": aux_transport,
                  "check_frame_id": "false",  # as without DDS: a recorded bag cannot be mended
                  "use_sim_time": "true"}  # the bag's, from /clock
    parameters |= {name: given for name in ("label_groups", "registration")
                   if (given := getattr(source, name))}
    return ["--ros-args", "-r", f"rgb/image:={rgb}", "-r", f"aux/image:={aux}",
            *(part for name, value in parameters.items() for part in ("-p", f"{name}:={value}"))]


def _subscribed(type_name: str, topic: str) -> tuple[str, str]:
    """The image topic's name and the transport that make the node subscribe to a recorded topic. A
    transport's images are on a topic below the image topic.

    Raises SsmaError where a compressed topic has another kind of name, and for a DisparityImage.
    """
    if type_name.endswith("DisparityImage"):
        raise SsmaError(f"{topic} has {type_name}, which a node does not subscribe to: leave out "
                        "--live")
    if not type_name.endswith("CompressedImage"):
        return topic, "raw"
    name, _, transport = topic.rpartition("/")
    if transport not in COMPRESSED or not name:
        raise SsmaError(f"{topic} has compressed images, and a node finds those only below the "
                        f"image topic's name, as {topic}/compressed: leave out --live")
    return name, transport


def _bring_up(here: Node, node: Program) -> None:
    client = here.create_client(ChangeState, "segmentation_node/change_state")
    _spin(here, node, client.service_is_ready)
    time.sleep(dds.MATCHED_S)
    for transition in (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE):
        request = ChangeState.Request()
        request.transition.id = transition
        answer = client.call_async(request)
        _spin(here, node, answer.done)
        if not answer.result().success:
            raise SsmaError(f"{node.name} refused to start\n{node.end_of_log()}")


def _spin(here: Node, node: Program, done: Callable[[], bool],
          patience_s: float = PATIENCE_S) -> None:
    """Takes in what arrives until done() is true, as long as the node lives."""
    end = time.monotonic() + patience_s
    while not done():
        rclpy.spin_once(here, timeout_sec=0.05)
        node.check()
        if time.monotonic() > end:
            raise SsmaError(f"{node.name} did not answer in {patience_s} s\n{node.end_of_log()}")

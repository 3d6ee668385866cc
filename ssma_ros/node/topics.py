"""The node's topics: names, types and QoS, which a user may override.

Whatever is made is put on an ExitStack, which destroys it.
"""
from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from rclpy.exceptions import ParameterException
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import (
    DurabilityPolicy,
    QoSPolicyKind,
    QoSProfile,
    ReliabilityPolicy,
    qos_policy_name_from_kind,
    qos_profile_sensor_data,
)
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2
from std_msgs.msg import String

from ssma_core import STREAMS, ModelSpec, SsmaError, Stream, is_depth
from ssma_ros import distro
from ssma_ros.node.advice import Subscribed
from ssma_ros.node.labelling import Output, Outputs
from ssma_ros.node.parameters import Parameters
from ssma_ros.node.pipeline import Pipeline

try:
    from rclpy.event_handler import SubscriptionEventCallbacks
except ImportError:  # before ROS 2 Iron
    from rclpy.qos_event import SubscriptionEventCallbacks

RELIABLE = QoSProfile(depth=5)
NEWEST = QoSProfile(depth=1)  # for clouds of many megabytes each
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
# rclpy's default ones, and durability: a subscriber may ask for more than we offer.
OVERRIDABLE = (QoSPolicyKind.HISTORY, QoSPolicyKind.DEPTH, QoSPolicyKind.RELIABILITY,
               QoSPolicyKind.DURABILITY)
NOWHERE = Output(publish=lambda _: None, wanted=lambda: False)


def outputs(node: LifecycleNode, made: ExitStack, spec: ModelSpec) -> Outputs:
    """All outputs of a frame. Points exist only where the second modality is depth."""
    output = partial(_output, node, made)
    return Outputs(
        label=output(Image, "semantic/label"),
        confidence=output(Image, "semantic/confidence"),
        trust=output(Image, "semantic/trust"),
        overlay=output(Image, "semantic/overlay"),
        points=(output(PointCloud2, "semantic/points", NEWEST)
                if is_depth(spec.modalities[1]) else NOWHERE),
        mode=partial(_publish_text, publisher(node, made, String, "semantic/mode", LATCHED)),
        error=node.get_logger().error,
        now_ns=lambda: int(node.get_clock().now().nanoseconds))


def label_info_output(node: LifecycleNode, made: ExitStack) -> Output:
    """Of vision_msgs/LabelInfo; without that package NOWHERE, and that is logged."""
    if distro.LabelInfo is None:
        node.get_logger().info("no vision_msgs here, so no semantic/label_info, without which "
                               "Nav2's semantic segmentation layer crashes")
        return NOWHERE
    return _output(node, made, distro.LabelInfo, "semantic/label_info", LATCHED)


def subscriptions(node: LifecycleNode, made: ExitStack, given: Parameters, pipeline: Pipeline
                  ) -> dict[Stream, tuple[str, str]]:
    """Subscribes the pipeline to its images and CameraInfo. Returns the image topics' full names
    and types. Raises SsmaError where both images would come from one topic."""
    transports = {"rgb": given.rgb_transport, "aux": given.aux_transport}
    found = {}
    for stream in STREAMS:
        topic, message_type = f"{stream}/image", Image
        if transports[stream] != "raw":
            # Below the image topic's name as remapped, as image_transport has it.
            topic = f"{node.resolve_topic_name(topic)}/{transports[stream]}"
            message_type = CompressedImage
        name = _subscribe(
            node, made, message_type, topic, partial(_receive, pipeline, stream),
            events=SubscriptionEventCallbacks(
                incompatible_qos=partial(_mismatch, pipeline, stream)))
        found[stream] = name, f"sensor_msgs/msg/{message_type.__name__}"
    if found["rgb"] == found["aux"]:
        raise SsmaError(f"both images are subscribed on {found['rgb'][0]}: remap rgb/image to the "
                        "colour images and aux/image to the second sensor's (launch arguments "
                        "rgb_topic and aux_topic)")
    _subscribe(node, made, CameraInfo, "rgb/camera_info",
               lambda message, _: pipeline.camera_info(message))
    return found


def publishers(node: LifecycleNode, inputs: Mapping[Stream, tuple[str, str]]
               ) -> dict[Stream, Subscribed]:
    """Who publishes the image topics now. inputs: as from `subscriptions`."""
    found = {}
    for stream, (name, message_type) in inputs.items():
        infos = node.get_publishers_info_by_topic(name)
        found[stream] = Subscribed(
            name, message_type, [info.topic_type for info in infos],
            reliable=bool(infos) and all(info.qos_profile.reliability == ReliabilityPolicy.RELIABLE
                                         for info in infos))
    return found


def publisher(node: LifecycleNode, made: ExitStack, message_type: type, topic: str,
              qos: QoSProfile = RELIABLE) -> Any:
    """A lifecycle publisher: silent until the node is active."""
    with _overridable(qos, topic) as options:
        found = node.create_lifecycle_publisher(message_type, topic, **options)
    made.callback(node.destroy_lifecycle_publisher, found)
    return found


def _output(node: LifecycleNode, made: ExitStack, message_type: type, topic: str,
            qos: QoSProfile = RELIABLE) -> Output:
    found = publisher(node, made, message_type, topic, qos)
    return Output(found.publish, lambda: found.get_subscription_count() > 0)


def _publish_text(text_publisher: Any, text: str) -> None:
    text_publisher.publish(String(data=text))


def _subscribe(node: LifecycleNode, made: ExitStack, message_type: type, topic: str,
               receive: Callable[[Any, str], None], *,
               events: SubscriptionEventCallbacks | None = None) -> str:
    """Calls receive(message, the topic's full name) for every message, and returns that name. Best
    effort, as sensors publish."""
    with _overridable(qos_profile_sensor_data, topic) as options:
        subscriber = distro.Subscriber(
            node, message_type, topic, event_callbacks=events, **options)
    made.callback(node.destroy_subscription, subscriber.sub)
    name = str(subscriber.sub.topic_name)
    subscriber.registerCallback(receive, name)
    return name


def _receive(pipeline: Pipeline, stream: Stream, message: Any, topic: str) -> None:
    pipeline.receive(message, stream, topic)


def _mismatch(pipeline: Pipeline, stream: Stream, event: Any) -> None:
    """A publisher's images do not reach us because of the QoS policy that the event names."""
    pipeline.statistics.qos_mismatch[stream] = qos_policy_name_from_kind(event.last_policy_kind)


@contextmanager
def _overridable(qos: QoSProfile, topic: str) -> Iterator[dict[str, Any]]:
    """The options of a QoS profile that parameters may override. Raises SsmaError for values that
    cannot be taken, and for a topic that cannot be opened."""
    try:
        # A copy: rclpy writes the user's values into it, and ours serves other topics too.
        yield {"qos_profile": copy.copy(qos),
               "qos_overriding_options": QoSOverridingOptions(OVERRIDABLE)}
    except (RuntimeError, ParameterException) as error:
        raise SsmaError(f"{topic} could not be opened: {error}. Either its qos_overrides cannot be "
                        "taken, or its name is remapped to a topic of another type") from error

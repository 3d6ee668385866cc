"""Every parameter of the node, in one place: name, type, default, range and meaning."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from ssma_core import MIN_VALID_DEPTH, PairingSettings, SsmaError

if TYPE_CHECKING:  # the defaults are needed without ROS too
    from rcl_interfaces.msg import ParameterDescriptor
    from rclpy.node import Node

QOS = "qos_overrides."
PAIRING = PairingSettings()
# image_transport's names; CompressedImage comes on a topic below the raw images'.
COMPRESSED = ("compressed", "compressedDepth")


def _parameter(default: Any, description: str, allowed: tuple[Any, ...] | None = None, *,
               live: bool = True) -> Any:
    """allowed: least and greatest number, or all values of a string. live: whether a configured
    node takes another value."""
    return field(default=default, metadata={
        "description": description, "allowed": allowed, "live": live})


@dataclass(frozen=True)
class Parameters:
    """The node's parameters. Times in seconds."""

    model: str = _parameter("", "path of the model file, .onnx, .engine or .safetensors",
                            live=False)
    autostart: bool = _parameter(
        False, "configure and activate at the start, and so after a respawn too; False: a "
        "lifecycle manager or `ros2 lifecycle set` does it", live=False)
    threads: int = _parameter(
        0, "CPU threads for one frame; 0 leaves the choice to the inference library", (0, 256),
        live=False)
    label_groups: str = _parameter(
        "", "path of a YAML file that joins the model's classes to groups, such as {drivable: "
        "[trail, grass]}; the outputs are then about the groups, and classes that it does not name",
        live=False)
    slop: float = _parameter(
        PAIRING.slop, "seconds that the stamps of a pair may lie apart; below half a frame's "
        "period, or neighbours can be taken for partners", (0.0, 10.0))
    aux_delay: float = _parameter(
        PAIRING.aux_delay, "seconds that the second sensor's stamps are late: what it sees "
        "together with a colour image of stamp t, it stamps t + aux_delay; negative where its "
        "stamps are early", (-10.0, 10.0))
    queue_size: int = _parameter(
        PAIRING.queue_size, "how many images of a topic may wait for their partner", (1, 1000))
    aux_timeout: float = _parameter(
        0.5, "seconds without a pair after which colour images are labelled alone", (0.05, 3600.0))
    rgb_timeout: float = _parameter(
        0.5, "seconds without a colour image after which the second sensor's images are labelled "
        "alone", (0.05, 3600.0))
    frozen_timeout: float = _parameter(
        2.0, "seconds after which a camera counts as dead that repeats its image to the byte "
        "while the other one's changes", (0.1, 3600.0))
    min_valid_depth: float = _parameter(
        MIN_VALID_DEPTH, "share of the depth image's pixels that must be valid, or it counts as "
        "dead; 0, NaN and infinity are invalid", (0.0, 1.0))
    inference_timeout: float = _parameter(
        20.0, "seconds without an answer of the model after which it is loaded again, and after "
        "which the node ends if that did not help; far longer than the slowest frame, the first "
        "one of a format included", (0.5, 3600.0))
    rgb_transport: str = _parameter(
        "raw", "how colour images come: raw on rgb/image, compressed (jpeg, png) on "
        "rgb/image/compressed", ("raw", "compressed"), live=False)
    aux_transport: str = _parameter(
        "raw", "how the second sensor's images come: raw on aux/image, others below it by their "
        "name", ("raw", *COMPRESSED), live=False)
    registration: str = _parameter(
        "", "path of a registration that `ssma register` wrote, with which second images that are "
        "not registered to colour are taken; empty: they are registered", live=False)
    max_megapixels: float = _parameter(
        0.0, "the largest compressed image that is decoded; 0: as the environment variable "
        "SSMA_MAX_MEGAPIXELS says, and 64 without it", (0.0, 10_000.0), live=False)
    check_frame_id: bool = _parameter(
        True, "refuse a second image whose frame_id differs from the colour image's, to which it "
        "must be registered. False where a driver names registered images differently. Without "
        "effect where a registration is given")
    void_as_unlabeled: bool = _parameter(
        False, "publish the class void as 255, UNLABELED of vision_msgs/LabelInfo")


def allows(name: str, value: float) -> bool:
    """Whether a number lies in a parameter's range."""
    least, greatest = next(f for f in fields(Parameters) if f.name == name).metadata["allowed"]
    return bool(least <= value <= greatest)


def declare(node: Node) -> Parameters:
    """Declares all of them and returns their values. Given names that no parameter has are logged.

    Raises SsmaError, with ROS's own reason, for a value that cannot be taken.
    """
    from rclpy.exceptions import ParameterException

    try:
        given = Parameters(**{
            f.name: node.declare_parameter(f.name, f.default, _descriptor(f)).value
            for f in fields(Parameters)})
    except ParameterException as error:
        raise SsmaError(f"a parameter's value is refused: {error}") from error
    _log_unknown(node)
    return changed(Parameters(), vars(given), configured=False)


def _log_unknown(node: Node) -> None:
    """rclpy ignores a misspelt name without a message. Topics' QoS is declared with the topics."""
    given = [name for name in node._parameter_overrides if not name.startswith(QOS)]
    _log_unknown_names(node, given, [f.name for f in fields(Parameters)],
          "there is no parameter {!r}, so its value has no effect")


def log_unknown_qos(node: Node) -> None:
    """Logs the QoS that is given for no topic of the node; to be called when all are made."""
    given, known = ([name for name in names if name.startswith(QOS)]
                    for names in (node._parameter_overrides, node._parameters))
    _log_unknown_names(
        node, given, known, "no topic of this node has {!r}, so its value has no effect: it takes "
                            "full names, as remapped")


def _log_unknown_names(node: Node, given: Sequence[str], known: Sequence[str], why: str) -> None:
    """Logs the given names that are not declared, and the known name that is nearest."""
    for name in given:
        if not node.has_parameter(name):
            near = get_close_matches(name, known, 1)
            node.get_logger().warning(why.format(name)
                                      + (f"; is {near[0]} meant?" if near else ""))


def changed(given: Parameters, wanted: Mapping[str, Any], *, configured: bool) -> Parameters:
    """Returns what was given, with the values that are wanted now; names of others are left out.

    configured: whether a model is loaded and topics are chosen: some parameters are fixed then.
    Raises SsmaError, with the reason, for a value that cannot be taken (ROS itself checks types and
    ranges).
    """
    for parameter in fields(Parameters):
        name, allowed = parameter.name, parameter.metadata["allowed"]
        if name not in wanted or wanted[name] == getattr(given, name):
            continue
        if wanted[name] is None:
            raise SsmaError(f"{name} is a parameter of this node and cannot be deleted")
        if allowed and isinstance(wanted[name], str) and wanted[name] not in allowed:
            raise SsmaError(f"{name} must be {' or '.join(allowed)}, got {wanted[name]!r}")
        if configured and not parameter.metadata["live"]:
            raise SsmaError(
                f"{name} is read when the node is configured, which it is already: `ros2 lifecycle "
                "set` it to cleanup (after deactivate), set the parameter, and configure it again; "
                "or restart the node with the new value")
    ours = {f.name for f in fields(Parameters)}
    return replace(given, **{name: value for name, value in wanted.items() if name in ours})


def _descriptor(parameter: Any) -> ParameterDescriptor:
    from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor

    allowed = parameter.metadata["allowed"]
    constraints = "" if parameter.metadata["live"] else "read when the node is configured"
    descriptor = ParameterDescriptor(description=parameter.metadata["description"])
    if isinstance(parameter.default, str) and allowed:
        constraints = f"{' or '.join(allowed)}; {constraints}"
    elif isinstance(parameter.default, float):
        descriptor.floating_point_range = [
            FloatingPointRange(from_value=allowed[0], to_value=allowed[1])]
    elif allowed:
        descriptor.integer_range = [
            IntegerRange(from_value=allowed[0], to_value=allowed[1], step=1)]
    descriptor.additional_constraints = constraints
    return descriptor

"""Every parameter of the node: name, type, default, range and what it means, each said once."""
from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from ssma_core import SsmaError

if TYPE_CHECKING:  # the defaults are needed where there is no ROS, too
    from rcl_interfaces.msg import ParameterDescriptor
    from rclpy.node import Node


def _parameter(default: Any, description: str, allowed: tuple[Any, Any] | None = None) -> Any:
    return field(default=default, metadata={"description": description, "allowed": allowed})


@dataclass(frozen=True)
class Parameters:
    """What the node was started with. All are read-only: nothing changes under a running worker."""

    model: str = _parameter("", "path of the model file, .onnx or .safetensors")
    slop: float = _parameter(
        0.02, "seconds that the stamps of a pair may lie apart; below half a frame's period, or "
        "neighbours can be taken for partners", (0.0, 10.0))
    queue_size: int = _parameter(
        10, "how many images of a topic may wait for their partner", (1, 1000))
    aux_delay: float = _parameter(
        0.0, "seconds that the second sensor's stamps are late: what it sees together with a "
        "colour image of stamp t, it stamps t + aux_delay; negative where its stamps are early",
        (-10.0, 10.0))
    threads: int = _parameter(
        0, "CPU threads for one frame; 0 leaves the choice to the inference library", (0, 256))


def declare(node: Node) -> Parameters:
    """Declares all of them and returns their values.

    Raises SsmaError, with ROS's own reason, when the value of one was given and cannot be taken.
    """
    from rclpy.exceptions import ParameterException

    try:
        return Parameters(**{
            f.name: node.declare_parameter(f.name, f.default, _descriptor(f)).value
            for f in fields(Parameters)})
    except ParameterException as error:
        raise SsmaError(f"a parameter's value is refused: {error}") from error


def _descriptor(parameter: Any) -> ParameterDescriptor:
    from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor

    descriptor = ParameterDescriptor(
        description=parameter.metadata["description"], read_only=True)
    if parameter.metadata["allowed"]:
        least, most = parameter.metadata["allowed"]
        if isinstance(parameter.default, int):
            descriptor.integer_range = [IntegerRange(from_value=least, to_value=most, step=1)]
        else:
            descriptor.floating_point_range = [FloatingPointRange(from_value=least, to_value=most)]
    return descriptor

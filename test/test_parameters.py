"""Every parameter is described once, bounded, and a wrong value is refused with the reason."""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import pytest

from ssma_core import SsmaError

pytest.importorskip("rclpy", reason="needs rclpy")
import rclpy
from rclpy.context import Context
from rclpy.node import Node
from rclpy.parameter import Parameter

from ssma_ros import parameters

pytestmark = pytest.mark.ros


@pytest.fixture(scope="module")
def context() -> Iterator[Context]:
    context = Context()
    rclpy.init(context=context)
    yield context
    rclpy.shutdown(context=context)


def node(context: Context, **given: Any) -> Node:
    return Node("under_test", context=context, start_parameter_services=False, enable_rosout=False,
                parameter_overrides=[Parameter(name, value=v) for name, v in given.items()])


def test_defaults_stand_in_one_place(context: Context) -> None:
    assert parameters.declare(node(context)) == parameters.Parameters()


def test_what_is_given_is_taken(context: Context) -> None:
    given = parameters.declare(
        node(context, model="m.onnx", slop=0.25, queue_size=3, aux_delay=-0.04, threads=2))
    assert given == parameters.Parameters("m.onnx", 0.25, 3, -0.04, 2)


@pytest.mark.parametrize("name", [f.name for f in fields(parameters.Parameters)])
def test_each_is_described_and_read_only(context: Context, name: str) -> None:
    under_test = node(context)
    parameters.declare(under_test)
    descriptor = under_test.describe_parameter(name)
    assert descriptor.description
    assert descriptor.read_only
    result, = under_test.set_parameters(
        [Parameter(name, value=getattr(parameters.Parameters(), name))])
    assert not result.successful
    assert name in result.reason


@pytest.mark.parametrize("name, value, reason", [
    ("slop", -0.1, "out of range.*-0.1"),
    ("slop", 10.5, "out of range.*10.5"),
    ("slop", 1, "INTEGER.*expecting type.*DOUBLE"),
    ("aux_delay", 10.5, "out of range.*10.5"),
    ("queue_size", 0, "out of range.*0"),
    ("threads", "two", "'two'.*expecting type.*INTEGER"),
    ("model", 5, "'5'.*expecting type.*STRING"),
])
def test_a_wrong_value_is_refused_with_the_reason(
        context: Context, name: str, value: Any, reason: str) -> None:
    with pytest.raises(SsmaError, match=reason) as refusal:
        parameters.declare(node(context, **{name: value}))
    assert name in str(refusal.value)

"""Every parameter is described once, bounded, and a wrong value is refused with the reason."""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any

import pytest
from conftest import ROOT

from ssma_core import SsmaError

pytest.importorskip("rclpy", reason="needs rclpy")
import rclpy
from rclpy.context import Context
from rclpy.node import Node
from rclpy.parameter import Parameter

from ssma_ros.node import parameters
from ssma_ros.node.parameters import Parameters

pytestmark = pytest.mark.ros

NOT_LIVE = {"model": "m.onnx", "autostart": True, "threads": 2, "label_groups": "groups.yaml",
            "registration": "r.yaml", "rgb_transport": "compressed",
            "aux_transport": "compressedDepth", "max_megapixels": 200.0}
LIVE = {"slop": 0.25, "aux_delay": -0.04, "queue_size": 3, "aux_timeout": 1.5, "rgb_timeout": 2.5,
        "frozen_timeout": 9.0, "inference_timeout": 5.0,
        "min_valid_depth": 0.5, "check_frame_id": False,
        "void_as_unlabeled": True}


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
    assert parameters.declare(node(context)) == Parameters()


def test_what_is_given_is_taken(context: Context) -> None:
    given: dict[str, Any] = {**NOT_LIVE, **LIVE}
    assert set(given) == {f.name for f in fields(Parameters)}
    assert parameters.declare(node(context, **given)) == Parameters(**given)


def test_a_name_that_no_parameter_has_is_logged_with_the_one_that_is_meant(
        context: Context, capfd: pytest.CaptureFixture[str]) -> None:
    parameters.declare(node(context, slopp=0.1, use_sim_time=True, **{
        "qos_overrides./rgb/image.subscription.depth": 3, "colour": "red"}))
    said = capfd.readouterr().err
    assert "no parameter 'slopp', so its value has no effect; is slop meant?" in said
    assert "no parameter 'colour', so its value has no effect" in said
    assert "use_sim_time" not in said and "qos_overrides" not in said


@pytest.mark.parametrize("name", [f.name for f in fields(Parameters)])
def test_each_is_described_with_its_range_and_when_it_is_read(context: Context, name: str) -> None:
    under_test = node(context)
    parameters.declare(under_test)
    descriptor = under_test.describe_parameter(name)
    assert descriptor.description
    assert not descriptor.read_only
    assert ("when the node is configured" in descriptor.additional_constraints) == (
        name in NOT_LIVE)
    if isinstance(getattr(Parameters(), name), float):
        assert descriptor.floating_point_range
    if name.endswith("transport"):
        assert "raw or compressed" in descriptor.additional_constraints


@pytest.mark.parametrize("name, value, reason", [
    ("slop", -0.1, "out of range.*-0.1"),
    ("slop", 10.5, "out of range.*10.5"),
    ("slop", float("nan"), "out of range.*nan"),
    ("slop", 1, "INTEGER.*expecting type.*DOUBLE"),
    ("aux_delay", 10.5, "out of range.*10.5"),
    ("queue_size", 0, "out of range.*0"),
    ("aux_timeout", 0.0, "out of range.*0"),
    ("min_valid_depth", 1.1, "out of range.*1.1"),
    ("threads", "two", "'two'.*expecting type.*INTEGER"),
    ("model", 5, "'5'.*expecting type.*STRING"),
    ("check_frame_id", "no", "'no'.*expecting type.*BOOL"),
    ("rgb_transport", "compressedDepth", "must be raw or compressed, got 'compressedDepth'"),
    ("aux_transport", "theora", "must be raw or compressed or compressedDepth, got 'theora'"),
])
def test_a_wrong_value_is_refused_with_the_reason(
        context: Context, name: str, value: Any, reason: str) -> None:
    with pytest.raises(SsmaError, match=reason) as refusal:
        parameters.declare(node(context, **{name: value}))
    assert name in str(refusal.value)


@pytest.mark.parametrize("name", [f.name for f in fields(Parameters)])
def test_what_is_read_at_configure_can_be_changed_before_and_what_is_live_always(
        name: str) -> None:
    value = {**LIVE, **NOT_LIVE}[name]
    wanted = {name: value}
    expected = replace(Parameters(), **wanted)
    assert parameters.changed(Parameters(), wanted, configured=False) == expected
    if name in NOT_LIVE:
        with pytest.raises(SsmaError, match=f"{name} is read when the node is configured"):
            parameters.changed(Parameters(), wanted, configured=True)
    else:
        assert parameters.changed(Parameters(), wanted, configured=True) == expected


def test_the_same_value_again_is_no_change() -> None:
    assert parameters.changed(Parameters(), {"model": ""}, configured=True) == Parameters()


def test_none_can_be_deleted_and_those_of_others_are_left_alone() -> None:
    with pytest.raises(SsmaError, match=r"slop.*cannot be deleted"):
        parameters.changed(Parameters(), {"slop": None}, configured=False)
    assert parameters.changed(Parameters(), {"use_sim_time": True}, configured=True) == Parameters()


def test_the_table_in_the_documentation_is_of_these() -> None:
    lines = (ROOT / "docs" / "node.md").read_text(encoding="utf-8").splitlines()
    table = [[cell.strip(" `") for cell in line.split("|")[1:-1]] for line in lines
             if line.endswith(("| yes |", "| no |"))]
    assert [row[0] for row in table] == [f.name for f in fields(Parameters)]
    for parameter, (_, default, allowed, changes) in zip(fields(Parameters), table):
        expected = str(parameter.default).lower() if not isinstance(parameter.default, str) else (
            parameter.default or '""')
        assert default == expected
        assert (changes == "yes") == parameter.metadata["live"]
        for bound in parameter.metadata["allowed"] or ():
            assert f"{bound:g}" in allowed if isinstance(bound, float) else str(bound) in allowed

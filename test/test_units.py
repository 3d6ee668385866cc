"""Depth that is not in the unit in which it is read."""
from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssma_core import Modality
from ssma_ros.node.health.units import DepthUnits, range_m

SIZE = (48, 64)


def said(metres: npt.NDArray[Any], unit: float, dtype: Any, *, range_m: float = 20.0,
         hz: float = 10.0, seconds: float = 2.0) -> str:
    """What is said in the end of a scene that does not change, sent in a unit of so many metres."""
    units, text = DepthUnits(range_m), ""
    with np.errstate(invalid="ignore"):
        sent = (metres / unit).astype(dtype)
    for number in range(int(hz * seconds) + 1):
        text = units.look(sent, number / hz)
    return text


def scene(near: float, far: float, holes: float = 0.3, seed: int = 0) -> npt.NDArray[Any]:
    """Depth in metres of ground that rises from near to far; 0 where nothing comes back."""
    rng = np.random.default_rng(seed)
    inverse = np.linspace(1 / near, 1 / far, SIZE[0])[:, None].repeat(SIZE[1], axis=1)
    depth = 1 / inverse * (1 + 0.01 * rng.standard_normal(SIZE))
    return np.where(rng.random(SIZE) < holes, 0, depth)


@pytest.mark.parametrize("unit, dtype, name", [
    (1.0, np.uint16, "metres"), (0.01, np.uint16, "centimetres"),
    (0.001, np.float32, "millimetres"), (0.01, np.float32, "centimetres")])
@given(near=st.floats(0.8, 2.2), depth=st.floats(6, 15), range_m=st.sampled_from([7.0, 20.0]),
       holes=st.floats(0, 0.6))
def test_another_unit_is_named(  # noqa: PLR0917
        unit: float, dtype: Any, name: str, near: float, depth: float, range_m: float, holes: float
        ) -> None:
    """Of a scene as a model of that range sees it: 2 m of ground, and trees in the distance."""
    near *= range_m / 20
    assert f"seems to be in {name}" in said(
        scene(near, near * depth, holes), unit, dtype, range_m=range_m)


@given(near=st.floats(0.3, 6), depth=st.floats(1.1, 40), range_m=st.sampled_from([7.0, 20.0, 80.0]),
       holes=st.floats(0, 0.95), dtype=st.sampled_from([np.uint16, np.float32]),
       seed=st.integers(0, 99), hz=st.sampled_from([1.0, 30.0]))
def test_depth_in_its_own_unit_is_left_alone(  # noqa: PLR0917
        near: float, depth: float, range_m: float, holes: float, dtype: Any, seed: int, hz: float
        ) -> None:
    metres = np.minimum(scene(near, near * depth, holes, seed), 65)
    unit = 0.001 if dtype == np.uint16 else 1.0
    assert said(metres, unit, dtype, range_m=range_m, hz=hz, seconds=5) == ""


@pytest.mark.parametrize("invalid", [np.nan, np.inf, -1.0])
def test_what_is_no_depth_says_nothing_of_the_unit(invalid: float) -> None:
    assert said(np.full(SIZE, invalid), 1.0, np.float32) == ""


def test_a_robot_that_drives_into_a_bush_has_shown_its_unit_before() -> None:
    units = DepthUnits(20.0)
    bush = scene(0.15, 1.2)
    for number in range(100):
        metres = scene(2, 16) if number < 30 else bush
        assert units.look((1000 * metres).astype(np.uint16), number / 10) == ""


def test_it_must_last_and_a_driver_may_come_back_with_another_unit() -> None:
    units, right, wrong = DepthUnits(20.0), scene(2, 16), scene(2, 16) / 10
    assert all(units.look((1000 * wrong).astype(np.uint16), i / 10) == "" for i in range(10))
    assert units.look((1000 * right).astype(np.uint16), 1.0) == ""
    assert all(units.look((1000 * wrong).astype(np.uint16), 10 + i / 10) == "" for i in range(10))
    assert "centimetres" in units.look((1000 * wrong).astype(np.uint16), 11.0)


@pytest.mark.parametrize("modality, expected", [
    (Modality("depth", "jet", 20_000.0), 20.0), (Modality("depth", "jet"), 7.0),
    (Modality("disparity", "jet", 64.0), None), (Modality("evi", "evi"), None)])
def test_only_depth_has_a_range_in_metres(modality: Modality, expected: float | None) -> None:
    assert range_m(modality) == expected

"""Small holes in a depth image are filled from around them; wide ones, and measurements, stay. A
map whose zero drifts is brought to one level."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from ssma_core import Modality
from ssma_core.modalities import encode
from ssma_core.modalities.depth import fill_holes, measured, shift_median

DTYPES = st.sampled_from([np.uint8, np.uint16, np.float32, np.float64])
ANY_MAP = DTYPES.flatmap(lambda dtype: npst.arrays(
    dtype, npst.array_shapes(min_dims=2, max_dims=2, max_side=12)))


def plane_with_hole(height: int, width: int) -> np.ndarray:
    depth = np.full((20, 30), 2000, np.uint16)
    depth[5:5 + height, 10:10 + width] = 0
    return depth


@pytest.mark.parametrize(("height", "width"), [(1, 1), (4, 4), (12, 4), (4, 12)])
def test_a_hole_as_narrow_as_requested_is_filled(height: int, width: int) -> None:
    assert (fill_holes(plane_with_hole(height, width), 4) == 2000).all()


@pytest.mark.parametrize(("height", "width"), [(5, 5), (12, 6)])
def test_a_wider_hole_stays_a_hole(height: int, width: int) -> None:
    depth = plane_with_hole(height, width)
    np.testing.assert_array_equal(fill_holes(depth, 4), depth)


def test_the_sky_stays_empty_at_the_edge_of_the_image_too() -> None:
    depth = np.full((20, 30), 2000, np.uint16)
    depth[:6] = 0
    assert not fill_holes(depth, 5)[:6].any()
    assert (fill_holes(depth, 6) == 2000).all()


def test_everything_is_filled_up_to_the_top_when_requested() -> None:
    depth = np.zeros((20, 30), np.uint16)
    depth[19, 7] = 1234
    assert (fill_holes(depth, 20) == 1234).all()


def test_a_hole_takes_the_value_next_to_it_and_between_two_the_nearer_one() -> None:
    """Five missing between 1 m and 9 m: the middle one is as far from both, and becomes near."""
    row = np.array([[9, 9, 0, 0, 0, 0, 0, 1, 1]], np.float32).repeat(9, 0)
    np.testing.assert_array_equal(fill_holes(row, 5)[4], [9, 9, 9, 9, 1, 1, 1, 1, 1])


def test_disparity_is_larger_where_it_is_nearer() -> None:
    row = np.array([[9, 0, 1]], np.uint8).repeat(3, 0)
    np.testing.assert_array_equal(fill_holes(row, 1)[1], [9, 1, 1])
    np.testing.assert_array_equal(fill_holes(row, 1, larger_is_nearer=True)[1], [9, 9, 1])


def test_the_encoding_knows_which_of_the_two_it_has() -> None:
    row = np.array([[200, 0, 20]], np.uint16).repeat(3, 0)
    colour = np.zeros((3, 3, 3), np.uint8)
    for name, winner in (("depth", 2), ("disparity", 0)):
        image = encode(Modality(name, "jet", 255.0, fill=1), row, colour)
        np.testing.assert_array_equal(image[1, 1], image[1, winner])
        assert not encode(Modality(name, "jet", 255.0), row, colour)[1, 1].any()


@given(ANY_MAP, st.integers(0, 30), st.booleans())
def test_filling_invents_nothing(values: np.ndarray, widest: int, disparity: bool) -> None:
    filled = fill_holes(values, widest, larger_is_nearer=disparity)
    known = measured(values)
    assert (filled.shape, filled.dtype) == (values.shape, values.dtype)
    np.testing.assert_array_equal(filled[known], values[known])
    assert np.isin(filled, [0, *values[known]]).all()
    if known.any() and widest >= min(values.shape):
        assert measured(filled).all()


@given(ANY_MAP, st.integers(0, 12))
def test_what_stays_a_hole_is_what_a_wide_square_covers(values: np.ndarray, widest: int) -> None:
    """The definition, by looking at every square."""
    known, side = measured(values), widest + 1
    height, width = values.shape
    expected = np.zeros_like(known)
    for y in range(height - side + 1):
        for x in range(width - side + 1):
            square = np.s_[y:y + side, x:x + side]
            expected[square] |= not known[square].any()
    if known.any():
        np.testing.assert_array_equal(~measured(fill_holes(values, widest)), expected)


# The level

def test_the_median_of_what_is_measured_is_brought_to_the_level() -> None:
    """Of 10, 20 and 60 the median is 20: all rise by 30. The hole stays one."""
    shifted = shift_median(np.array([[10, 20, 60, 0]], np.uint16), 50)
    np.testing.assert_array_equal(shifted, [[40, 50, 90, 0]])


def test_what_falls_below_zero_is_still_a_measurement() -> None:
    shifted = shift_median(np.array([[1.0, 90, 100, np.nan]]), 5)
    assert measured(shifted).tolist() == [[True, True, True, False]]
    np.testing.assert_allclose(shifted, [[0, 5, 15, 0]], atol=1e-6)


def test_a_frame_with_a_shifted_median_is_the_same_for_any_constant_added_to_it() -> None:
    disparity = np.random.default_rng(0).integers(20_000, 30_000, (20, 30)).astype(np.uint16)
    rgb = np.zeros((20, 30, 3), np.uint8)
    drawn = [encode(Modality("disparity", "jet", 65535, level=40_000, fill=4), each, rgb)
             for each in (disparity, disparity + 7000)]
    np.testing.assert_array_equal(*drawn)


@given(ANY_MAP, st.floats(1, 60_000))
def test_levelling_keeps_what_is_measured_and_what_is_not(values: np.ndarray,
                                                         level: float) -> None:
    assume(np.abs(values[measured(values)]).max(initial=0) < 1e9)
    shifted = shift_median(values, level)
    assert shifted.dtype == np.float32 and np.isfinite(shifted).all()
    np.testing.assert_array_equal(measured(shifted), measured(values))

"""Vegetation indices are the published formulas, for all types that cameras send."""
from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from ssma_core import Modality, ModelSpec, SsmaError
from ssma_core.modalities import network_images
from ssma_core.modalities.vegetation import evi, evi2, index_in_jet, ndvi
from ssma_core.spec import VEGETATION_INDICES

INDICES = st.sampled_from([ndvi, evi, evi2])
# B = 0.2, R = 0.4, N = 0.8
BGR = np.array([[[51, 0, 102]]], np.uint8)
NEAR_INFRARED = np.array([[204]], np.uint8)
SIDES = st.tuples(st.integers(1, 5), st.integers(1, 5))
SENSORS = st.tuples(SIDES, st.sampled_from([np.uint8, np.uint16, np.float32, np.float64])).flatmap(
    lambda drawn: st.tuples(npst.arrays(drawn[1], drawn[0]),
                            npst.arrays(np.uint8, (*drawn[0], 3))))


def test_the_indices_are_the_published_formulas() -> None:
    """Worked by hand."""
    assert ndvi(NEAR_INFRARED, BGR)[0, 0] == pytest.approx(0.4 / 1.2)
    assert evi(NEAR_INFRARED, BGR)[0, 0] == pytest.approx(2.5 * 0.4 / (0.8 + 2.4 - 1.5 + 1))
    assert evi2(NEAR_INFRARED, BGR)[0, 0] == pytest.approx(2.5 * 0.4 / (0.8 + 0.96 + 1))


@pytest.mark.parametrize("same", [np.uint16([[52428]]), np.float32([[0.8]]), np.float64([[0.8]])])
def test_a_reflectance_is_the_same_in_every_type(same: np.ndarray) -> None:
    for index in (ndvi, evi, evi2):
        np.testing.assert_allclose(index(same, BGR), index(NEAR_INFRARED, BGR), rtol=1e-6)


def test_no_light_means_no_index() -> None:
    for index in (ndvi, evi, evi2):
        assert index(np.zeros((1, 1), np.uint8), np.zeros((1, 1, 3), np.uint8))[0, 0] == 0


def test_an_index_is_drawn_over_the_whole_of_jet() -> None:
    ends = cv2.applyColorMap(np.array([[0, 127, 255]], np.uint8), cv2.COLORMAP_JET)
    np.testing.assert_array_equal(index_in_jet(np.array([[-1, 0, 1]], np.float32)), ends)


@given(INDICES, SENSORS)
def test_any_pair_of_images_makes_an_index(index, sensors) -> None:
    near_infrared, bgr = sensors
    values = index(near_infrared, bgr)
    assert (values.shape, values.dtype) == (near_infrared.shape, np.float32)
    assert np.abs(values).max() <= 1  # false for NaN, too
    assert index_in_jet(values).shape == bgr.shape


COLOUR = np.full((48, 64, 3), 60, np.uint8)
INFRARED = np.full((48, 64), 200, np.uint8)


def expert(spec: ModelSpec, encoding: str) -> ModelSpec:
    return replace(spec, architecture="adapnet++",
                   modalities=(Modality("near_infrared", encoding),))


@pytest.mark.parametrize("encoding", VEGETATION_INDICES)
def test_an_index_alone_takes_both_bands_or_the_encoded_image(
        tiny_spec: ModelSpec, encoding: str) -> None:
    spec = expert(tiny_spec, encoding)
    fusion = replace(tiny_spec, modalities=(tiny_spec.modalities[0], *spec.modalities))
    from_bands = network_images(spec, COLOUR, INFRARED)
    assert len(from_bands) == 1
    np.testing.assert_array_equal(from_bands[0], network_images(fusion, COLOUR, INFRARED)[1])
    np.testing.assert_array_equal(network_images(spec, from_bands[0])[0], from_bands[0])


@pytest.mark.parametrize(("images", "message"), [
    ((INFRARED,), "near infrared alone makes no vegetation index: give this model the colour"),
    ((INFRARED, INFRARED), "the colour image must be HxWx3 uint8"),
    ((COLOUR, INFRARED[:5]), "colour image is 64x48 and the near_infrared image 64x5"),
])
def test_bands_that_make_no_index_are_refused(
        tiny_spec: ModelSpec, images: tuple, message: str) -> None:
    with pytest.raises(SsmaError, match=message):
        network_images(expert(tiny_spec, "ndvi"), *images)


def test_a_depth_expert_takes_no_second_image(tiny_spec: ModelSpec) -> None:
    spec = replace(tiny_spec, architecture="adapnet++", modalities=tiny_spec.modalities[1:])
    with pytest.raises(SsmaError, match=r"takes 1 image\(s\) a frame \(depth\), got 2"):
        network_images(spec, COLOUR, INFRARED)

"""Sensor arrays become the images that the networks were trained on."""
from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from ssma_core import Modality, ModelSpec, SsmaError
from ssma_core.modalities import encode, network_images
from ssma_core.modalities.scale import for_people
from ssma_core.modalities.vegetation import evi

DEPTH = Modality("depth", "jet", 7000.0)
RGB = np.full((1, 3, 3), 128, np.uint8)


def test_depth_is_drawn_as_the_original_does() -> None:
    """×255/7000 mm, clipped, OpenCV's jet (SSMA issues 6 and 7)."""
    millimetres = np.array([[1, 3500, 60000]], np.uint16)
    index = np.array([[0, 127, 255]], np.uint8)
    np.testing.assert_array_equal(encode(DEPTH, millimetres, RGB),
                                  cv2.applyColorMap(index, cv2.COLORMAP_JET))


def test_metres_and_millimetres_are_the_same_depth() -> None:
    millimetres = np.array([[500, 2000, 6999]], np.uint16)
    metres = (millimetres / 1000).astype(np.float32)
    np.testing.assert_array_equal(encode(DEPTH, metres, RGB), encode(DEPTH, millimetres, RGB))


def test_people_see_a_map_between_the_ends_of_what_it_shows() -> None:
    """Of 1 to 100: greys from 2 to 98, the percentiles; jet colours from 0 to 98.02."""
    values = np.arange(101, dtype=np.uint16)[None]
    for encoding, at_2, at_50 in (("grey", [0] * 3, [127] * 3), ("jet", jet_at(5), jet_at(130))):
        image = for_people(values, encoding)[0]
        assert not image[0].any()
        np.testing.assert_array_equal(image[[2, 50, 99]], [at_2, at_50, {
            "grey": [255] * 3, "jet": jet_at(255)}[encoding]])
    celsius = np.array([[-9, -9, 1, 2, 30, 30]], np.float32)
    assert 0 < for_people(celsius, "grey")[0, 2, 0] < for_people(celsius, "grey")[0, 3, 0] < 255
    assert for_people(RGB, "jet") is RGB
    assert not for_people(np.zeros((2, 3), np.float32), "jet").any()


def jet_at(level: int) -> list[int]:
    found: list[int] = cv2.applyColorMap(np.array([[level]], np.uint8), cv2.COLORMAP_JET)[0, 0]
    return found


def test_what_is_not_a_measurement_is_black() -> None:
    metres = np.array([[0, np.nan, np.inf, -np.inf, -1, 2]], np.float32)
    image = encode(DEPTH, metres, RGB)
    assert not image[0, :5].any()
    assert image[0, 5].any()


def test_a_colour_image_counts_as_encoded() -> None:
    image = np.arange(9, dtype=np.uint8).reshape(1, 3, 3)
    np.testing.assert_array_equal(encode(DEPTH, image, RGB), image)


def test_evi_is_the_published_formula() -> None:
    """2.5 (N − R) / (N + 6 R − 7.5 B + 1) on reflectances, worked by hand."""
    bgr = np.array([[[51, 0, 102]]], np.uint8)  # B = 0.2, R = 0.4
    near_infrared = np.array([[204]], np.uint8)  # N = 0.8
    assert evi(near_infrared, bgr)[0, 0] == pytest.approx(2.5 * 0.4 / (0.8 + 2.4 - 1.5 + 1))


@given(npst.arrays(np.float32, (3, 4)), st.floats(1, 1e5))
def test_any_depth_can_be_encoded(depth: np.ndarray, far: float) -> None:
    with np.errstate(over="ignore"):
        image = encode(Modality("depth", "jet", far), depth, RGB)
    assert image.shape == (3, 4, 3)
    assert image.dtype == np.uint8
    invalid = ~np.isfinite(depth) | (depth <= 0)
    assert not image[invalid].any()


@given(npst.arrays(np.uint16, (3, 4)), npst.arrays(np.uint8, (3, 4, 3)))
def test_any_near_infrared_can_be_encoded(band: np.ndarray, rgb: np.ndarray) -> None:
    index = evi(band, rgb)
    assert np.isfinite(index).all()
    assert np.abs(index).max() <= 1
    assert encode(Modality("near_infrared", "evi"), band, rgb).shape == (3, 4, 3)


def test_images_come_out_at_the_network_size(tiny_spec: ModelSpec) -> None:
    rgb, depth = network_images(
        tiny_spec, np.zeros((384, 768, 3), np.uint8), np.ones((384, 768), np.uint16))
    assert rgb.shape == depth.shape == (192, 384, 3)


def test_shrinking_depth_invents_no_depth_between_near_and_far(tiny_spec: ModelSpec) -> None:
    depth = np.where(np.arange(768)[None] % 2, 1000, 19000).repeat(384, 0).astype(np.uint16)
    _, image = network_images(tiny_spec, np.zeros((384, 768, 3), np.uint8), depth)
    two = encode(tiny_spec.modalities[1], np.array([[1000, 19000]], np.uint16), RGB)
    colours = {tuple(c) for c in image.reshape(-1, 3)}
    assert colours <= {tuple(c) for c in two.reshape(-1, 3)}


FRAME = np.zeros((48, 64, 3), np.uint8)
MAP = np.zeros((48, 64), np.uint16)


@pytest.mark.parametrize(("rgb", "aux", "message"), [
    (FRAME, None, r"takes 2 image\(s\) a frame \(rgb and depth\), got 1"),
    (FRAME, MAP[:, :32], "rgb image is 64x48 and the depth image 32x48"),
    (FRAME[..., 0], MAP, "rgb image must be HxWx3 uint8"),
    (FRAME.astype(np.float32), MAP, "got shape .* of float32"),
    (FRAME, MAP.astype(np.int64), "depth image must be HxW of uint8, uint16 or float"),
    (FRAME, MAP[..., None], "depth image must be"),
    (FRAME[:0], MAP[:0], "rgb image is empty"),
    (FRAME, MAP.astype(np.uint8), "depth image is HxW of uint8, .* give uint16 millimetres or "),
])
def test_arrays_that_do_not_fit_are_refused(
        tiny_spec: ModelSpec, rgb: np.ndarray, aux: np.ndarray, message: str) -> None:
    with pytest.raises(SsmaError, match=message):
        network_images(tiny_spec, rgb, aux)


def test_maps_that_are_no_depth_may_have_8_bits(tiny_spec: ModelSpec) -> None:
    """Disparity and near infrared are in the sensor's own unit."""
    for second in (Modality("disparity", "jet", 255.0), Modality("nir", "evi")):
        spec = replace(tiny_spec, modalities=(tiny_spec.modalities[0], second))
        assert network_images(spec, FRAME, MAP.astype(np.uint8))[1].shape == (192, 384, 3)

"""Augmentation: one geometry for all images of a frame, light for the colour image only."""
from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssma_core.training.augment import Augmentation, augment

Image = npt.NDArray[np.uint8]

NOTHING = Augmentation(probability=1, rotation=0, skew=(0, 0), scale=(1, 1), crop=(1, 1),
                       vignetting=(10, 10), contrast=(1, 1), brightness=0)
# The vignetting of a standard deviation of ten widths takes at most one value from a pixel.


def patchwork(seed: int) -> Image:
    """A label image of patches, H×W uint8, that is no mirror image of itself."""
    small = np.random.default_rng(seed).integers(1, 6, (6, 12)).astype(np.uint8)
    return np.kron(small, np.ones((16, 16), np.uint8))


def changed(image: Image, label: Image, seed: int, **ranges: Any) -> tuple[Image, Image, Image]:
    """The colour image, the second image and the label, both images having been `image`."""
    (colour, second), result = augment([image, image], label, replace(NOTHING, **ranges),
                                       np.random.default_rng(seed), colour=0, void_id=0)
    return colour, second, result


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0, 30), st.floats(0, 0.3), st.floats(0.5, 2),
       st.floats(0.6, 1))
def test_one_geometry_for_both_modalities_and_the_label(
        seed: int, rotation: float, skew: float, scale: float, crop: float) -> None:
    label = patchwork(0)
    picture = np.dstack([label * 40] * 3)
    colour, second, result = changed(picture, label, seed, rotation=rotation, skew=(0, skew),
                                     scale=(scale, scale), crop=(crop, crop))
    np.testing.assert_array_equal(second[..., 0], result * 40)
    # The colour image is interpolated, so it differs at the edges of the patches, and there only.
    inside = cv2.erode(result, np.ones((5, 5))) == cv2.dilate(result, np.ones((5, 5)))
    inside = inside[2:-2, 2:-2]
    off = np.abs(colour[2:-2, 2:-2, 0].astype(int) - result[2:-2, 2:-2] * 40)
    assert inside.any() and off[inside].max() <= 1


def test_an_experts_frame_is_changed_as_the_fusions() -> None:
    """The same random numbers make the same geometry, whichever images a stage takes."""
    label = patchwork(1)
    picture = np.dstack([label] * 3)
    ranges = replace(NOTHING, rotation=10, scale=(0.5, 2), brightness=40, contrast=(0.5, 1.5))
    both = augment([picture, picture], label, ranges, np.random.default_rng(5), colour=0, void_id=0)
    alone = augment([picture], label, ranges, np.random.default_rng(5), colour=None, void_id=0)
    np.testing.assert_array_equal(both[0][1], alone[0][0])
    np.testing.assert_array_equal(both[1], alone[1])


def test_light_changes_only_in_the_colour_image() -> None:
    picture = np.full((32, 32, 3), 100, np.uint8)
    colour, second, _ = changed(picture, picture[..., 0], 1, contrast=(0.5, 1.5), brightness=40)
    assert (np.ptp(colour) <= 1) and (colour != 100).all()
    np.testing.assert_array_equal(second, picture)


@pytest.mark.parametrize(("contrast", "expected"), [(0.5, 178), (1.0, 228), (1.2, 248)])
def test_contrast_is_a_factor_of_the_distance_from_128(contrast: float, expected: int) -> None:
    picture = np.full((1, 3, 3), 228, np.uint8)
    colour, _, _ = changed(picture, picture[..., 0], 0, contrast=(contrast, contrast))
    assert colour[0, 1, 0] == expected


def test_vignetting_darkens_as_a_gaussian_does() -> None:
    picture = np.full((101, 201, 3), 200, np.uint8)
    colour, second, _ = changed(picture, picture[..., 0], 0, vignetting=(0.3, 0.3))
    deviation = 0.3 * 201
    assert colour[50, 100, 0] == 200
    assert colour[50, 0, 0] == int(200 * np.exp(-0.5 * (100 / deviation) ** 2))
    assert colour[0, 100, 0] == int(200 * np.exp(-0.5 * (50 / deviation) ** 2))
    assert (second == 200).all()


def test_outside_the_edge_of_a_shrunken_frame_is_void() -> None:
    white = np.full((32, 64, 3), 255, np.uint8)
    ranges = replace(NOTHING, scale=(0.5, 0.5), brightness=40)
    (colour, second), label = augment([white, white], np.ones((32, 64), np.uint8), ranges,
                                 np.random.default_rng(0), colour=0, void_id=3)
    assert np.count_nonzero(label == 1) == 16 * 32  # whole, wherever it is
    assert set(np.unique(label)) == {1, 3}
    assert (second[label == 3] == 0).all()
    outside = cv2.erode((label == 3).astype(np.uint8), np.ones((3, 3))) == 1
    assert (colour[outside] == 0).all()


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(1, 2), st.floats(0.8, 1))
def test_an_enlarged_or_cropped_frame_shows_only_itself(
        seed: int, scale: float, crop: float) -> None:
    label = np.ones((32, 64), np.uint8)
    _, _, result = changed(np.dstack([label] * 3), label, seed, scale=(scale, scale),
                           crop=(crop, crop))
    assert (result[1:-1, 1:-1] == 1).all()


def test_a_rotation_turns_by_its_angle() -> None:
    """A horizontal edge through the middle rises by tan(angle) a column."""
    label = np.ones((201, 201), np.uint8)
    label[100:] = 2
    slopes = []
    for seed in range(30):
        _, _, result = changed(np.dstack([label] * 3), label, seed, rotation=13)
        edge = [np.argmax(result[:, x] == 2) for x in (80, 120)]
        slopes.append(abs(np.degrees(np.arctan2(edge[1] - edge[0], 40))))
    assert 10 < max(slopes) < 13 + 1.5  # a pixel of 40 is 1.4 degrees


def test_a_frame_is_mirrored_in_half_of_the_cases() -> None:
    label = patchwork(0)
    results = [changed(np.dstack([label] * 3), label, seed)[2] for seed in range(200)]
    mirrored = sum(np.array_equal(result, label[:, ::-1]) for result in results)
    assert mirrored + sum(np.array_equal(result, label) for result in results) == 200
    assert 70 < mirrored < 130


def test_a_change_happens_with_its_probability() -> None:
    picture = np.full((8, 8, 3), 100, np.uint8)
    lit = [changed(picture, picture[..., 0], seed, probability=0.3, contrast=(2, 2))[0][4, 4, 0]
           for seed in range(300)]
    assert 60 < sum(abs(int(value) - 100) > 1 for value in lit) < 120


def test_the_given_frame_is_not_changed() -> None:
    label = patchwork(2)
    picture = np.dstack([label] * 3)
    before = picture.copy()
    changed(picture, label, 3, scale=(0.5, 2), brightness=40)
    np.testing.assert_array_equal(picture, before)


@given(st.integers(0, 2**32 - 1))
def test_the_second_image_is_moved_against_the_first_and_the_label_is_not(seed: int) -> None:
    label = patchwork(2)
    picture = np.dstack([label * 40] * 3)
    _, second, result = changed(picture, label, seed, displacement=6)
    _, still, without = changed(picture, label, seed)
    np.testing.assert_array_equal(result, without)
    moves = [(dy, dx) for dy in range(-6, 7) for dx in range(-6, 7)
             if np.array_equal(np.roll(still, (dy, dx), (0, 1))[6:-6, 6:-6], second[6:-6, 6:-6])]
    assert len(moves) == 1


def test_a_displacement_is_up_to_its_value_in_both_directions() -> None:
    """A point in the middle: where it is found."""
    point = np.zeros((41, 41, 3), np.uint8)
    point[20, 20] = 255
    found = []
    for seed in range(200):
        second = changed(point, np.ones((41, 41), np.uint8), seed, displacement=6)[1]
        found.append(np.argwhere(second[..., 0])[0] - 20)
    assert np.array(found).min() == -6 and np.array(found).max() == 6

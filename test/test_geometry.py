"""Every resize keeps the centres of pixels: labels are where the camera sees what they label.

Edges are put between all columns, or rows, of a camera's image. Where one comes back is measured in
the camera's pixels: to the network's size, and back as labels come back.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ssma_core import Modality, ModelSpec
from ssma_core.modalities import network_images
from ssma_core.pictures import nearest_places, resize_nearest

Array = npt.NDArray[Any]
Resize = Callable[[Array, tuple[int, int]], Array]

MOST = 0.1  # camera pixels that the mean edge may move
ACROSS = 16  # pixels along the edge: nothing changes there
# The network's sides are multiples of 16.
sides = st.tuples(st.integers(16, 700), st.integers(1, 24).map(lambda n: 16 * n))
ratios = [(768, 384), (1280, 384), (2048, 768), (960, 384), (648, 384), (384, 384), (320, 384),
          (384, 768), (1920, 384)]


def edges(side: int, axis: int) -> list[tuple[int, Array]]:
    """Images of `side` pixels along an axis, False before an edge and True behind it."""
    found = []
    for place in range(1, side):
        image = np.zeros((ACROSS, side), bool)
        image[:, place:] = True
        found.append((place, image if axis else image.T.copy()))
    return found


def moved(camera: int, network: int, axis: int, shrunk: Resize) -> float:
    """The mean way of all edges, in camera pixels. shrunk: what of a bool image is False, 0–1, as
    the network sees it."""
    size = (network, ACROSS) if axis else (ACROSS, network)
    ways = [shrunk(image, size).mean() * camera - place for place, image in edges(camera, axis)]
    return float(np.mean(ways))


def label(image: Array, size: tuple[int, int]) -> Array:
    there = resize_nearest(image.astype(np.uint8), size)
    return resize_nearest(there, (image.shape[1], image.shape[0])) == 0


def spec(size: tuple[int, int], *modalities: Modality) -> ModelSpec:
    return ModelSpec("ssma" if len(modalities) == 2 else "adapnet++", "tiny", ("void", "else"),
                     ((0, 0, 0), (9, 9, 9)), modalities, size)


def depth(image: Array, size: tuple[int, int]) -> Array:
    """1 m before the edge and 9 m behind it, as jet colours."""
    metres = np.where(image, 9, 1).astype(np.float32)
    (jet,) = network_images(spec(size, Modality("depth", "jet", 10_000.0)), metres)
    near = network_images(spec(size, Modality("depth", "jet", 10_000.0)),
                          np.ones_like(metres))[0][0, 0]
    return np.asarray((jet == near).all(axis=2))


def colour(image: Array, size: tuple[int, int]) -> Array:
    """White before the edge and black behind it: a mixed pixel says where the edge lies in it."""
    white = np.where(image, 0, 255).astype(np.uint8)
    (seen,) = network_images(spec(size, Modality("rgb", "image")), cv2.merge([white] * 3))
    return np.asarray(seen[..., 0] / 255)


@pytest.mark.parametrize("shrunk", [label, depth, colour])
@pytest.mark.parametrize("axis", [0, 1], ids=["rows", "columns"])
@pytest.mark.parametrize(("camera", "network"), ratios)
def test_the_mean_edge_of_a_cameras_image_stays_where_it_is(
        camera: int, network: int, axis: int, shrunk: Resize) -> None:
    assert abs(moved(camera, network, axis, shrunk)) <= MOST


@given(sides)
@example((768, 384))
def test_the_mean_edge_stays_for_any_two_sizes(both: tuple[int, int]) -> None:
    camera, network = both
    there, back = nearest_places(camera, network), nearest_places(network, camera)
    seen = there[back]  # for each camera pixel, the one whose label it gets
    # An edge before pixel e comes back before the first one that got a label of e or behind.
    came_back = np.searchsorted(np.maximum.accumulate(seen), np.arange(1, camera))
    apart = came_back - np.arange(1, camera)
    step = max(1.0, camera / network)
    assert abs(apart.mean()) <= max(MOST, step * step / camera)  # few edges in a small image
    assert np.abs(apart).max() <= step


@given(st.integers(1, 600), st.integers(1, 600))
def test_places_are_those_nearest_to_the_centres(before: int, after: int) -> None:
    places = nearest_places(before, after)
    centres = (np.arange(after) + 0.5) * before / after
    assert places.min() >= 0 and places.max() < before
    assert (np.abs(places + 0.5 - centres) <= 0.5 + 1e-9).all()
    assert (np.diff(places) >= 0).all()


@given(st.integers(1, 40), st.integers(1, 8))
def test_enlarged_by_a_whole_number_every_pixel_is_repeated(side: int, times: int) -> None:
    np.testing.assert_array_equal(
        nearest_places(side, side * times), np.repeat(np.arange(side), times))


def test_at_its_own_size_nothing_is_copied() -> None:
    values = np.zeros((5, 7), np.uint8)
    assert resize_nearest(values, (7, 5)) is values

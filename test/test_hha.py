"""HHA is the authors' encoding: disparity, height above the ground, angle with gravity."""
from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from ssma_core import Modality
from ssma_core.modalities import encode
from ssma_core.modalities.hha import in_hha
from ssma_core.spec import Camera

GOLDEN_CAMERA = Camera(518.85790117450188, 519.46961112127485, 325.58244941119034,
                       253.73616633400465, (640, 480))
CAMERA = Camera(60, 60, 47.5, 31.5, (96, 64))
FLOOR, WALL, UNKNOWN = 38, 38 + 90, 38 + 180
COLOUR = np.zeros((64, 96, 3), np.uint8)


def golden(shared: Path, name: str) -> np.ndarray:
    return cv2.imread(str(shared / "golden" / "hha" / name), cv2.IMREAD_UNCHANGED)


def room(pitch_degrees: float = 0.0, camera_height: float = 1.5) -> np.ndarray:
    """Metres seen in a room: a floor, and a wall 4 m ahead, by a camera that looks down by this."""
    pitch = np.radians(pitch_degrees)
    x = (np.arange(96)[None] - CAMERA.cx) / CAMERA.fx
    y = (np.arange(64)[:, None] - CAMERA.cy) / CAMERA.fy
    down = y * np.cos(pitch) + np.sin(pitch) + 0 * x
    ahead = np.cos(pitch) - y * np.sin(pitch) + 0 * x
    to_floor = np.where(down > 0, camera_height / np.where(down > 0, down, 1), np.inf)
    return np.minimum(to_floor, 4 / ahead)


def test_agrees_with_the_published_image(shared: Path) -> None:
    """At least 98 % of the bytes of every channel within 2 of Depth2HHA's."""
    metres = golden(shared, "0.png") / 10000
    off = np.abs(in_hha(metres, GOLDEN_CAMERA).astype(int) - golden(shared, "hha_complete.png"))
    assert ((off <= 2).mean((0, 1)) >= 0.98).all()


def test_missing_pixels_change_nothing_elsewhere(shared: Path) -> None:
    """Depth2HHA draws a guess where a mask says that depth is missing; here that is black. Its
    lowest point is such a guess, so that its heights differ from ours by one and the same."""
    known = golden(shared, "0_raw.png") > 0
    image = in_hha(np.where(known, golden(shared, "0.png") / 10000, 0), GOLDEN_CAMERA)
    angle, height, disparity = (image.astype(int) - golden(shared, "hha.png"))[known].T
    for off in (angle, height - np.median(height), disparity):
        assert (np.abs(off) <= 2).mean() >= 0.98
    assert not image[~known].any()


@pytest.mark.parametrize("pitch", [0, 20])
def test_a_floor_and_a_wall(pitch: float) -> None:
    metres = room(pitch)
    image = in_hha(metres, CAMERA).astype(int)
    floor, wall = np.s_[-8:, 8:-8], np.s_[4:12, 8:-8]
    assert np.abs(image[floor][..., 0] - FLOOR).max() <= 2
    assert np.abs(image[wall][..., 0] - WALL).max() <= 2
    assert np.abs(image[floor][..., 1]).max() <= 2
    np.testing.assert_allclose(image[..., 2], np.minimum(310 / metres, 255), atol=0.51)


def test_height_is_in_centimetres_above_the_floor() -> None:
    """A level camera sees along its axis a point as high as itself, a few centimetres off where the
    rounded crease between floor and wall tilts gravity. Without a floor it stands at 1.3 m."""
    just_wall = np.full((64, 96), 1.0)
    for metres, centimetres, within in ((room(camera_height=1.5), 150, 5), (just_wall, 130, 2)):
        assert abs(int(in_hha(metres, CAMERA)[31, 48, 1]) - centimetres) <= within


def test_a_wall_alone_does_not_tilt_the_world() -> None:
    image = in_hha(np.full((64, 96), 3.0), CAMERA)
    assert np.ptp(image[:, :, 1], axis=1).max() == 0
    assert (image[..., 0] == WALL).all()


def test_metres_and_millimetres_are_the_same_depth() -> None:
    millimetres = (room() * 1000).astype(np.uint16)
    np.testing.assert_array_equal(in_hha(millimetres, CAMERA),
                                  in_hha(millimetres / np.float32(1000), CAMERA))


def test_the_camera_is_scaled_to_the_image() -> None:
    twice = Camera(120, 120, 95.5, 63.5, (192, 128))  # the same camera at twice the size
    np.testing.assert_array_equal(in_hha(room(), twice), in_hha(room(), CAMERA))


def test_pixels_that_span_no_plane_have_no_angle() -> None:
    depth = np.zeros((64, 96), np.float32)
    depth[30] = 2
    image = in_hha(depth, CAMERA)
    assert (image[30, :, 0] == UNKNOWN).all()
    assert not np.delete(image, 30, axis=0).any()


def test_small_holes_are_filled_first() -> None:
    modality = Modality("depth", "hha", fill=3, camera=CAMERA)
    depth = room().astype(np.float32)
    depth[10:13, 20:23] = np.nan
    assert encode(modality, depth, COLOUR).any(2).all()
    assert not encode(replace(modality, fill=0), depth, COLOUR)[10:13, 20:23].any()


@given(st.sampled_from([np.uint8, np.uint16, np.float32, np.float64]).flatmap(
    lambda dtype: npst.arrays(dtype, npst.array_shapes(min_dims=2, max_dims=2, max_side=40))))
def test_any_depth_can_be_encoded(depth: np.ndarray) -> None:
    image = in_hha(depth, CAMERA)
    assert (image.shape, image.dtype) == ((*depth.shape, 3), np.uint8)
    known = (depth > 0) & np.isfinite(depth)
    assert not image[~known].any()
    assert (image[known][:, 0] >= FLOOR).all()

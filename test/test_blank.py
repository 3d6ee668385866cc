"""Which images show nothing."""
from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssma_core.bags.pairing import OTHER, STREAMS, Stream
from ssma_core.modalities.blank import DARK
from ssma_ros.node.health.blank import BlankDetector

SIZE = (200, 300)
RNG = np.random.default_rng(3)
COLOUR = RNG.integers(0, 255, (*SIZE, 3), np.uint8)
DEPTH = RNG.integers(1, 9000, SIZE, np.uint16)


def dead(aux_is_map: bool = True, min_valid_depth: float = 0.01,
         **images: npt.NDArray[Any]) -> set[str]:
    """The streams of which one image shows nothing."""
    return set(BlankDetector({"rgb": False, "aux": aux_is_map}).blank(
        images, 0.0, min_valid_depth=min_valid_depth, frozen_timeout=2.0))  # type: ignore[arg-type]


def test_colour_and_depth_of_something_are_alive() -> None:
    assert dead(rgb=COLOUR, aux=DEPTH) == set()


@pytest.mark.parametrize("brightest, expected", [(0, {"rgb"}), (DARK, {"rgb"}), (DARK + 1, set())])
def test_a_colour_image_without_anything_bright_is_black(
        brightest: int, expected: set[str]) -> None:
    night = np.full((*SIZE, 3), brightest // 2, np.uint8)
    night[:, 7, 1] = brightest
    assert dead(rgb=night, aux=DEPTH) == expected


@pytest.mark.parametrize("dtype, value, expected", [
    (np.uint8, DARK, {"aux"}), (np.uint8, 200, set()), (np.uint16, DARK, {"aux"}),
    (np.uint16, 60, set()), (np.float32, 0.0, {"aux"}), (np.float32, 0.02, set())])
def test_near_infrared_is_black_as_colour_is(dtype: Any, value: float, expected: set[str]) -> None:
    assert dead(aux_is_map=False, aux=np.full(SIZE, value, dtype)) == expected


def test_a_map_that_comes_encoded_as_a_picture_is_judged_as_one() -> None:
    assert dead(aux=np.zeros((*SIZE, 3), np.uint8)) == {"aux"}
    blue = COLOUR * np.array([1, 0, 0], np.uint8)
    assert dead(min_valid_depth=0.5, aux=blue) == set()


@pytest.mark.parametrize("invalid, dtype", [
    (0, np.uint16), (0, np.float32), (np.nan, np.float32), (np.inf, np.float32), (-1, np.float32)])
@pytest.mark.parametrize("valid_columns, expected", [(0, {"aux"}), (29, {"aux"}), (31, set())])
def test_depth_needs_enough_valid_pixels(
        invalid: float, dtype: Any, valid_columns: int, expected: set[str]) -> None:
    depth = np.full(SIZE, invalid, dtype)
    depth[:, :valid_columns] = 5
    assert dead(min_valid_depth=0.1, aux=depth) == expected


def test_a_share_of_nothing_is_always_there() -> None:
    assert dead(min_valid_depth=0.0, aux=np.zeros(SIZE, np.uint16)) == set()


def test_the_reason_names_the_share_that_is_left() -> None:
    depth = np.zeros(SIZE, np.uint16)
    depth[:, :3] = 5
    said = BlankDetector({"rgb": False, "aux": True}).blank(
        {"aux": depth}, 0.0, min_valid_depth=0.1, frozen_timeout=2.0)
    assert said["aux"].startswith("1.0 % of the pixels are valid")


class Film:
    """Images of both streams at times of our own; a stream's picture is a number."""

    def __init__(self) -> None:
        self.detector = BlankDetector({"rgb": False, "aux": True})

    def shows(self, now: float, **pictures: int) -> set[str]:
        """Who is dead then."""
        images = {stream: np.full((*SIZE, 3) if stream == "rgb" else SIZE, 50 + picture,
                                  np.uint8 if stream == "rgb" else np.float32)
                  for stream, picture in pictures.items()}
        return set(self.detector.blank(images, now, min_valid_depth=0.0,  # type: ignore[arg-type]
                                     frozen_timeout=2.0))


@pytest.mark.parametrize("stuck", STREAMS)
def test_a_stream_that_repeats_itself_while_the_other_changes_hangs(stuck: Stream) -> None:
    film = Film()
    for i in range(40):
        # The other's first change is at 0.1 s, so that at 2.1 s it has changed for 2 s.
        assert film.shows(i / 10, **{stuck: 0, OTHER[stuck]: i}) == ({stuck} if i > 21 else set())
    assert film.shows(4, rgb=90, aux=90) == set()


def test_a_scene_that_stands_still_is_alive_and_so_is_what_moves_first_in_it() -> None:
    film = Film()
    for i in range(100):
        assert film.shows(i / 10, rgb=0, aux=0) == set()
    assert film.shows(10.0, rgb=0, aux=1) == set()
    assert film.shows(10.1, rgb=1, aux=2) == set()


def test_a_camera_that_hangs_is_dead_until_it_shows_something_else() -> None:
    film = Film()
    for i in range(40):
        film.shows(i / 10, rgb=0, aux=i)
    assert film.shows(4.0, rgb=0) == {"rgb"}  # though no one else says so now
    assert film.shows(4.1, rgb=0, aux=39) == {"rgb"}
    assert film.shows(4.2, rgb=1) == set()


def test_no_one_hangs_where_only_one_stream_comes() -> None:
    film = Film()
    assert all(film.shows(i / 10, rgb=0) == set() for i in range(50))


def test_the_very_same_bytes_are_the_same_also_where_they_are_no_number() -> None:
    film = Film()
    nothing = np.full(SIZE, np.nan, np.float32)
    for i in range(40):
        picture = np.full((*SIZE, 3), 50 + i, np.uint8)
        said = film.detector.blank({"rgb": picture, "aux": nothing}, i / 10, min_valid_depth=0.0,
                                 frozen_timeout=2.0)
    assert set(said) == {"aux"}


def test_a_camera_may_change_its_resolution() -> None:
    film = Film()
    film.shows(0.0, rgb=0)
    assert dead(rgb=COLOUR[:100]) == set()
    assert film.detector.blank({"rgb": COLOUR[:100]}, 0.1, min_valid_depth=0.0,
                             frozen_timeout=2.0) == {}


# Behind a lens cap a camera is not quite black: it turns its gain up, and shows its noise.

DARKNESS = {"mean": st.floats(0, 12), "deviation": st.floats(0.5, 6), "seed": st.integers(0, 999)}


def lens_cap(mean: float, deviation: float, seed: int) -> npt.NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    noise = np.clip(rng.normal(mean, deviation, (*SIZE, 3)), 0, 255)
    noise[rng.random(SIZE) < 1e-3] = 255  # hot pixels
    return noise.astype(np.uint8)


@given(**DARKNESS)
def test_a_lens_cap_is_black_for_all_its_noise(mean: float, deviation: float, seed: int) -> None:
    assert dead(rgb=lens_cap(mean, deviation, seed)) == {"rgb"}


@given(**DARKNESS, lit=st.floats(8, 60), share=st.floats(0.15, 0.85))
def test_a_night_with_a_lit_way_or_a_brighter_sky_is_not_black(
        mean: float, deviation: float, seed: int, lit: float, share: float) -> None:
    night = lens_cap(mean, deviation, seed).astype(float)
    night[round(share * SIZE[0]):] += lit
    assert dead(rgb=np.clip(night, 0, 255).astype(np.uint8)) == set()


def test_the_first_reason_is_kept() -> None:
    """A black camera repeats itself as well."""
    film = Film()
    for i in range(40):
        said = film.detector.blank(
            {"rgb": np.zeros((*SIZE, 3), np.uint8), "aux": np.full(SIZE, 50 + i, np.float32)},
            i / 10, min_valid_depth=0.0, frozen_timeout=2.0)
    assert said == {"rgb": "they are black"}

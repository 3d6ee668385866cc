"""A ModelSpec holds together or says why not, and survives its way through a file."""
from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssma_core import Modality, ModelSpec, SsmaError
from ssma_core.spec import Camera, check_multiple_of_16


def test_a_spec_is_the_same_after_json(tiny_spec: ModelSpec) -> None:
    assert ModelSpec.from_json(tiny_spec.to_json()) == tiny_spec


def test_rates_are_the_released_ones_unless_given(tiny_spec: ModelSpec) -> None:
    values = json.loads(tiny_spec.to_json())
    del values["rates"]
    assert ModelSpec.from_dict(values).rates == "released"


@pytest.mark.parametrize(("change", "message"), [
    ({"void_id": 6}, "void_id 6 is not one of the 6 classes"),
    ({"class_names": ("a", "b")}, "2 class names but 6 class colours"),
    ({"class_names": ("a",) * 6}, "class names must differ"),
    ({"modalities": (Modality("rgb", "image"),)}, "ssma takes 2 modalities"),
    ({"input_size": (100, 64)}, "pad 12 columns and 0 rows, to 112x64"),
])
def test_what_does_not_fit_together_is_named(
        tiny_spec: ModelSpec, change: dict, message: str) -> None:
    with pytest.raises(SsmaError, match=message):
        replace(tiny_spec, **change)


@pytest.mark.parametrize(("change", "message"), [
    ({"architecture": "unet"}, "spec.architecture must be one of ssma, adapnet"),
    ({"size": "huge"}, "spec.size must be one of full, tiny"),
    ({"rates": "mine"}, "spec.rates must be one of released, paper"),
    ({"colour": 1}, "spec has an unknown field 'colour'"),
    ({"class_colours": [[0, 0, 300]] * 6}, "three integers 0–255"),
    ({"class_colours": 5}, "spec.class_colours must be a list"),
    ({"class_names": ["a", 1]}, r"spec.class_names\[1\] must be of type str, got 1"),
    ({"modalities": [{"name": "rgb", "encoding": "image", "unit": "m"}] * 2},
     r"spec.modalities\[0\] has an unknown field 'unit'"),
    ({"modalities": [{"name": "rgb", "encoding": "image"},
                     {"name": "disparity", "encoding": "jet"}]}, "'jet' needs a range"),
    ({"modalities": 5}, "modalities must be a list"),
    ({"input_size": [384]}, "spec.input_size must have 2 entries"),
    ({"input_size": "big"}, "spec.input_size must be a list"),
    ({"input_size": [384.5, 192]}, r"spec.input_size\[0\] must be of type int"),
    ({"void_id": "none"}, "spec.void_id must be of type int"),
])
def test_plain_data_that_is_no_spec_is_refused(
        tiny_spec: ModelSpec, change: dict, message: str) -> None:
    with pytest.raises(SsmaError, match=message):
        ModelSpec.from_dict(json.loads(tiny_spec.to_json()) | change)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"size": "tiny"}'])
def test_text_that_is_no_spec_is_refused(text: str) -> None:
    with pytest.raises(SsmaError):
        ModelSpec.from_json(text)


@pytest.mark.parametrize(("fields", "message"), [
    ({"encoding": "jet", "range": 9.0, "level": 9.0}, "level is for .* between 0 and its range"),
    ({"encoding": "ndvi", "level": 1.0}, "level is for the encoding 'jet'"),
    ({"encoding": "evi", "fill": 3}, "only jet and hha can be filled"),
    ({"encoding": "jet", "range": 9.0, "fill": -1}, "fill is a number of pixels of at least 0"),
    ({"encoding": "hha"}, "the encoding 'hha' needs a camera"),
    ({"encoding": "jet", "range": 9.0, "camera": Camera(500, 500, 320, 240, (640, 480))},
     "the others take none"),
])
def test_a_modality_that_makes_no_sense_is_refused(fields: dict, message: str) -> None:
    with pytest.raises(SsmaError, match=message):
        Modality("depth", **fields)


def test_a_cameras_lengths_are_positive() -> None:
    with pytest.raises(SsmaError, match="must be positive"):
        Camera(0, 500, 320, 240, (640, 480))


@given(st.integers(1, 4000), st.integers(1, 4000))
def test_the_padding_that_is_named_makes_a_size_fit(width: int, height: int) -> None:
    try:
        check_multiple_of_16(width, height)
        assert width % 16 == height % 16 == 0
    except SsmaError as error:
        padded = str(error).rsplit(" to ", 1)[1].split("x")
        check_multiple_of_16(int(padded[0]), int(padded[1]))
        assert 0 <= int(padded[0]) - width < 16


def test_depth_in_jet_has_the_originals_range_unless_another_is_given() -> None:
    """value · 255 / 7000 mm: issues 6 and 7 of DeepSceneSeg/SSMA."""
    assert Modality("depth", "jet").range == 7000
    assert Modality("depth", "jet", 12000).range == 12000
    assert Modality("depth", "image").range is None

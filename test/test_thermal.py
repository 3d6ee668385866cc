"""Thermal as a second modality: 16-bit counts or degrees Celsius, in a fixed range or by each
frame's own percentiles, in jet or grey; the same in NumPy, in torch and in ONNX."""
from __future__ import annotations

import io
import json
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch
from conftest import TINY_SPEC
from hypothesis import given, settings
from hypothesis import strategies as st

from ssma_core import Modality, ModelSpec, SsmaError
from ssma_core.end_to_end.depth import percentile
from ssma_core.end_to_end.preprocessing import Preprocessing
from ssma_core.files import read_sensor, write_picture
from ssma_core.modalities import encode, network_images
from ssma_core.modalities.scale import percentiles
from ssma_core.model_files.exported import Exported, FrameFormat, frame_inputs
from ssma_ros.node.health.blank import BlankDetector

Array = npt.NDArray[Any]
CELSIUS = Modality("thermal", "grey", range=40.0, low=-20.0)
COUNTS = Modality("thermal", "jet", range=4000.0, low=3000.0)
STRETCHED = Modality("thermal", "grey", percentiles=(2, 98))
NETWORK = (96, 48)
RGB = np.zeros((1, 1, 3), np.uint8)


def grey(modality: Modality, *values: float, dtype: str = "float32") -> list[int]:
    """The levels of a row of values."""
    image = encode(modality, np.array([values], dtype), RGB)
    assert image.dtype == np.uint8 and np.all(image == image[..., :1])
    return image[0, :, 0].tolist()


def in_jet(level: int) -> list[int]:
    return cv2.applyColorMap(np.array([[level]], np.uint8), cv2.COLORMAP_JET)[0, 0].tolist()


# What is drawn

def test_degrees_lie_between_low_and_range() -> None:
    """255 · (value + 20) / 60, truncated: −20, −5, 10, 25 and 40 °C, and beyond both ends."""
    assert grey(CELSIUS, -20, -5, 10, 25, 40) == [0, 63, 127, 191, 255]
    assert grey(CELSIUS, -90, 900) == [0, 255]


def test_zero_degrees_are_a_measurement() -> None:
    assert grey(CELSIUS, 0.0) == [85]
    assert grey(replace(CELSIUS, low=0.0), 0.0, 20.0) == [0, 127]


@pytest.mark.parametrize("nothing", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("encoding", ["grey", "jet"])
def test_what_has_no_value_is_black(nothing: float, encoding: Any) -> None:
    modality = replace(CELSIUS, encoding=encoding)
    image = encode(modality, np.array([[nothing, 10]], np.float32), RGB)
    assert not image[0, 0].any() and image[0, 1].any()


def test_counts_in_jet() -> None:
    """Level 0 is jet's dark blue; a count of 0, which is a dead pixel, is black."""
    image = encode(COUNTS, np.array([[3000, 3500, 4000, 0, 1]], np.uint16), RGB)[0].tolist()
    assert image == [in_jet(0), in_jet(127), in_jet(255), [0, 0, 0], in_jet(0)]


def test_eight_bits_in_grey_are_themselves() -> None:
    assert grey(Modality("thermal", "grey", 255), *range(256), dtype="uint8") == list(range(256))


def test_percentiles_stretch_every_frame() -> None:
    """Of 1, 2 … 50 the 2nd percentile is 1 and the 98th is 49, by the nearest rank."""
    levels = grey(STRETCHED, *range(1, 51), dtype="uint16")
    assert levels == [min(255, 255 * k // 48) for k in range(50)]
    assert grey(STRETCHED, *(7000 + 100 * k for k in range(1, 51)), dtype="uint16") == levels
    assert grey(STRETCHED, *(k / 8 - 3 for k in range(1, 51))) == levels


def test_dead_pixels_have_no_part_in_percentiles() -> None:
    levels = grey(STRETCHED, *range(1, 51))
    assert grey(STRETCHED, *[np.nan, -np.inf, np.inf] * 9, *range(1, 51))[27:] == levels
    assert grey(STRETCHED, *[0] * 9, *range(1, 51), dtype="uint16") == [0] * 9 + levels


@pytest.mark.parametrize("modality", [STRETCHED, replace(STRETCHED, encoding="jet")])
def test_a_frame_of_one_temperature_is_its_low_end(modality: Modality) -> None:
    image = encode(modality, np.full((3, 4), 21.5, np.float32), RGB)
    assert np.all(image == (in_jet(0) if modality.encoding == "jet" else 0))


def test_a_scale_that_begins_at_zero_is_as_before() -> None:
    """Zero or less is then no measurement: all of the shipped models were trained so."""
    image = encode(Modality("thermal", "jet", 100.0), np.array([[-5, 0, 50]], np.float32), RGB)
    assert image[0].tolist() == [[0, 0, 0], [0, 0, 0], in_jet(127)]


@given(st.lists(st.integers(1, 999), min_size=1, max_size=60), st.integers(0, 100),
       st.sampled_from(["uint16", "float32"]))
def test_a_percentile_is_by_the_nearest_rank(values: list[int], share: int, dtype: str) -> None:
    """Some value; so many of them are not above it, and fewer are below it."""
    found = float(percentiles(np.array(values, dtype), [share])[0])
    wanted = max(np.float32(len(values)) * np.float32(share / 100), 1)
    assert found in values
    assert sum(value <= found for value in values) >= wanted > sum(v < found for v in values)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(-640_000, 640_000), max_size=40), st.floats(0, 100))
def test_bisection_finds_the_same_percentile(steps: list[int], share: float) -> None:
    """Of degrees in steps of a 64th, which is finer than any sensor's."""
    values = [step / 64 for step in steps]
    known = torch.tensor([True] * len(values) + [False])
    found = percentile(torch.tensor([*values, 0.0]), known, share, 24)
    assert found.item() == percentiles(np.array(values, np.float32), [share])[0]


# NumPy, torch, ONNX

def heat(aux: str, size: tuple[int, int] = (200, 90)) -> Array:
    """A scene from −30 to 50 °C with hot spots, noise and dead pixels, in the sensor's unit."""
    random = np.random.default_rng(1)
    degrees = cv2.resize(random.uniform(-30, 50, (6, 9)).astype(np.float32), size)
    degrees += random.normal(0, 0.4, degrees.shape).astype(np.float32)
    dead = random.random(degrees.shape) < 0.02
    if aux == "float32":
        degrees[dead], degrees[0, :7], degrees[1, :7] = np.nan, np.inf, -np.inf
        return degrees
    whole = {"uint16": 3000 + 12 * (degrees + 30), "uint8": 3 * (degrees + 30)}[aux]
    return np.where(dead, 0, whole).astype(aux)


def spec(modality: Modality) -> ModelSpec:
    return replace(TINY_SPEC, modalities=(Modality("rgb", "image"), modality), input_size=NETWORK)


MODALITIES = [
    replace(modality, encoding=encoding) for encoding in ("jet", "grey") for modality in (
        CELSIUS, COUNTS, STRETCHED, Modality("thermal", "grey", percentiles=(0, 100)),
        Modality("thermal", "grey", range=300.0))]


@pytest.mark.parametrize("aux", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("modality", MODALITIES, ids=lambda m: (
    f"{m.encoding} {m.low} {m.range} {m.percentiles}"))
def test_the_graph_draws_the_same(modality: Modality, aux: Any) -> None:
    thermal = heat(aux)
    colour = np.zeros((*thermal.shape, 3), np.uint8)
    _, wanted = network_images(spec(modality), colour, thermal)
    frame = FrameFormat((200, 90), aux)
    inputs = frame_inputs(Exported(spec(modality), "fp32", frame, ""), [colour, thermal])
    _, image = Preprocessing(spec(modality), frame)(*map(torch.from_numpy, inputs.values()))
    assert np.array_equal(image.permute(1, 2, 0).numpy(), wanted)


class Both(torch.nn.Module):
    """The thermal image by each of two modalities: one export is slow enough."""

    def __init__(self, *modalities: Modality) -> None:
        super().__init__()
        self.ways = torch.nn.ModuleList(
            Preprocessing(spec(each), FrameFormat((200, 90), "float32")) for each in modalities)

    def forward(self, *arrays: torch.Tensor) -> list[torch.Tensor]:
        return [way(*arrays)[1] for way in self.ways]


def test_onnx_draws_the_same() -> None:
    import onnxruntime

    arrays = [np.zeros((90, 200, 3), np.uint8), heat("float32")]
    modalities = CELSIUS, replace(STRETCHED, encoding="jet")
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            Both(*modalities), tuple(map(torch.from_numpy, arrays)), dynamo=True, verbose=False,
            opset_version=18, input_names=["rgb", "thermal"])
    assert program is not None
    file = io.BytesIO()
    program.save(file)
    images = onnxruntime.InferenceSession(file.getvalue()).run(
        None, dict(zip(("rgb", "thermal"), arrays)))
    for image, modality in zip(images, modalities, strict=True):
        _, wanted = network_images(spec(modality), *arrays)
        assert np.array_equal(image.transpose(1, 2, 0), wanted)


@pytest.mark.parametrize("aux", ["uint16", "float32"])
@pytest.mark.parametrize("modality", [STRETCHED, CELSIUS])
def test_without_any_value_the_graph_is_black_too(modality: Modality, aux: Any) -> None:
    nothing = np.full((90, 200), np.nan if aux == "float32" else 0, aux)
    colour = np.zeros((90, 200, 3), np.uint8)
    frame = FrameFormat((200, 90), aux)
    inputs = frame_inputs(Exported(spec(modality), "fp32", frame, ""), [colour, nothing])
    for image in (network_images(spec(modality), colour, nothing)[1],
                  Preprocessing(spec(modality), frame)(
                      *map(torch.from_numpy, inputs.values()))[1].numpy()):
        assert not image.any()


# Its way to the model

def test_degrees_come_through_a_tiff_and_counts_through_a_png(tmp_path: Path) -> None:
    for aux, name in (("float32", "0.tiff"), ("uint16", "0.png")):
        write_picture(tmp_path / name, heat(aux))
        assert np.array_equal(read_sensor(tmp_path / name), heat(aux), equal_nan=True)


def test_a_frosty_scene_is_alive() -> None:
    """Below zero everywhere: for depth that would be no measurement, for a camera black."""
    detector = BlankDetector({"rgb": False, "aux": False}, ["aux"])

    def said(aux: Array) -> dict[Any, str]:
        return detector.blank({"aux": aux}, 0.0, min_valid_depth=0.5, frozen_timeout=2.0)

    assert not said(np.full((64, 64), -12.5, np.float32))
    assert said(np.full((64, 64), np.nan, np.float32)) == {"aux": "no pixel has a value"}
    assert said(np.zeros((64, 64), np.uint16)) == {"aux": "they are black"}
    assert not said(np.full((64, 64), 3000, np.uint16))


# The spec

@pytest.mark.parametrize("modality", MODALITIES)
def test_the_spec_is_the_same_after_json(modality: Modality) -> None:
    assert ModelSpec.from_json(spec(modality).to_json()) == spec(modality)


def test_files_of_before_load_unchanged() -> None:
    """Their specs have neither low nor percentiles."""
    older = json.loads(TINY_SPEC.to_json())
    for modality in older["modalities"]:
        del modality["low"], modality["percentiles"]
    assert ModelSpec.from_dict(older) == TINY_SPEC


@pytest.mark.parametrize(("fields", "message"), [
    ({"encoding": "grey"}, "needs a range or percentiles, and so does 'grey'"),
    ({"encoding": "grey", "range": 9.0, "percentiles": (1, 99)}, "needs a range or percentiles"),
    ({"encoding": "image", "range": 9.0, "percentiles": (1, 99)}, "the others take none"),
    ({"encoding": "image", "percentiles": (1, 99)}, "the others take none"),
    ({"encoding": "grey", "range": 9.0, "low": 9.0}, "range must be above low, 9.0, got 9.0"),
    ({"encoding": "grey", "range": -9.0}, "range must be positive"),
    ({"encoding": "grey", "range": 9.0, "low": -np.inf}, "range must be above low"),
    ({"encoding": "grey", "range": 9.0, "low": np.nan}, "range must be above low"),
    ({"encoding": "jet", "low": 3.0, "percentiles": (1, 99)}, "low belongs to a range; got 3.0"),
    ({"encoding": "ndvi", "low": 3.0}, "low belongs to a range"),
    ({"encoding": "jet", "percentiles": (99, 1)}, "two numbers from 0 to 100, the lower one first"),
    ({"encoding": "jet", "percentiles": (1, 101)}, "two numbers from 0 to 100"),
    ({"encoding": "jet", "percentiles": (np.nan, 99)}, "two numbers from 0 to 100"),
    ({"encoding": "jet", "range": 9.0, "low": 1.0, "fill": 3}, "none with low or percentiles"),
    ({"encoding": "grey", "range": 9.0, "fill": 3}, "only jet and hha can be filled"),
    ({"encoding": "jet", "range": 9.0, "low": 1.0, "level": 3.0}, "'jet' without low"),
    ({"encoding": "grey", "range": 9.0, "level": 3.0}, "level is for the encoding 'jet'"),
])
def test_a_scale_that_makes_no_sense_is_refused(fields: dict, message: str) -> None:
    with pytest.raises(SsmaError, match=message):
        Modality("thermal", **fields)

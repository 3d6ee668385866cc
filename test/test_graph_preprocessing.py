"""The graph makes of the sensors' arrays what `network_images` makes of them, bit by bit."""
from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch

from ssma_core import Modality, ModelSpec
from ssma_core.end_to_end.depth import shift_median
from ssma_core.end_to_end.preprocessing import Preprocessing
from ssma_core.end_to_end.resize import Nearest
from ssma_core.modalities import network_images
from ssma_core.model_files.exported import AUX_FORMATS, Exported, FrameFormat, frame_inputs
from ssma_core.pictures import resize_nearest

Array = npt.NDArray[Any]
NETWORK = (384, 192)
RGB = Modality("rgb", "image")
DEPTH = Modality("depth", "jet", 20000.0)
# As cameras are: twice the network's size, that size, larger ones, one that is larger in one
# direction only, and smaller ones.
CAMERAS = [(768, 384), NETWORK, (1280, 720), (1920, 1080), (648, 483), (384, 483), (640, 180),
           (320, 160), (97, 53)]
# Where the last bit of a float decides which level a value is rounded to: of 1280 and 720 pixels
# the weights are thirtieths, and many means lie in the middle; enlarged, OpenCV's numbers have 26
# bits. So many values may be off by one.
OFF_BY_ONE = {(1280, 720): 2e-3, (97, 53): 1e-4}


def spec(*modalities: Modality) -> ModelSpec:
    architecture = "ssma" if len(modalities) == 2 else "adapnet++"
    return ModelSpec(architecture, "tiny", ("void", "else"), ((0, 0, 0), (9, 9, 9)), modalities,
                     NETWORK)


def smooth(size: tuple[int, int], high: float) -> Array:
    values = np.random.default_rng(0).random((12, 24), np.float32)
    return cv2.resize(values * np.float32(high), size)


def picture(size: tuple[int, int]) -> Array:
    """Smooth with noise on it, H×W×3 uint8, all levels."""
    noise = np.random.default_rng(1).normal(0, 20, (size[1], size[0], 3))
    return np.clip(smooth(size, 300)[..., None] + noise, 0, 255).astype(np.uint8)


def sensor(size: tuple[int, int], aux: str, high: float) -> Array:
    """A map up to `high`, in a third of which nothing was measured, in all the ways to say so."""
    if aux == "encoded":
        return picture(size)[::-1].copy()
    values = smooth(size, high).astype(aux)
    holes = np.random.default_rng(2).random(values.shape) < 0.3
    values[holes] = 0
    if aux == "float32":
        values[:9, :20], values[9:18, :20], values[18:27, :20] = np.nan, np.inf, -1
    return values


def in_graph(spec: ModelSpec, *arrays: Array, aux: Any) -> list[Array]:
    size = (arrays[0].shape[1], arrays[0].shape[0])
    exported = Exported(spec, "fp32", FrameFormat(size, aux), "")
    inputs = frame_inputs(exported, arrays)
    images = Preprocessing(spec, FrameFormat(size, aux))(*map(torch.from_numpy, inputs.values()))
    return [image.permute(1, 2, 0).numpy() for image in images]


def check(spec: ModelSpec, *arrays: Array, aux: Any) -> None:
    off = OFF_BY_ONE.get((arrays[0].shape[1], arrays[0].shape[0]), 0)
    expected = network_images(spec, *arrays)
    for image, wanted in zip(in_graph(spec, *arrays, aux=aux), expected, strict=True):
        difference = np.abs(image - wanted)
        assert difference.max() <= (1 if off else 0) and (difference > 0).mean() <= off
        assert len(np.unique(wanted)) > 20, "an image with something on it"


@pytest.mark.parametrize("camera", CAMERAS)
def test_colour_is_resized_as_opencv_does_it(camera: tuple[int, int]) -> None:
    check(spec(RGB), picture(camera), aux=None)


@pytest.mark.parametrize("aux", AUX_FORMATS)
@pytest.mark.parametrize("camera", [(768, 384), (648, 483), (97, 53)])
def test_a_map_in_every_format(camera: tuple[int, int], aux: str) -> None:
    """Depth, where it can come so; disparity is a map of 8 bits."""
    high = {"uint8": 255, "uint16": 30000, "float32": 30}  # beyond the range, but for uint8
    modality = Modality("disparity", "jet", 300.0) if aux == "uint8" else DEPTH
    check(spec(RGB, modality), picture(camera), sensor(camera, aux, high.get(aux, 0)), aux=aux)


@pytest.mark.parametrize("aux", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("index", ["ndvi", "evi", "evi2"])
def test_vegetation_indices(index: Any, aux: str) -> None:
    high = {"uint8": 255, "uint16": 65535, "float32": 1.2}[aux]
    near_infrared = sensor((648, 483), aux, high)
    near_infrared[near_infrared == np.inf] = 0.5
    arrays = picture((648, 483)), near_infrared
    check(spec(RGB, Modality("nir", index)), *arrays, aux=aux)
    check(spec(Modality("nir", index)), *arrays, aux=aux)


def test_one_modality_of_any_kind() -> None:
    check(spec(DEPTH), sensor((768, 384), "uint16", 30000), aux="uint16")
    check(spec(DEPTH), picture((768, 384)), aux="encoded")
    check(spec(Modality("nir", "evi")), picture((768, 384)), aux="encoded")


@pytest.mark.parametrize("name", ["depth", "disparity"])
@pytest.mark.parametrize("fill", [1, 2, 7, 64, 10000])
def test_holes_are_filled(fill: int, name: str) -> None:
    values = sensor(NETWORK, "uint16", 30000)
    values[40:140, 100:250] = 0  # wider than most of what is filled
    values[:, 300:340] = 0
    check(spec(RGB, Modality(name, "jet", 20000.0, fill=fill)), picture(NETWORK), values,
          aux="uint16")


@pytest.mark.parametrize(("aux", "scale"), [("uint8", 1), ("uint16", 200), ("float32", 0.37)])
@pytest.mark.parametrize("measured", [1000, 1001])
def test_maps_are_brought_to_one_level(aux: str, scale: float, measured: int) -> None:
    values = np.zeros(NETWORK[::-1], aux)
    numbers = np.random.default_rng(3).integers(100, 200, measured) * scale
    values.flat[:70 * measured:70] = numbers.astype(aux)
    modality = Modality("disparity", "jet", 256.0 * scale, level=90.0 * scale)
    check(spec(RGB, modality), picture(NETWORK), values, aux=aux)


def test_the_median_of_an_even_number_is_the_mean_of_the_middle_two() -> None:
    values = torch.tensor([[0, 3, 5, 0, 8, 20.0]])
    # 3, 5, 8, 20: 6.5 becomes 10.
    torch.testing.assert_close(shift_median(values, 10, 65535, 16),
                               torch.tensor([[0, 6.5, 8.5, 0, 11.5, 23.5]]))


@pytest.mark.parametrize("modality", [
    DEPTH, Modality("disparity", "jet", 96.0, fill=64, level=50.0)])
@pytest.mark.parametrize("nothing", [0, np.nan, np.inf, -1])
def test_a_frame_without_any_measurement_is_black(modality: Modality, nothing: float) -> None:
    values = np.full((384, 768), nothing, np.float32)
    image = in_graph(spec(RGB, modality), picture((768, 384)), values, aux="float32")[1]
    assert image.shape == (192, 384, 3) and not image.any()


@pytest.mark.parametrize("camera", [*CAMERAS, (100, 700)])
def test_labels_come_to_the_cameras_size_as_opencv_brings_them(camera: tuple[int, int]) -> None:
    labels = np.random.default_rng(0).integers(0, 255, NETWORK[::-1]).astype(np.uint8)
    np.testing.assert_array_equal(Nearest(NETWORK, camera)(torch.from_numpy(labels)).numpy(),
                                  resize_nearest(labels, camera))

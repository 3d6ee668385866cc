"""Near infrared and colour into the node: it makes the vegetation index itself. The way of a frame,
with the shipped model and without DDS."""
from __future__ import annotations

import array
import time
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from conftest import ROOT

from ssma_core import Segmenter
from ssma_core.synthetic.forest import drive
from ssma_ros.node.labelling import Output, Outputs
from ssma_ros.node.parameters import Parameters
from ssma_ros.node.pipeline import Pipeline

pytest.importorskip("sensor_msgs.msg", reason="needs ROS's message packages")

MODEL = ROOT / "models" / "forest_evi.onnx"


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return Segmenter(MODEL, threads=1)


@pytest.fixture(scope="module")
def frame(segmenter: Segmenter) -> Any:
    """At the model's own size, so that nothing is resized on the way."""
    return next(drive(3, 1, segmenter.spec.input_size, "clear"))


def evi_in_jet(bgr: npt.NDArray[np.uint8], near_infrared: npt.NDArray[Any]
               ) -> npt.NDArray[np.uint8]:
    """Huete et al. 2002, of reflectances 0…1, drawn from −1 to 1 in the colours of jet."""
    blue, _, red = (bgr[..., channel] / np.float32(255) for channel in range(3))
    n = near_infrared / np.float32(np.iinfo(near_infrared.dtype).max)
    below = n + 6 * red - np.float32(7.5) * blue + 1
    index = np.where(below > 0.05, np.float32(2.5) * (n - red) / np.where(below > 0.05, below, 1),
                     np.float32(-1))
    return cv2.applyColorMap(((index.clip(-1, 1) + 1) * np.float32(127.5)).astype(np.uint8),
                             cv2.COLORMAP_JET)


def header() -> Any:
    from std_msgs.msg import Header

    return Header(frame_id="camera")


def raw(pixels: npt.NDArray[Any], encoding: str) -> Any:
    data = array.array("B", pixels.tobytes())
    height, width = pixels.shape[:2]
    return SimpleNamespace(header=header(), height=height, width=width, data=data,
                           encoding=encoding, is_bigendian=0, step=len(data) // height)


def png(pixels: npt.NDArray[Any], image_format: str) -> Any:
    data = array.array("B", cv2.imencode(".png", pixels)[1].tobytes())
    return SimpleNamespace(header=header(), format=image_format, data=data)


def labels(segmenter: Segmenter, rgb: Any, aux: Any) -> npt.NDArray[np.uint8]:
    """What the node would publish of two messages."""
    found: list[Any] = []
    errors: list[str] = []
    nowhere = Output(found.append, lambda: False)
    pipeline = Pipeline(segmenter, Parameters(), Outputs(
        label=Output(found.append, lambda: True), confidence=nowhere, trust=nowhere,
        overlay=nowhere, points=nowhere, mode=lambda _: None, error=errors.append))
    try:
        for stream, message in (("rgb", rgb), ("aux", aux)):
            message.header.stamp.sec = 1
            pipeline.receive(message, stream, f"/{stream}/image")  # type: ignore[arg-type]
        deadline = time.monotonic() + 10
        while not found and not errors and time.monotonic() < deadline:
            time.sleep(0.005)
    finally:
        pipeline.worker.stop()
    assert not errors
    return np.frombuffer(found[0].data, np.uint8).reshape(found[0].height, found[0].width)


def test_the_node_sees_the_vegetation_index(segmenter: Segmenter, frame: Any) -> None:
    expected = segmenter.segment(frame.rgb, evi_in_jet(frame.rgb, frame.near_infrared)).labels
    assert len(np.unique(expected)) > 2, "a scene of one class would show nothing"
    found = labels(segmenter, raw(frame.rgb, "bgr8"), raw(frame.near_infrared, "mono8"))
    # An index between two of jet's colours may be rounded to either.
    assert (found == expected).mean() > 0.999


def test_all_types_of_images(segmenter: Segmenter, frame: Any) -> None:
    rgb, infrared = frame.rgb, frame.near_infrared
    expected = segmenter.segment(rgb, infrared).labels
    for colour in (raw(rgb[..., ::-1], "rgb8"), png(rgb, "bgr8; png compressed bgr8")):
        for aux in (raw(infrared, "mono8"), raw(infrared * np.uint16(257), "mono16"),
                    png(infrared, "mono8; png compressed mono8")):
            np.testing.assert_array_equal(labels(segmenter, colour, aux), expected)

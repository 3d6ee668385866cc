"""What a failing sensor's partner will need is prepared before the sensor fails."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT
from test_tensorrt_backend import END_TO_END, HEADER, end_to_end_gpu, forget_the_backend, install
from torch_on_a_fake_gpu import torch_on_a_fake_gpu

from ssma_core import Segmenter, SsmaError
from ssma_core.backends import onnxruntime as onnxruntime_backend
from ssma_core.bags.pairing import STREAMS, Stream
from ssma_core.model_files import engine_file

pytest.importorskip("sensor_msgs.msg", reason="needs ROS's message packages")
from pipeline_rig import BLACK, COLOUR, COLOUR_ALONE, DEPTH, FUSED, Clock, Rig

FOREST = ROOT / "models/tiny_forest.safetensors"
CAMERA = (8, 6)  # width, height, of the real models' frames here
NOTHING = {"confidence": False, "trust": False}


def drive(rig: Rig, begin: int, frames: int, *, rgb: Any = COLOUR, aux: Any = DEPTH) -> None:
    """Pairs every 100 ms; each is worked on at once."""
    for milliseconds in range(begin, begin + 100 * frames, 100):
        rig.pair(milliseconds, rgb, aux)
        rig.settle()


def prepared(rig: Rig) -> list[tuple[str, dict[str, bool]]]:
    """From which images, with which outputs. Forgets them."""
    found = [("+".join(stream for stream, image in zip(STREAMS, images) if image is not None),
              outputs) for *images, outputs in rig.prepared]
    rig.prepared.clear()
    return found


def test_after_each_label_one_way_is_prepared_until_none_is_left(rig: Rig) -> None:
    drive(rig, 1000, 1)
    assert prepared(rig) == [("rgb", NOTHING)]
    drive(rig, 1100, 1)
    assert prepared(rig) == [("aux", NOTHING)]
    drive(rig, 1200, 3)
    assert prepared(rig) == []


def test_a_label_does_not_wait_for_what_is_prepared_after_it(rig: Rig, clock: Clock) -> None:
    out: list[tuple[int, str]] = []

    def takes_long() -> None:
        out.append((len(rig.labels), rig.modes[-1]))
        clock.go(0.2)

    rig.preparing = takes_long
    drive(rig, 1000, 3)
    assert out == [(1, "rgb+depth"), (2, "rgb+depth")]
    assert list(rig.pipeline.statistics.own_shares) == pytest.approx([0, 0, 0])


@pytest.mark.parametrize("name", ["confidence", "trust"])
def test_when_somebody_subscribes_an_output_all_ways_are_prepared_with_it(
        rig: Rig, name: str) -> None:
    drive(rig, 1000, 3)
    prepared(rig)
    rig.wanted = {name}
    drive(rig, 2000, 4)
    assert prepared(rig) == [("rgb", NOTHING | {name: True}), ("aux", NOTHING | {name: True})]


def test_points_need_the_confidence_where_there_is_depth(rig: Rig) -> None:
    rig.wanted = {"points"}
    drive(rig, 1000, 4)
    assert prepared(rig) == [("rgb", NOTHING), ("aux", NOTHING | {"confidence": True})]


@pytest.mark.parametrize("rgb, aux, sets", [
    (np.full((8, 12, 3), 50, np.uint8), np.full((8, 12), 9000, np.uint16), ["rgb", "aux"]),
    (COLOUR, np.full((4, 6), 300, np.uint16), []),
], ids=["another size", "another depth"])
def test_images_of_another_format_are_another_way(
        rig: Rig, rgb: Any, aux: Any, sets: list[str]) -> None:
    drive(rig, 1000, 3)
    prepared(rig)
    drive(rig, 2000, 4, rgb=rgb, aux=aux)
    assert [images for images, _ in prepared(rig)] == sets


def test_an_image_that_shows_nothing_has_a_format_too(rig: Rig) -> None:
    drive(rig, 1000, 4, rgb=BLACK)
    assert prepared(rig) == [("rgb", NOTHING), ("rgb+aux", NOTHING)]


def test_while_a_sensor_is_silent_what_its_return_needs_is_prepared(
        rig: Rig, clock: Clock) -> None:
    drive(rig, 1000, 3)
    prepared(rig)
    rig.wanted = {"trust"}
    for milliseconds in range(1300, 3000, 100):
        clock.go(0.1)
        rig.send("rgb", milliseconds)
        rig.settle()
    assert rig.made()[-1] == (2900, COLOUR_ALONE)
    assert [images for images, _ in prepared(rig)] == ["aux", "rgb+aux"]


@pytest.mark.parametrize("unimodal, sets", [
    ((False, False), []), ((True, False), ["rgb"]), ((False, True), ["aux"])])
def test_what_the_model_cannot_label_alone_is_not_prepared(
        new_rig: Callable[..., Rig], unimodal: tuple[bool, bool], sets: list[str]) -> None:
    rig = new_rig(unimodal=unimodal)
    drive(rig, 1000, 4)
    assert [images for images, _ in prepared(rig)] == sets


def test_what_cannot_be_prepared_is_logged_once_and_labels_continue(rig: Rig) -> None:
    def fail() -> None:
        raise SsmaError("the GPU is out of memory")

    rig.preparing = fail
    drive(rig, 1000, 4)
    assert [label for _, label in rig.made()] == [FUSED] * 4
    assert len(rig.errors) == 1 and "out of memory" in rig.errors[0]
    assert len(rig.prepared) == 2
    assert rig.pipeline.statistics.counts["failed"] == 0


# With real backends: nothing is left to do for the first time when a sensor fails


Opened = tuple[Segmenter, Callable[[], int]]  # and how much was done for a first time


def onnx_file(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Opened:
    sessions: list[Any] = []
    open_session = onnxruntime_backend.open_session

    def counted(*given: Any) -> Any:
        sessions.append(open_session(*given))
        return sessions[-1]

    monkeypatch.setattr(onnxruntime_backend, "open_session", counted)
    return Segmenter(FOREST.with_suffix(".onnx"), threads=1), lambda: len(sessions)


def checkpoint_on_a_gpu(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Opened:
    captured = torch_on_a_fake_gpu(monkeypatch)
    return Segmenter(FOREST), lambda: len(captured)


def engine(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Opened:
    gpu = end_to_end_gpu()
    install(gpu, monkeypatch)
    shape = (CAMERA[1], CAMERA[0])
    for name, own in (("rgb", lambda given: given["rgb"][..., 0]),
                      ("depth", lambda given: given["depth"][..., 1] % 2)):
        outputs = {f"{name}_{output}": (shape, np.uint8) for output in ("labels", "confidence")}
        gpu.plans[name.encode()] = ({name: gpu.inputs[name]}, outputs,
                                    lambda given, own=own, names=tuple(outputs): dict.fromkeys(
                                        names, own(given)))
    header = replace(HEADER, exported=replace(END_TO_END, unimodal=("rgb", "depth")))
    engine_file.write(folder / "m.engine", header,
                      {"": b"plan", "rgb": b"rgb", "depth": b"depth"})

    def first_times() -> int:
        """Allocations, captured graphs, and runs without one."""
        return gpu.allocations + gpu.done.count("did: network")

    return Segmenter(folder / "m.engine"), first_times


@pytest.fixture(params=[onnx_file, checkpoint_on_a_gpu, engine],
                ids=lambda kind: kind.__name__)
def opened(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
           ) -> Iterator[Opened]:
    segmenter, first_times = request.param(monkeypatch, tmp_path)
    yield segmenter, first_times
    segmenter.close()
    if request.param is engine:
        forget_the_backend()


@pytest.mark.parametrize("fails", STREAMS)
def test_when_a_sensor_fails_no_session_is_opened_and_no_graph_captured(
        new_rig: Callable[..., Rig], clock: Clock, opened: Opened, fails: Stream) -> None:
    segmenter, first_times = opened
    rig = new_rig(real=segmenter)
    random = np.random.default_rng(1)
    images = {"rgb": random.integers(20, 255, (6, 8, 3), np.uint8),
              "aux": random.integers(500, 9000, (6, 8)).astype(np.uint16)}
    images["rgb"][..., 0] %= 2  # the fake engine's labels
    drive(rig, 1000, 3, **images)  # type: ignore[arg-type]
    rig.wanted = {"confidence"}
    drive(rig, 1300, 3, **images)  # type: ignore[arg-type]
    before = first_times()
    left: Stream = "aux" if fails == "rgb" else "rgb"
    for milliseconds in range(1600, 2500, 100):
        clock.go(0.1)
        rig.send(left, milliseconds, images[left])
        rig.settle()
    assert rig.modes[-1] == {"rgb": "rgb", "aux": "depth"}[left]
    assert len(rig.others["confidence"]) == 3 + 4 and not rig.errors
    assert first_times() == before



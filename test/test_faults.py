"""A model that raises, hangs or answers nonsense while the node works, and images of other sizes:
what the node says and does, and when it ends. Nobody sleeps: the steady clock is the test's."""
from __future__ import annotations

import gc
import os
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("rclpy", reason="needs rclpy")
from conftest import ROOT
from lifecycle_msgs.msg import State
from pipeline_rig import (
    COLOUR,
    COLOUR_ALONE,
    DEPTH,
    FUSED,
    Clock,
    Rig,
    drive,
    node_in_process,
    until,
)
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo, CompressedImage
from std_msgs.msg import Header

from ssma_core import STREAMS, NoAnswer, Segmenter, SsmaError
from ssma_ros.node import diagnostics, pipeline
from ssma_ros.node import model as node_model
from ssma_ros.node.advice import Subscribed, problems

if TYPE_CHECKING:
    from robot import Robot

pytestmark = pytest.mark.ros
TIMEOUT_S = 20.0  # the parameter's default
Array = npt.NDArray[Any]


# What the model answers

ANSWERS: dict[str, Callable[[dict[str, Array]], dict[str, Array]]] = {
    "labels of (48, 96)": lambda a: a | {"labels": a["labels"][::4, ::4]},
    "labels of float32": lambda a: a | {"labels": np.full((192, 384), np.nan, np.float32)},
    "labels of int64": lambda a: a | {"labels": a["labels"].astype(np.int64)},
    "class 200, and its classes end at 5": lambda a: a | {"labels": a["labels"] * 0 + 200},
    "confidence of float32": lambda a: a | {"confidence": np.full((192, 384), np.nan, np.float32)},
    "trust of (3, 192, 384)": lambda a: a | {"trust": np.zeros((3, 192, 384), np.uint8)},
}


@pytest.mark.parametrize("said", ANSWERS)
def test_an_answer_that_cannot_be_one_is_named_and_not_drawn(tiny_model: Path, said: str) -> None:
    segmenter = Segmenter(tiny_model)
    run = segmenter._backend.run
    segmenter._backend.run = (  # type: ignore[method-assign]
        lambda *given: ANSWERS[said](run(*given)))
    name, _, value = said.partition(" of ")
    with pytest.raises(NoAnswer, match="nonsense: ") as error:
        segmenter.segment(np.zeros((96, 192, 3), np.uint8), np.zeros((96, 192), np.uint16),
                          confidence=True, trust=True)
    assert all(part in str(error.value) for part in (name, value))
    assert str(tiny_model) in str(error.value)


def test_nonsense_of_an_expert_alone_is_named_too() -> None:
    segmenter = Segmenter(ROOT / "models" / "tiny_forest.onnx")
    segmenter._backend.run_unimodal = (  # type: ignore[method-assign]
        lambda *_: {"labels": np.full((192, 384), 6, np.uint8)})
    with pytest.raises(NoAnswer, match="the class 6, and its classes end at 5"):
        segmenter.segment(np.zeros((96, 192, 3), np.uint8))


def test_while_both_together_give_nonsense_colour_is_labelled_alone(rig: Rig, clock: Clock) -> None:
    rig.inference = nonsense_of_both(rig)
    drive(rig, clock, STREAMS, 1000, 1300)
    assert rig.made() == [(ms, COLOUR_ALONE) for ms in (1000, 1100, 1200)]
    assert len(rig.errors) == 1 and "nonsense" in rig.errors[0]
    assert not rig.pipeline.is_stalled()


def nonsense_of_both(rig: Rig) -> Callable[[], None]:
    def inference() -> None:
        if len(rig.asked) % 2:  # both are tried first
            raise NoAnswer("m.onnx answers nonsense")

    return inference


# A model that fails

OUT_OF_MEMORY = "the GPU is out of memory: end other programs on it"


def test_a_gpu_out_of_memory_is_said_once_and_labels_come_again_when_there_is_room(
        rig: Rig, clock: Clock) -> None:
    rig.inference = failing(SsmaError(OUT_OF_MEMORY))
    fail_for(rig, clock, TIMEOUT_S + 5)
    assert len(rig.errors) == 1 and OUT_OF_MEMORY in rig.errors[0]
    assert rig.pipeline.statistics.recent_errors() == [OUT_OF_MEMORY]
    assert not rig.pipeline.is_stalled(), "it refused images, which is an answer"
    rig.inference = lambda: None
    rig.pair(90_000)
    assert rig.made() == [(90_000, FUSED)]


def fail_for(rig: Rig, clock: Clock, seconds: float) -> None:
    """A pair now, and one at the end."""
    for pause in (seconds, 0):
        rig.pair(round(1000 * (clock.now - 90)))
        rig.settle()
        clock.go(pause)


def failing(error: Exception) -> Callable[[], None]:
    def inference() -> None:
        raise error

    return inference


@pytest.mark.parametrize("error", [RuntimeError("CUDA error: an illegal memory access"),
                                   NoAnswer("the GPU failed before")])
def test_a_model_that_fails_again_and_again_is_stalled_and_one_frame_ends_that(
        rig: Rig, clock: Clock, error: Exception) -> None:
    rig.inference = failing(error)
    fail_for(rig, clock, TIMEOUT_S)
    assert not rig.pipeline.is_stalled()
    fail_for(rig, clock, 0.1)
    assert rig.pipeline.is_stalled()
    assert len(rig.errors) == 1 and str(error) in rig.errors[0]
    rig.inference = lambda: None
    rig.pair(90_000)
    rig.settle()
    assert not rig.pipeline.is_stalled()


def test_a_pause_after_a_failure_is_no_stall(rig: Rig, clock: Clock) -> None:
    rig.inference = failing(RuntimeError("a bug"))
    rig.pair(1000)
    rig.settle()
    clock.go(600)
    assert not rig.pipeline.is_stalled()


# A model that hangs

class Hang:
    """Inference that hangs from `begin` until `end`."""

    def __init__(self, rig: Rig) -> None:
        self._go_on = threading.Event()
        self._rig = rig

    def begin(self, milliseconds: int) -> None:
        """A pair is sent, and the model hangs in it."""
        asked = len(self._rig.asked)
        self._rig.inference = lambda: self._go_on.wait(10) and None
        self._rig.pair(milliseconds)
        until(lambda: len(self._rig.asked) > asked)
        self._rig.inference = lambda: None

    def end(self) -> None:
        self._go_on.set()


@pytest.fixture
def hang(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hang]:
    monkeypatch.setattr(pipeline, "PATIENCE_S", 0.05)
    hang = Hang(rig)
    yield hang
    hang.end()


def test_a_model_that_hangs_is_reported_long_before_it_is_given_up(
        rig: Rig, clock: Clock, hang: Hang) -> None:
    drive(rig, clock, STREAMS, 1000, 1300)
    hang.begin(2000)
    inputs = {stream: Subscribed(f"/{stream}", "", [""]) for stream in STREAMS}

    def said() -> list[str]:
        return [text for text in problems(rig.pipeline, inputs) if "no answer" in text]

    clock.go(4)
    assert not said()
    clock.go(2)
    assert ["6 s" in text and "20 s (parameter inference_timeout)" in text for text in said()] == [
        True]
    status = diagnostics.status("node", {}, rig.pipeline, said())
    assert status.level == status.ERROR and "no answer" in status.message


def test_after_a_hang_another_model_labels_and_what_comes_of_the_first_is_left_out(
        rig: Rig, clock: Clock, hang: Hang) -> None:
    """With the camera's calibration, and counts that go on."""
    rig.pipeline.camera_info(calibration := CameraInfo(width=6, height=4))
    rig.pair(1000)
    rig.settle()
    hang.begin(2000)
    clock.go(TIMEOUT_S)
    assert not rig.pipeline.is_stalled()
    clock.go(0.1)
    assert rig.pipeline.is_stalled()
    given_up = rig.pipeline.worker
    assert not rig.pipeline.stop()
    rig.pipeline.restart(rig.pipeline.labelling._segmenter)
    assert not rig.pipeline.is_stalled()
    rig.pair(3000)
    until(lambda: len(rig.labels) == 2)
    hang.end()
    assert given_up.stop(10)
    assert [label.header.stamp.sec for label in rig.labels] == [1, 3]
    assert rig.pipeline.labelling.camera_info is calibration
    counts = rig.pipeline.statistics.counts
    assert (counts["published"], counts["model loaded again"], counts["failed"]) == (2, 1, 0)
    assert not rig.errors
    assert dict(diagnostics._counters(rig.pipeline))["model loaded again"] == 1


def test_to_stop_waits_for_a_long_inference_and_for_no_longer_than_its_timeout(
        rig: Rig, clock: Clock, hang: Hang) -> None:
    hang.begin(1000)
    clock.go(TIMEOUT_S - 5)
    ending = threading.Thread(target=hang.end)
    threading.Timer(0.1, ending.start).start()
    assert rig.pipeline.stop()
    assert not rig.pipeline.labelling.given_up


def test_to_stop_waits_no_less_because_frames_failed_before(
        rig: Rig, clock: Clock, hang: Hang) -> None:
    rig.inference = failing(RuntimeError("a bug"))
    fail_for(rig, clock, TIMEOUT_S - 0.1)
    hang.begin(90_000)
    clock.go(TIMEOUT_S - 5)
    ending = threading.Thread(target=hang.end)
    threading.Timer(0.5, ending.start).start()
    assert rig.pipeline.stop()


# The node around it

@pytest.fixture
def node(tiny_model: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock) -> Iterator[Any]:
    monkeypatch.setattr(pipeline, "PATIENCE_S", 0.05)
    with node_in_process(monkeypatch, model=str(tiny_model), check_frame_id=False) as node:
        yield node


def works() -> None:
    pass


class Models:
    """What the node opens as its model: the tiny one, whose `segment` is `inference` first.
    opened: all that were."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.opened: list[Segmenter] = []
        self.inference: Callable[[], object] = works
        monkeypatch.setattr(node_model, "Segmenter", self._open)

    def _open(self, *given: Any, **named: Any) -> Segmenter:
        segmenter = Segmenter(*given, **named)
        segment = segmenter.segment

        def watched(*images: Any, **wanted: bool) -> Any:
            self.inference()
            return segment(*images, **wanted)

        segmenter.segment = watched  # type: ignore[method-assign]
        self.opened.append(segmenter)
        return segmenter


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch) -> Models:
    return Models(monkeypatch)


def node_fails_for(node: Any, clock: Clock, seconds: float) -> None:
    """Two images, so far apart, that both fail."""
    pipeline = node._pipeline
    for wait in (seconds, 1):
        failed = pipeline.statistics.counts["failed"]
        for stream in STREAMS:
            pipeline.receive(image(stream, clock.now), stream, f"/{stream}")
        until(lambda before=failed: pipeline.statistics.counts["failed"] > before
              and pipeline.worker._begun is None)
        clock.go(wait)


def image(stream: str, seconds: float, size: tuple[int, int] = (96, 192)) -> Any:
    """size: height and width."""
    pixels = {"rgb": np.full((*size, 3), 90, np.uint8),
              "aux": np.full(size, 900, np.uint16)}[stream]
    data = cv2.imencode(".png", pixels)[1].tobytes()
    message = CompressedImage(
        header=Header(), data=data,
        format="png" if stream == "rgb" else "16UC1; png compressed ")
    message.header.stamp.sec = int(seconds)
    return message


def state(node: Any) -> int:
    return int(node._state_machine.current_state[0])


def test_a_failing_model_is_loaded_again_once_and_then_the_node_ends_in_its_error_state(
        node: Any, models: Models, clock: Clock) -> None:
    node.trigger_configure()
    node.trigger_activate()
    node.watch()
    assert len(models.opened) == 1 and not node.logged.errors
    models.inference = failing(RuntimeError("CUDA error"))
    node_fails_for(node, clock, TIMEOUT_S + 1)
    models.inference = works  # also in the warm-up of the next one
    node.watch()
    assert len(models.opened) == 2 and models.opened[0]._closed and not models.opened[1]._closed
    assert "it is loaded again" in node.logged.errors[-1]
    assert state(node) == State.PRIMARY_STATE_ACTIVE
    models.inference = failing(RuntimeError("CUDA error"))
    node_fails_for(node, clock, TIMEOUT_S + 1)
    with pytest.raises(SsmaError, match=r"^the model has given no answer for 2\d(\.\d)? s .* has "
                                        r"not helped: the node ends"):
        node.watch()
    assert state(node) == State.PRIMARY_STATE_UNCONFIGURED, "after the error state"
    assert all(segmenter._closed for segmenter in models.opened)
    assert node.count_subscribers("rgb/image") == 0


def test_a_configured_node_may_load_again_once_more(
        node: Any, models: Models, clock: Clock) -> None:
    for _ in range(2):
        node.trigger_configure()
        node.trigger_activate()
        models.inference = failing(RuntimeError("CUDA error"))
        node_fails_for(node, clock, TIMEOUT_S + 1)
        models.inference = works
        node.watch()
        node.trigger_deactivate()
        node.trigger_cleanup()
    assert len(models.opened) == 4 and all(segmenter._closed for segmenter in models.opened)


def test_a_model_that_cannot_be_loaded_again_ends_the_node_with_the_reason(
        node: Any, models: Models, clock: Clock) -> None:
    node.trigger_configure()
    node.trigger_activate()
    models.inference = failing(RuntimeError("CUDA error: the device is gone"))
    node_fails_for(node, clock, TIMEOUT_S + 1)
    with pytest.raises(SsmaError, match="cannot be loaded again: CUDA error: the device is gone"):
        node.watch()
    assert state(node) == State.PRIMARY_STATE_UNCONFIGURED, "after the error state"


def hanging(node: Any, models: Models, clock: Clock) -> threading.Event:
    """The active node's model hangs for too long, until this is set."""
    go_on, began = threading.Event(), threading.Event()
    node.trigger_configure()
    node.trigger_activate()
    models.inference = lambda: (began.set(), go_on.wait(20))
    for stream in STREAMS:
        node._pipeline.receive(image(stream, clock.now), stream, f"/{stream}")
    assert began.wait(10)
    models.inference = works
    clock.go(TIMEOUT_S + 1)
    return go_on


def test_a_model_that_hangs_is_left_behind_and_not_freed_under_its_thread(
        node: Any, models: Models, clock: Clock) -> None:
    go_on = hanging(node, models, clock)
    node.watch()
    assert [segmenter._closed for segmenter in models.opened] == [False, False]
    assert "left behind" in node.logged.errors[-1]
    node.trigger_deactivate()
    node.trigger_cleanup()
    assert [segmenter._closed for segmenter in models.opened] == [False, True]
    go_on.set()


def test_a_node_whose_model_hangs_can_be_deactivated_which_is_an_error(
        node: Any, models: Models, clock: Clock) -> None:
    """Nav2's manager may be first."""
    go_on = hanging(node, models, clock)
    node.trigger_deactivate()
    assert state(node) == State.PRIMARY_STATE_UNCONFIGURED
    node.trigger_configure()
    assert state(node) == State.PRIMARY_STATE_INACTIVE
    assert [segmenter._closed for segmenter in models.opened] == [False, False]
    go_on.set()


def test_cycles_leave_nothing_behind(node: Any) -> None:
    """`python test/reliability.py --cycles 20` measures memory too."""
    def left() -> tuple[int, int, int, int]:
        gc.collect()
        return (threading.active_count(), len(os.listdir("/proc/self/fd")),
                node.count_publishers("semantic/label") + node.count_subscribers("rgb/image"),
                sum(type(each) is Segmenter for each in gc.get_objects()))

    after = []
    for _ in range(3):
        for transition in ("configure", "activate", "deactivate", "cleanup"):
            getattr(node, f"trigger_{transition}")()
        after.append(left())
    assert state(node) == State.PRIMARY_STATE_UNCONFIGURED and not node.logged.errors
    assert after[-1] == after[1], "the first cycle loads libraries"


# Images of other sizes

def test_4k_among_small_images_is_labelled_and_its_memory_returned(
        rig: Rig, clock: Clock) -> None:
    seen: list[Callable[[], Any]] = []
    segment = rig.pipeline.labelling._segmenter.segment

    def watched(rgb: Any, aux: Any, **asked: bool) -> Any:
        seen.extend(weakref.ref(array) for array in (rgb, aux) if len(array) == 2160)
        return segment(rgb, aux, **asked)

    rig.pipeline.labelling._segmenter.segment = watched  # type: ignore[method-assign]
    rig.pair(1000)
    rig.pair(1100, np.full((2160, 3840, 3), 50, np.uint8), np.full((2160, 3840), 9000, np.uint16))
    rig.settle()
    for milliseconds in range(1200, 1200 + 100 * rig.pipeline.given.queue_size, 100):
        rig.pair(milliseconds, COLOUR, DEPTH)
        rig.settle()
    assert (1100, FUSED) in rig.made()
    rig.prepared.clear()  # the rig's own
    gc.collect()
    assert len(seen) == 2 and not any(array() is not None for array in seen)


@pytest.mark.parametrize(("limit", "fits"), [(0.12, True), (0.11, False)])
def test_a_compressed_image_above_the_parameter_s_limit_is_refused_with_the_reason(
        node: Any, clock: Clock, limit: float, fits: bool) -> None:
    """480x240 are 0.1152 megapixels."""
    node.set_parameters([Parameter("max_megapixels", value=limit)])
    node.trigger_configure()
    node.trigger_activate()
    for stream in STREAMS:
        node._pipeline.receive(image(stream, clock.now, (240, 480)), stream, f"/{stream}")
    statistics = node._pipeline.statistics
    until(lambda: bool(statistics.counts["published"] or statistics.counts["refused"]))
    assert (statistics.counts["published"], statistics.counts["refused"]) == (
        (1, 0) if fits else (0, 2))
    assert fits == (not any("max_megapixels" in text for text in node.logged.errors))
    node.trigger_deactivate()
    node.trigger_cleanup()
    node.set_parameters([Parameter("max_megapixels", value=0.0)])
    node.trigger_configure()  # the process's limit is the usual one again


# Over DDS

HANGS = """
import threading
from ssma_ros.node import model, program
class Hanging(model.Segmenter):
    count = 0
    def segment(self, *given, **wanted):
        found = super().segment(*given, **wanted)
        if threading.current_thread().name == "segmentation":
            Hanging.count += 1
            if Hanging.count in (3, 6):
                threading.Event().wait()
        return found
model.Segmenter = Hanging
raise SystemExit(program.main())
"""


def test_a_real_node_whose_model_hangs_twice_labels_in_between_and_ends_with_the_reason(
        start: Callable[..., Robot], tiny_model: Path) -> None:
    """As `respawn` and the launch file need it: with a status that is not 0."""
    import time

    robot = start("-p", f"model:={tiny_model}", "-p", "inference_timeout:=1.0",
                  "-p", "autostart:=true", program=("-c", HANGS))
    robot.until(lambda: "it is loaded again" in robot.said(),
                meanwhile=lambda: robot.send_pair(time.time()))
    robot.labels.clear()
    robot.until(lambda: bool(robot.labels), meanwhile=lambda: robot.send_pair(time.time()))
    robot.until(lambda: robot.process.poll() is not None,
                meanwhile=lambda: robot.send_pair(time.time()))
    assert robot.process.returncode == 1
    assert "to load it again has not helped: the node ends" in robot.said()
    assert "Traceback" not in robot.said()

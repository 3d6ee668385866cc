"""evaluate_bag: the figures are those of the frames themselves, and nothing is dropped."""
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ssma_core import ConfusionMatrix, Segmenter, bags
from ssma_ros.evaluate_bag import main

RGB, AUX, LABEL = "/camera/color/image_raw", "/camera/depth/image_raw", "/truth/label"
START, PERIOD = 1_700_000_000 * 10**9, 10**8
MS = 10**6
FRAMES = 8


def pictures(i: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(i)
    coarse = random.integers(0, 6, (6, 12), np.uint8)
    return (random.integers(0, 256, (96, 192, 3), np.uint8),
            random.integers(0, 20000, (96, 192), np.uint16),
            np.kron(coarse, np.ones((16, 16), np.uint8)))


def recording(frames: int = FRAMES, aux_offset_ns: int = 4 * MS) -> Iterator[bags.Recorded]:
    """A drive whose labels are recorded a frame late and whose second sensor is stamped late."""
    for i in range(frames):
        stamp = START + i * PERIOD
        rgb, aux, label = pictures(i)
        yield bags.image(RGB, stamp + 5 * MS, stamp, rgb, "bgr8")
        yield bags.image(AUX, stamp + 9 * MS, stamp + aux_offset_ns, aux, "16UC1")
        yield bags.image(LABEL, stamp + PERIOD, stamp, label, "mono8")


def evaluate(bag: Path, model: Path, *more: str) -> int:
    return main([str(bag), "--model", str(model), "--rgb", RGB, "--aux", AUX, "--label", LABEL,
                 *more])


@pytest.fixture
def bag(tmp_path: Path) -> Path:
    bags.write(tmp_path / "drive", recording())
    return tmp_path / "drive"


def test_the_metric_is_that_of_the_frames_themselves(
        bag: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate(bag, tiny_model, "--json", str(bag.parent / "figures.json")) == 0
    figures = json.loads((bag.parent / "figures.json").read_text())

    segmenter = Segmenter(tiny_model)
    expected = ConfusionMatrix(6, 0)
    for i in range(FRAMES):
        rgb, aux, truth = pictures(i)
        expected.add(truth, segmenter.segment(rgb, aux).labels)
    assert figures["counts"] == expected.counts.tolist()
    assert figures["miou"] == expected.mean_iou()
    assert expected.table(segmenter.spec.class_names) in capsys.readouterr().out


def test_every_frame_is_accounted_for(bag: Path, tiny_model: Path) -> None:
    assert evaluate(bag, tiny_model, "--json", str(bag.parent / "figures.json")) == 0
    figures = json.loads((bag.parent / "figures.json").read_text())
    assert figures["pairs"] == figures["scored"] == FRAMES
    assert figures["frames"] == {s: {"paired": FRAMES} for s in ("rgb", "aux")}
    assert figures["clock_jumps"] == 0
    assert 0 < figures["latency_ms"]["p50"] <= figures["latency_ms"]["p99"]
    assert figures["backend"] == "onnxruntime"


def test_a_frame_without_partner_or_truth_is_told(tmp_path: Path, tiny_model: Path) -> None:
    lost = {(AUX, 2), (LABEL, 4)}
    kept = (message for n, message in enumerate(recording())
            if (message.topic, n // 3) not in lost)
    bags.write(tmp_path / "drive", kept)
    assert evaluate(tmp_path / "drive", tiny_model, "--json", str(tmp_path / "figures.json")) == 0
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["frames"]["rgb"] == {"paired": FRAMES - 1, "unmatched": 1}
    assert (figures["pairs"], figures["scored"]) == (FRAMES - 1, FRAMES - 2)


def replaced(topic: str, array: np.ndarray, encoding: str) -> Iterator[bags.Recorded]:
    """The recording with the fourth image of a topic exchanged."""
    stamp = START + 3 * PERIOD
    for n, message in enumerate(recording()):
        exchange = message.topic == topic and n // 3 == 3
        yield bags.image(topic, message.time_ns, stamp, array, encoding) if exchange else message


@pytest.mark.parametrize(("messages", "says"), [
    (replaced(LABEL, np.full((96, 192), 6, np.uint8), "mono8"),
     f"{LABEL} recorded at 1700000000.400: the truth has the id 6, but there are only 6 classes"),
    (replaced(LABEL, np.zeros((48, 96), np.uint8), "mono8"),
     "truth and prediction differ in size"),
    (replaced(LABEL, np.zeros((96, 192, 3), np.uint8), "rgb8"),
     "these have the encoding 'rgb8'"),
    (replaced(AUX, np.zeros((96, 160), np.uint16), "16UC1"),
     "the rgb image is 192x96 and the depth image 160x96"),
    (replaced(AUX, np.zeros((96, 192), np.int16), "16SC1"),
     f"{AUX}: images of encoding '16SC1' are not understood"),
    ((bags.image(topic, i, 0, picture, encoding) for i in range(3) for topic, picture, encoding
      in zip((RGB, AUX, LABEL), pictures(i), ("bgr8", "16UC1", "mono8"))),
     "a stamp of zero"),
    (recording(aux_offset_ns=30 * MS),
     f"no image on {RGB} has a partner on {AUX} within 0.02 s "
     "(8 and 8 images, their nearest stamps 0.03 s apart)"),
    ((m for m in recording() if m.topic != LABEL), f"no topic {LABEL}; it has\n  {RGB}"),
    ((m._replace(data=m.data[:100]) if m.topic == AUX else m for m in recording()),
     "cannot be read as sensor_msgs/msg/Image"),
], ids=["label beyond the classes", "label of another size", "label in colours",
        "images of different sizes", "unknown encoding", "stamps of zero", "no pair",
        "no label topic", "damaged message"])
def test_bad_input_is_named_and_no_figures_are_written(
        tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str],
        messages: Iterator[bags.Recorded], says: str) -> None:
    bags.write(tmp_path / "drive", messages)
    assert evaluate(tmp_path / "drive", tiny_model, "--json", str(tmp_path / "f.json")) == 1
    assert says in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["drive"]


@pytest.mark.parametrize("option", [("--slop", "0.04"), ("--aux-delay", "0.025")])
def test_what_lies_further_apart_pairs_by_a_wider_slop_or_the_sensors_delay(
        tmp_path: Path, tiny_model: Path, option: tuple[str, str]) -> None:
    bags.write(tmp_path / "drive", recording(aux_offset_ns=30 * MS))
    assert evaluate(tmp_path / "drive", tiny_model, *option) == 0


def test_a_pair_that_waits_for_something_nearer_at_the_end_counts_too(
        tmp_path: Path, tiny_model: Path) -> None:
    """Each depth image is nearest to the colour image after it, and the last of those is lost. The
    very first pair is one of neighbours: nothing is known yet of what else may come."""
    lost = {(AUX, 5), (RGB, 7), (AUX, 7)}
    kept = (message for n, message in enumerate(recording(aux_offset_ns=60 * MS))
            if (message.topic, n // 3) not in lost)
    bags.write(tmp_path / "drive", kept)
    assert evaluate(tmp_path / "drive", tiny_model, "--slop", "0.09", "--json",
                    str(tmp_path / "figures.json")) == 0
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["frames"] == {"rgb": {"paired": 6, "unmatched": 1}, "aux": {"paired": 6}}
    assert figures["scored"] == 6


@pytest.mark.parametrize("missing", ["model", "folder of the JSON file"])
def test_a_file_that_is_not_there_is_named(
        bag: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str], missing: str) -> None:
    model = bag / "no_model.onnx" if missing == "model" else tiny_model
    assert evaluate(bag, model, "--json", str(bag / "no" / "figures.json")) == 1
    assert (str(model) if missing == "model" else "figures.json") in capsys.readouterr().err


def test_an_impossible_slop_is_refused(
        bag: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate(bag, tiny_model, "--slop", "-1") == 1
    assert "the slop must be 0 s or more" in capsys.readouterr().err


def test_no_ros_is_needed() -> None:
    program = "import sys; sys.modules['rclpy'] = None; import ssma_ros.evaluate_bag"
    subprocess.run([sys.executable, "-c", program], check=True)

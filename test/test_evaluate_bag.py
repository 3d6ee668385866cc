"""evaluate_bag: the figures are those of the frames themselves, nothing is dropped, and what is
written is whole."""
import json
import multiprocessing
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from conftest import ROOT, half_as_large

from ssma_core import BagSource, ConfusionMatrix, Segmenter
from ssma_core.bags import image_messages, rosbag2
from ssma_core.cli import main as ssma
from ssma_core.evaluation import of_bag
from ssma_core.evaluation.result_file import read_result
from ssma_core.registration import write
from ssma_ros.replay.evaluate_bag import main

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


def recording(frames: int = FRAMES, aux_offset_ns: int = 4 * MS) -> Iterator[rosbag2.Recorded]:
    """A drive whose labels are recorded a frame late and whose second sensor is stamped late."""
    for i in range(frames):
        stamp = START + i * PERIOD
        rgb, aux, label = pictures(i)
        yield rosbag2.image(RGB, stamp + 5 * MS, stamp, rgb, "bgr8")
        yield rosbag2.image(AUX, stamp + 9 * MS, stamp + aux_offset_ns, aux, "16UC1")
        yield rosbag2.image(LABEL, stamp + PERIOD, stamp, label, "mono8")


def evaluate(bag: Path, model: Path, *more: str) -> int:
    return main([str(bag), "--model", str(model), "--rgb", RGB, "--aux", AUX, "--label", LABEL,
                 *more])


@pytest.fixture
def bag(tmp_path: Path) -> Path:
    rosbag2.write(tmp_path / "drive", recording())
    return tmp_path / "drive"


def figures_of(path: Path) -> dict[str, Any]:
    """What a file of --json says in total."""
    return json.loads(path.read_text())["figures"]


def test_the_metric_is_that_of_the_frames_themselves(
        bag: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate(bag, tiny_model, "--json", str(bag.parent / "figures.json")) == 0
    figures = figures_of(bag.parent / "figures.json")

    segmenter = Segmenter(tiny_model)
    expected = ConfusionMatrix(6, 0)
    for i in range(FRAMES):
        rgb, aux, truth = pictures(i)
        expected.add(truth, segmenter.segment(rgb, aux).labels)
    assert figures["counts"] == expected.counts.tolist()
    assert figures["miou"] == expected.mean_iou()
    printed = capsys.readouterr().out
    for line in expected.table(segmenter.spec.class_names).splitlines():
        assert line in printed


def test_ids_that_mean_not_labelled_are_void_where_they_are_named(
        tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The void of the model's classes is 0."""
    def labelled(void: int) -> Iterator[rosbag2.Recorded]:
        for n, message in enumerate(recording(2)):
            if message.topic != LABEL:
                yield message
                continue
            label = pictures(n // 3)[2].astype(np.int16)
            yield rosbag2.image(LABEL, message.time_ns, START + n // 3 * PERIOD,
                                np.where(label == 0, void, label), "16SC1")

    figures = []
    for name, void, options in (("plain", 0, ()), ("named", -1, ("--ignore", "255",
                                                               "--ignore", "-1"))):
        rosbag2.write(tmp_path / name, labelled(void))
        path = tmp_path / f"{name}.json"
        assert evaluate(tmp_path / name, tiny_model, "--json", str(path), *options) == 0
        figures.append(figures_of(path)["counts"])
    assert figures[0] == figures[1]
    assert evaluate(tmp_path / "named", tiny_model) == 1
    assert "the truth has the id -1, but there are only 6 classes" in capsys.readouterr().err


def test_a_second_sensor_that_is_not_registered_is_brought_to_colour(
        tmp_path: Path, tiny_model: Path) -> None:
    """Depth of half the size, and the same depth, registered before it was recorded."""
    def halved(registered: bool) -> Iterator[rosbag2.Recorded]:
        for n, message in enumerate(recording(2)):
            depth = pictures(n // 3)[1][::2, ::2]
            yield message if message.topic != AUX else rosbag2.image(
                AUX, message.time_ns, START + n // 3 * PERIOD,
                depth.repeat(2, 0).repeat(2, 1) if registered else depth, "16UC1")

    write(tmp_path / "r.yaml", half_as_large((192, 96)), "")
    figures = []
    for registered, options in ((True, ()), (False, ("--registration", str(tmp_path / "r.yaml"),
                                                     "--report", str(tmp_path / "r.html")))):
        bag, path = tmp_path / f"bag{registered}", tmp_path / f"{registered}.json"
        rosbag2.write(bag, halved(registered))
        assert evaluate(bag, tiny_model, "--json", str(path), *options) == 0
        figures.append(figures_of(path)["counts"])
    assert figures[0] == figures[1]
    assert read_result(path).source.registration == str(tmp_path / "r.yaml")
    assert str(tmp_path / "r.yaml") in (tmp_path / "r.html").read_text()


def test_every_frame_is_accounted_for(bag: Path, tiny_model: Path) -> None:
    assert evaluate(bag, tiny_model, "--json", str(bag.parent / "figures.json")) == 0
    figures = figures_of(bag.parent / "figures.json")
    assert figures["labelled"] == figures["scored"] == FRAMES
    assert figures["frames"] == {s: {"paired": FRAMES} for s in ("rgb", "aux")}
    assert figures["clock_jumps"] == 0
    assert 0 < figures["latency_ms"]["p50"] <= figures["latency_ms"]["p99"]
    about = json.loads((bag.parent / "figures.json").read_text())
    assert about["backend"] == "onnxruntime"
    assert about["spec"]["class_names"] == list(Segmenter(tiny_model).spec.class_names)
    assert any(version.startswith("onnxruntime ") for version in about["versions"])


def test_a_frame_without_partner_or_ground_truth_is_reported(
        tmp_path: Path, tiny_model: Path) -> None:
    lost = {(AUX, 2), (LABEL, 4)}
    kept = (message for n, message in enumerate(recording())
            if (message.topic, n // 3) not in lost)
    rosbag2.write(tmp_path / "drive", kept)
    assert evaluate(tmp_path / "drive", tiny_model, "--json", str(tmp_path / "figures.json")) == 0
    figures = figures_of(tmp_path / "figures.json")
    assert figures["frames"]["rgb"] == {"paired": FRAMES - 1, "unmatched": 1}
    assert (figures["labelled"], figures["scored"]) == (FRAMES - 1, FRAMES - 2)
    run, = json.loads((tmp_path / "figures.json").read_text())["runs"]
    assert [frame["stamp_ns"] for frame in run["frames"] if frame["counts"] is None] == [
        START + 4 * PERIOD]
    drop, = run["timeline"]["drops"]
    assert drop["kind"] == "colour unmatched"
    assert 2 <= (drop["stamp_ns"] - START) / PERIOD <= 4  # known when the next pair is


def replaced(topic: str, array: np.ndarray, encoding: str) -> Iterator[rosbag2.Recorded]:
    """The recording with the fourth image of a topic exchanged."""
    stamp = START + 3 * PERIOD
    for n, message in enumerate(recording()):
        exchange = message.topic == topic and n // 3 == 3
        yield rosbag2.image(topic, message.time_ns, stamp, array, encoding) if exchange else message


@pytest.mark.parametrize(("messages", "says"), [
    (replaced(LABEL, np.full((96, 192), 6, np.uint8), "mono8"),
     f"{LABEL} recorded at 1700000000.400: the truth has the id 6, but there are only 6 classes"),
    (replaced(LABEL, np.zeros((48, 96), np.uint8), "mono8"),
     "truth and prediction differ in size"),
    (replaced(LABEL, np.zeros((96, 192, 3), np.uint8), "rgb8"),
     "images of encoding 'rgb8' are not understood"),
    (replaced(AUX, np.zeros((96, 160), np.uint16), "16UC1"),
     "the rgb image is 192x96 and the depth image 160x96"),
    (replaced(AUX, np.zeros((96, 192), np.int16), "16SC1"),
     f"{AUX}: images of encoding '16SC1' are not understood"),
    ((rosbag2.image(topic, i, 0, picture, encoding) for i in range(3) for topic, picture, encoding
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
        messages: Iterator[rosbag2.Recorded], says: str) -> None:
    rosbag2.write(tmp_path / "drive", messages)
    assert evaluate(tmp_path / "drive", tiny_model, "--json", str(tmp_path / "f.json"),
                    "--report", str(tmp_path / "f.html")) == 1
    assert says in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["drive"]


@pytest.mark.parametrize("option", [("--slop", "0.04"), ("--aux-delay", "0.025")])
def test_what_lies_further_apart_pairs_by_a_wider_slop_or_the_sensors_delay(
        tmp_path: Path, tiny_model: Path, option: tuple[str, str]) -> None:
    rosbag2.write(tmp_path / "drive", recording(aux_offset_ns=30 * MS))
    assert evaluate(tmp_path / "drive", tiny_model, *option) == 0


def test_a_pair_that_waits_for_something_nearer_at_the_end_counts_too(
        tmp_path: Path, tiny_model: Path) -> None:
    """Each depth image is nearest to the colour image after it, and the last of those is lost. The
    very first pair is one of neighbours: nothing is known yet of what else may come."""
    lost = {(AUX, 5), (RGB, 7), (AUX, 7)}
    kept = (message for n, message in enumerate(recording(aux_offset_ns=60 * MS))
            if (message.topic, n // 3) not in lost)
    rosbag2.write(tmp_path / "drive", kept)
    assert evaluate(tmp_path / "drive", tiny_model, "--slop", "0.09", "--json",
                    str(tmp_path / "figures.json")) == 0
    figures = figures_of(tmp_path / "figures.json")
    assert figures["frames"] == {"rgb": {"paired": 6, "unmatched": 1}, "aux": {"paired": 6}}
    assert figures["scored"] == 6


@pytest.mark.parametrize("option", ["--json", "--report"])
@pytest.mark.parametrize("name", ["no/file", "."])
def test_a_file_that_cannot_be_written_is_reported_before_the_work(
        bag: Path, capsys: pytest.CaptureFixture[str], option: str, name: str) -> None:
    assert evaluate(bag, bag / "no_model.onnx", option, str(bag / name)) == 1
    assert f"cannot write {bag / name}: " in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--json", "--report"])
def test_nothing_that_is_read_is_written_over(
        bag: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str], option: str) -> None:
    for given in (tiny_model, bag / "metadata.yaml"):
        before = given.read_bytes()
        assert evaluate(bag, tiny_model, option, str(given)) == 1
        assert f"cannot write {given}: it is one of the files that are read" in (
            capsys.readouterr().err)
        assert given.read_bytes() == before


def test_swapped_topics_are_told_before_the_work(
        bag: Path, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    swapped = ["--rgb", AUX, "--aux", RGB]
    assert evaluate(bag, tiny_model, *swapped) == 1  # the last of an option counts
    assert ssma(["register", str(bag), *swapped, "--output", str(tmp_path / "x.yaml")]) == 1
    assert capsys.readouterr().err.count(f"the two cameras look swapped: {AUX} was given as "
                                         "colour") == 2


def test_a_model_that_is_not_there_is_named(
        bag: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate(bag, bag / "no_model.onnx") == 1
    assert str(bag / "no_model.onnx") in capsys.readouterr().err


@pytest.mark.parametrize(("arguments", "complaint"), [
    ([], "give a bag, --model, --rgb, --aux, --label or --truth; or --compare"),
    (["drive", "--model", "m", "--rgb", "r", "--aux", "a"], "give --label"),
    (["drive", "./drive", "--model", "m", "--rgb", "r", "--aux", "a", "--label", "l"],
     "a bag is given twice"),
    (["drive", "--model", "m", "--rgb", "r", "--aux", "a", "--label", "l", "--jobs", "0"],
     "--jobs must be at least 1"),
    (["drive", "--model", "m", "--rgb", "r", "--aux", "a", "--label", "l", "--report", "./out",
      "--json", "out"], "would both write out"),
    (["drive", "--compare", "a.json", "b.json"], "--compare takes two results"),
])
def test_arguments_that_make_no_sense_are_refused(
        capsys: pytest.CaptureFixture[str], arguments: list[str], complaint: str) -> None:
    with pytest.raises(SystemExit):
        main(arguments)
    assert complaint in capsys.readouterr().err


@pytest.fixture
def two_bags(tmp_path: Path) -> list[Path]:
    """One drive, and the same without its second half."""
    rosbag2.write(tmp_path / "drive", recording())
    rosbag2.write(tmp_path / "short", recording(FRAMES // 2))
    return [tmp_path / "drive", tmp_path / "short"]


def evaluate_both(two_bags: list[Path], model: Path, *more: str) -> int:
    return evaluate(two_bags[0], model, *more, str(two_bags[1]))


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_bags_are_counted_together_and_alone_however_many_at_once(
        two_bags: list[Path], tiny_model: Path, capsys: pytest.CaptureFixture[str],
        jobs: str) -> None:
    output = two_bags[0].parent
    assert evaluate_both(two_bags, tiny_model, "--jobs", jobs,
                         "--json", str(output / "both.json")) == 0
    both = figures_of(output / "both.json")
    for bag in two_bags:
        assert evaluate(bag, tiny_model, "--json", str(output / "one.json")) == 0
        one = figures_of(output / "one.json")
        del one["bags"], one["latency_ms"], both["bags"][bag.name]["latency_ms"]
        assert both["bags"][bag.name] == one
    assert both["counts"] == np.sum([each["counts"] for each in both["bags"].values()], 0).tolist()
    assert both["scored"] == FRAMES + FRAMES // 2
    assert "drive" in capsys.readouterr().out


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_bag_that_cannot_be_used_is_named_among_others_and_ends_them(
        two_bags: list[Path], tiny_model: Path, capsys: pytest.CaptureFixture[str],
        jobs: str) -> None:
    bad = two_bags[0].parent / "bad"
    rosbag2.write(bad, replaced(LABEL, np.zeros((48, 96), np.uint8), "mono8"))
    assert evaluate_both([two_bags[0], bad], tiny_model, "--jobs", jobs,
                         "--json", str(bad.parent / "figures.json")) == 1
    assert f"evaluate_bag: {bad}: at the message on {LABEL}" in capsys.readouterr().err
    assert not (bad.parent / "figures.json").exists()
    assert not multiprocessing.active_children()


def test_the_page_is_one_whole_document(bag: Path, tiny_model: Path) -> None:
    page = bag.parent / "report.html"
    assert evaluate(bag, tiny_model, "--report", str(page)) == 0
    text = page.read_text()
    assert text.startswith("<!doctype html>") and text.endswith("</html>")
    assert text.count('class="look"') >= 1
    assert {path.name for path in bag.parent.iterdir()} == {"drive", "report.html"}


def test_two_results_are_compared_in_words_and_on_a_page(
        bag: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = bag.parent
    for name in ("a", "b"):
        assert evaluate(bag, tiny_model, "--json", str(output / f"{name}.json")) == 0
    capsys.readouterr()
    results = [str(output / "a.json"), str(output / "b.json")]
    assert main(["--compare", *results, "--report", str(output / "page.html")]) == 0
    assert f"{FRAMES} frames of both" in capsys.readouterr().out
    assert (output / "page.html").read_text().startswith("<!doctype html>")

    assert main(["--compare", results[0], str(output / "none.json")]) == 1
    assert f"cannot read {output / 'none.json'}" in capsys.readouterr().err


@pytest.mark.ros
def test_live_adds_what_becomes_of_the_frames_at_the_bags_own_pace(
        bag: Path, tiny_model: Path) -> None:
    pytest.importorskip("rclpy", reason="needs rclpy")
    done = subprocess.run(
        [sys.executable, "-m", "ssma_ros.replay.evaluate_bag", str(bag), "--model", str(tiny_model),
         "--rgb", RGB, "--aux", AUX, "--label", LABEL, "--live",
         "--json", str(bag.parent / "figures.json"), "--report", str(bag.parent / "report.html")],
        capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    figures = figures_of(bag.parent / "figures.json")
    live, = json.loads((bag.parent / "figures.json").read_text())["live"]
    ends = dict(figures["live"]["frames"]["rgb"])
    labelled = ends.pop("labelled")
    assert labelled == len(live["frames"]) == figures["live"]["scored"] > 0
    assert sum(ends.values()) == FRAMES - labelled == len(live["timeline"]["drops"])
    if labelled == FRAMES:  # then DDS changes nothing
        assert figures["live"]["counts"] == figures["counts"]
    assert live["timeline"]["modes"][0] == {"stamp_ns": live["frames"][0]["stamp_ns"],
                                            "kind": "fused"}
    assert "over DDS" in done.stdout
    assert "over DDS" in (bag.parent / "report.html").read_text()


def test_the_live_node_gets_the_groups_and_the_registration_only_where_there_are_some(
        bag: Path) -> None:
    pytest.importorskip("rclpy", reason="needs rclpy")
    from ssma_ros.replay import live

    source = BagSource(rgb=RGB, aux=AUX, label=LABEL)
    given = set(live._node_arguments(bag, Path("m.onnx"), replace(
        source, label_groups="g.yaml", registration="r.yaml")))
    assert given - set(live._node_arguments(bag, Path("m.onnx"), source)) == {
        "label_groups:=g.yaml", "registration:=r.yaml"}


@pytest.mark.ros
def test_live_reports_from_when_on_one_sensor_was_labelled_alone(tmp_path: Path) -> None:
    pytest.importorskip("rclpy", reason="needs rclpy")
    without_depth = (message for n, message in enumerate(recording(20))
                     if message.topic != AUX or n // 3 < 8)
    rosbag2.write(tmp_path / "drive", without_depth)
    done = subprocess.run(
        [sys.executable, "-m", "ssma_ros.replay.evaluate_bag", str(tmp_path / "drive"),
         "--model", str(ROOT / "models" / "tiny_forest.onnx"), "--rgb", RGB, "--aux", AUX,
         "--label", LABEL, "--live", "--json", str(tmp_path / "figures.json")],
        capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    live, = json.loads((tmp_path / "figures.json").read_text())["live"]
    modes = [(mode["kind"], (mode["stamp_ns"] - START) / PERIOD)
             for mode in live["timeline"]["modes"] if mode["kind"] != "none"]
    # A busy machine may stop for half a second during the pairs, and say "fused" again.
    assert [kind for kind, _ in groupby(modes, lambda mode: mode[0])] == ["fused", "colour only"]
    # Half a second after the last pair, which was the eighth. That is five images, or fewer where
    # a busy machine replays them late, or more where it labels late: test_pipeline.py has a clock.
    assert dict(reversed(modes))["colour only"] >= 8
    assert len(live["frames"]) + len(live["timeline"]["drops"]) == 20


def compressed(message: rosbag2.Recorded, topic: str) -> rosbag2.Recorded:
    """The same image as a PNG, on another topic."""
    store = rosbag2.jazzy()
    pixels = image_messages.to_array(rosbag2.decode(message))
    kind = "sensor_msgs/msg/CompressedImage"
    small = store.types[kind](rosbag2.decode(message).header, "png",
                              cv2.imencode(".png", pixels)[1].reshape(-1))
    return rosbag2.Recorded(topic, kind, message.time_ns, bytes(store.serialize_cdr(small, kind)))


@pytest.mark.ros
@pytest.mark.parametrize("topic, refusal", [
    (f"{RGB}/compressed", ""), ("/camera/jpegs", "/camera/jpegs has compressed images")])
def test_live_takes_compressed_images_where_the_node_finds_them(
        tmp_path: Path, tiny_model: Path, topic: str, refusal: str) -> None:
    pytest.importorskip("rclpy", reason="needs rclpy")
    rosbag2.write(tmp_path / "drive", (
        compressed(message, topic) if message.topic == RGB else message for message in recording()))
    done = subprocess.run(
        [sys.executable, "-m", "ssma_ros.replay.evaluate_bag", str(tmp_path / "drive"),
         "--model", str(tiny_model), "--rgb", topic, "--aux", AUX, "--label", LABEL, "--live"],
        capture_output=True, text=True, check=False, timeout=120)
    if refusal:
        assert refusal in done.stderr and done.returncode == 1
    else:
        assert "over DDS" in done.stdout, done.stderr
    assert "Traceback" not in done.stderr


def test_live_without_ros_is_reported_before_the_work() -> None:
    program = ("import sys; sys.modules['rclpy'] = None\n"
               "from ssma_ros.replay.evaluate_bag import main\n"
               "sys.exit(main('none --model m --rgb r --aux a --label l --live'.split()))")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True,
                          check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("evaluate_bag: --live needs ROS 2, which is not here")


def test_an_interrupted_evaluation_says_so_and_writes_nothing(
        bag: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(of_bag, "evaluate", interrupted)
    assert evaluate(bag, tiny_model, "--json", str(bag.parent / "figures.json")) == 130
    assert capsys.readouterr().err == "evaluate_bag: interrupted\n"
    assert not (bag.parent / "figures.json").exists()


def test_an_impossible_slop_is_refused(
        bag: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate(bag, tiny_model, "--slop", "-1") == 1
    assert "the slop must be 0 s or more" in capsys.readouterr().err


def test_no_ros_is_needed() -> None:
    program = "import sys; sys.modules['rclpy'] = None; import ssma_ros.replay.evaluate_bag"
    subprocess.run([sys.executable, "-c", program], check=True)

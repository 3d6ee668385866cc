"""Evaluation: the model runs as the options say, every frame is counted, nothing is lost on the
way to JSON."""
import json
import resource
import runpy
import shutil
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from conftest import ROOT, SMALL_EXPERT, SMALL_SPEC, small_run, write_configuration
from hypothesis import given
from hypothesis import strategies as st

from ssma_core import ConfusionMatrix, Modality, ModelSpec, Segmenter, SsmaError
from ssma_core.backends import open_backend
from ssma_core.evaluation import inference
from ssma_core.evaluation.inference import Options
from ssma_core.evaluation.of_data_set import Evaluation, evaluate
from ssma_core.evaluation.report.words import in_words
from ssma_core.evaluation.result_file import read_result, write_result
from ssma_core.evaluation.results import DatasetSource, DriveResult, FrameResult, Result
from ssma_core.modalities import network_images
from ssma_core.model import build
from ssma_core.model_files import checkpoint

NAMES = {"model": "m.safetensors", "configuration": "c.yaml", "split": "validation"}


@dataclass(frozen=True)
class Drawn:
    """A sample that is no file: 96×80 pixels of noise from its seed."""

    seed: int
    drive: str = "."
    condition: str | None = None
    void: bool = False

    @property
    def name(self) -> str:
        return f"{self.seed:06d}.png"

    def read(self, classes):
        rng = np.random.default_rng(self.seed)
        rgb = cv2.resize(rng.integers(0, 256, (5, 6, 3), np.uint8), (96, 80))
        depth = cv2.resize(rng.integers(0, 9000, (5, 6), np.uint16), (96, 80))
        label = rng.integers(0, classes, (80, 96), np.uint8)
        return rgb, depth, np.zeros_like(label) if self.void else label


SAMPLES = [Drawn(0, "a", "clear"), Drawn(1, "a", "clear"), Drawn(2, "b", "fog"), Drawn(3, "b")]


def write_model(path: Path, spec: ModelSpec) -> Path:
    """Random weights, with the batch-norm statistics that make it give several classes."""
    torch.manual_seed(1)
    network = build(spec)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        network(*(256 * torch.rand(2, 3, 48, 64) for _ in spec.modalities))
    checkpoint.save(path, network, spec)
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model") / "fusion.safetensors", SMALL_SPEC)


def counted(model, options=Options(), samples=SAMPLES, data=SMALL_SPEC):  # noqa: B008 (it is frozen)
    frames = Evaluation(model, data, options).frames(samples)
    return [counts.confusion for counts in frames]


class Painted:
    """A backend whose logits are the colour image's (blue, green, red), unchanged, and that keeps
    what it was shown."""

    name = "torch"
    spec = SMALL_SPEC
    end_to_end = False

    def __init__(self, logits=None):
        self.shown = []
        self._logits = logits or (lambda images: images[0].astype(np.float32))

    def run(self, images, outputs):
        self.shown.append(list(images))
        logits = self._logits(images).transpose(2, 0, 1)
        return {"logits": logits, "labels": logits.argmax(0).astype(np.uint8)}


# How the model runs

def test_by_default_it_runs_as_on_a_robot(model):
    segmenter = Segmenter(model)
    for sample, counts in zip(SAMPLES, counted(model)):
        rgb, depth, label = sample.read(3)
        expected = ConfusionMatrix(3, 0)
        expected.add(label, segmenter.segment(rgb, depth).labels)
        np.testing.assert_array_equal(counts, expected.counts)
        assert (expected.counts.sum(axis=0) > 0).sum() > 1, "the model says more than one thing"


def test_at_the_networks_size_the_label_is_brought_there_by_nearest_neighbour(model):
    rgb, depth, label = SAMPLES[0].read(3)
    backend = open_backend(model, None)
    expected = ConfusionMatrix(3, 0)
    # 96×80 to 64×48: the centre of pixel (x, y) lies in ⌊1.5 (x + ½)⌋, ⌊5/3 (y + ½)⌋.
    expected.add(label[(2 * np.arange(48) + 1) * 80 // 96][:, (2 * np.arange(64) + 1) * 96 // 128],
                 backend.run(network_images(SMALL_SPEC, rgb, depth), ["labels"])["labels"])
    counts = counted(model, Options("network"))[0]
    np.testing.assert_array_equal(counts, expected.counts)


@given(st.integers(1, 64), st.integers(1, 64), st.floats(0.01, 8))
def test_scaled_sizes_are_the_nearest_multiples_of_16(width, height, scale):
    (size,) = Options(scales=(scale,)).sizes((16 * width, 16 * height))
    for got, wanted in zip(size, (16 * width * scale, 16 * height * scale)):
        assert got % 16 == 0 and got >= 16
        assert abs(got - wanted) <= 8 or got == 16


def test_probabilities_are_averaged_rather_than_logits():
    """p(ground) at the three scales: 0.001, 0.8, 0.8; their mean is 0.53. The mean of the logits
    would be (−6.9 + 1.4 + 1.4) / 3 < 0, and sky."""
    def logits(images):
        ground = {32: 0.001, 48: 0.8, 64: 0.8}[images[0].shape[0]]
        one = np.log(np.array([1e-9, ground, 1 - ground], np.float32))
        return np.broadcast_to(one, (*images[0].shape[:2], 3))

    backend = Painted(logits)
    answer = inference.predict(backend, SAMPLES[0].read(3)[:2], Options(scales=(0.66, 1, 1.33)))
    assert answer.shape == (48, 64)
    assert (answer == 1).all()
    assert [images[0].shape[:2] for images in backend.shown] == [(32, 48), (48, 64), (64, 80)]


def test_a_mirror_images_prediction_is_mirrored_back():
    rgb, depth, _ = SAMPLES[0].read(3)
    one, both = (inference.predict(Painted(), (rgb, depth), Options(flip=flip))
                 for flip in (False, True))
    np.testing.assert_array_equal(both, one)
    assert (one != one[:, ::-1]).any()


def test_both_modalities_are_mirrored():
    backend = Painted()
    inference.predict(backend, SAMPLES[0].read(3)[:2], Options(flip=True))
    plain, mirrored = backend.shown
    for image, mirror in zip(plain, mirrored):
        np.testing.assert_array_equal(mirror, image[:, ::-1])


def test_the_average_with_the_mirror_image_is_one():
    """A model that says ground (0.9) in its left half and sky (0.6) in its right: 0.65 ground."""
    def logits(images):
        ground = np.where(np.arange(64) < 32, 0.9, 0.4)
        one = np.log(np.stack([np.full(64, 1e-9), ground, 1 - ground], axis=1))
        return np.broadcast_to(one, (48, 64, 3)).astype(np.float32)

    for flip, right in ((False, 2), (True, 1)):
        answer = inference.predict(Painted(logits), SAMPLES[0].read(3)[:2], Options(flip=flip))
        assert (answer[:, :32] == 1).all()
        assert (answer[:, 32:] == right).all()


def test_a_sensors_map_is_encoded_again_at_every_size_so_that_no_depths_are_mixed():
    rgb = np.zeros((80, 96, 3), np.uint8)
    depth = np.random.default_rng(0).choice([0, 2000, 7000], (80, 96)).astype(np.uint16)
    backend = Painted()
    inference.predict(backend, (rgb, depth), Options(scales=(0.75, 1.25)))
    pure = {tuple(network_images(SMALL_SPEC, rgb, np.full_like(depth, value))[1][0, 0])
            for value in (0, 2000, 7000)}
    for _, image in backend.shown:
        assert {tuple(pixel) for pixel in image.reshape(-1, 3)} == pure


# A lost modality

@pytest.mark.parametrize(("lost", "left"), [("rgb", 1), ("depth", 0)])
def test_a_lost_modality_is_black_and_the_other_as_ever(lost, left):
    arrays = SAMPLES[0].read(3)[:2]
    backend = Painted()
    inference.predict(backend, arrays, Options(without=lost))
    (shown,) = backend.shown
    assert not shown[1 - left].any()
    np.testing.assert_array_equal(shown[left], network_images(SMALL_SPEC, *arrays)[left])


def test_a_vegetation_index_outlives_the_colour_image_that_it_was_made_with():
    spec = replace(SMALL_SPEC, modalities=(Modality("rgb", "image"), Modality("evi", "evi")))
    rgb, _, infrared = SAMPLES[0].read(200)
    colour, index = inference.images(spec, (rgb, infrared), without="rgb")
    assert not colour.any()
    np.testing.assert_array_equal(index, network_images(spec, rgb, infrared)[1])


def test_only_a_modality_of_a_fusion_can_be_lost(model, tmp_path):
    with pytest.raises(SsmaError, match="cannot do without 'lidar': it takes rgb and depth"):
        counted(model, Options(without="lidar"))
    expert = write_model(tmp_path / "expert.safetensors", SMALL_EXPERT)
    with pytest.raises(SsmaError, match="cannot do without 'rgb': it takes rgb"):
        counted(expert, Options(without="rgb"))


@pytest.mark.parametrize("file", ["tiny_forest.safetensors", "tiny_forest.onnx"])
def test_an_expert_alone_runs_in_place_of_the_fusion(file):
    """And counted as any model is."""
    segmenter = Segmenter(ROOT / "models" / file)
    spec = replace(segmenter.spec, input_size=(64, 48))
    (counts,) = counted(ROOT / "models" / file, Options(alone="depth"), SAMPLES[:1], spec)
    _, depth, label = SAMPLES[0].read(spec.classes)
    expected = ConfusionMatrix(spec.classes, spec.void_id)
    expected.add(label, segmenter.segment(None, depth).labels)
    np.testing.assert_array_equal(counts, expected.counts)


def test_an_expert_runs_alone_only_where_it_can(model):
    with pytest.raises(SsmaError, match="cannot label 'depth' alone; it can label only what is"):
        counted(model, Options(alone="depth"))


# Which model goes with which data and options

def test_a_model_that_is_no_torch_model_has_one_size():
    backend = Painted()
    backend.name = "onnxruntime"
    with pytest.raises(SsmaError, match=r"runs at 64x48 only: evaluate the \.safetensors"):
        inference.check(Options(scales=(0.75, 1)), backend)
    inference.check(Options(flip=True), backend)


@pytest.mark.parametrize("scales", [(), (0.0,), (-1.0,), (1.0, float("nan")), (1000.0,)])
def test_scales_that_are_none(scales):
    with pytest.raises(SsmaError, match="scales must be above 0"):
        Options(scales=scales)


def test_a_model_of_one_modality_gets_that_ones_array():
    rgb, depth, _ = SAMPLES[0].read(3)
    index = replace(SMALL_EXPERT, modalities=(Modality("evi", "evi"),))
    forest = replace(SMALL_SPEC, modalities=(Modality("rgb", "image"), Modality("evi", "evi")))
    second = replace(SMALL_EXPERT, modalities=SMALL_SPEC.modalities[1:])

    def picked(model, data, *arrays):
        return [id(array) for array in inference.arrays_for(model, data, *arrays)]

    assert picked(SMALL_SPEC, SMALL_SPEC, rgb, depth) == [id(rgb), id(depth)]
    assert picked(SMALL_EXPERT, SMALL_SPEC, rgb, depth) == [id(rgb)]
    assert picked(second, SMALL_SPEC, rgb, depth) == [id(depth)]
    assert picked(index, forest, rgb, depth) == [id(rgb), id(depth)], "infrared needs the colour"
    assert picked(index, forest, rgb, encoded := rgb.copy()) == [id(encoded)]


def test_data_without_the_models_modality_are_refused(model):
    field = replace(SMALL_SPEC, modalities=(Modality("red", "image"), Modality("nir", "ndvi")))
    with pytest.raises(SsmaError, match="takes rgb and depth, the configuration's data have red "):
        counted(model, data=field)


def test_a_frame_whose_depth_is_none_is_named(model):
    class Eight(Drawn):
        def read(self, classes):
            rgb, depth, label = super().read(classes)
            return rgb, depth.astype(np.uint8), label

    with pytest.raises(SsmaError, match=r"^000005.png: the depth image is .* of uint8"):
        counted(model, samples=[Drawn(0), Eight(5)])


def test_a_model_of_other_classes_is_refused(model):
    field = replace(SMALL_SPEC, class_names=("void", "soil", "crop"))
    with pytest.raises(SsmaError, match=r"fusion.safetensors knows the classes void, ground, sky, "
                                        r"the configuration has void, soil, crop"):
        counted(model, data=field)


# The result

def frame(name, counts, drive=".", condition=None):
    return DriveResult(drive, (FrameResult(name, condition),), np.array([counts]))


GOOD = ((4, 0, 0), (0, 10, 0), (0, 0, 10))
BAD = ((4, 0, 0), (0, 2, 8), (0, 0, 10))
ONLY_SKY = ((4, 0, 0), (0, 0, 0), (0, 0, 20))
ALL_VOID = ((24, 0, 0), (0, 0, 0), (0, 0, 0))


def result(*drives):
    return Result("m.safetensors", SMALL_SPEC, DatasetSource("c.yaml", "validation", Options()),
                  ("python 3",), drives)


def test_groups_are_counted_apart_and_frames_without_a_condition_left_out():
    found = result(frame("1", GOOD, "a", "fog"), frame("2", BAD, "b"), frame("3", BAD, "a", "fog"))

    def counts(by):
        return {name: found.confusion_of(chosen).counts.tolist()
                for name, chosen in found.groups(by).items()}

    assert counts("drive") == {
        "a": [[8, 0, 0], [0, 12, 8], [0, 0, 20]], "b": [list(row) for row in BAD]}
    assert counts("condition") == {"fog": [[8, 0, 0], [0, 12, 8], [0, 0, 20]]}


def test_a_single_frames_mean_is_over_the_classes_that_occur_in_it():
    scores = result(frame("1", GOOD), frame("2", BAD), frame("3", ONLY_SKY),
                    frame("4", ALL_VOID)).frame_scores()
    # BAD: ground 2/10, sky 10/18.
    np.testing.assert_allclose(scores, [1, (2 / 10 + 10 / 18) / 2, 1, np.nan])


def test_the_figures_in_words_name_the_conditions_and_what_does_not_occur():
    words = in_words(result(frame("1", GOOD, "a", "clear"),
                            frame("2", ONLY_SKY, "b", "fog"))).splitlines()
    assert words[0] == "m.safetensors on c.yaml, validation: 2 frames, at the label's size"
    assert [line.split() for line in words[-7:]] == [
        ["condition", "mIoU", "%", "frames"],
        ["clear", "100.0", "1"],
        ["fog", "50.0", "1", "no", "ground"], [],
        ["drive", "mIoU", "%", "frames"],
        ["a", "100.0", "1"],
        ["b", "50.0", "1", "no", "ground"]]


def test_the_options_are_named_in_words():
    assert str(Options("network", (0.75, 1), True, "depth", "rgb")) == (
        "at the network's size, scales 0.75 1, with mirror images, without depth, rgb alone")


def test_the_json_file_reads_back_as_it_was_and_holds_the_figures(tmp_path):
    written = result(frame("1", GOOD, "a", "clear"), frame("2", BAD, "b"))
    write_result(written, tmp_path / "result.json")
    assert read_result(tmp_path / "result.json") == written
    figures = json.loads((tmp_path / "result.json").read_text())["figures"]
    assert figures["total"]["iou"] == {"ground": 12 / 20, "sky": 20 / 28}
    assert figures["total"]["miou"] == pytest.approx((12 / 20 + 20 / 28) / 2)
    assert figures["drives"]["a"]["miou"] == figures["conditions"]["clear"]["miou"] == 1
    assert list(figures["conditions"]) == ["clear"]


def test_a_result_that_finds_no_room_is_named_and_not_half_written(tmp_path):
    before, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, most))  # no file gets more bytes
    try:
        with pytest.raises(SsmaError, match=rf"cannot write {tmp_path}/result.json: File too lar"):
            write_result(result(frame("1", GOOD)), tmp_path / "result.json")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (before, most))
    assert not list(tmp_path.iterdir())


def first_of(values):
    """The first frame in a file."""
    return values["runs"][0]["frames"][0]


@pytest.mark.parametrize(("change", "complaint"), [
    (lambda v: first_of(v).pop("name"), "frame 0 lacks name"),
    (lambda v: first_of(v).pop("counts"), "the frame 1 lacks counts"),
    (lambda v: first_of(v).update(counts=[[1]]), "counts of 1 are not 3 by 3"),
    (lambda v: first_of(v).update(counts=[1, 2, 3, 4, 5, 6, 7, 8, 9]), "counts of 1 are not 3 by"),
    (lambda v: first_of(v)["counts"][0].append(1), "counts of 1 are not 3 by 3"),
    (lambda v: first_of(v)["counts"][0].append(-1), "counts of 1 are not 3 by 3"),
    (lambda v: first_of(v)["counts"][0].__setitem__(0, "1"), "of 1 must be whole numbers, got"),
    (lambda v: first_of(v)["counts"][0].__setitem__(0, 1.5), "of 1 must be whole numbers, got"),
    (lambda v: first_of(v)["counts"][1].__setitem__(0, 1.5), "of 1 must be whole numbers, got"),
    (lambda v: first_of(v)["counts"][0].__setitem__(0, float("nan")), "1 must be whole numbers"),
    (lambda v: first_of(v)["counts"][0].__setitem__(0, None), "of 1 must be whole numbers, got"),
    (lambda v: first_of(v)["counts"][0].__setitem__(0, -1), "counts of 1 are not all from 0"),
    (lambda v: first_of(v)["counts"][0].__setitem__(0, 10**12 + 1), "1 are not all from 0"),
    (lambda v: first_of(v)["counts"][0].__setitem__(0, 10**30), "to 1,000,000,000,000"),
    (lambda v: first_of(v)["counts"][0].__setitem__(0, -10**30), "counts of 1 must be whole"),
    (lambda v: first_of(v).update(name="2"), "two frames have the name 2"),
    (lambda v: v.update(runs=[]), "there is no frame"),
    (lambda v: v.update(runs=5), "runs must be a list"),
    (lambda v: v.update(runs=[5]), r"runs\[0\] must be a mapping"),
    (lambda v: v["runs"][0].update(frames={}), "frames must be a list"),
    (lambda v: v["spec"].update(size="huge"), "size must be one of"),
    (lambda v: v.pop("spec"), "lacks spec"),
    (lambda v: v["options"].update(scales=[0]), "scales must be above 0"),
    (lambda v: v.clear(), "lacks spec"),
    (lambda v: v.pop("model"), "lacks model"),
    (lambda v: v.pop("split"), "lacks split"),
])
def test_a_json_file_that_is_no_result_is_named_and_why(tmp_path, change, complaint):
    path = tmp_path / "result.json"
    write_result(result(frame("1", GOOD), frame("2", BAD)), path)
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))
    with pytest.raises(SsmaError, match=rf"result.json is no result of .*: .*{complaint}"):
        read_result(path)


def test_a_file_that_is_no_json(tmp_path):
    with pytest.raises(SsmaError, match=r"cannot read .*none.json"):
        read_result(tmp_path / "none.json")
    for content in (b"[1", b"\xff\xfe", b""):
        (tmp_path / "bad.json").write_bytes(content)
        with pytest.raises(SsmaError, match=r"bad.json is not JSON"):
            read_result(tmp_path / "bad.json")
    (tmp_path / "bad.json").write_text("[]")
    with pytest.raises(SsmaError, match=r"bad.json is no result of evaluate.py .*: .*mapping"):
        read_result(tmp_path / "bad.json")


# The output

def test_the_output_folder_has_the_result_and_two_pictures(model, tmp_path):
    samples = [*SAMPLES, Drawn(4, void=True)]
    folder = tmp_path / "new" / "folder"
    found = evaluate(Evaluation(model, SMALL_SPEC, Options()), samples, folder, **NAMES)
    assert sorted(path.name for path in folder.iterdir()) == [
        "confusion.png", "result.json", "worst.png"]
    assert read_result(folder / "result.json") == found
    assert [(f.name, drive, f.condition) for drive, f in found.scored] == [
        (s.name, s.drive, s.condition) for s in samples]
    assert found.versions[3].startswith("torch ")
    # Title, 4 frames under a line of text each (the fifth is all void), legend.
    height = cv2.imread(str(folder / "worst.png")).shape[0]
    assert height == 28 + 4 * (28 + round(48 * 395 / 64) + 4) + 28


def test_the_worst_frames_stand_on_the_sheet_the_worst_first(model, tmp_path, monkeypatch):
    sheets = []
    evaluation = Evaluation(model, SMALL_SPEC, Options())
    monkeypatch.setattr(evaluation, "sheet", lambda samples, titles: sheets.append(
        (samples, titles)) or np.zeros((1, 1, 3), np.uint8))
    scores = evaluate(evaluation, many := [Drawn(i) for i in range(10)], tmp_path,
                      **NAMES).frame_scores()
    ((samples, titles),) = sheets
    order = np.argsort(scores)[:8]
    assert samples == [many[i] for i in order]
    assert titles[0] == f"{many[order[0]].name}   mIoU {100 * scores.min():.1f} %"


def test_a_folder_that_cannot_be_made_is_named_before_the_work(model, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(SsmaError, match=r"cannot make the folder .*file/inside"):
        evaluate(Evaluation(model, SMALL_SPEC, Options()), [], tmp_path / "file/inside", **NAMES)


# The script

def run_script(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["evaluate.py", *map(str, arguments)])
    runpy.run_path(str(ROOT / "training" / "evaluate.py"), run_name="__main__")


def test_evaluate_prints_a_line_a_class_and_compares_what_it_wrote(
        easy_frames, model, tmp_path, monkeypatch, capsys):
    config = write_configuration(tmp_path, small_run(easy_frames))
    for name, options in (("a", ["--resolution", "network"]),
                          ("b", ["--resolution", "network", "--scales", "0.5", "1", "--flip",
                                 "--without", "depth"])):
        run_script(monkeypatch, "--model", model, "--config", config, *options, "--output",
                   tmp_path / name)
    first, *table = capsys.readouterr().out.splitlines()[:5]
    assert first.endswith("run.yaml, validation: 6 frames, at the network's size")
    assert [line.split()[0] for line in table] == ["class", "ground", "sky", "mean"]
    assert read_result(tmp_path / "b/result.json").source.options == Options(
        "network", (0.5, 1.0), True, "depth")
    run_script(monkeypatch, "--compare", tmp_path / "a/result.json", tmp_path / "b/result.json")
    assert "2 whole drives" in capsys.readouterr().out
    shutil.copy(tmp_path / "a/result.json", tmp_path / "seed_1.json")
    run_script(monkeypatch, "--mean", tmp_path / "a/result.json", tmp_path / "seed_1.json")
    assert "2 results, 6 frames, at the network's size" in capsys.readouterr().out


def test_a_value_that_is_set_is_used_and_recorded(
        easy_frames, model, tmp_path, monkeypatch, capsys):
    config = write_configuration(tmp_path, small_run(easy_frames))
    run_script(monkeypatch, "--model", model, "--config", config,
               "--set", "data.validation.rgb=drive_000/rgb/*")
    assert "run.yaml data.validation.rgb=drive_000/rgb/*, validation: 3 frames" in (
        capsys.readouterr().out)


def test_a_users_mistake_has_no_traceback(monkeypatch, tmp_path, capsys):
    with pytest.raises(SystemExit, match=r"evaluate: cannot read none.json"):
        run_script(monkeypatch, "--compare", "none.json", "none.json")
    with pytest.raises(SystemExit, match="2"):
        run_script(monkeypatch, "--model", "x")
    assert "give --model and --config, or --compare, or --mean" in capsys.readouterr().err

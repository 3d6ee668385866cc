"""Training: loss and schedule as the reference's, configuration checked, a run that learns."""
import json
import math
import runpy
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from ssma_core import Segmenter, SsmaError, checkpoint
from ssma_core.training.augment import Augmentation, augment
from ssma_core.training.batches import batch_indices
from ssma_core.training.evaluation import evaluate, total
from ssma_core.training.loop import train
from ssma_core.training.loss import poly, segmentation_loss
from ssma_core.training.stages import read_training

ROOT = Path(__file__).resolve().parent.parent
CONFIGURATIONS = sorted((ROOT / "config" / "training").glob("*.yaml"))
VOID, GROUND, SKY = range(3)


# Loss and schedule

def some_logits():
    generator = torch.Generator().manual_seed(0)
    label = torch.randint(0, 4, (2, 6, 8), generator=generator, dtype=torch.uint8)
    return torch.randn(2, 4, 6, 8, generator=generator), label


def test_without_void_the_loss_is_cross_entropy():
    logits, label = some_logits()
    label = label.clamp(min=1)
    expected = functional.cross_entropy(logits, label.long())
    assert segmentation_loss(logits, label, void_id=0).item() == pytest.approx(expected.item())


def test_void_weighs_nothing_but_counts_in_the_mean():
    logits, label = some_logits()
    summed = functional.cross_entropy(logits, label.long(), ignore_index=0, reduction="sum")
    loss = segmentation_loss(logits, label, void_id=0)
    assert loss.item() == pytest.approx(summed.item() / label.numel())


def test_void_gives_no_gradient():
    logits, label = some_logits()
    logits.requires_grad_()
    segmentation_loss(logits, label, void_id=0).backward()
    gradient = logits.grad.abs().sum(1)
    assert (gradient[label == 0] == 0).all()
    assert (gradient[label != 0] > 0).all()


def test_a_hopeless_pixel_costs_no_more_than_the_references_epsilon_allows():
    logits = torch.tensor([-500.0, 500.0]).reshape(1, 2, 1, 1)
    loss = segmentation_loss(logits, torch.zeros(1, 1, 1, dtype=torch.uint8), void_id=1)
    assert loss.item() == pytest.approx(-math.log(1e-10), rel=1e-5)


def test_poly_agrees_with_the_references_learning_rates(shared):
    golden = np.load(shared / "golden" / "ssma_6_training.npz")["lrs"]
    ours = [1e-3 * poly(step, 100) for step in range(1, 6)]
    np.testing.assert_allclose(ours, golden, rtol=1e-6)


def test_poly_ends_at_a_tenth_and_stays_there():
    assert poly(0, 100) == 1
    assert poly(100, 100) == poly(101, 100) == 0.1


# Augmentation

def patchwork(seed: int) -> np.ndarray:
    """A label image of patches, H×W uint8, that is no mirror image of itself."""
    small = np.random.default_rng(seed).integers(1, 6, (6, 12)).astype(np.uint8)
    return np.kron(small, np.ones((16, 16), np.uint8))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.5, 2), st.floats(0.5, 2))
def test_one_geometry_for_both_modalities_and_the_label(seed, one, other):
    label = patchwork(seed)
    ranges = Augmentation((min(one, other), max(one, other)), (1, 1), 0)
    pictures = [np.dstack([label * 40] * 3)] * 2
    (colour, second), changed = augment(pictures, label, 0, ranges, np.random.default_rng(seed))
    np.testing.assert_array_equal(second[..., 0], changed * 40)
    # The colour image is interpolated, so it differs at the edges of the patches, and there only.
    inside = cv2.erode(changed, np.ones((5, 5))) == cv2.dilate(changed, np.ones((5, 5)))
    inside = inside[2:-2, 2:-2]
    np.testing.assert_array_equal(colour[2:-2, 2:-2, 0][inside], changed[2:-2, 2:-2][inside] * 40)
    assert inside.any()


def test_light_changes_in_the_colour_image_alone():
    picture = np.full((32, 32, 3), 100, np.uint8)
    ranges = Augmentation((1, 1), (0.5, 1.5), 40)
    (colour, second), _ = augment([picture, picture], picture[..., 0], 0, ranges,
                                  np.random.default_rng(1))
    assert (colour == colour[0, 0]).all() and (colour != 100).all()
    np.testing.assert_array_equal(second, picture)


def test_beyond_the_edge_of_a_shrunken_frame_lies_void():
    ranges = Augmentation((0.5, 0.5), (1, 1), 0)
    white = np.full((32, 64, 3), 255, np.uint8)
    (_, second), label = augment([white, white], np.ones((32, 64), np.uint8), 3, ranges,
                                 np.random.default_rng(0))
    assert set(np.unique(label)) == {1, 3}
    assert (second[label == 3] == 0).all()


def test_a_frame_is_mirrored_in_half_of_the_cases():
    label = patchwork(0)
    picture = np.dstack([label] * 3)
    ranges = Augmentation((1, 1), (1, 1), 0)
    rng = np.random.default_rng(0)
    results = [augment([picture], label, 0, ranges, rng)[1] for _ in range(200)]
    mirrored = sum(np.array_equal(result, label[:, ::-1]) for result in results)
    assert mirrored + sum(np.array_equal(result, label) for result in results) == 200
    assert 70 < mirrored < 130


# Batches

def test_every_frame_is_seen_once_before_any_is_seen_again():
    stream = [i for step in range(10) for i in batch_indices(7, 4, step, seed=3)]
    assert sorted(stream[:7]) == sorted(stream[7:14]) == list(range(7))
    assert stream[:7] != stream[7:14]


# Configuration

@pytest.mark.parametrize("path", CONFIGURATIONS, ids=lambda p: p.stem)
def test_the_shipped_configurations_are_valid(path):
    training = read_training(path)
    assert [stage.name for stage in training.stages] == [
        f"expert_{training.model.modalities[0].name}",
        f"expert_{training.model.modalities[1].name}", "fusion"]


def configuration(root: Path) -> dict:
    folders = {"root": str(root), "rgb": "drive_*/rgb/*", "aux": "depth", "label": "label"}
    stage = {"steps": 20, "batch_size": 2, "learning_rate": 0.003, "dropout_keep": 0.9}
    return {
        "model": {"architecture": "ssma", "size": "tiny", "class_names": ["void", "ground", "sky"],
                  "class_colours": [[0, 0, 0], [9, 9, 9], [0, 0, 9]], "input_size": [64, 48],
                  "modalities": [{"name": "rgb", "encoding": "image"},
                                 {"name": "depth", "encoding": "jet", "range": 8000}]},
        "data": {"train": folders, "validation": folders},
        "augmentation": {"scale": [0.8, 1.3], "contrast": [0.8, 1.2], "brightness": 10},
        "stages": [stage | {"trains": "rgb", "auxiliary_weights": [0.6, 0.5]},
                   stage | {"trains": "depth", "auxiliary_weights": [0.6, 0.5]},
                   stage | {"trains": "fusion", "encoder_learning_rate": 0.0003}],
        "seed": 0, "validate_every": 15}


def write_configuration(folder: Path, values: dict) -> Path:
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


@pytest.mark.parametrize(("place", "value", "complaint"), [
    (("stage",), [], "unknown field 'stage'"),
    (("stages", 0, "epochs"), 3, r"stages\[0\] has an unknown field 'epochs'"),
    (("stages", 1, "learning_rate"), "fast", r"stages\[1\].learning_rate must be of type float"),
    (("stages", 0, "steps"), 0, "stage 'rgb': steps must be positive, got 0"),
    (("stages", 2, "dropout_keep"), 0, "stage 'fusion': dropout_keep must be above 0"),
    (("stages", 0, "encoder_learning_rate"), 0.1, "encoder_learning_rate has no meaning here"),
    (("stages", 1, "auxiliary_weights"), None, "stage 'depth': auxiliary_weights is missing"),
    (("stages", 0, "trains"), "lidar", "a stage trains 'lidar'; it can be one of rgb, depth, fus"),
    (("data", "train", "aux"), 3, r"data.train.aux must be of type str"),
    (("augmentation", "scale"), [1.5, 0.5], "augmentation: scale"),
    (("model", "input_size"), [60, 48], "multiples of 16"),
])
def test_an_error_in_the_configuration_names_file_and_field(tmp_path, place, value, complaint):
    values = configuration(tmp_path)
    inner = values
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    with pytest.raises(SsmaError, match=rf"run.yaml: .*{complaint}"):
        read_training(write_configuration(tmp_path, values))


def test_a_configuration_that_is_none(tmp_path):
    with pytest.raises(SsmaError, match=r"cannot read .*none.yaml"):
        read_training(tmp_path / "none.yaml")
    (tmp_path / "bad.yaml").write_text("stages: [")
    with pytest.raises(SsmaError, match=r"bad.yaml is not YAML"):
        read_training(tmp_path / "bad.yaml")


# A run

@pytest.fixture(scope="module")
def easy_frames(tmp_path_factory):
    """Six frames, two drives: bright sky without depth above dark ground that comes closer."""
    root = tmp_path_factory.mktemp("easy")
    rng = np.random.default_rng(0)
    for index in range(6):
        drive = root / f"drive_{index % 2:03d}"
        horizon = int(rng.integers(15, 35))
        label = np.full((48, 64), GROUND, np.uint8)
        label[:horizon] = SKY
        label[:, :4] = VOID
        depth = np.where(label == SKY, 0, 7000 - 100 * np.arange(48)[:, None]).astype(np.uint16)
        rgb = np.where(label == SKY, 200, 70)[..., None] + rng.integers(-20, 20, (48, 64, 3))
        pictures = {"rgb": rgb.astype(np.uint8), "depth": depth, "label": label}
        for folder, picture in pictures.items():
            (drive / folder).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(drive / folder / f"{index:06d}.png"), picture)
    return root


@pytest.fixture(scope="module")
def run(easy_frames, tmp_path_factory):
    """A whole small run, through the script: its output folder."""
    folder = tmp_path_factory.mktemp("run")
    config = write_configuration(folder, configuration(easy_frames))
    subprocess.run([sys.executable, ROOT / "training" / "train.py", "--config", config,
                    "--output", folder / "out"], check=True)
    return folder / "out"


@pytest.mark.parametrize("stage", ["expert_rgb", "expert_depth", "fusion"])
def test_the_loss_falls_in_every_stage(run, stage):
    log = json.loads((run / f"{stage}.json").read_text())
    assert len(log["loss"]) == 20
    assert np.mean(log["loss"][-5:]) < 0.8 * np.mean(log["loss"][:2])
    assert [v["step"] for v in log["validation"]] == [15, 20]


def test_every_stage_leaves_a_model_that_segments(run, easy_frames):
    training = read_training(run.parent / "run.yaml")
    for name, architecture in (("expert_depth", "adapnet++"), ("fusion", "ssma")):
        segmenter = Segmenter(run / f"{name}.safetensors")
        assert segmenter.spec.architecture == architecture
        drives = evaluate(segmenter, training.data.validation.samples())
        assert sorted(drives) == ["drive_000", "drive_001"]
        assert total(drives, segmenter.spec).counts.sum() == 6 * 48 * 64
    assert not list(run.glob(".*")), "no temporary files are left"


def test_the_fusion_started_from_the_experts(run):
    """Its experts have moved by little: 20 steps at a tenth of the rate."""
    expert = checkpoint.load(run / "expert_depth.safetensors")[0].state_dict()
    fusion = checkpoint.load(run / "fusion.safetensors")[0].state_dict()
    name = "encoder.stem.convolution.weight"
    stem, inside = expert[f"expert.{name}"], fusion[f"experts.1.{name}"]
    assert 0 < (stem - inside).abs().max() < 20 * 0.0003


def test_the_same_seed_gives_the_same_weights(run, tmp_path):
    training = read_training(run.parent / "run.yaml")
    train(training, tmp_path, only="expert_depth")
    again, first = (checkpoint.load(folder / "expert_depth.safetensors")[0].state_dict()
                    for folder in (tmp_path, run))
    for name, value in first.items():
        assert torch.equal(value, again[name]), name


def test_encoders_with_a_rate_of_zero_stay_as_they_are(run, tmp_path):
    training = read_training(run.parent / "run.yaml")
    fusion = replace(training.stages[2], encoder_learning_rate=0.0, steps=2)
    for name in ("expert_rgb", "expert_depth"):
        (tmp_path / f"{name}.safetensors").symlink_to(run / f"{name}.safetensors")
    train(replace(training, stages=(fusion,)), tmp_path)
    expert = checkpoint.load(run / "expert_rgb.safetensors")[0].state_dict()
    frozen = checkpoint.load(tmp_path / "fusion.safetensors")[0].state_dict()
    inside = {name: v for name, v in frozen.items() if name.startswith("experts.0.")}
    assert inside
    for name, value in inside.items():
        assert torch.equal(value, expert[name.replace("experts.0.", "expert.")]), name


def test_a_fusion_without_its_experts_says_which_to_train(run, tmp_path):
    training = read_training(run.parent / "run.yaml")
    with pytest.raises(SsmaError, match=r"train the stage expert_rgb first"):
        train(training, tmp_path, only="fusion")


def test_a_fusion_refuses_experts_of_other_classes(run):
    training = read_training(run.parent / "run.yaml")
    other = replace(training.model, class_names=("void", "ground", "water"))
    with pytest.raises(SsmaError, match=r"expert_rgb.safetensors was trained for another model"):
        train(replace(training, model=other), run, only="fusion")


def test_a_stage_that_is_none_is_named(run, tmp_path):
    with pytest.raises(SsmaError, match=r"no stage 'all'; there are expert_rgb, expert_depth, fus"):
        train(read_training(run.parent / "run.yaml"), tmp_path, only="all")


def test_evaluate_prints_a_line_a_class_and_writes_json(run, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [
        "evaluate.py", "--model", str(run / "fusion.safetensors"), "--config",
        str(run.parent / "run.yaml"), "--json", str(tmp_path / "result.json")])
    runpy.run_path(str(ROOT / "training" / "evaluate.py"), run_name="__main__")
    printed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in printed[:4]] == ["class", "ground", "sky", "mean"]
    result = json.loads((tmp_path / "result.json").read_text())
    assert set(result["iou"]) == {"ground", "sky"}
    assert set(result["drives"]) == {"drive_000", "drive_001"}


def test_the_scripts_print_a_users_mistake_without_a_traceback(run):
    for script, arguments in (("train", ["--output", "x"]), ("evaluate", ["--model", "x"])):
        answer = subprocess.run(
            [sys.executable, ROOT / "training" / f"{script}.py", "--config", "none.yaml",
             *arguments], capture_output=True, text=True, check=False)
        assert answer.returncode == 1
        assert answer.stderr == f"{script}: cannot read none.yaml: No such file or directory\n"

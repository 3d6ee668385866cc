"""Training: loss and schedule as the reference's, configuration checked, a run that learns."""
import json
import math
import runpy
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT, small_run, write_configuration
from torch.nn import functional

from ssma_core import Segmenter, SsmaError, checkpoint
from ssma_core.training.evaluation import evaluate, total
from ssma_core.training.loop import train
from ssma_core.training.loss import poly, segmentation_loss
from ssma_core.training.stages import read_training



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


# A run

@pytest.fixture(scope="module")
def run(easy_frames, tmp_path_factory):
    """A whole small run, through the script: its output folder."""
    folder = tmp_path_factory.mktemp("run")
    config = write_configuration(folder, small_run(easy_frames))
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

"""Training: loss and schedule as the reference's, a run that learns, and what it starts from."""
import copy
import json
import math
import os
import shutil
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from conftest import GROUND, ROOT, TWO_THREADS, small_run, write_configuration
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.nn import functional

from ssma_core import Segmenter, SsmaError
from ssma_core.datasets.frames import preload
from ssma_core.evaluation.metrics import ConfusionMatrix
from ssma_core.model import build
from ssma_core.model_files import checkpoint
from ssma_core.training import loop
from ssma_core.training.batches import loader
from ssma_core.training.distributed import Processes
from ssma_core.training.loop import train, train_stage
from ssma_core.training.loss import cross_entropy, poly
from ssma_core.training.stages import read_training
from ssma_core.training.trainer import Trainer

WITHOUT_GPU = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")


# Loss and schedule

def some_logits():
    generator = torch.Generator().manual_seed(0)
    label = torch.randint(0, 4, (2, 6, 8), generator=generator, dtype=torch.uint8)
    return torch.randn(2, 4, 6, 8, generator=generator), label


def test_without_void_the_loss_is_cross_entropy():
    logits, label = some_logits()
    label = label.clamp(min=1)
    expected = functional.cross_entropy(logits, label.long())
    assert cross_entropy(logits, label, void_id=0).item() == pytest.approx(expected.item())


def test_void_has_no_weight_but_counts_in_the_mean():
    logits, label = some_logits()
    summed = functional.cross_entropy(logits, label.long(), ignore_index=0, reduction="sum")
    loss = cross_entropy(logits, label, void_id=0)
    assert loss.item() == pytest.approx(summed.item() / label.numel())


def test_void_gives_no_gradient():
    logits, label = some_logits()
    logits.requires_grad_()
    cross_entropy(logits, label, void_id=0).backward()
    gradient = logits.grad.abs().sum(1)
    assert (gradient[label == 0] == 0).all()
    assert (gradient[label != 0] > 0).all()


def test_a_hopeless_pixel_costs_no_more_than_the_references_epsilon_allows():
    logits = torch.tensor([-500.0, 500.0]).reshape(1, 2, 1, 1)
    loss = cross_entropy(logits, torch.zeros(1, 1, 1, dtype=torch.uint8), void_id=1)
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
                    "--output", folder / "out"], check=True, env=os.environ | TWO_THREADS)
    return folder / "out"


@pytest.mark.parametrize("stage", ["expert_rgb", "expert_depth", "fusion"])
def test_the_loss_falls_in_every_stage(run, stage):
    log = json.loads((run / f"{stage}.json").read_text())
    assert len(log["loss"]) == 20
    assert np.mean(log["loss"][-5:]) < 0.8 * np.mean(log["loss"][:2])
    assert [v["step"] for v in log["validation"]] == [15, 20]


@pytest.mark.parametrize(("name", "architecture"), [
    ("expert_depth", "adapnet++"), ("fusion", "ssma"), ("fusion.best", "ssma")])
def test_every_stage_leaves_models_that_segment(run, name, architecture):
    segmenter = Segmenter(run / f"{name}.safetensors")
    assert segmenter.spec.architecture == architecture
    frame = np.zeros((48, 64, 3), np.uint8), np.zeros((48, 64), np.uint16)
    answer = segmenter.segment(*frame[-len(segmenter.spec.modalities):])
    assert answer.labels.shape == (48, 64)


def test_a_stage_leaves_curves_scalars_and_no_half_written_file(run):
    assert cv2.imread(str(run / "fusion.png")) is not None
    assert list((run / "tensorboard" / "fusion").glob("events.*"))
    assert not list(run.glob(".*")) and not list(run.glob("*.state.pt"))


@pytest.fixture(scope="module")
def judged(easy_frames, tmp_path_factory):
    """The output of five steps and, at each of the three validations, the weights; the validations
    find 3, 9 and 5 tenths of the ground, and no sky anywhere."""
    output = tmp_path_factory.mktemp("judged")
    training = replace(read_training(write_configuration(output, small_run(easy_frames))),
                       validate_every=2)
    stage = replace(training.stages[0], steps=5)
    trainer = Trainer(training, stage, output, Processes(0, 1, torch.device("cpu")))
    found, weights = iter([(0, 3, 7), (0, 9, 1), (0, 5, 5)]), []

    def add(matrix, truth, prediction):
        matrix.counts[GROUND] += next(found)
        weights.append(copy.deepcopy(trainer.network.state_dict()))

    frames = preload(training.data.train.samples(), training.model, "")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ConfusionMatrix, "add", add)
        train_stage(trainer, frames, frames, output)
    return output, weights


@pytest.mark.parametrize(("name", "validation"), [("expert_rgb.best", 1), ("expert_rgb", 2)])
def test_best_is_of_the_best_validation_and_the_model_of_the_last_step(judged, name, validation):
    output, weights = judged
    saved = checkpoint.load(output / f"{name}.safetensors")[0].state_dict()
    assert saved.keys() == weights[validation].keys()
    assert all(torch.equal(saved[name], value) for name, value in weights[validation].items())


def test_tensorboard_shows_loss_learning_rate_and_every_validation(judged):
    output, _ = judged
    events = EventAccumulator(str(output / "tensorboard" / "expert_rgb")).Reload()
    shown = {tag: {event.step: event.value for event in events.Scalars(tag)}
             for tag in events.Tags()["scalars"]}
    loss = json.loads((output / "expert_rgb.json").read_text())["loss"]
    decay = [0.9 * (1 - step / 5) ** 0.9 + 0.1 for step in range(5)]
    expected = {
        "loss": dict(enumerate(loss, start=1)),
        "learning_rate": {step: 0.003 * factor for step, factor in enumerate(decay, start=1)},
        "mIoU": {2: 0.15, 4: 0.45, 5: 0.25},
        "IoU/ground": {2: 0.3, 4: 0.9, 5: 0.5},
        "IoU/sky": {2: 0.0, 4: 0.0, 5: 0.0}}  # it was predicted: 7, 1 and 5 tenths
    assert shown.keys() == expected.keys()
    for tag, values in expected.items():
        assert shown[tag] == pytest.approx(values, rel=1e-6), tag


def test_a_stage_learns_from_the_training_frames_and_is_judged_by_the_validation_frames(
        easy_frames, tmp_path):
    """Those to learn from are void, of which the loss is 0."""
    void, output = tmp_path / "void", tmp_path / "out"
    shutil.copytree(easy_frames, void)
    for label in void.glob("*/label/*"):
        cv2.imwrite(str(label), np.zeros((48, 64), np.uint8))
    values = small_run(easy_frames)
    values["data"]["train"] = values["data"]["train"] | {"root": str(void)}
    values["stages"][0]["steps"] = 2
    train(read_training(write_configuration(tmp_path, values)), output, only="expert_rgb")
    log = json.loads((output / "expert_rgb.json").read_text())
    assert log["loss"] == [0, 0]
    labels = [cv2.imread(str(label), cv2.IMREAD_UNCHANGED)
              for label in easy_frames.glob("*/label/*")]
    assert np.sum(log["validation"][0]["counts"], 1).tolist() == np.bincount(
        np.ravel(labels), minlength=3).tolist()


def test_a_finished_stage_is_not_run_again(run, capsys):
    before = {file: file.stat().st_mtime_ns for file in run.iterdir()}
    train(read_training(run.parent / "run.yaml"), run)
    assert "fusion is finished already" in capsys.readouterr().out
    assert {file: file.stat().st_mtime_ns for file in run.iterdir()} == before


def test_another_configuration_in_the_same_folder_is_refused(run):
    training = read_training(run.parent / "run.yaml", ["seed=1"])
    with pytest.raises(SsmaError, match=r"expert_rgb of another .*\n  seed was 0, is 1\nGive"):
        train(training, run)


def test_a_fusion_whose_expert_has_been_trained_again_is_refused(run, tmp_path):
    shutil.copytree(run, tmp_path, dirs_exist_ok=True)
    shutil.copy(run / "expert_rgb.best.safetensors", tmp_path / "expert_depth.safetensors")
    with pytest.raises(SsmaError, match=r"(?s)fusion of another .*start.expert_depth"):
        train(read_training(run.parent / "run.yaml"), tmp_path, only="fusion")


def test_the_fusion_started_from_the_experts(run):
    """Its experts have moved by little: 20 steps at a tenth of the rate."""
    expert = checkpoint.load(run / "expert_depth.safetensors")[0].state_dict()
    fusion = checkpoint.load(run / "fusion.safetensors")[0].state_dict()
    name = "encoder.stem.convolution.weight"
    stem, inside = expert[f"expert.{name}"], fusion[f"experts.1.{name}"]
    assert 0 < (stem - inside).abs().max() < 20 * 0.0003


def test_the_same_seed_gives_the_same_weights(run, tmp_path):
    # By the script, as before: other tests may have changed this process's number of threads.
    subprocess.run([sys.executable, ROOT / "training" / "train.py", "--config",
                    run.parent / "run.yaml", "--output", tmp_path, "--stage", "expert_depth"],
                   check=True, env=os.environ | TWO_THREADS)
    again, first = (checkpoint.load(folder / "expert_depth.safetensors")[0].state_dict()
                    for folder in (tmp_path, run))
    for name, value in first.items():
        assert torch.equal(value, again[name]), name


def test_encoders_with_a_rate_of_zero_do_not_change(run, tmp_path):
    training = read_training(run.parent / "run.yaml")
    fusion = replace(training.stages[2], encoder_learning_rate=0.0, steps=2)
    fusion = replace(fusion, start=tuple(str(run / f"{name}.safetensors") for name in fusion.start))
    train(replace(training, stages=(fusion,)), tmp_path)
    expert = checkpoint.load(run / "expert_rgb.safetensors")[0].state_dict()
    frozen = checkpoint.load(tmp_path / "fusion.safetensors")[0].state_dict()
    inside = {name: v for name, v in frozen.items() if name.startswith("experts.0.")}
    assert inside
    for name, value in inside.items():
        assert torch.equal(value, expert[name.replace("experts.0.", "expert.")]), name


def test_the_error_of_a_fusion_without_its_experts_names_the_stage_to_train(run, tmp_path):
    training = read_training(run.parent / "run.yaml")
    with pytest.raises(SsmaError, match=r"train the stage expert_rgb first"):
        train(training, tmp_path, only="fusion")


def test_a_fusion_refuses_experts_of_other_classes(run, tmp_path):
    training = read_training(run.parent / "run.yaml")
    shutil.copy(run / "expert_rgb.safetensors", tmp_path)
    other = replace(training.model, class_names=("void", "ground", "water"))
    with pytest.raises(SsmaError, match=r"expert_rgb.safetensors was trained for another model"):
        train(replace(training, model=other), tmp_path, only="fusion")


def test_a_third_stage_starts_from_the_fusion(run, tmp_path):
    training = read_training(run.parent / "run.yaml")
    frozen = replace(training.stages[2], name="frozen", start=("fusion",), steps=1,
                     encoder_learning_rate=0.0)
    shutil.copy(run / "fusion.safetensors", tmp_path)
    train(replace(training, stages=(*training.stages, frozen)), tmp_path, only="frozen")
    before, after = (checkpoint.load(folder / name)[0].state_dict() for folder, name in
                     ((run, "fusion.safetensors"), (tmp_path, "frozen.safetensors")))
    # Adam's first step is the learning rate long, in every direction that has a gradient.
    moved = {name: (after[name] - before[name]).abs().max().item() for name in before
             if "running" not in name and "num_batches" not in name}
    assert max(moved.values()) == pytest.approx(0.003, rel=1e-3)
    assert all(distance == 0 for name, distance in moved.items() if name.startswith("experts."))


def alone_stage(run, training):
    parts = ("fusion", "expert_rgb", "expert_depth")
    return replace(training.stages[2], name="alone", trains="alone", encoder_learning_rate=None,
                   start=tuple(str(run / f"{part}.safetensors") for part in parts))


def test_decoders_for_the_experts_alone_learn_and_leave_the_fusion_as_it_was(run, tmp_path):
    training = read_training(run.parent / "run.yaml")
    train(replace(training, stages=(alone_stage(run, training),)), tmp_path)
    fusion, both = (checkpoint.load(path)[0].state_dict() for path in
                    (run / "fusion.safetensors", tmp_path / "alone.safetensors"))
    added = {name: value for name, value in both.items() if name not in fusion}
    assert all(torch.equal(both[name], value) for name, value in fusion.items())
    for i, expert in enumerate(("rgb", "depth")):
        start = checkpoint.load(run / f"expert_{expert}.safetensors")[0].state_dict()
        name = "decoder.scores.convolution.weight"
        moved = (added.pop(f"alone.{i}.{name.removeprefix('decoder.')}") - start[name]).abs().max()
        assert 0 < moved < 20 * 0.003
    assert all(name.startswith("alone.") for name in added)


def test_a_stage_of_no_steps_keeps_the_experts_own_decoders(run, tmp_path):
    training = read_training(run.parent / "run.yaml")
    train(replace(training, stages=(replace(alone_stage(run, training), steps=0),)), tmp_path)
    both = checkpoint.load(tmp_path / "alone.safetensors")[0].state_dict()
    for i, expert in enumerate(("rgb", "depth")):
        own = checkpoint.load(run / f"expert_{expert}.safetensors")[0].decoder.state_dict()
        for name, value in own.items():
            assert torch.equal(both[f"alone.{i}.{name}"], value), name
    log = json.loads((tmp_path / "alone.json").read_text())
    assert log["loss"] == [] and [each["step"] for each in log["validation"]] == [0]
    train(replace(training, stages=(replace(alone_stage(run, training), steps=0),)), tmp_path)


def test_an_expert_alone_is_adapnet_pp(run, tmp_path):
    """Its encoder as the fusion has it, and its decoder."""
    training = read_training(run.parent / "run.yaml")
    train(replace(training, stages=(replace(alone_stage(run, training), steps=2),)), tmp_path)
    network, spec = checkpoint.load(tmp_path / "alone.safetensors")
    image = 255 * torch.rand(1, 3, 48, 64)
    for i in range(2):
        expert = build(spec.of_expert(i), auxiliary_heads=False).eval()
        expert.expert.load_state_dict(network.experts[i].state_dict())
        expert.decoder.load_state_dict(network.alone[i].state_dict())
        assert torch.equal(network.unimodal_logits(i, image), expert(image))


def test_in_16_bits_a_stage_learns(run, tmp_path):
    training = read_training(run.parent / "run.yaml", ["precision=bf16"])
    stage = replace(training.stages[0], steps=15)
    train(replace(training, stages=(stage,)), tmp_path)
    loss = json.loads((tmp_path / "expert_rgb.json").read_text())["loss"]
    assert np.mean(loss[-5:]) < 0.8 * np.mean(loss[:2])


@WITHOUT_GPU
def test_a_batch_in_parts_learns_from_their_mean(run, tmp_path):
    """On a network whose batch norms stand still, parts and the whole are the same."""
    training = read_training(run.parent / "run.yaml")
    whole = replace(training.stages[2], batch_size=4, dropout_keep=1.0)
    frames = preload(training.data.train.samples(), training.model, "")
    losses, gradients = [], []
    for stage in (whole, replace(whole, accumulate=2)):
        trainer = Trainer(training, stage, run, Processes(0, 1, torch.device("cpu")))
        trainer.network.eval()
        trainer.optimizer.zero_grad = lambda: None
        losses.append(trainer.step(0, iter(loader(training, stage, frames))).item())
        gradients.append(trainer.network.experts[0].encoder.stem.convolution.weight.grad)
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-3 * gradients[0].abs().max().item())


@pytest.mark.parametrize(("change", "complaint"), [
    pytest.param({"precision": "fp16"}, r"fp16 needs an NVIDIA GPU", marks=WITHOUT_GPU),
    ({"start": ["expert_rgb", "lost.safetensors"]}, r"lost.safetensors, which is not there"),
    ({"start": ["expert_rgb", "other.safetensors"]}, r"(?s)other.safetensors was .*input_size"),
])
def test_a_later_stages_mistake_is_found_before_any_frame_is_read(
        run, tmp_path, change, complaint):
    values = small_run(tmp_path / "no data")
    values |= {name: change[name] for name in change if name in values}
    values["stages"][2] |= {name: change[name] for name in change if name not in values}
    network, spec = checkpoint.load(run / "expert_depth.safetensors")
    checkpoint.save(tmp_path / "other.safetensors", network, replace(spec, input_size=(32, 32)))
    with pytest.raises(SsmaError, match=complaint):
        train(read_training(write_configuration(tmp_path, values)), tmp_path)


def test_a_batch_that_cannot_be_divided_is_found_before_any_frame_is_read(
        tmp_path, monkeypatch):
    values = small_run(tmp_path / "no data")
    values["stages"][2]["batch_size"] = 7
    two = AloneOfTwo(0, 2, torch.device("cpu"))
    monkeypatch.setattr(loop, "process_group", lambda: nullcontext(two))
    with pytest.raises(SsmaError, match=r"stage fusion: a batch of 7 cannot be divided .* 2"):
        train(read_training(write_configuration(tmp_path, values)), tmp_path)


class AloneOfTwo(Processes):
    """Of two processes the one that never meets the other."""

    def wait(self):
        pass


def test_a_start_may_be_what_an_earlier_stage_is_going_to_leave(easy_frames, tmp_path):
    values = small_run(easy_frames)
    for stage in values["stages"]:
        stage["steps"] = 1
    values["stages"][2]["start"] = ["expert_rgb.best.safetensors", "expert_depth"]
    train(read_training(write_configuration(tmp_path, values)), tmp_path / "out")
    assert (tmp_path / "out" / "fusion.safetensors").exists()


def test_restart_deletes_nothing_before_all_checks_have_passed(run, tmp_path):
    shutil.copytree(run, tmp_path, dirs_exist_ok=True)
    training = read_training(run.parent / "run.yaml", [f"data.validation.root={tmp_path}/none"])
    with pytest.raises(SsmaError, match="none"):
        train(training, tmp_path, restart=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(p.name for p in run.iterdir())


def test_a_loss_that_is_not_finite_ends_the_stage_and_names_step_and_frames(run, tmp_path):
    training = read_training(run.parent / "run.yaml")
    stage = replace(training.stages[0], learning_rate=1e30)
    with pytest.raises(SsmaError, match=r"expert_rgb is nan at step [23], on the frames .*/rgb/0"):
        train(replace(training, stages=(stage,)), tmp_path)
    assert not (tmp_path / "expert_rgb.safetensors").exists()


def test_a_stage_that_is_none_is_named(run, tmp_path):
    with pytest.raises(SsmaError, match=r"no stage 'all'; there are expert_rgb, expert_depth, fus"):
        train(read_training(run.parent / "run.yaml"), tmp_path, only="all")


def test_the_script_prints_a_users_mistake_without_a_traceback():
    answer = subprocess.run(
        [sys.executable, ROOT / "training" / "train.py", "--config", "none.yaml", "--output", "x"],
        capture_output=True, text=True, check=False)
    assert answer.returncode == 1
    assert answer.stderr == "train: cannot read none.yaml: No such file or directory\n"


def test_an_unknown_expert_is_named_before_any_frame_is_read(tmp_path):
    values = small_run(tmp_path / "no data")
    values["model"]["modalities"][1]["expert"] = "lite"
    with pytest.raises(SsmaError, match=r"no expert 'lite'; there are adapnet\+\+, light"):
        train(read_training(write_configuration(tmp_path, values)), tmp_path / "out")


def test_a_light_expert_trains_and_fuses_with_another(easy_frames, tmp_path):
    values = small_run(easy_frames)
    values["model"]["modalities"][1]["expert"] = "light"
    for stage in values["stages"]:
        stage["steps"] = 2
    train(read_training(write_configuration(tmp_path, values)), tmp_path / "out")
    assert Segmenter(tmp_path / "out/fusion.safetensors").spec.modalities[1].expert == "light"


def test_the_script_shows_augmented_frames(easy_frames, tmp_path):
    config = write_configuration(tmp_path, small_run(easy_frames))
    picture = tmp_path / "frames.png"
    subprocess.run([sys.executable, ROOT / "training" / "train.py", "--config", config,
                    "--augmented", picture], check=True)
    sheet = cv2.imread(str(picture))
    assert sheet.shape[1] == 1600 and len(np.unique(sheet)) > 50
    assert sorted(path.name for path in tmp_path.iterdir()) == ["frames.png", "run.yaml"]

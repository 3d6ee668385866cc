"""What a stage starts from: a whole fused model, with its classes or with others. Nothing is
trained here; test_training.py does."""
from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import ROOT, small_run, write_configuration

from ssma_core import SsmaError
from ssma_core.model import build
from ssma_core.model_files import checkpoint
from ssma_core.spec import Upsampling
from ssma_core.training.loop import train
from ssma_core.training.stages import Training, read_training
from ssma_core.training.start import starting_network

SHIPPED = "../shipped.safetensors"
OTHER = ["void", "mud", "sky", "rock"]  # the shipped model knows void, ground and sky


def fine_tuning(tmp_path: Path, easy_frames: Path, classes: list[str] | None = None,
                upsampling: Upsampling = "convex", **fusion: Any) -> Training:
    """A fusion and its decoders alone that start from a shipped model, which is beside the run."""
    values = small_run(easy_frames)
    values["model"] |= {"upsampling": upsampling, "input_size": [192, 96]}
    torch.manual_seed(1)
    spec = read_training(write_configuration(tmp_path, values)).model
    checkpoint.save(tmp_path / "shipped.safetensors", build(spec, alone=True), spec)
    if classes is not None:
        values["model"] |= {"class_names": classes,
                            "class_colours": [[i, 0, 0] for i in range(len(classes))]}
    stage = values["stages"][2] | {"start": [SHIPPED], "encoder_learning_rate": 0,
                                   "other_classes": classes is not None} | fusion
    alone = stage | {"name": "alone", "trains": "alone", "start": ["fusion", SHIPPED]}
    del alone["encoder_learning_rate"]
    values["stages"] = [stage, alone]
    return read_training(write_configuration(tmp_path, values))


def started(training: Training, number: int, tmp_path: Path) -> dict[str, torch.Tensor]:
    """The weights with which a stage starts; the fusion before it was left as it began."""
    folder = tmp_path / "run"
    folder.mkdir()
    torch.manual_seed(2)
    for stage in training.stages[:number + 1]:
        network = starting_network(training, stage, folder)
        checkpoint.save(folder / f"{stage.name}.safetensors", network, training.spec(stage))
    return network.state_dict()


def shipped(tmp_path: Path) -> dict[str, torch.Tensor]:
    return checkpoint.load(tmp_path / "shipped.safetensors")[0].state_dict()


def test_the_same_classes_start_with_the_whole_model(tmp_path: Path, easy_frames: Path) -> None:
    """And the decoders of both experts alone with those of the model."""
    both = started(fine_tuning(tmp_path, easy_frames), 1, tmp_path)
    given = shipped(tmp_path)
    assert both.keys() == given.keys() and any(name.startswith("alone.") for name in both)
    for name, weight in given.items():
        assert torch.equal(both[name], weight), name


@pytest.mark.parametrize("upsampling", ["convex", "bilinear", "transposed"])
def test_of_other_classes_those_of_the_same_name_are_kept_and_all_else(
        tmp_path: Path, easy_frames: Path, upsampling: Upsampling) -> None:
    both = started(fine_tuning(tmp_path, easy_frames, OTHER, upsampling), 1, tmp_path)
    given = shipped(tmp_path)
    assert both.keys() == given.keys()
    of_classes = {name for name in given if ".scores." in name or ".to_full." in name}
    assert of_classes
    for name in given.keys() - of_classes:
        assert torch.equal(both[name], given[name]), name
    for part in ("decoder", "alone.0", "alone.1"):
        name = f"{part}.scores{'.convolution' if upsampling == 'transposed' else ''}.weight"
        now, before = both[name], given[name]
        assert len(now) == len(before) + 1
        assert torch.equal(now[[0, 2]], before[[0, 2]])  # void and sky
        assert not any(torch.equal(now[1], row) for row in before)
        assert torch.equal(now[4:], before[3:])  # of convex upsampling the weights of the pixels
    if upsampling == "transposed":
        name = "decoder.to_full.convolution.weight"
        now, before = both[name], given[name]
        assert now.shape[:2] == (4, 4)
        assert torch.equal(now[2, [0, 2]], before[2, [0, 2]])
        assert torch.equal(now[0, [0, 2]], before[0, [0, 2]])


def test_classes_in_another_order_are_found_by_their_names(
        tmp_path: Path, easy_frames: Path) -> None:
    weights = started(fine_tuning(tmp_path, easy_frames, ["void", "sky", "ground"]), 0, tmp_path)
    name = "decoder.scores.weight"
    assert torch.equal(weights[name][:3], shipped(tmp_path)[name][[0, 2, 1]])


@pytest.mark.parametrize("keep", [True, False])
def test_statistics_are_the_starts_until_the_end_where_they_are_kept(
        tmp_path: Path, easy_frames: Path, keep: bool) -> None:
    """In training, also after a validation; all else is as in any training."""
    training = fine_tuning(tmp_path, easy_frames, keep_statistics=keep)
    (tmp_path / "run").mkdir()
    network = starting_network(training, training.stages[0], tmp_path / "run").eval().train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    network(*(255 * torch.rand(2, 3, 96, 192) for _ in range(2))).sum().backward()
    changed = {name for name, value in network.state_dict().items()
               if not torch.equal(value, before[name])}
    assert bool(changed) != keep and network.training
    learning = {name for name, weight in network.named_parameters() if weight.grad is not None}
    assert "decoder.to_eighth.refine.0.norm.weight" in learning
    assert not any(name.startswith("experts.") for name in learning)


def test_what_is_new_is_said_before_the_training(
        tmp_path: Path, easy_frames: Path, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str]) -> None:
    training = fine_tuning(tmp_path, easy_frames, OTHER)
    monkeypatch.setattr("ssma_core.training.loop.train_stage", lambda *_: None)
    train(training, tmp_path / "run", only="fusion")
    assert f"fusion starts from {tmp_path / 'run' / SHIPPED}, which lacks mud, rock\n" in (
        capsys.readouterr().out)


def test_how_many_frames_have_no_label_is_said(
        tmp_path: Path, easy_frames: Path, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str]) -> None:
    data = shutil.copytree(easy_frames, tmp_path / "data")
    (data / "drive_000" / "label" / "000002.png").unlink()
    shutil.rmtree(data / "drive_001" / "label")
    monkeypatch.setattr("ssma_core.training.loop.train_stage", lambda *_: None)
    train(fine_tuning(tmp_path, data), tmp_path / "run", only="fusion")
    assert "train frames: 2 with a label; left out, without one: 4\n" in capsys.readouterr().out


# What is wrong

def test_other_classes_are_refused_where_they_are_not_expected(
        tmp_path: Path, easy_frames: Path) -> None:
    training = fine_tuning(tmp_path, easy_frames, OTHER, other_classes=False)
    with pytest.raises(SsmaError, match=r"shipped.safetensors was trained for another model or "
                                        r"other classes.*\nclass_names: .*'ground'"):
        train(training, tmp_path / "run")


def test_another_network_is_refused_whatever_its_classes(tmp_path: Path, easy_frames: Path) -> None:
    training = fine_tuning(tmp_path, easy_frames, OTHER)
    model = replace(training.model, upsampling="transposed")
    with pytest.raises(SsmaError, match=r"shipped.*\nupsampling: convex there, transposed here$"):
        train(replace(training, model=model), tmp_path / "run")


def test_a_model_without_decoders_alone_is_refused_before_any_frame_is_read(
        tmp_path: Path, easy_frames: Path) -> None:
    training = fine_tuning(tmp_path, easy_frames)
    checkpoint.save(tmp_path / "shipped.safetensors", build(training.model), training.model)
    unread = replace(training.data, train=replace(training.data.train, root="nowhere"))
    with pytest.raises(SsmaError, match=r"shipped.safetensors has no decoders for its experts"):
        train(replace(training, data=unread), tmp_path / "run")


def test_decoders_alone_are_not_in_an_earlier_fusion(tmp_path: Path, easy_frames: Path) -> None:
    values = small_run(easy_frames)
    alone = values["stages"][2] | {"name": "alone", "trains": "alone", "start": ["fusion"] * 2}
    del alone["encoder_learning_rate"]
    values["stages"].append(alone)
    with pytest.raises(SsmaError, match=r"stage 'alone' starts from \['fusion', 'fusion'\]"):
        read_training(write_configuration(tmp_path, values))


def test_the_shipped_fine_tuning_starts_from_the_shipped_model() -> None:
    """Its model is that one's, and the files are found from a folder of two levels."""
    training = read_training(ROOT / "config/training/fine_tune.yaml")
    model = ROOT / "models/tiny_forest.safetensors"
    assert checkpoint.read_spec(model) == training.model and checkpoint.has_unimodal(model)
    for stage in training.stages:
        assert (ROOT / "runs/mine" / stage.start[-1]).resolve() == model
        assert stage.other_classes
    assert training.stages[-1].trains == "alone"

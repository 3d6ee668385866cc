"""A training configuration is read whole, or the file and field that is wrong are named."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, small_run, write_configuration

from ssma_core import Modality, SsmaError
from ssma_core.datasets.prepare import DATA_SETS
from ssma_core.datasets.prepare.classes import VOID
from ssma_core.training.stages import Training, read_training

CONFIGURATIONS = sorted((ROOT / "config" / "training").glob("*.yaml"))


def read(folder: Path, values: dict[str, Any]) -> Training:
    return read_training(write_configuration(folder, values))


@pytest.mark.parametrize("path", CONFIGURATIONS, ids=lambda p: p.stem)
def test_the_shipped_configurations_are_valid(path: Path) -> None:
    assert read_training(path).stages[-1].trains in ("fusion", "alone")


@pytest.mark.parametrize("path", [p for p in CONFIGURATIONS if p.stem.startswith("paper")],
                         ids=lambda p: p.stem)
def test_the_papers_protocol_is_the_papers(path: Path) -> None:
    """IJCV 2019, section 5.2, as the reference notes it."""
    training = read_training(path)
    assert training.model.size == "full" and training.model.input_size == (768, 384)
    first, second, fusion, frozen = training.stages
    for expert in (first, second):
        assert (expert.steps, expert.batch_size, expert.learning_rate) == (150_000, 8, 1e-3)
        assert expert.auxiliary_weights == (0.6, 0.5) and expert.dropout_keep == 0.3
    assert (fusion.steps, fusion.batch_size, fusion.learning_rate) == (100_000, 7, 1e-3)
    assert fusion.encoder_learning_rate == 1e-4
    assert (frozen.steps, frozen.batch_size, frozen.learning_rate) == (50_000, 12, 1e-5)
    assert frozen.encoder_learning_rate == 0 and frozen.start == (fusion.name,)
    assert fusion.modality_dropout == frozen.modality_dropout == 0
    changes = training.augmentation
    assert (changes.rotation, changes.skew, changes.scale) == (13, (0.05, 0.1), (0.5, 2))
    assert (changes.crop, changes.brightness, changes.contrast) == ((0.8, 0.9), 40, (0.5, 1.5))
    assert [round(768 * share) for share in changes.vignetting] == [210, 300]


@pytest.mark.parametrize(("name", "data_set", "classes", "second"), [
    ("cityscapes", "cityscapes", 11, "disparity"),
    ("freiburg_forest", "freiburg-forest", 5, "evi")])
def test_a_papers_model_is_the_one_its_data_were_prepared_for(
        name: str, data_set: str, classes: int, second: str) -> None:
    """Or a robot would encode its sensor in another way than the training's pictures were."""
    model = read_training(ROOT / f"config/training/paper_{name}.yaml").model
    prepared = DATA_SETS[data_set]
    assert model.modalities == (Modality("rgb", "image"), prepared.second(second).of_model())
    named = [VOID, *prepared.classes[classes]]
    assert list(zip(model.class_names, model.class_colours)) == [(c.name, c.colour) for c in named]


@pytest.mark.parametrize(("place", "value", "complaint"), [
    (("stage",), [], "unknown field 'stage'"),
    (("stages", 0, "epochs"), 3, r"stages\[0\] has an unknown field 'epochs'"),
    (("stages", 1, "learning_rate"), "fast", r"stages\[1\].learning_rate must be of type float"),
    (("stages", 1, "learning_rate"), True, r"stages\[1\].learning_rate must be of type float"),
    (("stages", 1, "learning_rate"), float("nan"), "learning_rate must be a finite number"),
    (("augmentation", "brightness"), float("inf"), "brightness must be a finite number"),
    (("stages", 0, "steps"), 0, "stage 'expert_rgb': steps must be positive, got 0"),
    (("stages", 0, "accumulate"), 0, "accumulate must be positive, got 0"),
    (("stages", 0, "accumulate"), 3, "'expert_rgb': a batch of 2 cannot be cut into 3 equal parts"),
    (("stages", 0, "accumulate"), 2, "'expert_rgb': .* one frame at a time; .* at least 4"),
    (("stages", 0, "name"), "a/b", "stage 'a/b': the name is also a file's name"),
    (("stages", 1, "name"), "expert_rgb", "two stages have the name 'expert_rgb'"),
    (("stages", 2, "dropout_keep"), 0, "stage 'fusion': dropout_keep must be above 0"),
    (("stages", 0, "encoder_learning_rate"), 0.1, "encoder_learning_rate has no meaning here"),
    (("stages", 2, "encoder_learning_rate"), -1, "encoder_learning_rate must be 0 or above"),
    (("stages", 1, "auxiliary_weights"), None, "'expert_depth': auxiliary_weights is missing"),
    (("stages", 0, "trains"), "lidar", "trains 'lidar'; it can be one of rgb, depth, fusion"),
    (("stages", 0, "modality_dropout"), 0.1, "of a fusion's frames only, got 0.1"),
    (("stages", 2, "modality_dropout"), 1.5, "a share from 0 to 1"),
    (("stages", 0, "keep_statistics"), True, "keep_statistics is for a fusion, and for alone"),
    (("stages", 2, "start"), [], r"start must name 1 or 2 model\(s\), got \[\]"),
    (("stages", 2, "start"), ["expert_depth", "expert_rgb"],
     "where 'expert_depth' stands, which trains depth, it needs a model of rgb"),
    (("stages", 2, "start"), ["expert_rgb"],
     "where 'expert_rgb' stands, which trains rgb, it needs a model of rgb and depth"),
    (("stages", 1, "start"), ["expert_rgb"], "it needs a model of depth"),
    (("stages", 2, "trains"), "alone", "'fusion': encoder_learning_rate has no meaning here"),
    (("stages", 0, "trains"), "alone", "'expert_rgb': auxiliary_weights has no meaning here"),
    (("stages", 0, "start"), ["fusion"], "starts from 'fusion', which is neither"),
    (("data", "train", "aux"), 3, r"data.train.aux must be of type str"),
    (("augmentation", "scale"), [1.5, 0.5], "augmentation: scale"),
    (("augmentation", "probability"), 2, "augmentation: probability must be 0 to 1"),
    (("model", "input_size"), [60, 48], "multiples of 16"),
    (("model", "architecture"), "adapnet++", "takes 1 modalities"),
    (("workers",), -1, "workers must be at least 0"),
    (("precision",), "int8", "precision must be one of fp32, bf16, fp16"),
])
def test_an_error_names_file_and_field(tmp_path: Path, place: tuple[Any, ...], value: Any,
                                       complaint: str) -> None:
    values: Any = small_run(tmp_path)
    inner = values
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    with pytest.raises(SsmaError, match=rf"run.yaml: .*{complaint}"):
        read(tmp_path, values)


def test_a_configuration_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(SsmaError, match=r"cannot read .*none.yaml"):
        read_training(tmp_path / "none.yaml")
    (tmp_path / "bad.yaml").write_text("stages: [")
    with pytest.raises(SsmaError, match=r"bad.yaml is not YAML"):
        read_training(tmp_path / "bad.yaml")


def test_settings_take_the_place_of_the_files_values(tmp_path: Path) -> None:
    path = write_configuration(tmp_path, small_run(tmp_path))
    training = read_training(path, ["seed=7", "data.train.rgb=rgb/2_*", "model.input_size=[32, 16]",
                                    "data.validation.folds=3", "data.validation.take=[2]"])
    assert training.seed == 7
    assert training.data.train.rgb == "rgb/2_*"
    assert training.model.input_size == (32, 16)
    assert training.data.validation.take == (2,)


def test_a_stage_or_a_modality_is_set_by_its_name(tmp_path: Path) -> None:
    path = write_configuration(tmp_path, small_run(tmp_path))
    training = read_training(path, ["stages.fusion.steps=7", "model.modalities.depth.range=5000"])
    assert [stage.steps for stage in training.stages] == [20, 20, 7]
    assert training.model.modalities[1].range == 5000


@pytest.mark.parametrize("text", ["1e-3", "1.0e-3", "0.001"])
def test_a_number_is_one_with_an_exponent_too(tmp_path: Path, text: str) -> None:
    """YAML 1.1, which PyYAML reads, takes 1e-3 for text."""
    path = write_configuration(tmp_path, small_run(tmp_path))
    path.write_text(path.read_text().replace("learning_rate: 0.003", f"learning_rate: {text}"))
    assert [stage.learning_rate for stage in read_training(path).stages] == [0.001] * 3


@pytest.mark.parametrize(("setting", "complaint"), [
    ("seed", "it must be FIELD=VALUE"),
    ("date.train.rgb=x", "whose sections are in the configuration"),
    ("seed.x=1", "whose sections are in the configuration"),
    ("stages.0.steps=1", "whose sections are in the configuration"),
    ("stages.fusion=1", "whose sections are in the configuration"),
    ("seed=[", "the value is not YAML"),
    ("sed=1", "unknown field 'sed'"),
    ("seed=one", "seed must be of type int, got 'one'"),
])
def test_a_setting_that_cannot_be_is_named(tmp_path: Path, setting: str, complaint: str) -> None:
    path = write_configuration(tmp_path, small_run(tmp_path))
    with pytest.raises(SsmaError, match=complaint):
        read_training(path, [setting])

"""`ssma import-tf --spec`: the original's weights with a configuration's own classes and
modalities, so that a stage can start from them."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from conftest import small_run, write_configuration

from ssma_core import Modality, ModelSpec
from ssma_core.cli import main
from ssma_core.model import build
from ssma_core.model_files import checkpoint
from ssma_core.model_files.tf_import import variable_targets
from ssma_core.training.stages import read_training
from ssma_core.training.start import starting_network

CLASSES = {"class_names": ["void", "road", "sky"],
           "class_colours": [[0, 0, 0], [128, 64, 128], [70, 130, 180]]}
MODALITIES = [{"name": "rgb", "encoding": "image"}, {"name": "hha", "encoding": "image"}]


def write_variables(path: Path, spec: ModelSpec) -> Path:
    """Of every variable of the original's, an array that is its own number throughout."""
    with torch.device("meta"):
        targets = variable_targets(build(spec, auxiliary_heads=False), spec)
    np.savez_compressed(path, **{name: np.full(target.shape, number, np.float32)
                                 for number, (name, target) in enumerate(targets.items())})
    return path


def import_tf(variables: Path, spec: Path, output: Path, *more: str) -> int:
    return main(["import-tf", "--variables", str(variables), "--spec", str(spec),
                 "--output", str(output), *more])


@pytest.mark.parametrize(("architecture", "number"), [("adapnet++", 0), ("ssma", 2)])
def test_a_stage_starts_from_the_originals_weights(
        tmp_path: Path, architecture: str, number: int) -> None:
    values = small_run(tmp_path)
    values["model"]["size"] = "full"
    values["stages"][number]["start"] = [str(tmp_path / "imported.safetensors")]
    config = write_configuration(tmp_path, values)
    training = read_training(config)
    stage = training.stages[number]
    variables = write_variables(tmp_path / "v.npz", training.spec(stage))
    assert import_tf(variables, config, tmp_path / "imported.safetensors",
                     "--architecture", architecture) == 0
    weights = starting_network(training, stage, tmp_path).state_dict()
    imported = checkpoint.load(tmp_path / "imported.safetensors")[0].state_dict()
    assert imported and all(torch.equal(weights[name], imported[name]) for name in imported)


@pytest.fixture(scope="module")
def expert_variables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    spec = ModelSpec(architecture="adapnet++", size="full", input_size=(32, 32),
                     class_names=("void", "road", "sky"), class_colours=((0, 0, 0),) * 3,
                     modalities=(Modality("rgb", "image"),))
    return write_variables(tmp_path_factory.mktemp("variables") / "v.npz", spec)


def write_yaml(folder: Path, **values: Any) -> Path:
    path = folder / "model.yaml"
    path.write_text(yaml.safe_dump(CLASSES | {"modalities": MODALITIES} | values))
    return path


@pytest.mark.parametrize(("more", "size"), [((), (768, 384)), (("--size", "64x32"), (64, 32))])
def test_what_prepare_writes_is_enough(tmp_path: Path, expert_variables: Path,
                                       more: tuple[str, ...], size: tuple[int, int]) -> None:
    output = tmp_path / "m.safetensors"
    assert import_tf(expert_variables, write_yaml(tmp_path), output,
                     "--architecture", "adapnet++", *more) == 0
    assert checkpoint.read_spec(output) == ModelSpec(
        architecture="adapnet++", size="full", input_size=size,
        class_names=("void", "road", "sky"), modalities=(Modality("rgb", "image"),),
        class_colours=((0, 0, 0), (128, 64, 128), (70, 130, 180)))


@pytest.mark.parametrize(("values", "complaint"), [
    ({"class_names": ["void", "road"]}, "model.yaml: spec: 2 class names but 3 class colours"),
    ({"classes": 3}, "model.yaml: spec has an unknown field 'classes'"),
    ({"size": "tiny"}, "'full' with rates 'released', not of size 'tiny'"),
    ({"rates": "paper"}, "with rates 'released', not of size 'full' with rates 'paper'"),
    ({"model": [1]}, "model.yaml: spec must be a mapping"),
    (CLASSES | {"class_names": list("abcd"), "class_colours": [[0, 0, 0]] * 4},
     "not the variables of adapnet++ with 4 classes"),
])
def test_a_spec_that_does_not_fit_is_named_and_nothing_is_written(
        tmp_path: Path, expert_variables: Path, capsys: pytest.CaptureFixture[str],
        values: dict[str, Any], complaint: str) -> None:
    output = tmp_path / "m.safetensors"
    assert import_tf(expert_variables, write_yaml(tmp_path, **values), output,
                     "--architecture", "adapnet++") == 1
    assert complaint in capsys.readouterr().err
    assert not output.exists()

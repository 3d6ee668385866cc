"""Model files: what is saved comes back, and a bad file is named with what to do."""
from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import TINY_SPEC
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from ssma_core import ModelSpec, SsmaError
from ssma_core.model import build
from ssma_core.model_files import checkpoint

EXPERT_SPEC = replace(TINY_SPEC, architecture="adapnet++", modalities=TINY_SPEC.modalities[:1],
                      rates="paper")


@pytest.mark.parametrize("spec", [TINY_SPEC, EXPERT_SPEC], ids=["ssma", "adapnet++"])
@pytest.mark.parametrize("heads", [False, True])
def test_what_is_saved_comes_back(tmp_path: Path, spec: ModelSpec, heads: bool) -> None:
    network = build(spec, auxiliary_heads=heads).eval()
    checkpoint.save(tmp_path / "m.safetensors", network, spec)
    loaded, loaded_spec = checkpoint.load(tmp_path / "m.safetensors")
    assert loaded_spec == spec == checkpoint.read_spec(tmp_path / "m.safetensors")
    assert type(loaded) is type(network) and not loaded.training
    images = [torch.rand(1, 3, 32, 48) * 255 for _ in spec.modalities]
    assert torch.equal(loaded(*images), network(*images))
    assert loaded.state_dict().keys() == network.state_dict().keys()


def test_a_loaded_network_can_be_trained_on(tiny_model_safetensors: Path) -> None:
    network, _ = checkpoint.load(tiny_model_safetensors)
    images = [torch.rand(2, 3, 32, 32) * 255] * 2
    network.train()(*images).mean().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_the_file_contains_its_format_and_spec(tiny_model_safetensors: Path) -> None:
    with safe_open(tiny_model_safetensors, framework="numpy") as file:
        metadata = file.metadata()
    assert metadata == {"format": "ssma", "version": "1", "spec": TINY_SPEC.to_json()}


def test_reading_the_spec_imports_no_torch(tiny_model_safetensors: Path) -> None:
    program = ("import sys; from ssma_core.model_files import checkpoint; "
               f"checkpoint.read_spec({str(tiny_model_safetensors)!r}); "
               "sys.exit('torch' in sys.modules)")
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def change_weights(path: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    with safe_open(path, framework="numpy") as file:
        metadata = file.metadata()
    weights = load_file(path)
    change(weights)
    save_file(weights, path, metadata)


def change_metadata(path: Path, **changes: str) -> None:
    with safe_open(path, framework="numpy") as file:
        metadata = file.metadata() | changes
    save_file(load_file(path), path, {name: value for name, value in metadata.items() if value})


@pytest.mark.parametrize(("harm", "message"), [
    (lambda path: path.unlink(), "cannot read .*m.safetensors: it is missing"),
    (lambda path: path.write_bytes(b""), "cannot read .*m.safetensors: .*cut short"),
    (lambda path: path.write_bytes(path.read_bytes()[:-1]), "cut short.*fetch it again"),
    (lambda path: path.write_bytes(path.read_bytes()[:100]), "cut short.*fetch it again"),
    (lambda path: path.write_bytes(b"PK\3\4" * 1000), "not a safetensors file"),
    (lambda path: save_file({"a": torch.zeros(2)}, path), "not one of this project"),
    (lambda path: change_metadata(path, format="pt"), "not one of this project"),
    (lambda path: change_metadata(path, spec=""), "not one of this project"),
    (lambda path: change_metadata(path, version="2"), "format version 2.*update the program"),
    (lambda path: change_metadata(path, spec="{"), "m.safetensors: .*not JSON"),
    (lambda path: change_metadata(path, spec='{"size": "huge"}'), "m.safetensors: "),
])
def test_a_bad_file_is_named_with_what_to_do(
        tmp_path: Path, tiny_model_safetensors: Path, harm: Callable[[Path], object],
        message: str) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes(tiny_model_safetensors.read_bytes())
    harm(path)
    for read in (checkpoint.load, checkpoint.read_spec):
        with pytest.raises(SsmaError, match=f"(?s){message}") as error:
            read(path)
        assert str(path) in str(error.value)


@pytest.mark.parametrize(("change", "message"), [
    (lambda weights: weights.pop("fuse_quarter.squeeze.bias"),
     r"missing \(1\):\n  fuse_quarter.squeeze.bias"),
    (lambda weights: weights.update(another=torch.zeros(3)), r"left over \(1\):\n  another"),
    (lambda weights: weights.update({"fuse_quarter.squeeze.bias": torch.zeros(9)}),
     r"of another shape \(1\):\n  fuse_quarter.squeeze.bias is 9 instead of 8"),
    (lambda weights: [weights.pop(n) for n in list(weights) if n.startswith("experts.1.easpp")],
     r"missing \(90\):(\n  experts\.1\.easpp\.\S+){90}$"),
])
def test_weights_that_do_not_fit_are_named(
        tmp_path: Path, tiny_model_safetensors: Path,
        change: Callable[[dict[str, torch.Tensor]], object], message: str) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes(tiny_model_safetensors.read_bytes())
    change_weights(path, change)
    with pytest.raises(SsmaError, match=message):
        checkpoint.load(path)


def test_a_model_file_is_called_safetensors(tmp_path: Path) -> None:
    with pytest.raises(SsmaError, match=r"m.pth: a model file's name must end in .safetensors"):
        checkpoint.save(tmp_path / "m.pth", build(TINY_SPEC), TINY_SPEC)
    assert not list(tmp_path.iterdir())

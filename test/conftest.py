"""What tests share: the reference files where there are any, and a small untrained model."""
from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from ssma_core import Modality, ModelSpec
from ssma_core.datasets.synthetic_forest import CLASS_COLOURS, CLASS_NAMES

ROOT = Path(__file__).resolve().parent.parent

TINY_SPEC = ModelSpec(
    architecture="ssma", size="tiny",
    class_names=CLASS_NAMES, class_colours=CLASS_COLOURS,
    modalities=(Modality("rgb", "image"), Modality("depth", "jet", 20000.0)),
    input_size=(384, 192))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of golden files and real images beside the checkout."""
    folder = ROOT.parent / "shared"
    if not (folder / "golden").is_dir():
        pytest.skip(f"the reference files are not at {folder}")
    return folder


@pytest.fixture(scope="session")
def seeded(shared: Path) -> ModuleType:
    """The reference's own script that makes the golden files' weights again."""
    spec = importlib.util.spec_from_file_location("seeded", shared / "golden/seeded_weights.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def tiny_spec() -> ModelSpec:
    return TINY_SPEC


@pytest.fixture(scope="session")
def tiny_model_safetensors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny SSMA for colour and depth, 6 classes, with random weights and the batch-norm
    statistics that belong to them, so that it answers with more than one class."""
    import torch

    from ssma_core import checkpoint
    from ssma_core.model import build

    torch.manual_seed(0)
    network = build(TINY_SPEC)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        network(*(torch.nn.functional.interpolate(256 * torch.rand(2, 3, 6, 12), (96, 192))
                  for _ in range(2)))
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    checkpoint.save(path, network, TINY_SPEC)
    return path


@pytest.fixture(scope="session")
def tiny_model(tiny_model_safetensors: Path) -> Path:
    """The same as ONNX."""
    from ssma_core import checkpoint
    from ssma_core.export.onnx import export

    path = tiny_model_safetensors.with_suffix(".onnx")
    network, spec = checkpoint.load(tiny_model_safetensors)
    export(network, spec, path)
    return path

"""The models of a benchmark: model files by their weights, and networks that are not trained."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

from ssma_core.errors import SsmaError, needing
from ssma_core.evaluation.parity import LEAST_AGREEMENT
from ssma_core.model_files.exported import Exported
from ssma_core.model_files.specs import EXPORTED, MODELS, exported_of
from ssma_core.spec import Modality, ModelSpec, Size
from ssma_core.synthetic.forest import CLASS_COLOURS, CLASS_NAMES


@dataclass(frozen=True)
class Model:
    """weights: `ssma_core.model_files.checkpoint.weights_hash`; files with the same are one model.
    checkpoint: None where only exported files are given.
    exported: files (.onnx, .engine) of the same weights.
    trained: False: random weights, whose labels depend on rounding.
    """

    name: str
    spec: ModelSpec
    weights: str
    checkpoint: Path | None
    exported: tuple[tuple[Path, Exported], ...] = ()
    trained: bool = True

    @property
    def least_agreement(self) -> float:
        """The share of labels, 0–1, that must be equal in every way to run the model."""
        # Random weights enlarge every rounding error. By chance, a sixth would be equal.
        return LEAST_AGREEMENT if self.trained else 0.5


def models(given: Sequence[str], folder: Path) -> list[Model]:
    """given: model files, or a size of the network ("full"), of which one is made in `folder`.
    Files of the same weights are one model. Raises SsmaError where a file cannot be used."""
    found: dict[str, Model] = {}
    for each in given:
        model = _model(each, folder)
        before = found.get(model.weights)
        if before is not None:
            model = replace(before, checkpoint=before.checkpoint or model.checkpoint,
                            exported=before.exported + model.exported)
        elif model.name in (other.name for other in found.values()):
            model = replace(model, name=f"{model.name}_{len(found)}")
        found[model.weights] = model
    return list(found.values())


def untrained(name: str, spec: ModelSpec, folder: Path) -> Model:
    """A network with random weights from a fixed seed: it takes as long as a trained one.

    Its batch norms fit its weights, so that it predicts more than one class, and keep most values
    above zero: every ReLU that cuts a value enlarges rounding errors.
    """
    import torch
    from torch import nn

    from ssma_core.model import build
    from ssma_core.model_files import checkpoint

    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        network = build(spec, auxiliary_heads=False)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = 1.0
                nn.init.ones_(module.bias)
        coarse = [256 * torch.rand(2, 3, 6, 12) for _ in spec.modalities]
        network.train()(*(nn.functional.interpolate(image, (96, 192)) for image in coarse))
    path = folder / f"{name}.safetensors"
    checkpoint.save(path, network, spec)
    return Model(name, spec, checkpoint.weights_hash(network), path, trained=False)


def alone(model: Model, folder: Path) -> Model:
    """An untrained AdapNet++ of the same size for the colour image: it shows the fusion's cost."""
    return untrained(f"{model.name}_alone", model.spec.of_expert(0), folder)


def _model(given: str, folder: Path) -> Model:
    if given in get_args(Size):
        return untrained(given, ModelSpec(
            architecture="ssma", size=given, class_names=CLASS_NAMES,  # type: ignore[arg-type]
            class_colours=CLASS_COLOURS, input_size=(768, 384),
            modalities=(Modality("rgb", "image"), Modality("depth", "jet", 20_000))), folder)
    path = Path(given)
    if path.suffix == ".safetensors":
        return _of_checkpoint(path)
    exported = _exported(path)
    return Model(path.stem, exported.spec, exported.weights, None, ((path, exported),))


def _of_checkpoint(path: Path) -> Model:
    with needing(path, ", or give .onnx and .engine files"):
        from ssma_core.model_files import checkpoint
        network, spec = checkpoint.load(path)
    return Model(path.stem, spec, checkpoint.weights_hash(network), path)


def _exported(path: Path) -> Exported:
    if path.suffix in EXPORTED:
        return exported_of(path)
    sizes = " or ".join(get_args(Size))
    raise SsmaError(f"{path}: give a model file ({', '.join(MODELS)}), or {sizes} for a network "
                    "that is not trained yet")

"""The network at the start of a stage: with random weights, or with those of other stages."""
from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from ssma_core.errors import SsmaError
from ssma_core.model import AdapNetPP, SegmentationNetwork, Ssma, build
from ssma_core.model_files import checkpoint
from ssma_core.model_files.imagenet import PUBLISHED, load_imagenet, read_imagenet
from ssma_core.spec import ModelSpec
from ssma_core.training.stages import ALONE, Stage, Training

Network = AdapNetPP | Ssma

CLASS_LAYERS = (".scores.", ".to_full.", "auxiliary_heads.")  # whose channels are classes


class Start(NamedTuple):
    """A model that a stage starts from: its file, and the spec that it must have, or with
    other_classes all of it but the classes. alone: whether its experts must have decoders of their
    own."""

    file: Path
    spec: ModelSpec
    other_classes: bool
    alone: bool


def starting_network(training: Training, stage: Stage, output: Path) -> Network:
    """Makes the network of a stage, on the CPU, in training mode. Random weights are drawn from
    torch's default generator.

    Raises SsmaError when a model that the stage starts from does not exist or is the wrong one.
    """
    network = build(training.spec(stage), alone=stage.trains == ALONE)
    given = [_load(start) for start in start_models(training, stage, output)]
    if len(given) in (1, 3) or stage.start_alone:
        # Not strict: the file may lack auxiliary heads or unimodal decoders.
        network.load_state_dict(given[0].state_dict(), strict=False)
    if stage.from_imagenet:
        assert isinstance(network, AdapNetPP)  # as the stage's own check says
        load_imagenet(network.expert, *_imagenet(training, stage, output))
    if isinstance(network, Ssma):
        if stage.start_alone:
            _take_decoders(network, given[1])
        elif len(given) in (2, 3):
            _take_experts(network, *given[-2:])
            if stage.starts_as_first:
                assert isinstance(given[0], AdapNetPP)  # as its spec says
                network.start_as_first(given[0])
        if network.alone is not None:
            network.freeze(*(part for name, part in network.named_children() if name != "alone"))
        elif stage.encoder_learning_rate == 0:
            network.freeze(network.experts)
        if stage.keep_statistics:
            network.keep_statistics()
    network.set_dropout(stage.dropout_keep)
    return network


def start_files(stage: Stage, output: Path) -> list[Path]:
    """The models that a stage starts from; none if it starts from ImageNet's weights."""
    if stage.from_imagenet:
        return []
    return [output / (start if start.endswith(".safetensors") else f"{start}.safetensors")
            for start in stage.start]


def imagenet_hash(training: Training, stage: Stage, output: Path) -> dict[str, str]:
    """The SHA-256 of the ImageNet weights that a stage starts from, by that start: the published
    one, or the given file's own. None for what timm downloads, and where the file is gone."""
    if not stage.from_imagenet:
        return {}
    name, file = _imagenet(training, stage, output)
    if name in PUBLISHED:
        return {stage.start[0]: PUBLISHED[name]}
    if file is None or not file.is_file():
        return {}
    return {stage.start[0]: hashlib.sha256(file.read_bytes()).hexdigest()}


def check_imagenet(training: Training, stage: Stage, output: Path) -> None:
    """Raises SsmaError when a stage starts from ImageNet's weights and cannot have them."""
    if stage.from_imagenet:
        read_imagenet(*_imagenet(training, stage, output))


def _imagenet(training: Training, stage: Stage, output: Path) -> tuple[str, Path | None]:
    """The expert's name, and the file with its weights where one is given."""
    (start,) = stage.start
    file = start.partition(":")[2]
    return training.spec(stage).modalities[0].expert, output / file if file else None


def start_models(training: Training, stage: Stage, output: Path) -> Iterable[Start]:
    for name, file, spec in zip(stage.start, start_files(stage, output),
                                training.start_specs(stage)):
        yield Start(file, spec, stage.other_classes, name == stage.start_alone)


def check_start(start: Start) -> list[str]:
    """Returns the classes that the model of a start does not have. Raises SsmaError when the file
    does not exist or contains another model."""
    file, wanted = start.file, start.spec
    if not file.exists():
        raise SsmaError(f"the stage starts from {file}, which is not there; train the stage "
                        f"{file.stem} first, or give another `start`")
    spec = checkpoint.read_spec(file)
    new = [name for name in wanted.class_names if name not in spec.class_names]
    if start.other_classes:
        spec = replace(spec, class_names=wanted.class_names, class_colours=wanted.class_colours,
                       void_id=wanted.void_id)
    if spec != wanted:
        raise SsmaError(f"{file} was trained for another model or other classes than this "
                        f"configuration's:\n{_difference(spec, wanted)}")
    if start.alone and not checkpoint.has_unimodal(file):
        raise SsmaError(f"{file} has no decoders for its experts alone: start from the fusion and "
                        "its two experts")
    return new


def _load(start: Start) -> SegmentationNetwork:
    """The model of a start, with the classes that it should have."""
    check_start(start)
    network, spec = checkpoint.load(start.file)
    if spec.class_names == start.spec.class_names:
        return network
    weights = network.state_dict()
    heads = network.auxiliary_heads is not None
    alone = isinstance(network, Ssma) and network.alone is not None
    other = build(start.spec, auxiliary_heads=heads, alone=alone)
    other.load_state_dict({name: _for_classes(name, weights[name], new, spec, start.spec)
                           for name, new in other.state_dict().items()})
    return other


def _for_classes(name: str, weight: Tensor, new: Tensor, before: ModelSpec,
                 after: ModelSpec) -> Tensor:
    """A weight of a model with the classes of `before` for one with those of `after`: where
    channels are classes, those of the same name are kept, and the others are as in `new`."""
    if not weight.ndim or not any(layer in name for layer in CLASS_LAYERS):
        return weight
    shared = set(before.class_names) & set(after.class_names)
    kept, places = ([spec.class_names.index(name) for name in sorted(shared)]
                    + list(range(spec.classes, len(each)))  # behind the classes: see `Decoder`
                    for spec, each in ((before, weight), (after, new)))
    made = new.clone()
    if "to_full.convolution" in name:  # from classes to classes
        for i, j in zip(kept, places):
            made[j, places] = weight[i, kept]
    else:
        made[places] = weight[kept]
    return made


def _take_decoders(network: Ssma, model: SegmentationNetwork) -> None:
    """Copies the decoders of a model's experts alone."""
    assert isinstance(model, Ssma) and model.alone is not None  # as `check_start` says
    assert network.alone is not None
    network.alone.load_state_dict(model.alone.state_dict())


def _take_experts(network: Ssma, colour: SegmentationNetwork, second: SegmentationNetwork) -> None:
    """Copies the experts of two models; or, if the network has unimodal decoders, the decoders."""
    assert isinstance(colour, AdapNetPP) and isinstance(second, AdapNetPP)  # as their specs say
    if network.alone is None:
        network.load_experts(colour, second)
    else:
        for decoder, trained in zip(network.alone, (colour, second)):
            decoder.load_state_dict(trained.decoder.state_dict())


def _difference(given: ModelSpec, wanted: ModelSpec) -> str:
    return "\n".join(f"{name}: {getattr(given, name)} there, {value} here"
                     for name, value in vars(wanted).items() if getattr(given, name) != value)

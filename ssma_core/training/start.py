"""The network as a stage finds it: random weights, or what other stages have trained."""
from __future__ import annotations

from pathlib import Path

from ssma_core import checkpoint
from ssma_core.errors import SsmaError
from ssma_core.model import AdapNetPP, SegmentationNetwork, Ssma, build
from ssma_core.spec import ModelSpec
from ssma_core.training.stages import Stage, Training, expert_spec

Network = AdapNetPP | Ssma


def starting_network(training: Training, stage: Stage, output: Path) -> Network:
    """On the CPU, in training mode. Random weights are drawn from torch's generator.

    Raises SsmaError when a model that it starts from is not there, or is another than needed.
    """
    spec = training.spec(stage)
    network = build(spec)
    files = start_files(stage, output)
    if len(files) == 1:
        # Not strict: a file without auxiliary heads is a start, too.
        network.load_state_dict(_load(files[0], spec).state_dict(), strict=False)
    elif isinstance(network, Ssma):
        colour, second = (_load(file, expert_spec(spec, modality))
                          for modality, file in enumerate(files))
        assert isinstance(colour, AdapNetPP) and isinstance(second, AdapNetPP)  # as their specs say
        network.load_experts(colour, second)
    network.set_dropout(stage.dropout_keep)
    if isinstance(network, Ssma) and stage.encoder_learning_rate == 0:
        network.freeze_experts()
    return network


def start_files(stage: Stage, output: Path) -> list[Path]:
    return [output / (start if start.endswith(".safetensors") else f"{start}.safetensors")
            for start in stage.start]


def _load(file: Path, wanted: ModelSpec) -> SegmentationNetwork:
    if not file.exists():
        raise SsmaError(f"the stage starts from {file}, which is not there; train the stage "
                        f"{file.stem} first, or give another `start`")
    network, spec = checkpoint.load(file)
    if spec != wanted:
        raise SsmaError(f"{file} was trained for another model or other classes than this "
                        f"configuration's:\n{_difference(spec, wanted)}")
    return network


def _difference(given: ModelSpec, wanted: ModelSpec) -> str:
    return "\n".join(f"{name}: {getattr(given, name)} there, {value} here"
                     for name, value in vars(wanted).items() if getattr(given, name) != value)

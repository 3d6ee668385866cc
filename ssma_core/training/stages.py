"""What a training run is made of: model, data and stages, read from one YAML file."""
from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from ssma_core.datasets.folders import Sample, samples
from ssma_core.errors import SsmaError
from ssma_core.plain import from_plain
from ssma_core.spec import ModelSpec
from ssma_core.training.augment import Augmentation

FUSION = "fusion"


@dataclass(frozen=True)
class Folders:
    """Where frames are: the arguments of `datasets.folders.samples`. A relative root is seen from
    the folder the command is run in."""

    root: str
    rgb: str
    aux: str
    label: str

    def samples(self) -> list[Sample]:
        return samples(self.root, self.rgb, self.aux, self.label)


@dataclass(frozen=True)
class Data:
    train: Folders
    validation: Folders


@dataclass(frozen=True)
class Stage:
    """One training from start to end, with Adam and the poly schedule.

    trains: a modality's name, for its AdapNet++ expert from random weights; or "fusion", for SSMA
      from the experts that other stages have trained.
    steps: of one batch each.
    learning_rate: at the first step; of the fusion, for all but the experts inside.
    encoder_learning_rate: fusion only: the learning rate of the experts inside; 0 freezes them.
    auxiliary_weights: experts only: of the losses of the heads on the decoder's second and first
      upsampling.
    dropout_keep: share of the values that the encoders' dropout keeps.
    """

    trains: str
    steps: int
    batch_size: int
    learning_rate: float
    dropout_keep: float
    auxiliary_weights: tuple[float, float] | None = None
    encoder_learning_rate: float | None = None

    def __post_init__(self) -> None:
        where = f"stage {self.trains!r}"
        for field in ("steps", "batch_size", "learning_rate"):
            if getattr(self, field) <= 0:
                raise SsmaError(f"{where}: {field} must be positive, got {getattr(self, field)}")
        if not 0 < self.dropout_keep <= 1:
            raise SsmaError(f"{where}: dropout_keep must be above 0 and at most 1, got "
                            f"{self.dropout_keep}")
        given = {"auxiliary_weights": self.auxiliary_weights is not None,
                 "encoder_learning_rate": self.encoder_learning_rate is not None}
        needed = "encoder_learning_rate" if self.trains == FUSION else "auxiliary_weights"
        for field, is_given in given.items():
            if is_given != (field == needed):
                verb = "is missing" if field == needed else "has no meaning here"
                raise SsmaError(f"{where}: {field} {verb}")
        if self.encoder_learning_rate is not None and self.encoder_learning_rate < 0:
            raise SsmaError(f"{where}: encoder_learning_rate must be 0 or above, got "
                            f"{self.encoder_learning_rate}")

    @property
    def name(self) -> str:
        """Also of the model file that the stage writes."""
        return FUSION if self.trains == FUSION else expert_name(self.trains)


@dataclass(frozen=True)
class Training:
    """A whole run. `model` is the fusion's spec; an expert's follows from it.

    seed: of weights, batches, augmentation and dropout; with the same seed, machine and number of
      threads a run repeats.
    validate_every: steps between two validations; there is one at the end of a stage in any case.
    """

    model: ModelSpec
    data: Data
    augmentation: Augmentation
    stages: tuple[Stage, ...]
    seed: int
    validate_every: int

    def __post_init__(self) -> None:
        if self.model.architecture != "ssma" or self.model.modalities[0].encoding != "image":
            raise SsmaError("model must be the fusion: architecture ssma, and a first modality "
                            "of encoding image")
        if self.validate_every <= 0:
            raise SsmaError(f"validate_every must be positive, got {self.validate_every}")
        if not self.stages:
            raise SsmaError("there must be at least one stage")
        names = [modality.name for modality in self.model.modalities]
        for stage in self.stages:
            if stage.trains not in (*names, FUSION):
                raise SsmaError(f"a stage trains {stage.trains!r}; it can be one of "
                                f"{', '.join((*names, FUSION))}")
        if len({stage.trains for stage in self.stages}) != len(self.stages):
            raise SsmaError("two stages train the same")

    def inputs(self, stage: Stage) -> tuple[int, ...]:
        """Which of the modalities the stage's model takes."""
        return tuple(i for i, modality in enumerate(self.model.modalities)
                     if stage.trains in (modality.name, FUSION))

    def spec(self, stage: Stage) -> ModelSpec:
        """Of the model that the stage trains."""
        if stage.trains == FUSION:
            return self.model
        (modality,) = self.inputs(stage)
        return expert_spec(self.model, modality)


def expert_spec(fusion: ModelSpec, modality: int) -> ModelSpec:
    """Of the expert for one of a fusion's two modalities."""
    return replace(fusion, architecture="adapnet++", modalities=(fusion.modalities[modality],))


def expert_name(modality: str) -> str:
    return f"expert_{modality}"


def read_training(path: str | Path) -> Training:
    """Reads a configuration. Raises SsmaError naming the file and the field that is wrong."""
    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise SsmaError(f"cannot read {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SsmaError(f"{path} is not YAML: {error}") from error
    try:
        return from_plain(Training, values, "the configuration")
    except SsmaError as error:
        raise SsmaError(f"{path}: {error}") from error

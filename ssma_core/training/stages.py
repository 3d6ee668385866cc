"""The configuration of a training run: model, data and stages, read from one YAML file."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from ssma_core.datasets.sources import Data, Sample, Split
from ssma_core.errors import SsmaError, naming
from ssma_core.plain import from_plain, from_yaml, read_yaml
from ssma_core.processes import MOST_WORKERS
from ssma_core.spec import ModelSpec, grouped
from ssma_core.training.augment import Augmentation

FUSION, ALONE = "fusion", "alone"
IMAGENET = "imagenet"


@dataclass(frozen=True)
class Stage:
    """One training, from start to end, with Adam and the poly schedule. Raises SsmaError when the
    fields do not fit together.

    name: also the name of the model file.
    trains: the name of a modality: its expert with a decoder; "fusion": SSMA; or "alone": the
      decoders with which each expert of a fusion labels alone when the other sensor is dead. Only
      these decoders learn; the fusion does not change.
    start: where the weights come from: names of earlier stages, or paths of .safetensors files
      relative to the run's output folder. For an expert: none, for random weights, one model of
      its own kind, or "imagenet" or "imagenet:FILE", for the ImageNet weights of its backbone (of
      the installed package, of timm's download, or of a .pth or .safetensors file). For a fusion:
      its two experts, the first modality's first, or one fusion. For "alone": the fusion and its
      two experts, whose decoders are the start, or the fusion and a model of a stage "alone".
    other_classes: whether the models of `start` may have other classes. Of layers whose channels
      are classes, those of the same name are then kept, and the others begin at random.
    keep_statistics: fusion and "alone" only: batch norms keep the means and deviations of the start
      and use them in training. For few steps: the moving averages follow a hundred steps late.
    starts_as_first: fusion only, from two experts: it begins with the first expert's decoder, and
      with SSMA blocks that let that expert's maps through. So it begins as good as that expert.
    steps: of one batch each. 0, for "alone" only: the decoders stay those of the start, which is
      right where the fusion did not change its experts.
    accumulate: the number of equal parts of a batch that are computed one after the other, when the
      whole batch does not fit into memory.
    learning_rate: at the first step. For a fusion: of everything except its experts.
    warm_up: steps in which the learning rate grows evenly to its value.
    encoder_learning_rate: fusion only: the learning rate of its experts; 0 freezes them.
    auxiliary_weights: experts only: weights of the losses of the heads on the decoder's second and
      first upsampling.
    class_weights: "median_frequency" makes rare classes count more, see
      `ssma_core.training.loss.median_frequency`; "none" is the paper's.
    label_smoothing: share of the truth, 0–1, that is spread over all classes.
    lovasz: weight of the Lovász-softmax loss beside cross entropy; auxiliary heads have the latter
      only.
    average: the model that is evaluated and saved is the exponential moving average of the weights,
      with this decay, at least 0, below 1. 0: the weights themselves.
    dropout_keep: share of the values that the encoders' dropout keeps, above 0, at most 1.
    modality_dropout: fusion only: share of the frames, 0–1, in which one of the two images is made
      black, so that the fusion learns to work without it. 0 is the paper's protocol.
    region_dropout: fusion only: share of the other frames in which a part of one image is black.
    row_dropout: fusion only: share of the frames that are left, in which the second image has only
      some evenly spaced rows, one pixel high, as a LiDAR's.
    """

    name: str
    trains: str
    steps: int
    batch_size: int
    learning_rate: float
    dropout_keep: float
    start: tuple[str, ...] = ()
    accumulate: int = 1
    auxiliary_weights: tuple[float, float] | None = None
    encoder_learning_rate: float | None = None
    modality_dropout: float = 0.0
    region_dropout: float = 0.0
    row_dropout: float = 0.0
    starts_as_first: bool = False
    other_classes: bool = False
    keep_statistics: bool = False
    warm_up: int = 0
    class_weights: Literal["none", "median_frequency"] = "none"
    label_smoothing: float = 0.0
    lovasz: float = 0.0
    average: float = 0.0

    @property
    def from_imagenet(self) -> bool:
        return any(start.partition(":")[0] == IMAGENET for start in self.start)

    @property
    def start_alone(self) -> str | None:
        """The model from which a stage "alone" takes the decoders of both experts."""
        return self.start[1] if self.trains == ALONE and len(self.start) == 2 else None

    def __post_init__(self) -> None:
        where = f"stage {self.name!r}"
        if not self.name or Path(self.name).name != self.name or self.name.startswith("."):
            raise SsmaError(f"{where}: the name is also a file's name, it cannot be {self.name!r}")
        self._check_numbers(where)
        self._check_shares(where)
        self._check_rates(where)
        self._check_start(where)

    def _check_numbers(self, where: str) -> None:
        for field in ("steps", "batch_size", "accumulate", "learning_rate"):
            if getattr(self, field) <= 0 and (self.trains, field) != (ALONE, "steps"):
                raise SsmaError(f"{where}: {field} must be positive, got {getattr(self, field)}")
        for field in ("steps", "warm_up", "lovasz"):
            if getattr(self, field) < 0:
                raise SsmaError(f"{where}: {field} must be 0 or above, got {getattr(self, field)}")
        if self.batch_size % self.accumulate:
            raise SsmaError(f"{where}: a batch of {self.batch_size} cannot be cut into "
                            f"{self.accumulate} equal parts; change batch_size or accumulate")
        if self.batch_size == self.accumulate:
            raise SsmaError(f"{where}: batch norm learns nothing from one frame at a time; make "
                            f"batch_size at least {2 * self.accumulate}")

    def _check_shares(self, where: str) -> None:
        if not 0 < self.dropout_keep <= 1:
            raise SsmaError(f"{where}: dropout_keep must be above 0 and at most 1, got "
                            f"{self.dropout_keep}")
        for field in ("average", "label_smoothing"):
            if not 0 <= getattr(self, field) < 1:
                raise SsmaError(f"{where}: {field} must be at least 0 and below 1, got "
                                f"{getattr(self, field)}")
        for field in ("modality_dropout", "region_dropout", "row_dropout"):
            share = getattr(self, field)
            if not 0 <= share <= 1 or (share and self.trains != FUSION):
                raise SsmaError(f"{where}: {field} is a share from 0 to 1, of a fusion's frames "
                                f"only, got {share}")

    def _check_start(self, where: str) -> None:
        wanted = {FUSION: (1, 2), ALONE: (2, 3)}.get(self.trains, (0, 1))
        if len(self.start) not in wanted:
            raise SsmaError(f"{where}: start must name {' or '.join(map(str, wanted))} model(s), "
                            f"got {list(self.start)}")
        if self.from_imagenet and self.trains in (FUSION, ALONE):
            raise SsmaError(f"{where}: only an expert starts from {IMAGENET}, got "
                            f"{list(self.start)}")
        if self.keep_statistics and self.trains not in (FUSION, ALONE):
            raise SsmaError(f"{where}: keep_statistics is for a fusion, and for {ALONE}")
        if self.starts_as_first and (self.trains != FUSION or len(self.start) != 2):
            raise SsmaError(f"{where}: starts_as_first is for a fusion that starts from two "
                            f"experts, got {list(self.start)}")

    def _check_rates(self, where: str) -> None:
        given = {"auxiliary_weights": self.auxiliary_weights is not None,
                 "encoder_learning_rate": self.encoder_learning_rate is not None}
        needed = {FUSION: "encoder_learning_rate", ALONE: None}.get(
            self.trains, "auxiliary_weights")
        for field, is_given in given.items():
            if is_given != (field == needed):
                verb = "is missing" if field == needed else "has no meaning here"
                raise SsmaError(f"{where}: {field} {verb}")
        if self.encoder_learning_rate is not None and self.encoder_learning_rate < 0:
            raise SsmaError(f"{where}: encoder_learning_rate must be 0 or above, got "
                            f"{self.encoder_learning_rate}")


@dataclass(frozen=True)
class Training:
    """A whole run. Raises SsmaError when the fields do not fit together.

    model: the spec of the fusion; those of the experts follow from it. Where the data have groups,
      `read_training` makes them its classes.
    label_ids: the model's class that each id of a label becomes, which `read_training` takes from
      the groups; empty: the ids are the model's own.
    seed: of weights, batches, augmentation and dropout; with the same seed, machine and number of
      threads a run gives the same result.
    validate_every, checkpoint_every: steps between two validations, and between two states from
      which a stopped run resumes; both also happen at the end of a stage.
    precision: "bf16" and "fp16" compute the network in 16 bits (autocast), the loss in 32.
    compile: whether torch.compile makes the network faster; compiling takes a minute or more.
    workers: processes that read, augment and prefetch frames; 0: done between two steps.
    """

    model: ModelSpec
    data: Data
    augmentation: Augmentation
    stages: tuple[Stage, ...]
    seed: int
    validate_every: int
    checkpoint_every: int
    precision: Literal["fp32", "bf16", "fp16"]
    workers: int
    compile: bool = False
    label_ids: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.model.architecture != "ssma" or self.model.modalities[0].encoding != "image":
            raise SsmaError("model must be the fusion: architecture ssma, and a first modality "
                            "of encoding image")
        for field, least in (("validate_every", 1), ("checkpoint_every", 1), ("workers", 0),
                             ("seed", 0)):
            if getattr(self, field) < least:
                raise SsmaError(f"{field} must be at least {least}, got {getattr(self, field)}")
        if self.workers > MOST_WORKERS:
            raise SsmaError(f"workers must be at most {MOST_WORKERS}, got {self.workers}")
        if not self.stages:
            raise SsmaError("there must be at least one stage")
        names = [modality.name for modality in self.model.modalities]
        earlier: dict[str, Stage] = {}
        for stage in self.stages:
            if stage.trains not in (*names, FUSION, ALONE):
                raise SsmaError(f"stage {stage.name!r} trains {stage.trains!r}; it can be one of "
                                f"{', '.join((*names, FUSION, ALONE))}")
            self._check_start(stage, earlier)
            if stage.name in earlier:
                raise SsmaError(f"two stages have the name {stage.name!r}")
            earlier[stage.name] = stage

    def _check_start(self, stage: Stage, earlier: Mapping[str, Stage]) -> None:
        for start, wanted in zip(stage.start, self.start_specs(stage)):
            if start.endswith(".safetensors") or stage.from_imagenet:
                continue  # checked when the file exists
            if start not in earlier:
                raise SsmaError(f"stage {stage.name!r} starts from {start!r}, which is neither "
                                "an earlier stage nor the path of a .safetensors file")
            if self.spec(earlier[start]) != wanted or (
                    start == stage.start_alone and earlier[start].trains != ALONE):
                raise SsmaError(f"stage {stage.name!r} starts from {list(stage.start)}: where "
                                f"{start!r} stands, which trains {earlier[start].trains}, it needs "
                                f"a model of {' and '.join(m.name for m in wanted.modalities)}")

    def samples(self, split: Split) -> list[Sample]:
        """The labelled frames of a data set, with labels of the model's classes. Raises SsmaError
        as `Folded.samples`."""
        return self.data.samples(split, self.model.void_id, self.label_ids)

    def inputs(self, stage: Stage) -> tuple[int, ...]:
        """The indices of the modalities that the stage's model takes."""
        return tuple(i for i, modality in enumerate(self.model.modalities)
                     if stage.trains in (modality.name, FUSION, ALONE))

    def spec(self, stage: Stage) -> ModelSpec:
        """The spec of the model that the stage trains."""
        if stage.trains in (FUSION, ALONE):
            return self.model
        (modality,) = self.inputs(stage)
        return self.model.of_expert(modality)

    def start_specs(self, stage: Stage) -> tuple[ModelSpec, ...]:
        """The specs of the models that the stage starts from, in the order of `start`."""
        if stage.trains not in (FUSION, ALONE):
            return (self.spec(stage),) * len(stage.start)
        fusion, experts = self.model, (self.model.of_expert(0), self.model.of_expert(1))
        if stage.trains == ALONE and len(stage.start) == 2:
            return fusion, fusion
        return {1: (fusion,), 2: experts, 3: (fusion, *experts)}[len(stage.start)]


def select_stages(training: Training, only: str | None) -> list[Stage]:
    """The stage named `only`, or all for None. Raises SsmaError when there is no such stage."""
    stages = [stage for stage in training.stages if only in (None, stage.name)]
    if not stages:
        names = ", ".join(stage.name for stage in training.stages)
        raise SsmaError(f"there is no stage {only!r}; there are {names}")
    return stages


def read_training(path: str | Path, settings: Sequence[str] = ()) -> Training:
    """Reads a configuration.

    settings: values that replace those of the file, such as "seed=1", "data.validation.take=[2]" or
      "stages.fusion.steps=500": the path of the field, and the value as YAML.
    Raises SsmaError naming the file and the field that is wrong.
    """
    values = read_yaml(path)
    for setting in settings:
        _set(values, setting)
    with naming(path):
        training = from_plain(Training, values, "the configuration")
        if not training.data.label_groups:
            return training
        spec, ids = grouped(training.model, training.data.label_groups)
        return replace(training, model=spec, label_ids=ids)


def _set(values: Any, setting: str) -> None:
    where, given, text = setting.partition("=")
    *folders, field = where.split(".")
    for folder in folders:
        if isinstance(values, list):  # of stages or modalities, by name
            values = {str(each.get("name")): each for each in values if isinstance(each, dict)}
        values = values.get(folder) if isinstance(values, dict) else None
    if not given or not isinstance(values, dict):
        raise SsmaError(f"cannot set {setting!r}: it must be FIELD=VALUE, and the field a path "
                        "such as data.validation.take or stages.fusion.steps, whose sections are "
                        "in the configuration")
    values[field] = from_yaml(text, f"cannot set {setting!r}: the value")

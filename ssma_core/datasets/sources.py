"""The kinds of data set, of which a configuration names the fields; and the data of a run."""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ssma_core.datasets.file_list import ListFile
from ssma_core.datasets.folders import Folders
from ssma_core.datasets.samples import LabelledArrays, Regrouped, Sample
from ssma_core.datasets.tfrecord import Records
from ssma_core.spec import LabelGroups

Source = Folders | ListFile | Records
Split = Literal["train", "validation"]

__all__ = ["Data", "Folders", "LabelledArrays", "ListFile", "Records", "Sample", "Source", "Split"]


@dataclass(frozen=True)
class Data:
    """The data of a training run.

    in_memory: True: frames are decoded once and kept (7 bytes per pixel at the model's input size).
      False: they are read again each time.
    label_groups: groups of the model's classes, such as {drivable: [trail, grass]}: the labels are
      of the classes in the section `model`, and the network learns the groups. See
      `ssma_core.spec.grouped`.
    """

    train: Source
    validation: Source
    in_memory: bool
    label_groups: LabelGroups = field(default_factory=dict)

    def samples(self, split: Split, void_id: int, ids: tuple[int, ...] = ()) -> list[Sample]:
        """The labelled frames of a data set. ids: the class that each id of a label becomes; empty:
        the ids are the classes. Raises SsmaError as `Folded.samples`."""
        source: Source = getattr(self, split)
        if not ids:
            return source.samples(void_id)
        return [Regrouped(sample, ids) for sample in source.samples(ids.index(void_id))]

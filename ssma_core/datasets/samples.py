"""One labelled frame of any data set; and the folds of a data set."""
from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ssma_core.errors import SsmaError
from ssma_core.files import read_ids, read_pair
from ssma_core.modalities import width_x_height
from ssma_core.pictures import check_ids, regrouped, voided

# Colour H×W×3 uint8 BGR; the second sensor's array as it was written, H×W or H×W×3; label H×W
# uint8.
LabelledArrays = tuple[npt.NDArray[np.uint8], npt.NDArray[Any], npt.NDArray[np.uint8]]


class Sample(Protocol):
    """A frame that is read when it is needed."""

    @property
    def name(self) -> str:
        """Its name in errors; no two samples of a data set share one."""

    @property
    def drive(self) -> str:
        """Which frames belong together, such as those of one drive; "." where that is unknown."""

    @property
    def condition(self) -> str | None:
        """The conditions it was taken in, such as a weather; None where they are unknown."""

    def read(self, classes: int) -> LabelledArrays:
        """The arrays, all of one size; the label's ids are below `classes`.

        Raises SsmaError naming the file that cannot be read or does not fit.
        """


@dataclass(frozen=True)
class Pictures:
    """A Sample in three files: colour, second sensor and label. ignore: ids in the label's file
    that are read as void_id."""

    rgb: Path
    aux: Path
    label: Path
    drive: str = "."
    condition: str | None = None
    ignore: tuple[int, ...] = ()
    void_id: int = 0

    @property
    def name(self) -> str:
        return str(self.rgb)

    def read(self, classes: int) -> LabelledArrays:
        rgb, aux = read_pair(self.rgb, self.aux)
        label = read_label(self.label, classes, self.ignore, self.void_id)
        for path, array in ((self.aux, aux), (self.label, label)):
            if array.shape[:2] != rgb.shape[:2]:
                raise SsmaError(f"{path} is {width_x_height(array)}, but {self.rgb} is "
                                f"{width_x_height(rgb)} (width x height)")
        return rgb, aux, label


@dataclass(frozen=True)
class Regrouped:
    """A Sample whose labels' classes are joined to groups. ids: the group of each class."""

    sample: Sample
    ids: tuple[int, ...]

    @property
    def name(self) -> str:
        return self.sample.name

    @property
    def drive(self) -> str:
        return self.sample.drive

    @property
    def condition(self) -> str | None:
        return self.sample.condition

    def read(self, classes: int) -> LabelledArrays:
        """classes: the groups; the file's ids are below the number of classes."""
        rgb, aux, label = self.sample.read(len(self.ids))
        return rgb, aux, regrouped(label, self.ids)


def read_label(path: Path, classes: int, ignore: Sequence[int] = (),
               void_id: int = 0) -> npt.NDArray[np.uint8]:
    """A label picture, H×W class ids; those of `ignore` become void_id. Raises SsmaError when it
    cannot be read or is no label."""
    label = voided(read_ids(path), ignore, void_id)
    check_ids(label, classes, str(path))
    return label.astype(np.uint8, copy=False)


@dataclass(frozen=True, kw_only=True)
class Folded(ABC):
    """A data set of which some folds can be taken, and some ids of its labels ignored.

    folds: into how many runs of neighbouring frames the frames, in their order, are divided; the
      lengths of the runs differ by at most one. Neighbours, since they look alike.
    take: the folds that are used, counted from 0.
    Without both, the whole set is used. Raises SsmaError where they do not fit together.
    ignore: ids in its labels that mean "not labelled", such as 255 or -1: they are read as void.
    """

    folds: int | None = None
    take: tuple[int, ...] = ()
    ignore: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.folds is not None and self.folds < 1:
            raise SsmaError(f"folds must be 1 or more, got {self.folds}")
        if (self.folds is None) != (not self.take):
            raise SsmaError("folds and take go together: folds: 4 and take: [0] is the first "
                            f"quarter of the frames; got folds {self.folds} and take "
                            f"{list(self.take)}")
        known = range(self.folds or 0)
        if len(set(self.take)) != len(self.take) or not all(fold in known for fold in self.take):
            raise SsmaError(f"take must name different ones of the {self.folds} folds, 0 to "
                            f"{len(known) - 1}; got {list(self.take)}")

    @abstractmethod
    def every(self) -> Sequence[Sample]:
        """The whole set's frames, at least one. Raises SsmaError where something is missing."""

    def without_label(self) -> int:
        """How many frames of the whole set have no label and are left out."""
        return 0

    def samples(self, void_id: int = 0) -> list[Sample]:
        """The frames of the folds that are taken, or all; the ids of their labels that are ignored
        become void_id. Raises SsmaError as `every`, and when there are fewer frames than folds."""
        found = self.every()
        if self.ignore:
            frames: Sequence[Any] = found
            found = [replace(frame, ignore=self.ignore, void_id=void_id) for frame in frames]
        if self.folds is None:
            return list(found)
        if len(found) < self.folds:
            raise SsmaError(f"{len(found)} frames, from {found[0].name} on, cannot be divided into "
                            f"{self.folds} folds")
        begins = [len(found) * fold // self.folds for fold in range(self.folds + 1)]
        return [sample for fold in sorted(self.take)
                for sample in found[begins[fold]:begins[fold + 1]]]

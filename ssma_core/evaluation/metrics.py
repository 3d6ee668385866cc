"""What is counted in a frame; and the paper's metric: intersection over union per class, counted
over a whole set of frames.

Own code on purpose: torchmetrics and the like would bring torch onto every robot and laptop.
"""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ssma_core.errors import SsmaError
from ssma_core.evaluation import boundary
from ssma_core.pictures import check_ids
from ssma_core.spec import ModelSpec


class FrameCounts(NamedTuple):
    """What is counted in a frame. confusion: N×N int64, as `ConfusionMatrix.counts`. boundaries:
    N×2×4 int64, see `boundary.count`."""

    confusion: npt.NDArray[np.int64]
    boundaries: npt.NDArray[np.int64]


def frame_counts(truth: npt.NDArray[np.integer], prediction: npt.NDArray[np.integer],
                 spec: ModelSpec) -> FrameCounts:
    """Of one frame, H×W ids each. Raises SsmaError as `ConfusionMatrix.add` does."""
    matrix = ConfusionMatrix(spec.classes, spec.void_id)
    matrix.add(truth, prediction)
    return FrameCounts(matrix.counts,
                       boundary.count(truth, prediction, spec.classes, spec.void_id))


def stacked(frames: Iterable[FrameCounts], classes: int) -> FrameCounts:
    """Frames' counts as one array of each kind, F×N×N and F×N×2×4, also where there is no frame."""
    confusion, boundaries = zip(*frames) if (frames := [*frames]) else ((), ())
    return FrameCounts(np.array(confusion, np.int64).reshape(-1, classes, classes),
                       np.array(boundaries, np.int64).reshape(-1, classes, 2, boundary.COUNTED))


class ConfusionMatrix:
    """Counts of pixels by true and predicted class.

    counts: N×N int64, a row a true class, a column a predicted class.
    Where the truth is void, the prediction counts as void: the true class is not known there.
    """

    def __init__(self, classes: int, void_id: int) -> None:
        self.classes = classes
        self.void_id = void_id
        self.counts: npt.NDArray[np.int64] = np.zeros((classes, classes), np.int64)

    @classmethod
    def summed(cls, counts: npt.NDArray[np.int64], void_id: int) -> ConfusionMatrix:
        """Of many frames' counts, F×N×N int64."""
        matrix = cls(counts.shape[-1], void_id)
        matrix.counts += counts.sum(axis=0)
        return matrix

    def add(self, truth: npt.NDArray[np.integer], prediction: npt.NDArray[np.integer]) -> None:
        """Counts a frame (or several): two arrays of one shape, any integer type, ids 0…N−1.

        Raises SsmaError, and counts nothing, for different shapes or an id that is no class.
        """
        if truth.shape != prediction.shape:
            raise SsmaError(f"truth and prediction differ in size: {truth.shape} and "
                            f"{prediction.shape}; bring both to the size of the truth")
        check_ids(truth, self.classes, "the truth")
        check_ids(prediction, self.classes, "the prediction")
        prediction = np.where(truth == self.void_id, self.void_id, prediction)
        pairs = truth.astype(np.int64) * self.classes + prediction
        self.counts += np.bincount(pairs.ravel(), minlength=self.classes**2).reshape(
            self.classes, self.classes)

    def iou(self) -> npt.NDArray[np.float64]:
        """tp / (tp + fp + fn) per class, 0–1, float64[N]. NaN for void, and for a class that is
        neither in the truth nor predicted."""
        return iou(*intersection_and_union(self.counts, self.void_id))

    def mean_iou(self) -> float:
        """The mean of `iou` over all classes other than void, 0–1; NaN when nothing was counted.

        As in the reference, a class that never occurs counts as 0 and stays in the divisor: the
        mean is meant for a whole set, not for a frame.
        """
        if not self.counts.any():
            return float("nan")
        return float(mean_iou(self.iou()))

    def frame_score(self) -> float:
        """The mean of `iou` over the classes that occur, true or predicted, 0–1; NaN where all is
        void. For a single frame, of which `mean_iou` says little."""
        ious = self.iou()
        return float("nan") if np.isnan(ious).all() else float(np.nanmean(ious))

    def absent(self, class_names: Sequence[str]) -> list[str]:
        """The classes, other than void, that no true pixel has."""
        return [name for i, name in enumerate(class_names)
                if i != self.void_id and not self.counts[i].any()]

    def row_normalised(self) -> tuple[list[int], list[int], npt.NDArray[np.float64]]:
        """(rows, columns, shares): the true classes, the predicted classes, and which share
        of a row's pixels (0–1, rows×columns).

        Void has no row, since it is not judged, and a column only where it was predicted. The row
        of a class that does not occur is 0.
        """
        rows = [i for i in range(self.classes) if i != self.void_id]
        columns = [i for i in range(self.classes) if i in rows or self.counts[rows, i].any()]
        pixels = self.counts.sum(axis=1, keepdims=True)
        shares = np.divide(self.counts, pixels, out=np.zeros(self.counts.shape), where=pixels > 0)
        return rows, columns, shares[np.ix_(rows, columns)]

    def shares(self) -> npt.NDArray[np.float64]:
        """Each class's share of the labelled pixels, 0–1, float64[N]; 0 for void."""
        pixels = self.counts.sum(axis=1).astype(np.float64)
        pixels[self.void_id] = 0
        return pixels / max(pixels.sum(), 1.0)

    def table(self, class_names: Sequence[str]) -> str:
        """A line a class and one for the mean, IoU in percent, and the class's share of the
        labelled pixels; a dash where a class does not occur."""
        shares = self.shares()
        width = max(len(name) for name in (*class_names, "mean"))
        lines = [f"{'class':<{width}}  IoU %  share %"]
        for name, iou, share in self._rows(class_names, shares):
            lines.append(f"{name:<{width}}  {_percent(iou)}  {_percent(share):>7}")
        lines.append(f"{'mean':<{width}}  {_percent(self.mean_iou())}")
        return "\n".join(lines)

    def to_dict(self, class_names: Sequence[str]) -> dict[str, Any]:
        """For JSON: {"miou", "iou": {class name: value}, "counts"}; fractions 0–1, None where a
        class does not occur."""
        return {
            "miou": _or_none(self.mean_iou()),
            "iou": {name: _or_none(iou) for name, iou, _ in
                    self._rows(class_names, self.shares())},
            "counts": self.counts.tolist(),
        }

    def _rows(self, class_names: Sequence[str],
              shares: npt.NDArray[np.float64]) -> list[tuple[str, float, float]]:
        rows = zip(class_names, self.iou().tolist(), shares.tolist())
        return [row for i, row in enumerate(rows) if i != self.void_id]


def frame_scores(counts: npt.NDArray[np.int64], void_id: int) -> npt.NDArray[np.float64]:
    """`ConfusionMatrix.frame_score` of each frame, float64[F]."""
    return np.array([ConfusionMatrix.summed(each[None], void_id).frame_score() for each in counts])


def intersection_and_union(counts: npt.NDArray[np.int64], void_id: int
                           ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Pixels per class, int64: (intersection, union) of truth and prediction, which are tp and
    tp + fp + fn, of one or many confusion matrices (…×N×N → twice …×N); 0 for void. Both add up
    over frames."""
    intersection = np.diagonal(counts, axis1=-2, axis2=-1).copy()
    union = counts.sum(axis=-2) + counts.sum(axis=-1) - intersection
    intersection[..., void_id] = union[..., void_id] = 0
    return intersection, union


def iou(intersection: npt.NDArray[Any], union: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """intersection / union, 0–1; NaN where the union is 0."""
    return np.divide(intersection, union, out=np.full(intersection.shape, np.nan),
                     where=union > 0)


def mean_iou(ious: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """…×N → …; see `ConfusionMatrix.mean_iou`."""
    return np.nansum(ious, axis=-1) / (ious.shape[-1] - 1)


def _percent(fraction: float) -> str:
    return "    –" if np.isnan(fraction) else f"{100 * fraction:5.1f}"


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else value

"""How well the borders between classes lie: the boundary F-score (BF score) of G. Csurka, D. Larlus
and F. Perronnin, What is a good evaluation measure for semantic segmentation?, BMVC 2013.

A boundary pixel of a class is a pixel of the class beside one of another class: above, below, left
or right of it. The image's border is no boundary. Precision is the share of a class's predicted
boundary pixels that lie at most d pixels (Euclidean) from a true one of the class, recall the share
of its true ones that lie as near to a predicted one; F = 2PR / (P + R).

Where the ground truth is void, nothing that was predicted counts. Many annotations leave a line of
void between two classes. So void at most 4 pixels from a known pixel takes the label of the nearest
one, in the truth and in the prediction: the boundary lies in the middle of the line, for both. In
wider void the true boundary is not known: a boundary against it is none, and boundary pixels at
most 4 pixels from it are not judged, true or predicted. In a prediction, void is a class like the
others.

The paper takes the mean of the frames' F. Here the pixels are counted over all frames, as those of
the confusion matrix are: such counts can be added up by drive and drawn again by the bootstrap.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ssma_core.errors import SsmaError

Boundaries = npt.NDArray[np.int64]  # frames×N×2×4, each frame's as of `count`
Labels = npt.NDArray[np.integer[Any]]

DISTANCES = (1, 2, 4)  # pixels
COMPARED = 2  # the one distance where there is room for one
COUNTED = len(DISTANCES) + 1  # pixels within each distance, and all
_REACH = DISTANCES[-1]
_NONE = -1  # no class


def count(truth: Labels, prediction: Labels, classes: int, void_id: int) -> npt.NDArray[np.int64]:
    """A frame's boundary pixels by class, N×2×4 int64: of the truth, and of the prediction, those
    within 1, 2 and 4 pixels of the other's, and all. Void has none.

    truth, prediction: H×W ids 0…N−1, of one size.
    """
    judged, void = np.True_, truth == void_id
    if void.any():
        truth, prediction, void = _bridged(truth, prediction, void)
    if void.any():
        judged = cv2.distanceTransform((~void).astype(np.uint8), cv2.DIST_L2,
                                       cv2.DIST_MASK_5) > 2 * _REACH
    maps = [_boundaries(labels, ~void) for labels in (truth, prediction)]
    counts = np.stack([_within(np.where(judged, own, np.int16(_NONE)), other, classes)
                       for own, other in (maps, maps[::-1])], axis=1)
    counts[void_id] = 0
    return counts


def check(counts: Boundaries, classes: int, drive: str, frames: Sequence[object],
          most: int) -> None:
    """Raises SsmaError unless counts are int64, F×N×2×4, from 0 to `most` and, of a class, no fewer
    at a greater distance. drive, frames: whose they are."""
    shape = (len(frames), classes, 2, COUNTED)
    if counts.dtype != np.int64 or counts.shape != shape:
        raise SsmaError(f"the boundaries of {drive} must be int64 and {'×'.join(map(str, shape))}, "
                        f"got {counts.dtype} and {'×'.join(map(str, counts.shape))}")
    wrong = (np.diff(counts, prepend=0) < 0) | (counts > most)
    if wrong.any():
        raise SsmaError(f"the boundaries of {frames[int(wrong.any(axis=(1, 2, 3)).argmax())]} are "
                        f"not from 0 to {most:,}, and no fewer at a greater distance")


def f_score(counts: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """…×N×2×4 → …×N×3, 0–1, by class and distance; NaN where a class has no boundary, true or
    predicted; 0 where it has only one of the two."""
    within, every = counts[..., :-1], counts[..., -1:]
    recall, precision = np.moveaxis(_share(within, np.maximum(every, 1)), -2, 0)
    found = 2 * _share(precision * recall, precision + recall, 0.0)
    return np.where(every.any(axis=-2), found, np.nan)


def mean(f_scores: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """…×N×3 → …×3: over the classes that have a boundary; NaN where none has."""
    known = ~np.isnan(f_scores)
    return _share(np.nansum(f_scores, axis=-2), known.sum(axis=-2))


def mean_at(counts: npt.NDArray[Any], distance: int = COMPARED) -> npt.NDArray[np.float64]:
    """The mean F at one of the DISTANCES, …×N×2×4 → …."""
    return mean(f_score(counts))[..., DISTANCES.index(distance)]


def to_dict(counts: npt.NDArray[np.int64], class_names: Sequence[str],
            void_id: int) -> dict[str, Any]:
    """For JSON, of summed counts, N×2×4: {"mean": {"1": F, "2": F, "4": F}, "classes": {name: the
    same}}; fractions 0–1, None where there is no boundary."""
    scores = f_score(counts)
    return {"mean": _by_distance(mean(scores)),
            "classes": {name: _by_distance(scores[i]) for i, name in enumerate(class_names)
                        if i != void_id}}


def _bridged(truth: Labels, prediction: Labels, void: npt.NDArray[np.bool_]
             ) -> tuple[Labels, Labels, npt.NDArray[np.bool_]]:
    """Both maps without the void that is at most _REACH pixels from what is known, and the void
    that is left."""
    distance, number = cv2.distanceTransformWithLabels(
        void.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL)
    places = np.zeros(number.max() + 1, np.intp)
    places[number[~void]] = np.flatnonzero(~void)
    nearest = places[number[void]]
    bridged = [labels.copy() for labels in (truth, prediction)]
    for labels in bridged:
        labels[void] = labels.ravel()[nearest]
    return bridged[0], bridged[1], distance > _REACH


def _boundaries(labels: Labels, known: npt.NDArray[np.bool_]) -> npt.NDArray[np.int16]:
    """The class where there is a boundary pixel, _NONE elsewhere."""
    edges = np.zeros(labels.shape, bool)
    for one, other in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        differs = (labels[one] != labels[other]) & known[one] & known[other]
        edges[one] |= differs
        edges[other] |= differs
    return np.where(edges, labels.astype(np.int16), np.int16(_NONE))


def _within(own: npt.NDArray[np.int16], other: npt.NDArray[np.int16],
            classes: int) -> npt.NDArray[np.int64]:
    """N×4: the boundary pixels of one map by how near the other has one of the class.

    Boundary pixels are few, and most have a partner close by: to look around each takes less time
    than a distance transform of every class.
    """
    own, other = (np.pad(each, _REACH, constant_values=_NONE) for each in (own, other))
    width, (own, other) = own.shape[1], (each.ravel() for each in (own, other))
    places = np.flatnonzero(own != _NONE)
    ids = own[places]
    every = np.bincount(ids, minlength=classes)
    counts = []
    for ring in _rings(width):
        for offset in ring:
            apart = other[places + offset] != ids
            places, ids = places[apart], ids[apart]
        counts.append(every - np.bincount(ids, minlength=classes))
    return np.stack([*counts, every], axis=1)


def _rings(width: int) -> list[npt.NDArray[np.intp]]:
    """For each distance the offsets, in flat arrays of that width, of the pixels that lie within it
    and not within the one before; the nearest first."""
    y, x = np.mgrid[-_REACH:_REACH + 1, -_REACH:_REACH + 1]
    squared = (y**2 + x**2).ravel()
    order = np.argsort(squared, kind="stable")
    offsets = (y * width + x).ravel()[order]
    return np.split(offsets, np.searchsorted(squared[order], np.square(DISTANCES), "right"))[:-1]


def _share(part: npt.NDArray[Any], whole: npt.NDArray[Any],
           otherwise: float = np.nan) -> npt.NDArray[np.float64]:
    return np.divide(part, whole, out=np.full(part.shape, otherwise), where=whole > 0)


def _by_distance(scores: npt.NDArray[np.float64]) -> dict[str, float | None]:
    return {str(distance): None if np.isnan(score) else score
            for distance, score in zip(DISTANCES, scores.tolist())}

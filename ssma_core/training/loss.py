"""The losses and the learning-rate schedule: as the reference computes them, and what a stage may
add to them."""
from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

# Keeps the logarithm finite where softmax underflows to zero; the reference's value.
EPSILON = 1e-10


def cross_entropy(logits: torch.Tensor, label: torch.Tensor, void_id: int,
                  class_weights: torch.Tensor | None = None,
                  smoothing: float = 0.0) -> torch.Tensor:
    """Cross entropy −log(softmax + 1e-10) of the true class, averaged over all pixels.

    Void pixels add nothing to the sum but count in the divisor, as in the reference: a frame that
    is half void has half the weight.

    logits: N×C×H×W float, before softmax; label: N×H×W of any integer type, ids 0…C−1.
    class_weights: C values, by which a pixel's loss is multiplied; None: 1.
    smoothing: the share of the truth, 0–1, that is spread evenly over all classes but void (label
      smoothing, arXiv 1512.00567, section 7).
    Returns a scalar tensor.
    """
    label = label.long()
    probability = functional.softmax(logits, dim=1)
    cost = -torch.log(probability.gather(1, label[:, None])[:, 0] + EPSILON)
    if smoothing:
        costs = -torch.log(probability + EPSILON)
        others = (costs.sum(1) - costs[:, void_id]) / (costs.shape[1] - 1)
        cost = (1 - smoothing) * cost + smoothing * others
    if class_weights is not None:
        cost = cost * class_weights[label]
    return cost.masked_fill(label == void_id, 0.0).mean()


def lovasz_softmax(logits: torch.Tensor, label: torch.Tensor, void_id: int) -> torch.Tensor:
    """The Lovász extension of 1 − IoU, which is what an evaluation measures (arXiv 1705.08790,
    algorithm 1), over all pixels of the batch but void; the mean over the classes in its labels.

    It sorts the pixels once for each class. So that this takes a small part of a step, only every
    second row and column is looked at.

    logits, label: as for `cross_entropy`. Returns a scalar tensor, 0 where all is void.
    """
    label = label[:, ::2, ::2].long()
    known = label != void_id
    probability = functional.softmax(logits[:, :, ::2, ::2], dim=1)
    label, classes = label[known], label[known].unique().tolist()
    losses = []
    for each in classes:
        true = (label == each).float()
        errors, order = (true - probability[:, each][known]).abs().sort(descending=True)
        true = true[order]
        intersection = true.sum() - true.cumsum(0)
        union = true.sum() + (1 - true).cumsum(0)
        jaccard = 1 - intersection / union  # of the first pixels, were all of them wrong
        losses.append((errors * jaccard.diff(prepend=jaccard.new_zeros(1))).sum())
    return torch.stack(losses).mean() if losses else logits.sum() * 0


def median_frequency(labels: Iterable[npt.NDArray[np.uint8]], classes: int,
                     void_id: int) -> npt.NDArray[np.float32]:
    """The weights of the classes by median frequency balancing (arXiv 1411.4734, section 6.3.2):
    the median of all frequencies, divided by that of the class. Its frequency is its share of the
    pixels of those frames that show it; void counts nowhere.

    labels: H×W uint8 each. Returns one weight for each class; 0 for void and classes in no frame.
    """
    pixels, seen = np.zeros(classes), np.zeros(classes)
    for label in labels:
        counts = np.bincount(label.ravel(), minlength=classes).astype(float)
        counts[void_id] = 0
        pixels += counts
        seen += (counts > 0) * counts.sum()
    frequency = pixels / np.maximum(seen, 1)
    known = frequency > 0
    weights = np.zeros(classes, np.float32)
    weights[known] = np.median(frequency[known]) / frequency[known]
    return weights


def poly(step: int, steps: int, power: float = 0.9, end: float = 0.1) -> float:
    """What the learning rate is multiplied with after `step` of `steps`: from 1 down to `end`, as
    (1 − step/steps)^power.

    The reference's schedule stops at 1e-4, the default of TensorFlow's polynomial decay: a tenth of
    its learning rate.
    """
    return (1.0 - end) * (1.0 - min(step, steps) / steps) ** power + end


def learning_rate(first: float, step: int, steps: int, warm_up: int = 0) -> float:
    """The rate of step `step` of `steps`, counted from 0, where that of step 0 is `first`. With a
    warm-up, the first steps have a share of it that grows evenly: 1/warm_up, 2/warm_up, …, 1."""
    return first * poly(step, steps) * min(1.0, (step + 1) / max(warm_up, 1))

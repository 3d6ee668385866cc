"""The loss and the learning-rate schedule, as the reference computes them."""
from __future__ import annotations

import torch
from torch.nn import functional

# Keeps the logarithm finite where softmax underflows to zero; the reference's value.
EPSILON = 1e-10


def segmentation_loss(logits: torch.Tensor, label: torch.Tensor, void_id: int) -> torch.Tensor:
    """Cross entropy −log(softmax + 1e-10) of the true class, averaged over all pixels.

    Void pixels add nothing to the sum but count in the divisor, as in the reference: a frame that
    is half void has half the weight.

    logits: N×C×H×W float, before softmax; label: N×H×W of any integer type, ids 0…C−1.
    Returns a scalar tensor.
    """
    label = label.long()
    probability = functional.softmax(logits, dim=1).gather(1, label[:, None])[:, 0]
    cost = -torch.log(probability + EPSILON)
    return cost.masked_fill(label == void_id, 0.0).mean()


def poly(step: int, steps: int, power: float = 0.9, end: float = 0.1) -> float:
    """What the learning rate is multiplied with after `step` of `steps`: from 1 down to `end`, as
    (1 − step/steps)^power.

    The reference's schedule stops at 1e-4, the default of TensorFlow's polynomial decay: a tenth of
    its learning rate.
    """
    return (1.0 - end) * (1.0 - min(step, steps) / steps) ** power + end


def learning_rate(first: float, step: int, steps: int) -> float:
    """The rate of step `step` of `steps`, counted from 0, where that of step 0 is `first`."""
    return first * poly(step, steps)

"""What a stage may add to the paper's loss and schedule: each as its paper defines it, and off
unless asked for."""
from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import small_run, write_configuration
from hypothesis import given
from hypothesis import strategies as st

from ssma_core import SsmaError
from ssma_core.datasets.frames import InMemory, preload
from ssma_core.model_files import checkpoint
from ssma_core.training.batches import loader
from ssma_core.training.distributed import Processes
from ssma_core.training.loop import train, train_stage
from ssma_core.training.loss import (
    cross_entropy,
    learning_rate,
    lovasz_softmax,
    median_frequency,
)
from ssma_core.training.stages import Training, read_training
from ssma_core.training.trainer import Trainer

VOID, CLASSES = 0, 4
CPU = torch.device("cpu")


def some(seed: int, scale: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    label = torch.randint(0, CLASSES, (2, 5, 7), generator=generator, dtype=torch.uint8)
    return scale * torch.randn(2, CLASSES, 5, 7, generator=generator), label


# Cross entropy

def test_smoothing_spreads_a_share_of_the_truth_over_all_classes_but_void() -> None:
    logits, label = some(0)
    costs = -logits.double().log_softmax(1)
    truth = torch.full(costs.shape, 0.1 / 3, dtype=torch.double)
    truth[:, VOID] = 0
    truth.scatter_add_(1, label.long()[:, None], torch.full(truth[:, :1].shape, 0.9).double())
    expected = (truth * costs).sum(1)[label != VOID].sum() / label.numel()
    loss = cross_entropy(logits, label, VOID, smoothing=0.1)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_a_class_of_weight_two_counts_twice() -> None:
    logits, label = some(1)
    weights = torch.tensor([0.0, 1.0, 2.0, 1.0])
    of_two = cross_entropy(logits, torch.where(label == 2, label, VOID), VOID)
    expected = cross_entropy(logits, label, VOID) + of_two
    assert cross_entropy(logits, label, VOID, weights).item() == pytest.approx(expected.item())


def test_median_frequency_is_of_the_frames_that_show_a_class() -> None:
    """Frame 1: 6 pixels of class 1 and 2 of class 2; frame 2: 4 of class 1, and 4 void. So class 1
    has 10 of 12 pixels, class 2 has 2 of 8; the median of 5/6 and 1/4 is 13/24."""
    labels = [np.array([[1] * 6 + [2] * 2], np.uint8), np.array([[1] * 4 + [0] * 4], np.uint8)]
    weights = median_frequency(labels, CLASSES, VOID)
    np.testing.assert_allclose(weights, [0, 13 / 20, 13 / 6, 0], rtol=1e-6)


# Lovász-softmax

def extension(errors: np.ndarray, true: np.ndarray) -> float:
    """Definition 1 of arXiv 1705.08790: m_π(i) weighs the i-th largest error with what the pixel
    adds to the Jaccard loss of the pixels before it."""
    def jaccard_loss(wrong: set[int]) -> float:
        positives = set(np.flatnonzero(true))
        return len(wrong) / len(positives | wrong) if wrong else 0.0

    total, wrong = 0.0, set()
    for i in np.argsort(-errors, kind="stable"):
        before = jaccard_loss(wrong)
        wrong.add(int(i))
        total += errors[i] * (jaccard_loss(wrong) - before)
    return total


@given(st.integers(0, 2**16))
def test_lovasz_is_the_extension_of_the_jaccard_loss_of_each_class_in_the_labels(
        seed: int) -> None:
    """Of every second row and column."""
    logits, label = some(seed)
    seen = label[:, ::2, ::2]
    probability = logits.double().softmax(1).permute(0, 2, 3, 1)[:, ::2, ::2][seen != VOID].numpy()
    known = seen[seen != VOID].numpy()
    expected = [extension(np.abs((known == c) - probability[:, c]), known == c)
                for c in range(1, CLASSES) if (known == c).any()]
    assert lovasz_softmax(logits, label, VOID).item() == pytest.approx(np.mean(expected), rel=1e-4)


def test_lovasz_of_certain_answers_is_one_minus_iou() -> None:
    logits, label = some(3, scale=1e4)
    answer, whole, label = logits.argmax(1)[:, ::2, ::2], label, label[:, ::2, ::2]
    known = label != VOID
    ious = [((answer == c) & (label == c) & known).sum() / (((answer == c) | (label == c)) & known
                                                            ).sum() for c in (1, 2, 3)]
    expected = 1 - torch.stack(ious).mean()
    assert lovasz_softmax(logits, whole, VOID).item() == pytest.approx(expected.item(), abs=1e-5)


def test_lovasz_of_a_batch_of_void_is_nothing() -> None:
    logits = some(4)[0].requires_grad_()
    loss = lovasz_softmax(logits, torch.zeros(2, 5, 7, dtype=torch.uint8), VOID)
    loss.backward()
    assert loss.item() == 0 and not logits.grad.any()


# Schedule

def test_a_warm_up_grows_evenly_to_the_schedule_without_it() -> None:
    plain, warm = ([learning_rate(1e-3, step, 20, warm_up) for step in range(20)]
                   for warm_up in (0, 4))
    np.testing.assert_allclose(np.divide(warm, plain), [0.25, 0.5, 0.75] + [1] * 17)


# In a stage

@pytest.fixture(scope="module")
def training(easy_frames: Path, tmp_path_factory: pytest.TempPathFactory) -> Training:
    return read_training(write_configuration(tmp_path_factory.mktemp("losses"),
                                             small_run(easy_frames)))


@pytest.fixture(scope="module")
def frames(training: Training) -> InMemory:
    return preload(training.data.train.samples(), training.model, "reading")


def trainer_of(training: Training, **fields: object) -> Trainer:
    stage = replace(training.stages[0], dropout_keep=1.0, auxiliary_weights=(0.0, 0.0), **fields)
    return Trainer(training, stage, Path(), Processes(0, 1, CPU))


def test_lovasz_stands_beside_cross_entropy_with_its_weight(
        training: Training, frames: InMemory) -> None:
    plain, half, whole = (
        (trainer := trainer_of(training, lovasz=weight)).step(
            0, loader(training, trainer.stage, frames)).item() for weight in (0.0, 0.5, 1.0))
    assert whole > plain
    assert half == pytest.approx((plain + whole) / 2, rel=1e-5)


def test_the_average_is_exponential_and_is_what_a_stage_leaves(
        training: Training, frames: InMemory, tmp_path: Path) -> None:
    trainer = trainer_of(training, average=0.9, steps=3)
    expected: dict[str, torch.Tensor] = {}
    step = trainer.step

    def followed(*arguments: object) -> torch.Tensor:
        loss = step(*arguments)
        for name, value in trainer.network.state_dict().items():
            if value.is_floating_point():
                expected[name] = (0.9 * expected[name] + 0.1 * value if name in expected
                                  else value.clone())
        return loss

    trainer.step = followed  # type: ignore[method-assign]
    train_stage(trainer, frames, frames, tmp_path)
    left = checkpoint.load(tmp_path / "expert_rgb.safetensors")[0].state_dict()
    for name, value in expected.items():
        torch.testing.assert_close(left[name], value, rtol=1e-4, atol=1e-5)


def test_an_average_goes_on_where_it_was(training: Training, frames: InMemory) -> None:
    one = trainer_of(training, average=0.9)
    batches = loader(training, one.stage, frames)
    one.step(0, batches)
    other = trainer_of(training, average=0.9)
    other.load_state(copy.deepcopy(one.state()))
    batch = next(batches)
    for trainer in (one, other):
        trainer.step(1, iter([batch]))
    for a, b in zip(one.result.state_dict().values(), other.result.state_dict().values()):
        assert torch.equal(a, b)


def test_a_run_weighs_its_classes_by_its_own_training_labels(
        training: Training, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[np.ndarray] = []

    class Noted(Trainer):
        def __init__(self, *arguments: object) -> None:
            given.append(arguments[4])
            super().__init__(*arguments)

    monkeypatch.setattr("ssma_core.training.loop.Trainer", Noted)
    stages = tuple(replace(stage, steps=1, class_weights=weights) for stage, weights in
                   zip(training.stages[:2], ("none", "median_frequency")))
    train(replace(training, stages=stages), tmp_path)
    labels = preload(training.data.train.samples(), training.model, "reading").labels
    assert given[0] is None
    np.testing.assert_allclose(
        given[1], median_frequency(labels, training.model.classes, training.model.void_id))


@pytest.mark.parametrize(("field", "value", "message"), [
    ("average", 1.0, "average must be at least 0 and below 1, got 1.0"),
    ("label_smoothing", -0.1, "label_smoothing must be at least 0 and below 1"),
    ("lovasz", -1.0, "lovasz must be 0 or above"),
    ("warm_up", -1, "warm_up must be 0 or above"),
    ("region_dropout", 0.5, "of a fusion's frames only"),
    ("row_dropout", 0.5, "of a fusion's frames only"),
    ("starts_as_first", True, "starts_as_first is for a fusion that starts from two experts"),
    ("steps", 0, "steps must be positive")])
def test_a_field_that_makes_no_sense_is_named(
        training: Training, field: str, value: object, message: str) -> None:
    with pytest.raises(SsmaError, match=message):
        replace(training.stages[0], **{field: value})

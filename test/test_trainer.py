"""What a stage's steps do: loss, learning rates, dropout, 16 bits, torch.compile."""
from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import save_untrained, small_run, write_configuration
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from ssma_core.datasets.frames import InMemory, preload
from ssma_core.model.layers import resize_bilinear
from ssma_core.model_files import checkpoint
from ssma_core.training.batches import image_tensor, loader
from ssma_core.training.distributed import Processes
from ssma_core.training.loop import train_stage
from ssma_core.training.stages import Stage, Training, read_training
from ssma_core.training.trainer import Trainer, make_deterministic

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def training(easy_frames: Path, tmp_path_factory: pytest.TempPathFactory) -> Training:
    """Its fusion starts from one that is there."""
    folder = tmp_path_factory.mktemp("trainer")
    values = small_run(easy_frames)
    values["stages"][2]["start"] = [str(folder / "start.safetensors")]
    training = read_training(write_configuration(folder, values))
    save_untrained(folder / "start.safetensors", training.model)
    return training


@pytest.fixture(scope="module")
def frames(training: Training) -> InMemory:
    return preload(training.data.train.samples(), training.model, "reading")


def learner_of(training: Training, stage: Stage) -> Trainer:
    return Trainer(training, stage, Path(), Processes(0, 1, CPU))


def cross_entropy(logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    """In which void weighs nothing but counts in the mean."""
    summed = functional.cross_entropy(logits, label.long(), ignore_index=0, reduction="sum")
    return summed / label.numel()


def test_an_experts_loss_is_its_own_and_that_of_its_auxiliary_heads_weighed(
        training: Training, frames: InMemory) -> None:
    """The first weight is of the head on the second upsampling, the reference's conv911."""
    stage = replace(training.stages[0], auxiliary_weights=(0.6, 0.5), dropout_keep=1.0)
    trainer = learner_of(training, stage)
    batch = next(iter(loader(training, stage, frames)))
    (image,), label = batch
    network, heads = trainer.network, trainer.network.auxiliary_heads
    logits, second, first = network.decoder(*network.features(image_tensor(image, CPU)))
    on_second, on_first = (resize_bilinear(scores, (48, 64))
                           for scores in (heads.quarter(second), heads.eighth(first)))
    main, conv911, conv912 = (cross_entropy(one, label).item()
                              for one in (logits, on_second, on_first))
    loss = trainer.step(0, iter([batch])).item()
    assert loss == pytest.approx(main + 0.6 * conv911 + 0.5 * conv912, rel=1e-5)


def test_both_learning_rates_of_a_fusion_fall_as_the_references(
        training: Training, frames: InMemory, tmp_path: Path) -> None:
    """By TensorFlow's polynomial decay with power 0.9, whose end, 1e-4, is a tenth of its rate."""
    stage = replace(training.stages[2], steps=4, learning_rate=1e-3, encoder_learning_rate=2e-4)
    trainer = learner_of(training, stage)
    rates: list[list[float]] = []
    trainer.optimizer.register_step_pre_hook(
        lambda adam, *_: rates.append([group["lr"] for group in adam.param_groups]))
    train_stage(trainer, frames, frames, tmp_path)
    decay = [(1 - 0.1) * (1 - step / 4) ** 0.9 + 0.1 for step in range(4)]
    np.testing.assert_allclose(rates, np.outer(decay, [1e-3, 2e-4]), rtol=1e-6)


def test_a_fusions_experts_learn_at_the_encoders_rate_and_all_else_at_the_stages(
        training: Training) -> None:
    trainer = learner_of(training, training.stages[2])
    others, experts = ({id(p) for p in group["params"]} for group in trainer.optimizer.param_groups)
    assert experts == {id(p) for p in trainer.network.experts.parameters()}
    assert others == {id(p) for p in trainer.network.parameters()} - experts


@pytest.mark.parametrize(("number", "encoders"), [(0, 1), (2, 2)], ids=["expert_rgb", "fusion"])
def test_what_a_stage_keeps_its_dropout_leaves(
        training: Training, number: int, encoders: int) -> None:
    stage = replace(training.stages[number], dropout_keep=0.3)
    dropouts = [module for module in learner_of(training, stage).network.modules()
                if isinstance(module, torch.nn.Dropout)]
    assert [dropout.p for dropout in dropouts] == pytest.approx([0.7] * encoders)
    assert all(dropout.training for dropout in dropouts)


@pytest.mark.parametrize(("precision", "dtype"), [
    ("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_a_step_computes_the_network_in_its_precision_and_the_loss_in_32_bits(
        training: Training, frames: InMemory, precision: str, dtype: torch.dtype) -> None:
    training, stage = replace(training, precision=precision), training.stages[2]
    trainer, batch = learner_of(training, stage), next(iter(loader(training, stage, frames)))
    seen: list[torch.Tensor] = []
    for part in (trainer.network.experts[0].encoder.stem, trainer.network.decoder.to_full):
        part.register_forward_hook(lambda part, images, answer: seen.append(answer.detach()))
    loss = trainer.step(0, iter([batch])).item()
    assert [answer.dtype for answer in seen] == [dtype] * 2
    assert loss == pytest.approx(cross_entropy(seen[1].float(), batch[1]).item(), rel=1e-5)
    assert {p.dtype for p in trainer.network.parameters()} == {torch.float32}


def test_a_compiled_stage_learns_the_same_and_leaves_the_same_file(
        training: Training, frames: InMemory, tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch) -> None:
    """With all of torch.compile but the compiler at its end, which takes a minute."""
    calls: list[int] = []

    def quickly(function: Callable[..., Any], compiler: Any = torch.compile) -> Callable[..., Any]:
        compiled = compiler(function, backend="aot_eager")
        return lambda *images: (calls.append(len(images)), compiled(*images))[1]

    monkeypatch.setattr(torch, "compile", quickly)
    stage = replace(training.stages[0], steps=2, dropout_keep=1.0)
    learners = [learner_of(replace(training, compile=compiled), stage)
                for compiled in (False, True)]
    start = copy.deepcopy(learners[0].network.state_dict())
    eager, compiled = (ended(trainer, frames, tmp_path / str(trainer.training.compile))
                       for trainer in learners)
    assert calls == [1, 1]  # both steps, with an expert's one image
    assert compiled.keys() == eager.keys()
    assert distance(compiled, eager) < 0.01 * distance(start, eager)


def ended(trainer: Trainer, frames: InMemory, output: Path) -> dict[str, torch.Tensor]:
    """The weights in the file that the stage leaves."""
    train_stage(trainer, frames, frames, output)
    return checkpoint.load(output / f"{trainer.stage.name}.safetensors")[0].state_dict()


def distance(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    """Euclidean, over all that is learnt."""
    return sum((one[name] - other[name]).square().sum().item() for name in one
               if "running" not in name and "num_batches" not in name) ** 0.5


# Those of ATen's vml.h, which MKL computes by a kernel of its own each.
MKL_HAS = {"acos", "asin", "atan", "cos", "erf", "erfc", "erfinv", "exp", "expm1", "log", "log10",
           "log1p", "log2", "sin", "sqrt", "tan", "tanh"}


class Called(TorchDispatchMode):
    """Which of them run, and on how many numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: dict[str, set[int]] = {}

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None
                           ) -> Any:
        name = function.overloadpacket.__name__.rstrip("_").removeprefix("_foreach_")
        if name in MKL_HAS:
            self.sizes.setdefault(name, set()).add(
                args[0].numel() if isinstance(args[0], torch.Tensor) else -1)
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("stage", range(3))
def test_what_a_step_leaves_to_mkl_was_called_by_one_thread_before(
        training: Training, frames: InMemory, stage: int) -> None:
    """Else several threads call it first, and now and then one of them computes far less exactly:
    pytorch's issue 188792. It cannot be brought about at will."""
    with Called() as before:
        make_deterministic(CPU)
    assert all(sizes == {1} for sizes in before.sizes.values())
    trainer = learner_of(training, training.stages[stage])
    with Called() as called:
        trainer.step(0, iter(loader(training, training.stages[stage], frames)))
    assert "log" in called.sizes and called.sizes.keys() <= before.sizes.keys()

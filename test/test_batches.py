"""A batch depends only on seed and step: not on workers, processes or parts."""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import small_run, write_configuration

from ssma_core import Modality, SsmaError
from ssma_core.datasets.frames import Image, InMemory, check, preload
from ssma_core.training.batches import (
    VALIDATION_BATCH,
    Batch,
    ValidationBatches,
    batch_indices,
    image_tensor,
    loader,
    prefetch,
)
from ssma_core.training.stages import Training, read_training


@pytest.fixture(scope="module")
def training(easy_frames: Path, tmp_path_factory: pytest.TempPathFactory) -> Training:
    values = small_run(easy_frames)
    for stage in values["stages"]:
        stage.update(steps=6, batch_size=4)
    return read_training(write_configuration(tmp_path_factory.mktemp("batches"), values))


@pytest.fixture(scope="module")
def frames(training: Training) -> InMemory:
    return preload(training.data.train.samples(), training.model, "reading")


def equal(one: Batch, other: Batch) -> bool:
    return all(torch.equal(a, b) for a, b in zip([*one[0], one[1]], [*other[0], other[1]]))


def test_a_batch_is_what_the_stage_takes(training: Training, frames: InMemory) -> None:
    depth, fusion = training.stages[1], training.stages[2]
    images, label = next(loader(training, fusion, frames))
    assert [image.shape for image in images] == [(4, 48, 64, 3)] * 2
    assert label.shape == (4, 48, 64) and label.dtype == torch.uint8
    (image,), _ = next(loader(training, depth, frames))
    assert torch.equal(image, images[1])  # the same step, the same changes
    assert len(list(loader(training, fusion, frames))) == fusion.steps


def test_workers_change_nothing(training: Training, frames: InMemory) -> None:
    stage = training.stages[2]
    alone = list(loader(training, stage, frames))
    helped = list(loader(replace(training, workers=2), stage, frames))
    assert all(equal(a, b) for a, b in zip(alone, helped, strict=True))


class Wrong:
    """Frames of which none can be read."""

    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> tuple[tuple[Image, ...], Image]:
        raise SsmaError("label/000001.png has the id 7")


@pytest.mark.parametrize("workers", [0, 2])
def test_a_wrong_file_is_reported_without_a_workers_traceback(
        training: Training, workers: int) -> None:
    stage = training.stages[2]
    with pytest.raises(SsmaError) as caught:
        next(loader(replace(training, workers=workers), stage, Wrong()))
    assert str(caught.value) == "label/000001.png has the id 7"
    with pytest.raises(SsmaError) as caught:
        next(prefetch(ValidationBatches(training, stage, Wrong(), 0, 1), [0], workers))
    assert str(caught.value) == "label/000001.png has the id 7"


@pytest.mark.parametrize("world", [1, 2, 3])
def test_every_validation_frame_is_used_once_and_unchanged(
        training: Training, frames: InMemory, world: int) -> None:
    many = InMemory(tuple(np.concatenate([images] * 3) for images in frames.images),
                    np.concatenate([frames.labels] * 3))
    depth = training.stages[1]
    shares = [ValidationBatches(training, depth, many, rank, world) for rank in range(world)]
    batches = [batch for share in shares for batch in prefetch(share, range(len(share)), 0)]
    assert max(len(label) for _, label in batches) <= VALIDATION_BATCH
    shown = np.concatenate([images[0] for images, _ in batches])
    assert all(len(images) == 1 for images, _ in batches)
    assert sorted(map(bytes, shown)) == sorted(map(bytes, many.images[1]))
    labels = np.concatenate([label for _, label in batches])
    assert sorted(map(bytes, labels)) == sorted(map(bytes, many.labels))


def test_a_run_resumes_where_it_stopped(training: Training, frames: InMemory) -> None:
    stage = training.stages[0]
    whole, rest = (list(loader(training, stage, frames, first_step=first)) for first in (0, 4))
    assert all(equal(a, b) for a, b in zip(whole[4:], rest, strict=True))


@pytest.mark.parametrize(("world", "parts"), [(2, 1), (1, 2), (2, 2)])
def test_processes_and_parts_share_out_the_same_batch(
        training: Training, frames: InMemory, world: int, parts: int) -> None:
    stage = training.stages[2]
    whole = list(loader(training, stage, frames))
    cut = replace(stage, accumulate=parts)
    shares = [list(loader(training, cut, frames, rank=rank, world=world)) for rank in range(world)]
    for step, (images, label) in enumerate(whole):
        pieces = [shares[rank][step * parts + part] for part in range(parts)
                  for rank in range(world)]
        assert torch.equal(torch.cat([piece[1] for piece in pieces]), label)
        assert torch.equal(torch.cat([piece[0][0] for piece in pieces]), images[0])


def test_a_batch_that_cannot_be_shared_out_is_refused(training: Training, frames: InMemory) -> None:
    with pytest.raises(SsmaError, match=r"stage expert_rgb: a batch of 4 cannot be divided .* 3"):
        loader(training, training.stages[0], frames, world=3)


def test_another_seed_makes_other_batches(training: Training, frames: InMemory) -> None:
    stage = training.stages[0]
    one, other = (next(iter(loader(replace(training, seed=s), stage, frames))) for s in (0, 1))
    assert not equal(one, other)


def test_read_on_demand_is_the_same_as_from_memory(training: Training, frames: InMemory) -> None:
    stage = training.stages[2]
    streamed = check(training.data.train.samples(), training.model, "checking")
    pairs = zip(loader(training, stage, streamed), loader(training, stage, frames), strict=True)
    assert all(equal(a, b) for a, b in pairs)


def test_light_changes_only_the_colour_image(training: Training) -> None:
    """Not a second modality that comes as an image, such as HHA or an index in jet colours: of one
    value, it keeps that, in its own expert's stage as in the fusion's; beyond its edge is black."""
    rgb, _ = training.model.modalities
    model = replace(training.model, modalities=(rgb, Modality("evi", "image")))
    lit = replace(training.augmentation, probability=1.0, brightness=100, contrast=(0.5, 0.9))
    first, expert, fusion = training.stages
    expert = replace(expert, trains="evi")
    changed = replace(training, model=model, augmentation=lit, stages=(first, expert, fusion))
    grey = np.full((6, 48, 64, 3), 77, np.uint8)
    frames = InMemory((grey, grey), np.ones((6, 48, 64), np.uint8))
    for stage in (expert, fusion):
        images, _ = next(iter(loader(changed, stage, frames)))
        assert images[-1].unique().tolist() in ([77], [0, 77])
    assert (images[0] != images[1]).any()  # the light of the colour image changes


def test_modality_dropout_blanks_one_image_of_its_share_of_the_frames(
        training: Training, frames: InMemory) -> None:
    stage = replace(training.stages[2], steps=100, modality_dropout=0.5)
    black = torch.cat([torch.stack([image.flatten(1).amax(1) == 0 for image in images], 1)
                       for images, _ in loader(training, stage, frames)])
    assert not black.all(1).any()  # never both
    first, second = black.float().mean(0).tolist()
    assert 0.18 < first < 0.32 and 0.18 < second < 0.32  # a half of a half, four deviations
    kept = replace(stage, modality_dropout=0.0)
    assert not any((image.flatten(1).amax(1) == 0).any()
                   for images, _ in loader(training, kept, frames) for image in images)


def test_every_frame_is_seen_once_before_any_is_seen_again() -> None:
    stream = [i for step in range(10) for i in batch_indices(7, 4, step, seed=3)]
    assert sorted(stream[:7]) == sorted(stream[7:14]) == list(range(7))
    assert stream[:7] != stream[7:14]


def test_images_reach_the_network_channels_first() -> None:
    images = torch.arange(2 * 4 * 6 * 3, dtype=torch.uint8).reshape(2, 4, 6, 3)
    tensor = image_tensor(images, torch.device("cpu"))
    assert tensor.shape == (2, 3, 4, 6) and tensor.dtype == torch.float32
    assert tensor[1, 2, 3, 5] == images[1, 3, 5, 2]
    assert tensor.is_contiguous(memory_format=torch.channels_last)


def batches_of_white(training: Training, **dropout: float) -> Iterator[Batch]:
    """A hundred of four frames that nothing else changes, all of one class."""
    white = InMemory((np.full((6, 48, 64, 3), 255, np.uint8),) * 2, np.ones((6, 48, 64), np.uint8))
    still = replace(training.augmentation, probability=0.0)
    stage = replace(training.stages[2], **dropout, steps=100, batch_size=4)
    return loader(replace(training, augmentation=still), stage, white)


def test_region_dropout_blackens_a_rectangle_of_one_image_in_its_share_of_the_frames(
        training: Training) -> None:
    shares = []
    for images, label in batches_of_white(training, region_dropout=0.5):
        assert (label == 1).all()
        for frame in zip(*images):
            black = [(image == 0).all(-1) for image in frame]
            dark = [part for part in black if part.any()]
            assert len(dark) <= 1
            shares.append(float(dark[0].float().mean()) if dark else 0.0)
            if dark:
                rows, columns = dark[0].any(1), dark[0].any(0)
                assert torch.equal(dark[0], rows[:, None] & columns[None])  # a rectangle
                assert rows.sum() >= 0.2 * 48 - 1 and columns.sum() >= 0.2 * 64 - 1
    assert np.mean(np.array(shares) > 0) == pytest.approx(0.5, abs=0.08)
    assert max(shares) > 0.6 and min(share for share in shares if share) < 0.15


def test_row_dropout_leaves_rows_of_the_second_image_in_its_share_of_the_frames(
        training: Training) -> None:
    steps = []
    for (colour, second), label in batches_of_white(training, row_dropout=0.5):
        assert (label == 1).all() and (colour == 255).all()
        for image in second:
            seen = (image == 255).all(-1)
            assert torch.equal(seen, seen[:, :1].expand_as(seen))  # whole rows
            places = torch.nonzero(seen[:, 0])[:, 0].tolist()
            apart = {b - a for a, b in pairwise(places)}
            assert len(apart) == 1
            steps.append(apart.pop())
    assert np.mean(np.array(steps) > 1) == pytest.approx(0.5, abs=0.08)
    assert set(steps) == set(range(1, 17))

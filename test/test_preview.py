"""`train.py --augmented` shows what a stage is going to see."""
from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import small_run, write_configuration

from ssma_core import SsmaError
from ssma_core.datasets.frames import preload
from ssma_core.training import preview
from ssma_core.training.stages import Training, read_training

Row = list[Any]


@pytest.fixture(scope="module")
def training(easy_frames: Path, tmp_path_factory: pytest.TempPathFactory) -> Training:
    values = small_run(easy_frames)
    alone = {"name": "alone", "trains": "alone", "start": ["fusion", "expert_rgb", "expert_depth"],
             "steps": 2, "batch_size": 2, "learning_rate": 0.001, "dropout_keep": 1.0}
    values["stages"][2]["modality_dropout"] = 1.0
    values["stages"].append(alone)
    return read_training(write_configuration(tmp_path_factory.mktemp("preview"), values))


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[Row]:
    """The rows of pictures on the sheet."""
    rows: list[Row] = []

    def sheet(given: list[Row], titles: list[str]) -> np.ndarray:
        assert all(len(row) == len(titles) for row in given)
        rows.extend(given)
        return np.zeros((9, 9, 3), np.uint8)

    monkeypatch.setattr(preview, "contact_sheet", sheet)
    return rows


def unchanged(training: Training) -> Training:
    return replace(training, augmentation=replace(training.augmentation, probability=0.0))


def test_the_fusions_frames_with_its_modality_dropout(
        training: Training, shown: list[Row], tmp_path: Path) -> None:
    preview.write_preview(training, tmp_path / "frames.png")
    assert len(shown) == 2
    for rgb, depth, _ in shown:
        assert rgb.any() != depth.any(), "one of the two is black"


def test_another_stage_by_its_name(training: Training, shown: list[Row], tmp_path: Path) -> None:
    preview.write_preview(unchanged(training), tmp_path / "frames.png", "expert_depth")
    frames = preload(training.data.train.samples(), training.model, "reading")
    assert all(any(np.array_equal(depth, known) for known in frames.images[1])
               for depth, _ in shown)


def test_what_augmentation_makes_of_them(
        training: Training, shown: list[Row], tmp_path: Path) -> None:
    for each in (unchanged(training), training):
        preview.write_preview(each, tmp_path / "frames.png", "expert_rgb")
    (as_it_is, _), (changed, _) = shown[0], shown[2]
    assert not np.array_equal(as_it_is, changed)


def test_a_stage_that_is_not_there_is_named(training: Training, tmp_path: Path) -> None:
    with pytest.raises(SsmaError, match="no stage 'nosuch'"):
        preview.write_preview(training, tmp_path / "frames.png", "nosuch")
    assert not list(tmp_path.iterdir())

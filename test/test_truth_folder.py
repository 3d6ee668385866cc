"""True labels of a bag as pictures in a folder: each belongs to the image whose stamp it is named
by, and what belongs to none, or is no label of it, is reported with its file."""
from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from conftest import TINY_SPEC
from hypothesis import given
from hypothesis import strategies as st
from test_evaluate_bag import AUX, FRAMES, LABEL, PERIOD, RGB, START, pictures, recording

from ssma_core import BagSource, Modality, ModelSpec, SsmaError, in_words
from ssma_core.bags import rosbag2
from ssma_core.datasets.masks import Masks, masks_of
from ssma_core.evaluation import of_bag
from ssma_core.evaluation.of_bag import score
from ssma_core.evaluation.results import Result
from ssma_core.segmenter import Segmentation
from ssma_core.spec import grouped
from ssma_ros.replay.evaluate_bag import main

MS = 10**6
SPEC = ModelSpec("ssma", "tiny", ("void", "a", "b"), ((0, 0, 0),) * 3,
                 (Modality("rgb", "image"), Modality("depth", "jet", 9000.0)), (16, 16))
IMAGES = [START + i * PERIOD for i in range(4)]


def write(folder: Path, labels: dict[int, np.ndarray], suffix: str = ".png") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for stamp_ns, label in labels.items():
        cv2.imwrite(str(folder / f"{stamp_ns}{suffix}"), label)
    return folder


def numbered(*stamps_ns: int) -> dict[int, np.ndarray]:
    """Masks that hold their place."""
    return {stamp: np.full((2, 3), i, np.uint8) for i, stamp in enumerate(stamps_ns)}


def found(folder: Path, slop: float = 0.02, **options: object) -> list[int | None]:
    """The number in the mask of each image."""
    masks = Masks(masks_of("drive.mcap", folder), IMAGES, slop, **options)  # type: ignore[arg-type]
    truths = [masks.near(stamp, stamp) for stamp in IMAGES]
    return [None if truth is None else int(truth.labels[0, 0]) for truth in truths]


# Which mask belongs to which image

def test_a_mask_belongs_to_the_image_of_its_stamp_or_the_nearest_within_the_slop(
        tmp_path: Path) -> None:
    write(tmp_path, numbered(IMAGES[0], IMAGES[2] - 15 * MS, IMAGES[3] + 25 * MS))
    assert found(tmp_path) == [0, None, 1, None]


@given(images=st.sets(st.integers(0, 300), min_size=1, max_size=12),
       masks=st.sets(st.integers(0, 300), min_size=1, max_size=12), slop=st.integers(0, 20))
def test_whatever_the_stamps_each_mask_is_of_the_nearest_image_or_of_none(
        images: set[int], masks: set[int], slop: int) -> None:
    expected: dict[int, list[int]] = {}
    for mask in masks:
        nearest = min(sorted(images), key=lambda image: abs(image - mask))
        if abs(nearest - mask) <= slop:
            expected.setdefault(nearest, []).append(mask)

    def make() -> Masks:
        return Masks({mask: Path(f"{mask}.png") for mask in masks}, list(images), slop / 1e9)

    if not expected or any(len(each) > 1 for each in expected.values()):
        with pytest.raises(SsmaError):
            make()
    else:
        assert make()._of_image == {image: Path(f"{mask}.png")
                                    for image, (mask,) in expected.items()}


@pytest.mark.parametrize("inside", ["drive/label", "label", "."])
def test_the_folder_is_the_datas_the_drives_or_the_masks_own(tmp_path: Path, inside: str) -> None:
    write(tmp_path / inside, numbered(*IMAGES))
    (tmp_path / "frames.csv").touch()
    (tmp_path / "sheet.png").touch()
    assert found(tmp_path) == [0, 1, 2, 3]


def test_the_drives_own_masks_are_taken_where_there_are_others_too(tmp_path: Path) -> None:
    write(tmp_path / "other" / "label", numbered(*IMAGES))
    write(tmp_path / "drive" / "label", numbered(IMAGES[3]))
    assert found(tmp_path) == [None, None, None, 0]


def test_a_bags_name_is_its_folders_or_its_files_without_the_suffix(tmp_path: Path) -> None:
    (tmp_path / "run.2").mkdir()
    assert rosbag2.drive_name(tmp_path / "run.2") == "run.2"
    assert rosbag2.drive_name(f"{tmp_path / 'run.2'}/") == "run.2"
    assert rosbag2.drive_name(tmp_path / "run.2.mcap") == "run.2"


def test_how_many_masks_ended_how_is_known(tmp_path: Path) -> None:
    write(tmp_path, numbered(*IMAGES[:3], IMAGES[3] + 50 * MS))
    masks = Masks(masks_of("drive", tmp_path), IMAGES, 0.02)
    for stamp in (*IMAGES[:2], IMAGES[3]):  # the third found no partner
        masks.near(stamp, stamp)
    assert masks.ends() == {"scored": 2, "unpaired": 1, "unmatched": 1}


# What is wrong

@pytest.mark.parametrize(("make", "says"), [
    (lambda folder: write(folder / "label", numbered(START + 10**9, START + 2 * 10**9)),
     f"none of the 2 masks in .*label has the stamp of one of the 4 colour images; the nearest is "
     f"{START + 10**9}.png, 0.7 s from one"),
    (lambda folder: write(folder, numbered(0, 1)), "none of the 2 masks"),
    (lambda folder: write(write(folder, numbered(*IMAGES)), numbered(IMAGES[1]), ".tiff"),
     rf"{IMAGES[1]}.png and .*{IMAGES[1]}.tiff are masks of one image"),
    (lambda folder: write(folder, numbered(IMAGES[1], IMAGES[1] + MS)),
     rf"{IMAGES[1]}.png and .*{IMAGES[1] + MS}.png are masks of one image, stamped {IMAGES[1]}"),
    (lambda folder: (folder / "frame_000001.png").touch(), "there are no masks of drive.mcap: none "
     r"of .*drive/label, .*label, .* has pictures whose names are stamps"),
    (lambda folder: None, "there are no masks of drive.mcap"),
], ids=["another bag's", "not stamps", "two files of one stamp", "two near one image",
        "other names", "nothing"])
def test_masks_that_fit_no_image_or_one_image_twice_are_named(
        tmp_path: Path, make: Callable[[Path], object], says: str) -> None:
    make(tmp_path)
    with pytest.raises(SsmaError, match=says):
        found(tmp_path)


@pytest.mark.parametrize(("label", "suffix", "says"), [
    (np.zeros((4, 6), np.uint8), ".png", "differ in size"),
    (np.full((2, 3), 3, np.uint8), ".png", "the id 3, but there are only 3 classes"),
    (np.zeros((2, 3, 3), np.uint8), ".png", "it has 3 channels"),
    (np.zeros((2, 3), np.uint8), ".jpg", "a JPEG changes the numbers"),
])
def test_a_mask_that_is_no_label_of_its_image_is_named(
        tmp_path: Path, label: np.ndarray, suffix: str, says: str) -> None:
    write(tmp_path, {IMAGES[0]: label}, suffix)
    masks = Masks(masks_of("drive", tmp_path), IMAGES, 0.02)
    with pytest.raises(SsmaError, match=rf"{IMAGES[0]}{suffix}.*{says}"):
        truth = masks.near(IMAGES[0], 0)
        assert truth is not None
        score(truth, np.zeros((2, 3), np.uint8), grouped(SPEC, {}))


def test_ids_that_mean_not_labelled_are_void(tmp_path: Path) -> None:
    write(tmp_path, {IMAGES[0]: np.full((2, 3), 255, np.uint8)})
    assert found(tmp_path, ignore=(255,), void_id=2)[0] == 2


# evaluate_bag

@pytest.fixture
def bag(tmp_path: Path) -> Path:
    rosbag2.write(tmp_path / "drive", recording())
    return tmp_path / "drive"


def evaluate(bag: Path, model: Path, *more: str) -> int:
    return main([str(bag), "--model", str(model), "--rgb", RGB, "--aux", AUX, *more])


def test_masks_give_the_figures_of_the_topic_that_has_the_same_labels(
        bag: Path, tiny_model_safetensors: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = {START + i * PERIOD: pictures(i)[2] for i in range(FRAMES)}
    write(bag.parent / "data" / "drive" / "label", labels | {START - 10**9: pictures(0)[2]})
    results = []
    for truth in (("--label", LABEL), ("--truth", str(bag.parent / "data"))):
        path = bag.parent / f"{truth[0]}.json"
        assert evaluate(bag, tiny_model_safetensors, *truth, "--json", str(path)) == 0
        results.append(json.loads(path.read_text()))
    topic, masks = (result["figures"] for result in results)
    assert masks["counts"] == topic["counts"] and masks["scored"] == FRAMES
    assert masks["frames"]["truth"] == {"scored": FRAMES, "unmatched": 1}
    assert results[1]["settings"]["truth"] == str(bag.parent / "data")
    assert "label" not in results[1]["settings"] and "truth" not in results[0]["settings"]
    told = capsys.readouterr().out
    assert f"truth    {FRAMES} scored, 1 unmatched\n" in told and "another drive" not in told


def test_masks_of_another_drive_are_told_with_their_counts(bag: Path) -> None:
    """One fits by chance; then none does; then one of an image that has no partner."""
    model: Any = SimpleNamespace(
        spec=TINY_SPEC, grouped=grouped(TINY_SPEC, {}), registered=lambda rgb, aux: aux,
        segment=lambda rgb, aux: Segmentation(np.zeros(rgb.shape[:2], np.uint8)))
    strange = numbered(*(START - i * 10**9 for i in range(1, FRAMES + 2)))
    folder = write(bag.parent / "other", strange | {START: pictures(0)[2]})
    source = BagSource(rgb=RGB, aux=AUX, truth=str(folder))
    drive = of_bag.evaluate(str(bag), source, model, lambda: None).drive
    assert (f"truth    1 scored, {len(strange)} unmatched\n         {len(strange)} of "
            f"{len(strange) + 1} masks are of no image of {bag}: are they another drive's?\n"
            ) in in_words(Result("m", TINY_SPEC, source, (), (drive,)))
    (folder / f"{START}.png").unlink()
    with pytest.raises(SsmaError, match=rf"{bag}: none of the {len(strange)} masks in {folder} has "
                       rf"the stamp of one of the {FRAMES} colour images.*: are they another"):
        of_bag.evaluate(str(bag), source, model, lambda: None)
    lonely = START + FRAMES * PERIOD
    write(folder, numbered(lonely))
    rosbag2.write(bag.parent / "more", [
        *recording(), rosbag2.image(RGB, lonely, lonely, pictures(0)[0], "bgr8")])
    with pytest.raises(SsmaError, match=rf"has a label in {folder} \(1 unpaired, {len(strange)} "
                       r"unmatched\) within"):
        of_bag.evaluate(str(bag.parent / "more"), source, model, lambda: None)


def test_a_folder_without_masks_is_reported_before_the_work(
        bag: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate(bag, bag / "no_model.onnx", "--truth", str(bag.parent)) == 1
    assert f"there are no masks of {bag}: none of " in capsys.readouterr().err


def test_truth_is_on_a_topic_or_in_a_folder(capsys: pytest.CaptureFixture[str]) -> None:
    for options, says in (((), "give --label or --truth"),
                          (("--label", "l", "--truth", "t"), "not allowed with argument")):
        with pytest.raises(SystemExit):
            evaluate(Path("drive"), Path("m"), *options)
        assert says in capsys.readouterr().err

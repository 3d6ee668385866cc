"""Folders of pictures as a data set: partners found by name, faults named by file."""
import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from ssma_core import SsmaError
from ssma_core.datasets.folders import Folders
from ssma_core.datasets.frames import preload

RGB = np.full((40, 60, 3), 90, np.uint8)
DEPTH = np.full((40, 60), 3000, np.uint16)
LABEL = np.ones((40, 60), np.uint8)


def write(path: Path, picture: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), picture)


@pytest.fixture
def root(tmp_path):
    """Two drives of two frames."""
    for drive in ("drive_000", "drive_001"):
        for frame in ("000000", "000001"):
            write(tmp_path / drive / "rgb" / f"{frame}.jpg", RGB)
            write(tmp_path / drive / "depth" / f"{frame}.png", DEPTH)
            write(tmp_path / drive / "label" / f"{frame}.png", LABEL)
    return tmp_path


def found(root, rgb="drive_*/rgb/*", aux="depth", label="label"):
    return Folders(str(root), rgb, aux, label).samples()


def test_partners_have_the_same_stem_in_the_neighbouring_folders(root):
    frames = found(root)
    assert [(f.drive, f.rgb.name, f.aux.name) for f in frames] == [
        (drive, f"00000{i}.jpg", f"00000{i}.png")
        for drive in ("drive_000", "drive_001") for i in (0, 1)]
    assert frames[3].label == root / "drive_001" / "label" / "000001.png"


def test_the_drive_s_file_says_each_frame_s_weather(root):
    weather = {"weather": ["glare", "fog"]}
    (root / "drive_001" / "drive.json").write_text(json.dumps(weather))
    write(root / "drive_001" / "rgb" / "000002.jpg", RGB)
    for folder in ("depth", "label"):
        write(root / "drive_001" / folder / "000002.png", LABEL)
    assert [f.condition for f in found(root)] == [None, None, "glare", "fog", None]


@pytest.mark.parametrize("text", ["", "[]", "3", "{}", '{"weather": "fog"}', '{"weather": 3}'])
def test_another_file_of_that_name_says_no_weather(root, text):
    (root / "drive_001" / "drive.json").write_text(text)
    assert [f.condition for f in found(root)] == [None] * 4


def test_hidden_files_are_no_frames(root):
    (root / "drive_000" / "rgb" / ".000002.jpg").write_bytes(b"")
    assert len(found(root)) == 4


def test_nothing_found_names_pattern_and_place(root):
    with pytest.raises(SsmaError, match=rf"no file matches 'left/\*' below {root}"):
        found(root, "left/*")


@pytest.mark.parametrize("pattern", ["*", "", "/rgb/*"])
def test_a_pattern_without_a_folder_is_refused(root, pattern):
    with pytest.raises(SsmaError, match=f"'rgb/\\*', got '{re.escape(pattern)}'"):
        found(root, pattern)


def test_a_missing_folder_is_named(root):
    with pytest.raises(SsmaError, match=f"no folder {root / 'drive_000' / 'nir'}"):
        found(root, aux="nir")


def test_a_missing_partner_is_named(root):
    (root / "drive_001" / "depth" / "000001.png").unlink()
    with pytest.raises(SsmaError, match=r"drive_001/rgb/000001.jpg has no partner.*depth/000001"):
        found(root)


def test_frames_without_a_label_are_left_out_and_counted(root):
    """One of the first drive's, and all of a drive that has no labels yet."""
    assert Folders(str(root), "drive_*/rgb/*", "depth", "label").without_label() == 0
    (root / "drive_000" / "label" / "000000.png").unlink()
    write(root / "drive_002" / "rgb" / "000000.jpg", RGB)
    source = Folders(str(root), "drive_*/rgb/*", "depth", "label")
    assert [(f.drive, f.rgb.stem) for f in source.samples()] == [
        ("drive_000", "000001"), ("drive_001", "000000"), ("drive_001", "000001")]
    assert source.without_label() == 2


def test_folds_are_of_the_labelled_frames(root):
    (root / "drive_000" / "label" / "000000.png").unlink()
    source = Folders(str(root), "drive_*/rgb/*", "depth", "label", folds=3, take=(0,))
    assert [f.rgb.stem for f in source.samples()] == ["000001"]


def test_a_set_without_any_label_is_none(root):
    with pytest.raises(SsmaError, match=rf"none of the 4 frames 'drive_\*/rgb/\*' below {root} has "
                                        rf"a label: .* in {root}/drive_000/labels"):
        found(root, label="labels")


def test_two_partners_are_one_too_many(root):
    write(root / "drive_000" / "label" / "000001.bmp", LABEL)
    with pytest.raises(SsmaError, match=r"label/000001.bmp and .*label/000001.png"):
        found(root)


@pytest.mark.parametrize(("folder", "picture", "complaint"), [
    ("depth", DEPTH[:, :50], r"depth/000001.png is 50x40, but .*rgb/000001.jpg is 60x40"),
    ("label", LABEL[:30], r"label/000001.png is 60x30"),
    ("label", LABEL * 6, r"label/000001.png has the id 6.*0 to 5"),
    ("label", np.dstack([LABEL] * 3), r"label/000001.png is no label image"),
    ("label", np.full_like(LABEL, 300, np.uint16), r"label/000001.png has the id 300"),
    ("depth", LABEL, r"rgb/000001.jpg: the depth image is .* of uint8"),
    ("depth", np.dstack([LABEL] * 4), r"rgb/000001.jpg: the depth image must be HxW"),
])
def test_a_wrong_picture_is_named_before_training_starts(root, tiny_spec, folder, picture,
                                                         complaint):
    write(root / "drive_001" / folder / "000001.png", picture)
    with pytest.raises(SsmaError, match=f"drive_001/{complaint}"):
        preload(found(root), tiny_spec, "reading")


def test_a_picture_cut_short_is_named(root, tiny_spec):
    path = root / "drive_000" / "rgb" / "000001.jpg"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(SsmaError, match=r"drive_000/rgb/000001.jpg"):
        preload(found(root), tiny_spec, "reading")


def test_the_cache_holds_every_frame_as_the_network_sees_it(root, tiny_spec):
    write(root / "drive_001" / "label" / "000000.png", LABEL * 4)
    cache = preload(found(root), tiny_spec, "reading")
    assert [images.shape for images in cache.images] == [(4, 192, 384, 3)] * 2
    np.testing.assert_array_equal(cache.labels[:, 0, 0], [1, 1, 4, 1])
    assert abs(int(cache.images[0][0, 96, 192, 1]) - 90) <= 2
    assert (cache.images[1] == cache.images[1][0, 0, 0]).all()
    assert cache.images[1][0, 0, 0].any(), "a valid depth has a colour"

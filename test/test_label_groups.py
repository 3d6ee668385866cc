"""Classes joined to groups: the same groups in training, in evaluation and in the node."""
from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml
from conftest import TINY_SPEC, save_untrained, small_run, write_configuration

from ssma_core import Segmenter, SsmaError, colourize
from ssma_core.datasets.sources import Folders
from ssma_core.evaluation.inference import Options
from ssma_core.evaluation.of_data_set import Evaluation
from ssma_core.spec import LabelGroups, grouped, grouped_by_file
from ssma_core.training.stages import read_training
from ssma_ros.node.parameters import Parameters

# void, trail, grass, vegetation, sky, obstacle
GROUPS: LabelGroups = {"drivable": ("grass", "trail"), "obstacle": ("vegetation", "obstacle")}
IDS = (0, 1, 1, 2, 3, 2)


@pytest.fixture(scope="module")
def groups_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("groups") / "groups.yaml"
    path.write_text("drivable: [grass, trail]\nobstacle: [vegetation, obstacle]\n")
    return path


# What groups are

def test_groups_come_in_the_order_of_their_first_classes_with_the_colour_they_name_first() -> None:
    spec, ids = grouped(TINY_SPEC, GROUPS)
    colours = dict(zip(TINY_SPEC.class_names, TINY_SPEC.class_colours))
    assert spec.class_names == ("void", "drivable", "obstacle", "sky")
    assert ids == IDS
    assert spec.class_colours == tuple(
        colours[name] for name in ("void", "grass", "vegetation", "sky"))
    assert replace(spec, class_names=TINY_SPEC.class_names, class_colours=TINY_SPEC.class_colours
                   ) == TINY_SPEC


@pytest.mark.parametrize(("groups", "names", "ids"), [
    ({}, TINY_SPEC.class_names, (0, 1, 2, 3, 4, 5)),
    ({"trail": ("grass",)}, ("void", "trail", "vegetation", "sky", "obstacle"),
     (0, 1, 1, 2, 3, 4)),  # a group of a class's name takes it in
    ({"void": ("sky", "vegetation")}, ("void", "trail", "grass", "obstacle"), (0, 1, 2, 0, 0, 3)),
    ({"trail": ("grass",), "grass": ("trail",)},
     ("void", "grass", "trail", "vegetation", "sky", "obstacle"), (0, 1, 2, 3, 4, 5)),
])
def test_classes_that_no_group_names_keep_themselves(
        groups: LabelGroups, names: tuple[str, ...], ids: tuple[int, ...]) -> None:
    spec, found = grouped(TINY_SPEC, groups)
    assert (spec.class_names, found) == (names, ids)


def test_void_is_found_wherever_it_stands() -> None:
    last = replace(TINY_SPEC, void_id=4, class_names=("a", "b", "c", "d", "none", "e"))
    found = grouped(last, {"all": ("a", "b", "c"), "none": ("e",)})
    assert found.ids == (0, 0, 0, 1, 2, 2)
    assert found.spec.void_id == 2 and found.void_id == 4


@pytest.mark.parametrize(("groups", "says"), [
    ({"drivable": ["gras"]}, "the group 'drivable' joins 'gras', which is none of void, trail"),
    ({"a": ["trail"], "b": ["grass", "trail"]}, "name the class 'trail' twice"),
    ({"a": ["trail", "trail"]}, "name the class 'trail' twice"),
    ({"a": []}, "joins one class at least, got 'a'"),
    ({1: ["trail"]}, "a group has a name and joins one class at least, got 1"),
    ({"a": ["void", "trail"]}, "'void' means 'no label' and joins no group of another name"),
    ({"void": ["trail", "grass", "vegetation", "sky", "obstacle"]}, "leave no class but void"),
    ({}, "it names no group"),
    ({"a": "trail"}, r"\.a must be a list, got 'trail'"),
    (["trail"], "must be a mapping"),
    (None, "must be a mapping"),
])
def test_groups_that_cannot_be_are_reported_with_their_file(
        tmp_path: Path, groups: Any, says: str) -> None:
    path = tmp_path / "groups.yaml"
    path.write_text(yaml.safe_dump(groups))
    with pytest.raises(SsmaError, match=rf"{path}.*{says}"):
        grouped_by_file(TINY_SPEC, path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SsmaError, match=r"cannot read .*none.yaml"):
        grouped_by_file(TINY_SPEC, tmp_path / "none.yaml")


# In training

def run(easy_frames: Path, tmp_path: Path, groups: Any, **data: Any) -> Path:
    """A configuration of labels void, ground, sky."""
    values = small_run(easy_frames)
    values["data"] |= {"label_groups": groups, **data}
    return write_configuration(tmp_path, values)


def test_labels_become_groups_when_they_are_read(easy_frames: Path, tmp_path: Path) -> None:
    training = read_training(run(easy_frames, tmp_path, {"all": ["ground", "sky"]}))
    assert training.model.class_names == ("void", "all")
    assert training.model.class_colours == ((0, 0, 0), (9, 9, 9))
    own = Folders(str(easy_frames), "drive_*/rgb/*", "depth", "label").samples()
    for sample, before in zip(training.samples("train"), own, strict=True):
        label = before.read(3)[2]
        assert set(np.unique(label)) == {0, 1, 2}
        np.testing.assert_array_equal(sample.read(2)[2], np.where(label == 0, 0, 1))
        assert (sample.name, sample.drive) == (before.name, before.drive)


def test_ids_that_are_ignored_are_void_in_groups_too(easy_frames: Path, tmp_path: Path) -> None:
    folders = small_run(easy_frames)["data"]["train"] | {"ignore": [2]}
    path = run(easy_frames, tmp_path, {"all": ["ground", "sky"]}, train=folders)
    own = Folders(str(easy_frames), "drive_*/rgb/*", "depth", "label").samples()
    for sample, before in zip(read_training(path).samples("train"), own, strict=True):
        np.testing.assert_array_equal(sample.read(2)[2], before.read(3)[2] == 1)


def test_a_configurations_wrong_groups_are_named_with_it(easy_frames: Path, tmp_path: Path) -> None:
    with pytest.raises(SsmaError, match=r"run.yaml: the group 'all' joins 'water'"):
        read_training(run(easy_frames, tmp_path, {"all": ["water"]}))


# In segmentation and evaluation

def test_a_segmenter_speaks_of_groups(tiny_model_safetensors: Path, groups_file: Path) -> None:
    random = np.random.default_rng(0)
    frame = (random.integers(0, 256, (96, 192, 3), np.uint8),
             random.integers(0, 20000, (96, 192), np.uint16))
    own = Segmenter(tiny_model_safetensors).segment(*frame, confidence=True, logits=True)
    segmenter = Segmenter(tiny_model_safetensors, label_groups=groups_file)
    found = segmenter.segment(*frame, confidence=True, logits=True)
    assert len(np.unique(own.labels)) > 2
    np.testing.assert_array_equal(found.labels, np.array(IDS)[own.labels])
    assert found.labels.dtype == np.uint8
    assert segmenter.spec == grouped(TINY_SPEC, GROUPS).spec
    assert colourize(found.labels, segmenter.spec).shape == (96, 192, 3)
    np.testing.assert_array_equal(found.confidence, own.confidence)
    assert found.logits is not None and found.logits.shape[2] == 6


@pytest.fixture(scope="module")
def three_classes(easy_frames: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model for the classes of the easy frames, untrained; its configuration lies beside it."""
    folder = tmp_path_factory.mktemp("three")
    path = write_configuration(folder, small_run(easy_frames))
    save_untrained(folder / "m.safetensors", replace(read_training(path).model,
                                                     input_size=(192, 96)))
    return folder / "m.safetensors"


def counts(model: Path, settings: tuple[str, ...] = (), groups: str | None = None
           ) -> tuple[Any, Any]:
    training = read_training(model.parent / "run.yaml", settings)
    evaluation = Evaluation(model, training.model, Options(label_groups=groups))
    frames = list(evaluation.frames(training.samples("validation")))
    return sum(each.confusion for each in frames), sum(each.boundaries for each in frames)


def test_the_confusion_of_groups_is_that_of_their_classes_summed(
        three_classes: Path, tmp_path: Path) -> None:
    """Whether the data are of the classes, or of the groups already. No boundary is left between
    two classes of one group."""
    (tmp_path / "groups.yaml").write_text("all: [ground, sky]")
    classes, between = counts(three_classes)
    assert np.count_nonzero(classes[1:, 1:]) == 4  # otherwise it would show little
    member = np.array([[1, 0], [0, 1], [0, 1]])
    by_file, boundaries = counts(three_classes, (), str(tmp_path / "groups.yaml"))
    np.testing.assert_array_equal(by_file, member.T @ classes @ member)
    assert between[:, 0].any() and not boundaries[:, 0].any()  # the true ones
    already, _ = counts(three_classes, ("data.label_groups={all: [ground, sky]}",),
                        str(tmp_path / "groups.yaml"))
    np.testing.assert_array_equal(already, by_file)


def test_a_configuration_of_other_groups_is_refused(three_classes: Path, tmp_path: Path) -> None:
    (tmp_path / "groups.yaml").write_text("all: [ground, sky]")
    with pytest.raises(SsmaError, match="knows the classes void, ground, sky, joined to void, all, "
                                        "the configuration has void, both"):
        counts(three_classes, ("data.label_groups={both: [ground, sky]}",),
               str(tmp_path / "groups.yaml"))


# In the node

def test_the_node_labels_and_explains_groups(
        tiny_model_safetensors: Path, groups_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without DDS: what it opens by its parameters, and what it then publishes of it."""
    pytest.importorskip("rclpy", reason="needs rclpy")
    from ssma_ros import distro
    from ssma_ros.node import messages, model

    monkeypatch.setattr(distro, "LabelInfo", SimpleNamespace)
    monkeypatch.setattr(distro, "VisionClass", SimpleNamespace)
    given = Parameters(model=str(tiny_model_safetensors), label_groups=str(groups_file))
    segmenter = model.load(given)
    info = messages.label_info(segmenter.spec, False, None)
    assert [(one.class_id, one.class_name) for one in info.class_map] == [
        (0, "void"), (1, "drivable"), (2, "obstacle"), (3, "sky")]
    summary = model.in_words("m.onnx", segmenter)
    assert "6 classes joined to void, drivable, obstacle, sky, runs on" in summary
    groups_file.with_name("wrong.yaml").write_text("drivable: [road]")
    with pytest.raises(SsmaError, match=r"wrong.yaml: the group 'drivable' joins 'road'"):
        model.load(replace(given, label_groups=str(groups_file.with_name("wrong.yaml"))))

"""Annotation tools: what they wrote is read pixel by pixel, what we write is what they read, and an
export that is not right changes nothing.

The files are written by hand in the layouts of the real tools. Masks, run lengths and bytes were
worked out by hand, or by pycocotools 2.0.11 and label_studio_sdk's brush.py, where it says so.
"""
from __future__ import annotations

import base64
import json
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ssma_core import SsmaError
from ssma_core.cli import main
from ssma_core.datasets.annotations import palette
from ssma_core.datasets.annotations.classes import Classes, read_classes
from ssma_core.datasets.annotations.importing import Imported, import_labels
from ssma_core.datasets.annotations.regions import brush, runs
from ssma_core.datasets.annotations.regions.polygons import as_points, fill, outlines, simplified

Label = npt.NDArray[np.uint8]
NAMES = ("void", "grass", "tall_tree", "sky")
COLOURS = ((0, 0, 0), (0, 255, 0), (1, 2, 3), (0, 120, 255))
CLASSES = Classes(NAMES, COLOURS)
WIDTH, HEIGHT = 6, 4
# Grass on the left, with a hole of void; a tree in the middle, one pixel of sky in it.
LABEL = np.array([[1, 1, 1, 0, 2, 2],
                  [1, 0, 1, 2, 2, 2],
                  [1, 1, 1, 2, 3, 2],
                  [0, 0, 0, 2, 2, 2]], np.uint8)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two drives with a frame of the same name, and one with another."""
    for name in ("a/rgb/000000.jpg", "b/rgb/000000.jpg", "b/rgb/17000.png"):
        path = tmp_path / "DATA" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    return tmp_path / "DATA"


def labels(data: Path) -> dict[str, Label]:
    return {path.relative_to(data).as_posix(): cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
            for path in data.rglob("label/*")}


def imported(data: Path, export: Path, classes: Classes = CLASSES) -> Imported:
    done = import_labels(export, data, classes)
    assert not list(data.glob(".*")), "nothing is left beside the labels"
    return done


def png(picture: npt.NDArray[Any]) -> bytes:
    return bytes(cv2.imencode(".png", picture)[1])


def shown(content: bytes) -> Label:
    """As any program shows the file, BGR."""
    return np.asarray(cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR), np.uint8)


def painted(label: Label, colours: tuple[tuple[int, int, int], ...] = COLOURS) -> Label:
    return np.array(colours, np.uint8)[label][..., ::-1]


def written(path: Path, values: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values))
    return path


# What the tools wrote

def cvat(path: Path, masks: dict[str, Label], labelmap: str) -> Path:
    """As CVAT exports "Segmentation mask 1.1", with "Save images"."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("labelmap.txt", "# label:color_rgb:parts:actions\n" + labelmap)
        archive.writestr("ImageSets/Segmentation/default.txt", "\n".join(masks))
        for name, mask in masks.items():
            archive.writestr(f"JPEGImages/{name}.png", png(np.full_like(mask, 9)))
            archive.writestr(f"SegmentationClass/{name}.png", png(mask))
            archive.writestr(f"SegmentationObject/{name}.png", png(mask[..., ::-1].copy()))
    return path


LABELMAP = "background:0,0,0::\nGrass:10,20,30::\ntall tree:40,50,60::\nsky:70,80,90::\n"
THEIRS = ((0, 0, 0), (10, 20, 30), (40, 50, 60), (70, 80, 90))


@pytest.mark.parametrize("is_unpacked", [False, True])
def test_cvat(data: Path, tmp_path: Path, is_unpacked: bool) -> None:
    """Colours are those of the tool's labelmap, and case, blanks and "_" do not matter."""
    path = cvat(tmp_path / "task.zip", {"b/000000": painted(LABEL, THEIRS)}, LABELMAP)
    if is_unpacked:
        zipfile.ZipFile(path).extractall(tmp_path / "task")
        path = tmp_path / "task"
    imported(data, path)
    np.testing.assert_equal(labels(data), {"b/label/000000.png": LABEL})


def coco(regions: list[dict[str, Any]], file_name: str = "b/rgb/17000.png") -> dict[str, Any]:
    return {"info": {"version": "1"}, "licenses": [],
            "categories": [{"id": 3, "name": "grass", "supercategory": ""},
                           {"id": 8, "name": "sky", "supercategory": ""}],
            "images": [{"id": 5, "width": WIDTH, "height": HEIGHT, "file_name": file_name,
                        "license": 0}],
            "annotations": [{"id": index, "image_id": 5, "iscrowd": 0, "area": 1, **each}
                            for index, each in enumerate(regions)]}


def test_coco_polygons_and_run_lengths_lie_upon_each_other_in_the_files_order(
        data: Path, tmp_path: Path) -> None:
    """A square of grass; upon it sky in the second and third column (two polygons of one region),
    and grass again in the last two pixels of the third. Columns are counted from the top."""
    path = written(tmp_path / "instances_default.json", coco([
        {"category_id": 3, "segmentation": [[0, 0, 4, 0, 4, 4, 0, 4]]},
        {"category_id": 8, "segmentation": [[1, 0, 2, 0, 2, 4, 1, 4], [2, 0, 3, 0, 3, 4, 2, 4]]},
        {"category_id": 3, "segmentation": {"size": [HEIGHT, WIDTH], "counts": [10, 2, 12]}}]))
    imported(data, path)
    np.testing.assert_array_equal(labels(data)["b/label/17000.png"], [
        [1, 3, 3, 1, 0, 0], [1, 3, 3, 1, 0, 0], [1, 3, 1, 1, 0, 0], [1, 3, 1, 1, 0, 0]])


@pytest.mark.parametrize(("text", "rows", "columns", "size", "hole"), [
    ("0550000000b1", slice(0, 5), slice(0, 5), (10, 10), None),
    ("c<R16000000000000000000_OKO51KO51KO51KO51KO51KO51KO51KO51KO51KO5b000000000000000000000000000000"
     "000000000]<", slice(3, 37), slice(10, 50), (60, 40), (20, slice(20, 30)))])
def test_coco_text_is_that_of_pycocotools(text: str, rows: slice, columns: slice,
                                          size: tuple[int, int], hole: Any) -> None:
    wanted = np.zeros(size[::-1], bool)
    wanted[rows, columns] = True
    if hole:
        wanted[hole] = False
    np.testing.assert_array_equal(runs.decoded(text, size), wanted)
    np.testing.assert_array_equal(runs.decoded(runs.encoded(wanted), size), wanted)


def test_a_triangle_has_the_pixels_that_pycocotools_gives_it() -> None:
    label = np.zeros((8, 8), np.uint8)
    fill(as_points([1.2, 1.1, 6.7, 1.4, 3.6, 6.6]), label, 1)
    np.testing.assert_array_equal(label[1:6, 1:7], [
        [1, 1, 1, 1, 1, 1], [0, 1, 1, 1, 1, 0], [0, 1, 1, 1, 0, 0], [0, 0, 1, 1, 0, 0],
        [0, 0, 1, 0, 0, 0]])
    assert label.sum() == 16


def task(results: list[dict[str, Any]], image: str = "/data/local-files/?d=DATA/b/rgb/000000.jpg",
         **more: Any) -> dict[str, Any]:
    return {"id": 7, "file_upload": None, "data": {"image": image}, "predictions": [],
            "annotations": [{"id": 1, "was_cancelled": False, "result": results, **more}]}


def region(kind: str, value: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": "x1", "type": kind, "from_name": "tag", "to_name": "image", "image_rotation": 0,
            "original_width": WIDTH, "original_height": HEIGHT, "value": value, **more}


def brushed(mask: Any, name: str, kind: str = "brushlabels") -> dict[str, Any]:
    return region(kind, {"format": "rle", "rle": brush.encoded(np.array(mask, bool)), kind: [name]})


# Of [[0, 1, 1], [0, 0, 1]], as label_studio_sdk packs it: white; of a colour; and with less than
# half of the last pixel covered, as by a brush with a smooth edge.
@pytest.mark.parametrize(("packed", "last"), [
    ([0, 0, 0, 24, 57, 27, 252, 96, 19, 255, 206, 1, 31, 248], True),
    ([0, 0, 0, 24, 57, 27, 252, 96, 0, 100, 0, 20, 0, 240, 31, 224, 100, 0, 20, 0, 240, 31, 243,
      128, 1, 144, 0, 80, 3, 192, 127, 128], True),
    ([0, 0, 0, 24, 57, 27, 252, 96, 0, 100, 0, 20, 0, 240, 31, 224, 100, 0, 20, 0, 240, 31, 243,
      128, 1, 144, 0, 80, 3, 192, 50, 0], False)])
def test_brush_strokes_are_those_of_label_studio(packed: list[int], last: bool) -> None:
    np.testing.assert_array_equal(brush.decoded(packed, (3, 2)), [[0, 1, 1], [0, 0, last]])


def test_our_brush_strokes_are_what_its_decoder_reads() -> None:
    """By hand: 4 values, 8 bits each, widths 3, 4, 8, 16; then a run (1) of the width 3 (11), 3 + 1
    values, 255; zeros fill the last byte."""
    bits = f"{4:032b}" f"{7:05b}" "0010" "0011" "0111" "1111" "1" "11" f"{3:016b}" f"{255:08b}"
    assert brush.encoded(np.array([[True]])) == list(int(bits, 2).to_bytes(10, "big"))


def test_label_studio(data: Path, tmp_path: Path) -> None:
    """Of one task a stroke of grass, and a polygon, in percent of the sides, upon it; a tag
    <Labels> makes two regions of one. An annotation that was skipped does not count, and neither
    does what was said of the whole picture. An upload's name begins with a number."""
    stroke = brushed(LABEL == 1, "Grass")
    polygon = {"points": [[0, 0], [50, 0], [50, 25], [0, 25]], "closed": True}
    said = {"type": "choices", "value": {"choices": ["blurred"]}, "id": "c"}
    relation = {"type": "relation", "from_id": "x1", "to_id": "x2"}
    first = task([stroke, region("polygonlabels", polygon | {"polygonlabels": ["sky"]}), said,
                  relation])
    first["annotations"].append({"was_cancelled": True, "result": [stroke]})
    twice = brushed(LABEL == 2, "tall tree", "labels")
    second = task([region("brush", {"rle": twice["value"]["rle"]}), twice],
                  "/data/upload/3/0a1b2c3d-17000.png")
    imported(data, written(tmp_path / "project-3.json", [first, second]))
    wanted = np.where(LABEL == 1, 1, 0)
    wanted[0, :3] = 3
    np.testing.assert_equal(labels(data), {"b/label/000000.png": wanted,
                                           "b/label/17000.png": np.where(LABEL == 2, 2, 0)})


def shape(label: str, points: list[list[float]], kind: str = "polygon",
          **more: Any) -> dict[str, Any]:
    return {"label": label, "points": points, "group_id": None, "shape_type": kind, "flags": {},
            "description": "", **more}


def labelme(shapes: list[dict[str, Any]], picture: str = "..\\DATA\\a\\rgb\\000000.jpg",
            **more: Any) -> dict[str, Any]:
    return {"version": "5.4.1", "flags": {}, "shapes": shapes, "imagePath": picture,
            "imageData": None, "imageHeight": HEIGHT, "imageWidth": WIDTH, **more}


def test_labelme(data: Path, tmp_path: Path) -> None:
    """By hand: grass over all of it, by a rectangle; of the circle of radius 1.2 around the corner
    of four pixels their centres, 0.71 away, and no others, 1.58 away; a mask that begins outside;
    and a polygon of what labelme calls ignored."""
    mask = base64.b64encode(png(np.array([[1, 1], [0, 1]], np.uint8))).decode()
    path = written(tmp_path / "out/000000.json", labelme([
        shape("grass", [[6, 4], [0, 0]], "rectangle"),
        shape("sky", [[2, 2], [3.2, 2]], "circle"),
        shape("tall tree", [[-1, 2], [0, 3]], "mask", mask=mask),
        shape("__ignore__", [[5, 0], [6, 0], [6, 4], [5, 4]])]))
    imported(data, path.parent)
    np.testing.assert_equal(labels(data), {"a/label/000000.png": np.array(
        [[1, 1, 1, 1, 1, 0], [1, 3, 3, 1, 1, 0], [2, 3, 3, 1, 1, 0], [2, 1, 1, 1, 1, 0]])})


@pytest.mark.parametrize(("content", "more", "classes"), [
    (palette.png(LABEL, THEIRS), LABELMAP, CLASSES),
    (png(painted(LABEL, THEIRS)), LABELMAP, CLASSES),
    (png(painted(LABEL)), None, CLASSES),  # in the model's own colours
    (png(LABEL), None, CLASSES),  # its ids
    (png(LABEL[:, :] + np.uint8(1)), "# ids\nspare\n" + LABELMAP, CLASSES),  # the labelmap's lines
    (png(np.where(LABEL == 0, 255, LABEL).astype(np.uint8)), None,
     Classes(NAMES, COLOURS, meanings={"255": 0})),
    (png(np.where(LABEL == 0, 65535, LABEL.astype(np.uint16))), None,
     Classes(NAMES, COLOURS, meanings={"65535": 0})),
], ids=["palette", "colours", "our colours", "our ids", "their ids", "255", "65535"])
def test_plain_masks(data: Path, tmp_path: Path, content: bytes, more: str | None,
                     classes: Classes) -> None:
    (tmp_path / "masks/a").mkdir(parents=True)
    (tmp_path / "masks/a/000000.png").write_bytes(content)
    if more:
        (tmp_path / "masks/labelmap.txt").write_text(more)
    imported(data, tmp_path / "masks", classes)
    np.testing.assert_equal(labels(data), {"a/label/000000.png": LABEL})


# What we write

@pytest.fixture
def labelled(data: Path) -> Path:
    """The data with labels of everything that is hard: patches in patches, single pixels, void."""
    random = np.random.default_rng(0)
    for index, path in enumerate(sorted(data.glob("*/rgb/*"))):
        label = random.integers(0, 4, (40, 60)).astype(np.uint8)
        if index:
            label = cv2.medianBlur(label, 2 * index + 1)
        (path.parents[1] / "label").mkdir(exist_ok=True)
        cv2.imwrite(str(path), np.zeros((40, 60, 3), np.uint8))
        cv2.imwrite(str(path.parents[1] / "label" / f"{path.stem}.png"), label)
    return data


@pytest.fixture
def classes_yaml(tmp_path: Path) -> str:
    path = tmp_path / "model.yaml"
    path.write_text(f"class_names: {json.dumps(NAMES)}\nclass_colours: {json.dumps(COLOURS)}\n"
                    'modalities: [{"name": "rgb", "encoding": "image"}]\n')
    return str(path)


OUTPUTS = {"cvat": "out.zip", "coco": "out.json", "label-studio": "out", "labelme": "out",
           "palette": "out"}


def export(data: Path, kind: str, classes: str, *more: str) -> Path:
    output = data.parent / OUTPUTS[kind]
    assert main(["export-labels", str(data), "--format", kind, "--classes", classes, "--output",
                 str(output), *more]) == 0
    return output


@pytest.mark.parametrize("kind", OUTPUTS)
def test_a_round_trip_changes_no_pixel(labelled: Path, classes_yaml: str, kind: str) -> None:
    """Polygons go along the corners of pixels. Label Studio's predictions become annotations when a
    person submits them."""
    output, before = export(labelled, kind, classes_yaml), labels(labelled)
    assert len(before) == 3
    for path in labelled.rglob("label/*"):
        path.unlink()
    if kind == "label-studio":
        tasks = json.loads((output / "tasks.json").read_text())
        output = written(output / "done.json", [
            {"data": each["data"], "annotations": each["predictions"]} for each in tasks])
    done = imported(labelled, output)
    np.testing.assert_equal(labels(labelled), before)
    assert len(done.written) == 3 and not done.without


def test_predicted_labels_are_matched_by_the_names_of_their_classes(
        labelled: Path, tmp_path: Path, classes_yaml: str,
        capsys: pytest.CaptureFixture[str]) -> None:
    """`ssma predict` says of which classes its ids are."""
    before, theirs = labels(labelled), ["pole", *reversed(NAMES)]
    for path in labelled.rglob("label/*"):
        guess = labelled.parent / "guesses" / path.relative_to(labelled)
        guess.parent.mkdir(parents=True, exist_ok=True)
        (guess.parents[1] / "predict.json").write_text(json.dumps({"classes": theirs}))
        cv2.imwrite(str(guess), (len(NAMES) - cv2.imread(str(path), cv2.IMREAD_UNCHANGED)))
        path.unlink()
    output = export(labelled, "cvat", classes_yaml, "--labels", str(tmp_path / "guesses"))
    assert "void, since --classes does not have them: pole" in capsys.readouterr().out
    imported(labelled, output)
    np.testing.assert_equal(labels(labelled), before)


def test_labels_of_other_classes_are_refused(labelled: Path, classes_yaml: str,
                                             capsys: pytest.CaptureFixture[str]) -> None:
    for drive in labelled.iterdir():
        (drive / "predict.json").write_text('{"classes": ["void", "pothole"]}')
    assert main(["export-labels", str(labelled), "--format", "cvat", "--classes", classes_yaml,
                 "--output", str(labelled.parent / "o.zip")]) == 1
    assert "are of the classes void, pothole, and none of them is" in capsys.readouterr().err
    assert not (labelled.parent / "o.zip").exists()


@given(arrays(np.uint8, st.tuples(st.integers(1, 7), st.integers(1, 7)),
              elements=st.integers(0, 2)))
def test_outlines_give_any_label_again(label: Label) -> None:
    again = np.zeros_like(label)
    for outline in outlines(label, 0):
        fill(outline.points.astype(float), again, outline.number)
    np.testing.assert_array_equal(again, label)


def test_an_outline_has_the_corners_of_the_patch_and_no_more_points() -> None:
    """An L of three pixels, by hand."""
    (outline,) = outlines(np.array([[0, 0, 0], [0, 1, 0], [0, 1, 1]], np.uint8), 0)
    assert sorted(map(tuple, outline.points.tolist())) == [(1, 1), (1, 3), (2, 1), (2, 2), (3, 2),
                                                           (3, 3)]


def test_a_tolerance_leaves_fewer_points_none_far_away() -> None:
    """Of a staircase of single pixels its diagonal, whose corners are 0.71 away."""
    label = np.tri(20, dtype=np.uint8)
    (outline,) = outlines(label, 0)
    assert len(outline.points) > 40
    assert len(simplified(outline.points, 1.0)) <= 5


def test_cvat_gets_its_own_layout_and_the_pictures(data: Path, classes_yaml: str) -> None:
    (data / "b/label").mkdir()
    cv2.imwrite(str(data / "b/label/17000.png"), LABEL)
    with zipfile.ZipFile(export(data, "cvat", classes_yaml)) as archive:
        assert set(archive.namelist()) == {
            "labelmap.txt", "ImageSets/Segmentation/default.txt", "JPEGImages/b/17000.png",
            "SegmentationClass/b/17000.png", "SegmentationObject/b/17000.png"}
        assert archive.read("labelmap.txt").decode() == (
            "# label:color_rgb:parts:actions\nbackground:0,0,0::\ngrass:0,255,0::\n"
            "tall_tree:1,2,3::\nsky:0,120,255::\n")
        assert archive.read("ImageSets/Segmentation/default.txt") == b"b/17000\n"
        assert archive.read("JPEGImages/b/17000.png") == (data / "b/rgb/17000.png").read_bytes()
        masks = [shown(archive.read(f"Segmentation{kind}/b/17000.png"))
                 for kind in ("Class", "Object")]
    np.testing.assert_array_equal(masks[0], painted(LABEL))
    # Pascal VOC's first four colours (the development kit's table).
    np.testing.assert_array_equal(masks[1], painted(LABEL, ((0, 0, 0), (128, 0, 0), (0, 128, 0),
                                                            (128, 128, 0))))


def test_label_studio_gets_predictions_of_local_files(labelled: Path, classes_yaml: str) -> None:
    output = export(labelled, "label-studio", classes_yaml)
    tasks = json.loads((output / "tasks.json").read_text())
    assert tasks[0]["data"] == {"image": "/data/local-files/?d=DATA/a/rgb/000000.jpg"}
    (result, *_) = tasks[0]["predictions"][0]["result"]
    assert {key: result[key] for key in ("type", "from_name", "to_name", "original_width",
                                         "original_height", "image_rotation")} == {
        "type": "brushlabels", "from_name": "label", "to_name": "image", "original_width": 60,
        "original_height": 40, "image_rotation": 0}
    assert result["value"]["format"] == "rle" and result["value"]["brushlabels"] == ["grass"]
    interface = (output / "labels.xml").read_text()
    assert '<BrushLabels name="label" toName="image">' in interface
    assert '<Label value="grass" background="#00ff00"/>' in interface and "void" not in interface


def test_labelme_finds_the_picture_from_its_file(labelled: Path, classes_yaml: str) -> None:
    path = export(labelled, "labelme", classes_yaml, "--tolerance", "1") / "b/17000.json"
    values = json.loads(path.read_text())
    assert (path.parent / values["imagePath"]).resolve() == labelled / "b/rgb/17000.png"
    assert (values["imageData"], values["imageWidth"], values["imageHeight"]) == (None, 60, 40)
    assert set(values["shapes"][0]) == {"label", "points", "shape_type", "group_id", "flags",
                                        "description"}
    assert (path.parents[1] / "labels.txt").read_text().split() == [
        "__ignore__", "_background_", *NAMES]


def test_coco_has_the_ids_of_the_classes(data: Path, classes_yaml: str) -> None:
    (data / "a/label").mkdir()
    cv2.imwrite(str(data / "a/label/000000.png"), LABEL)
    values = json.loads(export(data, "coco", classes_yaml).read_text())
    assert values["categories"] == [{"id": 1, "name": "grass"}, {"id": 2, "name": "tall_tree"},
                                    {"id": 3, "name": "sky"}]
    assert values["images"] == [{"id": 1, "width": WIDTH, "height": HEIGHT,
                                 "file_name": "a/rgb/000000.jpg"}]
    # The pixel of sky is the third of the fifth column.
    assert values["annotations"][2] == {
        "id": 3, "image_id": 1, "category_id": 3, "iscrowd": 0, "area": 1, "bbox": [4, 2, 1, 1],
        "segmentation": {"size": [HEIGHT, WIDTH], "counts": [18, 1, 5]}}


def test_a_palette_holds_ids_and_shows_colours(tmp_path: Path) -> None:
    content = palette.png(LABEL, COLOURS)
    np.testing.assert_array_equal(shown(content), painted(LABEL))
    # 8 bits, of the kind with a palette (the PNG specification, 11.2.2), whose data are the ids.
    assert content[24:26] == bytes([8, 3])


def test_labels_of_a_model_are_in_a_folder_of_their_own(
        labelled: Path, classes_yaml: str, tmp_path: Path) -> None:
    (labelled / "b/label").rename(tmp_path / "label")
    (tmp_path / "predicted/b").mkdir(parents=True)
    (tmp_path / "label").rename(tmp_path / "predicted/b/label")
    output = export(labelled, "palette", classes_yaml, "--labels", str(tmp_path / "predicted"))
    assert {path.name for path in output.rglob("*")} == {"labelmap.txt", "b", "000000.png",
                                                         "17000.png"}


# Which frame, which class

@pytest.mark.parametrize("name", ["17000.png", "17000.jpg", "17000", "b/17000", "../17000.png",
                                  "images/default/17000.png", "a/../SegmentationClass/17000.png",
                                  "//x/y/b/Images/17000.png", "a/b/17000.png",
                                  "C:\\pictures\\b\\rgb\\17000.png", "../../b/17000"])
def test_a_frame_is_found_by_its_drive_and_stem(data: Path, tmp_path: Path, name: str) -> None:
    values = coco([{"category_id": 3, "segmentation": [[0, 0, 9, 0, 9, 9]]}], name)
    assert imported(data, written(tmp_path / "c.json", values)).written[0].name == "b/17000"
    assert set(labels(data)) == {"b/label/17000.png"}


@pytest.mark.parametrize("name", ["c/17000.png", "b/c/17000", "c/rgb/17000.jpg", "a/17000.png",
                                  "c/SegmentationClass/17000.png", "..\\DATA\\c\\rgb\\17000.png"])
def test_a_mask_of_another_drive_is_no_frame_s_of_the_same_stem(
        data: Path, tmp_path: Path, name: str) -> None:
    """Also where `data` has no such drive, and where a folder above is called as one of its own."""
    values = coco([{"category_id": 3, "segmentation": [[0, 0, 9, 0, 9, 9]]}], name)
    with pytest.raises(SsmaError, match=r"1 masks of pictures that are not in --data.*17000.*The "
                       "folder that a picture is in must have the name of its drive, here a, b"):
        imported(data, written(tmp_path / "c.json", values))
    assert not labels(data)


def test_a_drive_may_be_called_as_tools_call_their_folders(data: Path, tmp_path: Path) -> None:
    (data / "a").rename(data / "default")
    imported(data, masks_of(("default/000000.png", LABEL))(tmp_path))
    assert set(labels(data)) == {"default/label/000000.png"}


def test_a_folder_of_a_tool_inside_a_drives_is_no_other_drive(data: Path, tmp_path: Path) -> None:
    """Both drives have a frame of this name."""
    (data / "a").rename(data / "images")
    imported(data, masks_of(("b/images/000000.png", LABEL))(tmp_path))
    assert set(labels(data)) == {"b/label/000000.png"}


def test_masks_that_name_no_drive_are_told(data: Path, tmp_path: Path, classes_yaml: str,
                                           capsys: pytest.CaptureFixture[str]) -> None:
    export = masks_of(("17000.png", LABEL), ("a/000000.png", LABEL))(tmp_path)
    assert main(["import-labels", str(export), "--data", str(data), "--classes", classes_yaml]) == 0
    assert ("1 of the masks name no drive, and went to the only frame of their name, in b\n"
            in capsys.readouterr().out)


def test_classes_come_from_a_model_a_training_or_a_yaml(tmp_path: Path) -> None:
    forest = ("void", "trail", "grass", "vegetation", "sky", "obstacle")
    for name in ("models/tiny_forest.onnx", "models/tiny_forest.safetensors",
                 "config/training/tiny_forest.yaml"):
        assert read_classes(ROOT / name).class_names == forest
    (tmp_path / "c.yaml").write_text("class_names: [a, b]\nclass_colours: [[1, 2, 3], [4, 5, 6]]\n"
                                     "void_id: 1")
    assert read_classes(tmp_path / "c.yaml") == Classes(("a", "b"), ((1, 2, 3), (4, 5, 6)), 1)


def test_a_model_whose_reader_is_not_installed_is_named(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ssma_core.model_files.checkpoint", None)
    monkeypatch.delattr("ssma_core.model_files.checkpoint", raising=False)
    with pytest.raises(SsmaError, match=r"m.safetensors needs the Python package .* its .onnx"):
        read_classes(tmp_path / "m.safetensors")


def test_theirs_are_mapped_by_name_id_or_colour(classes_yaml: str) -> None:
    classes = read_classes(Path(classes_yaml), ["255", "224,224,192", "Sky"],
                           ["bush=Tall Tree", "7=grass", "a=b=grass"])
    wanted = {"255": 0, "224,224,192": 0, "sky": 0, "BUSH": 2, "7": 1, "a=b": 1, "grass": 1,
              "_background_": 0, "bus": None}
    assert {name: classes.id_of(name) for name in wanted} == wanted


@pytest.mark.parametrize(("ignore", "renamed", "message"), [
    ([], ["bush"], "cannot map 'bush': write THEIRS=OURS, and for OURS one of void, grass"),
    ([], ["bush=shrub"], "cannot map 'bush=shrub'"),
    (["bush"], ["bush=grass"], "'bush' cannot mean two classes"),
    ([], ["bush=grass", "Bush=sky"], "'Bush' cannot mean two classes")])
def test_what_cannot_be_mapped_is_refused(classes_yaml: str, ignore: list[str], renamed: list[str],
                                          message: str) -> None:
    with pytest.raises(SsmaError, match=message):
        read_classes(Path(classes_yaml), ignore, renamed)


@pytest.mark.parametrize(("text", "message"), [
    ("[1]", "has no class_names and class_colours"),
    ("class_names: [a, A]\nclass_colours: [[0, 0, 0], [1, 1, 1]]", "must differ in more than case"),
    ("class_names: [a]\nclass_colours: [[0, 0, 0]]", "2 to 255 classes"),
    ("class_names: [a, b]\nclass_colours: [[0, 0, 0]]", "2 class_names, but 1 class_colours"),
    ("class_names: [a, b]\nclass_colours: [[0, 0, 0], [1, 1, 256]]", "the colour of 'b' must be"),
    ("class_names: [a, b]\nclass_colours: [[0, 0, 0], [1, 1, 1]]\nvoid_id: 2", "void_id 2 is no")])
def test_a_yaml_without_classes_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(SsmaError, match=rf"c.yaml.*{message}"):
        read_classes(tmp_path / "c.yaml")
    with pytest.raises(SsmaError, match=r"c\.txt has no classes: give a model file"):
        read_classes(tmp_path / "c.txt")


# Half an export, and bad ones

def test_frames_without_a_mask_are_reported_and_keep_what_they_had(
        labelled: Path, tmp_path: Path, classes_yaml: str,
        capsys: pytest.CaptureFixture[str]) -> None:
    """One mask in three; one picture is in the export, and nothing is drawn in it."""
    before = labels(labelled)
    (tmp_path / "m/a").mkdir(parents=True)
    (tmp_path / "m/b").mkdir()
    (tmp_path / "m/a/000000.png").write_bytes(png(np.full((40, 60), 3, np.uint8)))
    (tmp_path / "m/b/17000.png").write_bytes(png(np.zeros((40, 60), np.uint8)))
    assert main(["import-labels", str(tmp_path / "m"), "--data", str(labelled), "--classes",
                 classes_yaml]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{labelled}: 1 labels written, 1 of them in place of older ones",
        "2 frames have no mask in the export, and keep what they had: b/000000, b/17000",
        "100.00 % sky"]
    np.testing.assert_equal(labels(labelled), before | {
        "a/label/000000.png": np.full((40, 60), 3, np.uint8)})


def masks_of(*named: tuple[str, Label]) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        with zipfile.ZipFile(folder / "export.zip", "w") as archive:
            for name, mask in named:
                archive.writestr(name, png(mask))
        return folder / "export.zip"
    return write


def as_json(values: Any) -> Callable[[Path], Path]:
    return lambda folder: written(folder / "export.json", values)


def packed(content: dict[str, bytes]) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        with zipfile.ZipFile(folder / "export.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in content.items():
                archive.writestr(name, data)
        return folder / "export.zip"
    return write


SEVENS = np.full((HEIGHT, WIDTH), 7, np.uint8)
GRASS = {"category_id": 3, "segmentation": [[0, 0, 9, 0, 9, 9]]}
STROKE = brushed(LABEL == 1, "grass")
BAD: dict[str, tuple[Callable[[Path], Path], str]] = {
    "unknown ids, with their count and a file": (
        masks_of(("a/000000.png", LABEL), ("b/000000.png", SEVENS), ("b/17000.png", SEVENS)),
        r"export.zip has what is no class: the id 7 \(pixels\): 48, first in .*export.zip, "
        r"b/000000.png. Say with --map THEIRS=OURS what it means, or with --ignore"),
    "unknown colours": (
        masks_of(("17000.png", painted(SEVENS, COLOURS * 2) + np.uint8(1))),
        r"the colour 1,121,255 \(pixels\): 24|the colour 1,121,0 \(pixels\): 24"),
    "a class of the labelmap that is not ours": (
        lambda folder: cvat(folder / "t.zip", {"b/17000": painted(LABEL, THEIRS)},
                            LABELMAP.replace("sky", "heaven")),
        r"the class 'heaven', the colour 70,80,90 \(pixels\): 1, first in"),
    "unknown classes of regions": (
        as_json(coco([GRASS | {"category_id": 8}, GRASS]) | {"categories": [
            {"id": 3, "name": "lawn"}, {"id": 8, "name": "sky"}]}),
        r"the class 'lawn' \(regions\): 1, first in .*export.json: '.*17000.png'"),
    "two masks for one frame": (
        masks_of(("17000.png", LABEL), ("b/17000.png", LABEL)),
        r"17000.png and .*b/17000.png are both a mask of .*b/rgb/17000.png: keep one"),
    "one name twice in a zip": (
        masks_of(("17000.png", LABEL), ("17000.png", LABEL)), "are both a mask of"),
    "another size": (
        masks_of(("a/000000.png", LABEL), ("17000.png", LABEL[:3])),
        r"17000.png is 6x3, but .*17000.png is 6x4 \(width x height\): a mask must have its"),
    "no such frame": (
        masks_of(("17000.png", LABEL), ("17001.png", LABEL)),
        "has 1 masks of pictures that are not in --data, first of all '17001.png'"),
    "a frame of two drives": (
        masks_of(("000000.png", LABEL)),
        "'000000.png' could be each of a/000000, b/000000: give the drive's folder"),
    "nothing drawn": (masks_of(("17000.png", LABEL * 0)), "has no mask in which anything is drawn"),
    "no files": (packed({}), "is no export that is read: it has neither JSON nor PNG files"),
    "an empty file": (packed({"17000.png": b""}), "export.zip, 17000.png: it is not a picture"),
    "a damaged picture": (packed({"17000.png": png(LABEL)[:-9]}), "export.zip, 17000.png: it is"),
    "a camera's picture": (
        masks_of(("17000.png", np.arange(72, dtype=np.uint8).reshape(HEIGHT, WIDTH, 3))),
        "has what is no class: .*; and 16 more. Say"),
    "16 bits of colour": (
        masks_of(("17000.png", np.zeros((HEIGHT, WIDTH, 3), np.uint16))),
        "its values are uint16: a mask has colours of 8 bits"),
    "two of one colour": (
        packed({"labelmap.txt": b"sky:1,2,3::\ngrass:1,2,3::", "17000.png": png(LABEL)}),
        "labelmap.txt: 'sky' and 'grass' have the same colour, 1,2,3"),
    "a labelmap that is none": (
        packed({"labelmap.txt": b"sky:1,2::", "17000.png": png(LABEL)}),
        "labelmap.txt: the line 'sky:1,2::' must be NAME:RED,GREEN,BLUE"),
    "two labelmaps": (
        packed({"labelmap.txt": b"", "x/labelmap.txt": b"", "17000.png": png(LABEL)}),
        "has several of labelmap.txt"),
    "other JSON": (as_json({"a": 1}), "export.json is no export of Label Studio .*: leave it out"),
    "no JSON": (packed({"a.json": b"[[["}), "a.json is not JSON"),
    "deep JSON": (packed({"a.json": b"[" * 100_000}), "a.json is not JSON of this program: it is"),
    "two annotations of a task": (
        as_json([task([STROKE]) | {"annotations": task([STROKE])["annotations"] * 2}]),
        "task 7 has 2 annotations of one picture: keep one"),
    "JSON-MIN": (as_json([{"image": "17000.png", "tag": [STROKE["value"]]}]),
                 "entry 0 has no annotations: export the project as JSON, not as JSON-MIN"),
    "a box of Label Studio": (
        as_json([task([region("rectanglelabels", {"x": 1, "rectanglelabels": ["sky"]})])]),
        "task 7 has a region of the type 'rectanglelabels': only brush strokes and polygons"),
    "a stroke of two classes": (
        as_json([task([region("brushlabels", {"rle": [1], "brushlabels": ["sky", "grass"]})])]),
        r"task 7 has a region with the labels \['sky', 'grass'\]: give it one"),
    "a picture that was turned": (as_json([task([STROKE | {"image_rotation": 90}])]), "was turned"),
    "a stroke for another size": (
        as_json([task([STROKE, STROKE | {"original_width": 9}])]),
        "its regions are for pictures of the sizes 6x4 and 9x4"),
    "half a stroke": (
        as_json([task([region("brushlabels", {"rle": STROKE["value"]["rle"][:-6],
                                              "brushlabels": ["grass"]})])]),
        "task 7: its rle is cut short or damaged"),
    "a point of labelme": (as_json(labelme([shape("sky", [[1, 1]], "point")])),
                           r"shapes\[0\]: a 'point' has no area"),
    "a polygon of two points": (as_json(labelme([shape("sky", [[1, 1], [2, 2]])])),
                                r"shapes\[0\]: a polygon must be a list of at least three points"),
    "labelme without a size": (as_json(labelme([], imageWidth=None)), "imageWidth must be of type"),
    "a box of COCO": (as_json(coco([{"category_id": 3, "segmentation": []}])),
                      r"annotations\[0\] has no segmentation"),
    "a category that is not there": (as_json(coco([GRASS | {"category_id": 4}])),
                                     "of the category 4, which is not among the categories"),
    "two images of one id": (as_json(coco([GRASS]) | {"images": coco([])["images"] * 2}),
                             "two of its images have the id 5"),
    "annotations by number": (as_json([task([]) | {"annotations": [1]}]), "are numbers or text"),
    "an image that is not there": (as_json(coco([GRASS | {"image_id": 6}])),
                                   "has annotations of the image 6, which is not among its images"),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", BAD)
def test_a_bad_export_is_named_and_changes_nothing(data: Path, tmp_path: Path, name: str) -> None:
    write, message = BAD[name]
    (data / "b/label").mkdir()
    (data / "b/label/17000.png").write_bytes(png(LABEL))
    before = {path: path.read_bytes() for path in data.rglob("*") if path.is_file()}
    with pytest.raises(SsmaError, match=message) as raised:
        imported(data, write(tmp_path), CLASSES)
    assert "\n" not in str(raised.value) and len(str(raised.value)) < 2000
    assert {path: path.read_bytes() for path in data.rglob("*") if path.is_file()} == before


def test_an_old_label_of_another_kind_of_file_is_not_left_beside_the_new_one(
        data: Path, tmp_path: Path) -> None:
    (data / "b/label").mkdir()
    cv2.imwrite(str(data / "b/label/17000.tif"), LABEL)
    with pytest.raises(SsmaError, match=r"17000.tif is a label of the frame already, and .*png"):
        imported(data, masks_of(("17000.png", LABEL))(tmp_path))
    assert set(labels(data)) == {"b/label/17000.tif"}


def test_a_name_that_leads_out_of_the_zip_is_only_a_name(data: Path, tmp_path: Path) -> None:
    before = set(tmp_path.rglob("*"))
    path = masks_of(("../../../../b/17000.png", LABEL), ("/b/000000.png", LABEL))(tmp_path)
    imported(data, path)
    assert set(tmp_path.rglob("*")) - before == {
        path, data / "b/label", data / "b/label/17000.png", data / "b/label/000000.png"}


@pytest.mark.parametrize(("counts", "size"), [
    ([2**62, 2**62, 2**62, 2**62], (2, 2)), ([-4, 8], (2, 2)), ([5], (2, 2)), ([[4]], (2, 2)),
    ("oooooooooooooooo0", (2, 2)), ("0@", (2, 2)), ("é", (2, 2)), (None, (2, 2)), (4, (2, 2)),
    ([1e999], (2, 2)), ("P", (2, 2))])
def test_run_lengths_that_are_none_are_refused(counts: Any, size: tuple[int, int]) -> None:
    """And not believed: pycocotools 2.0.11 writes beyond its memory for such texts."""
    with pytest.raises(SsmaError, match="run lengths"):
        runs.decoded(counts, size)


@pytest.mark.parametrize("numbers", [
    [], None, 10**9, "rle", [300], [0, 0, 0, 24], [255] * 12, [0, 0, 0, 24, 57, 27, 252, 96],
    [0, 0, 0, 24, 65, 27, 252, 96, 19, 255, 206, 1, 31, 248],  # 9 bits a value
    [0, 0, 0, 24, 57, 27, 252, 112, 255, 255, 255]])  # a run of 65536 values
def test_brush_strokes_that_are_none_are_refused(numbers: Any) -> None:
    with pytest.raises(SsmaError, match="its rle"):
        brush.decoded(numbers, (3, 2))


@pytest.mark.parametrize("points", [
    [[0, 0], [1e300, 0], [0, 5]], [[0, 0], [float("nan"), 0], [0, 5]], [[0, 0, 1]] * 3,
    [1, 2, 3, 4, 5], "abc", None, {}, [[0, 0], [1, "x"], [2, 2]], 5])
def test_polygons_that_are_none_are_refused(points: Any) -> None:
    with pytest.raises(SsmaError, match="a polygon"):
        as_points(points)


def test_an_outline_that_would_cost_minutes_is_refused() -> None:
    points = np.tile([[0.0, 0.0], [1.0, 5000.0]], (3000, 1))
    with pytest.raises(SsmaError, match="crosses the rows of pixels 30,000,000 times"):
        fill(points, np.zeros((5000, 4), np.uint8), 1)


def test_a_zip_bomb_is_refused_by_its_size(data: Path, tmp_path: Path,
                                           monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ssma_core.datasets.annotations.source._LARGEST", 1 << 20)
    with pytest.raises(SsmaError, match=r"17000.png: it has 1,048,577 bytes, more than 1,048,576"):
        imported(data, packed({"17000.png": bytes((1 << 20) + 1)})(tmp_path))


@pytest.mark.parametrize(("arguments", "message"), [
    (["--format", "cvat", "--output", "o.png"], "cannot write o.png: cvat is one file; name it"),
    (["--format", "palette", "--output", "DATA"], "DATA is there already"),
    (["--format", "cvat", "--output", "there.zip"], "there.zip is there already; delete it"),
    (["--format", "cvat", "--output", "/nowhere/o.zip"], "cannot write /nowhere/o.zip"),
    (["--format", "coco", "--output", "o.json", "--tolerance", "1"],
     "--tolerance is for the polygons of labelme"),
    (["--format", "coco", "--output", "o.json", "--labels", "DATA/a"],
     "DATA/a has no label of a frame of DATA"),
    (["--format", "cvat", "--output", "o.zip", "--classes", "same.yaml"],
     "the classes 'void' and 'sky' have the same colour, (0, 0, 0)"),
    (["--format", "cvat", "--output", "o.zip", "--classes", "black.yaml"],
     "the class 'sky' is black, as the background is in CVAT"),
    (["--format", "coco", "--output", "o.json", "--classes", "few.yaml"], "has the id"),
    (["--format", "coco", "--output", "o.json", "--classes", "none.yaml"], "cannot read none.yaml"),
])
def test_an_export_that_cannot_be_made_is_a_line_and_leaves_nothing(  # noqa: PLR0917
        labelled: Path, classes_yaml: str, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    folder = labelled.parent
    monkeypatch.chdir(folder)
    for name, colours in (("same", [*COLOURS[:3], COLOURS[0]]),
                          ("black", [(9, 9, 9), *COLOURS[1:3], (0, 0, 0)])):
        (folder / f"{name}.yaml").write_text(f"class_names: {json.dumps(NAMES)}\n"
                                             f"class_colours: {json.dumps(colours)}\n")
    (folder / "there.zip").write_text("corrected by hand")
    (folder / "few.yaml").write_text("class_names: [a, b]\nclass_colours: [[0, 0, 0], [1, 1, 1]]")
    before = set(folder.rglob("*"))
    assert main(["export-labels", "DATA", "--classes", classes_yaml, *arguments]) == 1
    assert message in capsys.readouterr().err
    assert set(folder.rglob("*")) == before


def test_a_label_of_another_size_than_its_picture_is_not_exported(
        labelled: Path, classes_yaml: str, capsys: pytest.CaptureFixture[str]) -> None:
    cv2.imwrite(str(labelled / "a/label/000000.png"), LABEL)
    assert main(["export-labels", str(labelled), "--format", "coco", "--classes", classes_yaml,
                 "--output", str(labelled.parent / "o.json")]) == 1
    assert "a/label/000000.png is 6x4, but" in capsys.readouterr().err
    assert not (labelled.parent / "o.json").exists()


@pytest.mark.parametrize(("names", "message"), [
    (("none", "DATA"), "there is no export none"), (("DATA", "none"), "none holds no frames"),
    (("DATA", "DATA/a"), "DATA/a holds no frames: the folders in it")])
def test_folders_that_are_not_there_are_named(  # noqa: PLR0917
        data: Path, classes_yaml: str, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str], names: tuple[str, str], message: str) -> None:
    monkeypatch.chdir(data.parent)
    assert main(["import-labels", names[0], "--data", names[1], "--classes", classes_yaml]) == 1
    assert message in capsys.readouterr().err

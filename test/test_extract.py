"""`ssma extract`: the node's own pairs become pictures, nothing is lost or half written, and what
is selected is worth a label."""
from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import yaml
from conftest import ROOT, TINY_SPEC, save_untrained
from test_full_disk import room_for

from ssma_core import Modality, Segmenter, SsmaError
from ssma_core.bags import recorded_images, rosbag2
from ssma_core.cli import main
from ssma_core.datasets.folders import Folders
from ssma_core.datasets.inputs import open_inputs
from ssma_core.extraction.choice import choose, without_blurred
from ssma_core.extraction.frames import spaced
from ssma_core.extraction.looks import looks, sharpness
from ssma_core.extraction.scores import Candidate
from ssma_core.registration import write
from ssma_core.registration.homography import HomographyRegistration

RGB, AUX = "/camera/color/image_raw", "/camera/depth/image_raw"
RGB_INFO, AUX_INFO = "/camera/color/camera_info", "/camera/depth/camera_info"
START, PERIOD, MS = 1_700_000_000 * 10**9, 10**8, 10**6
WIDTH, HEIGHT = 96, 64
STORE = rosbag2.jazzy()
Array = npt.NDArray[Any]


def colour(i: int) -> Array:
    """A textured scene, another one for each number."""
    coarse = np.random.default_rng(i).integers(30, 250, (8, 12, 3), np.uint8)
    return np.asarray(np.kron(coarse, np.ones((8, 8, 1), np.uint8)))


def depth(i: int) -> Array:
    return np.random.default_rng(100 + i).integers(500, 9000, (HEIGHT, WIDTH), np.uint16)


def image(topic: str, stamp: int, pixels: Array, encoding: str) -> rosbag2.Recorded:
    return rosbag2.image(topic, stamp + 5 * MS, stamp, pixels, encoding)


def recording(frames: int = 6, aux_late_ns: int = 4 * MS, aux: Callable[[int], Array] = depth,
              rgb: Callable[[int], Array] = colour, encoding: str = "16UC1"
              ) -> Iterator[rosbag2.Recorded]:
    for i in range(frames):
        stamp = START + i * PERIOD
        yield image(RGB, stamp, rgb(i), "bgr8")
        yield image(AUX, stamp + aux_late_ns, aux(i), encoding)


def stamps(*places: int) -> list[str]:
    return [str(START + place * PERIOD) for place in places]


def message(topic: str, kind: str, made: Any) -> rosbag2.Recorded:
    return rosbag2.Recorded(topic, kind, START + MS, bytes(STORE.serialize_cdr(made, kind)))


def header(stamp: int = START) -> Any:
    return rosbag2.decode(image(RGB, stamp, colour(0), "bgr8")).header


def info(topic: str, size: tuple[int, int] = (WIDTH, HEIGHT), binning: int = 0,
         roi: tuple[int, int] = (0, 0)) -> rosbag2.Recorded:
    k = np.array([80, 0, 48, 0, 81, 32, 0, 0, 1], float)
    window = STORE.types["sensor_msgs/msg/RegionOfInterest"](0, 0, roi[1], roi[0], False)
    kind = "sensor_msgs/msg/CameraInfo"
    return message(topic, kind, STORE.types[kind](
        header(), size[1], size[0], "plumb_bob", np.arange(5.0), k, np.eye(3).ravel(),
        np.arange(12.0), binning, binning, window))


def compressed(topic: str, text: str, data: bytes, place: int = 0) -> rosbag2.Recorded:
    kind, stamp = rosbag2.COMPRESSED_IMAGE, START + place * PERIOD
    made = STORE.types[kind](header(stamp), text, np.frombuffer(data, np.uint8))
    return message(topic, kind, made)._replace(time_ns=stamp + MS)


def jpeg(i: int) -> bytes:
    return cv2.imencode(".jpg", colour(i))[1].tobytes()


def a_bag(path: Path, *messages: rosbag2.Recorded) -> Path:
    rosbag2.write(path, sorted(messages, key=lambda each: each.time_ns))
    return path


@pytest.fixture
def bag(tmp_path: Path) -> Path:
    return a_bag(tmp_path / "drive", *recording())


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


def extract(data: Path, *bags: Path, more: tuple[str, ...] = (), aux: str = AUX) -> int:
    return main(["extract", *map(str, bags), "--output", str(data), "--rgb", RGB, "--aux", aux,
                 "--jobs", "1", *more])


def rows(data: Path) -> list[dict[str, str]]:
    with (data / "frames.csv").open() as file:
        return list(csv.DictReader(file))


def stems(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.iterdir())


def picture(path: Path) -> Array:
    found = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert found is not None
    return found


# What is in the folder

def test_every_pair_becomes_two_pictures_under_the_colour_image_s_stamp(
        bag: Path, data: Path) -> None:
    assert extract(data, bag, more=("--format", "png")) == 0
    assert stems(data / "drive" / "rgb") == stems(data / "drive" / "depth") == stamps(*range(6))
    for i, stem in enumerate(stamps(*range(6))):
        np.testing.assert_array_equal(picture(data / f"drive/rgb/{stem}.png"), colour(i))
        np.testing.assert_array_equal(picture(data / f"drive/depth/{stem}.png"), depth(i),
                                      strict=True)
    assert [(row["drive"], row["stamp"], row["chosen"]) for row in rows(data)] == [
        ("drive", stem, "yes") for stem in stamps(*range(6))]
    assert picture(data / "sheet.png").shape[1] == 1600


def test_the_folder_is_one_that_prediction_and_training_read(bag: Path, data: Path) -> None:
    assert extract(data, bag, more=("--format", "png")) == 0
    frames = list(open_inputs(data, TINY_SPEC))
    assert len(frames) == 6
    for i, frame in enumerate(frames):
        np.testing.assert_array_equal(frame.arrays[0], colour(i))
        np.testing.assert_array_equal(frame.arrays[1], depth(i))
    (data / "drive" / "label").mkdir()
    for stem in stamps(*range(6)):
        cv2.imwrite(str(data / "drive" / "label" / f"{stem}.png"), np.zeros((64, 96), np.uint8))
    samples = Folders(str(data), "*/rgb/*", "depth", "label").samples()
    assert [sample.drive for sample in samples] == ["drive"] * 6


@pytest.mark.parametrize("encoding, values, suffix", [
    ("mono8", np.arange(256, dtype=np.uint8).reshape(16, 16), "png"),
    ("mono16", np.arange(0, 65536, 256, np.uint16).reshape(16, 16), "png"),
    ("32FC1", np.array([[0, 1.2345678, np.nan, np.inf]], np.float32), "tiff"),
    ("bgr8", colour(3), "png"),
])
def test_the_second_sensor_keeps_each_value_and_its_unit(
        tmp_path: Path, data: Path, encoding: str, values: Array, suffix: str) -> None:
    bag = a_bag(tmp_path / "b", *recording(1, aux=lambda i: values, encoding=encoding))
    assert extract(data, bag, more=("--name", "nir")) == 0
    np.testing.assert_array_equal(picture(data / f"b/nir/{stamps(0)[0]}.{suffix}"), values,
                                  strict=True)


def test_colour_is_a_jpeg_of_the_wanted_quality(bag: Path, tmp_path: Path) -> None:
    for quality in ("20", "95"):
        assert extract(tmp_path / quality, bag, more=("--quality", quality)) == 0
    low, high = (tmp_path / quality / f"drive/rgb/{stamps(0)[0]}.jpg" for quality in ("20", "95"))
    assert low.stat().st_size < high.stat().st_size
    difference = picture(high).astype(int) - colour(0)
    assert np.abs(difference).mean() < 8


def test_what_was_recorded_as_jpeg_or_png_keeps_its_bytes(tmp_path: Path, data: Path) -> None:
    png = cv2.imencode(".png", depth(0), [cv2.IMWRITE_PNG_COMPRESSION, 9])[1].tobytes()
    bag = a_bag(tmp_path / "b", compressed(RGB, "bgr8; jpeg compressed bgr8", jpeg(0)),
                compressed(AUX, "16UC1; compressedDepth png", bytes(12) + png))
    assert extract(data, bag, more=("--quality", "10")) == 0
    assert (data / f"b/rgb/{stamps(0)[0]}.jpg").read_bytes() == jpeg(0)
    assert (data / f"b/depth/{stamps(0)[0]}.png").read_bytes() == png


def test_a_jpeg_that_other_programs_would_turn_is_written_anew(
        tmp_path: Path, data: Path) -> None:
    """Its Exif segment (TIFF within APP1) says: turn me by 180 degrees."""
    exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x03\0\0\0" + bytes(4)
    turned = (jpeg(0)[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
              + jpeg(0)[2:])
    bag = a_bag(tmp_path / "b", compressed(RGB, "jpeg", turned),
                image(AUX, START, depth(0), "16UC1"))
    assert extract(data, bag) == 0
    path = data / f"b/rgb/{stamps(0)[0]}.jpg"
    assert b"Exif" not in path.read_bytes()
    recorded = cv2.imdecode(np.frombuffer(jpeg(0), np.uint8), cv2.IMREAD_COLOR).astype(int)
    assert np.abs(picture(path) - recorded).mean() < 8 < np.abs(
        picture(path) - recorded[::-1, ::-1]).mean()


@pytest.mark.parametrize("name, value", [("depth", 100 * 0.2 / 4), ("disparity", 4)])
def test_a_disparity_image_is_depth_in_metres_where_it_is_called_so(
        tmp_path: Path, data: Path, name: str, value: float) -> None:
    """f = 100 pixels, baseline 0.2 m."""
    inner = rosbag2.decode(image(AUX, START, np.full((4, 6), 4, np.float32), "32FC1"))
    window = STORE.types["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False)
    kind = recorded_images.DISPARITY
    bag = a_bag(tmp_path / "b", image(RGB, START, colour(0), "bgr8"), message(
        AUX, kind, STORE.types[kind](inner.header, inner, 100.0, 0.2, window, 1.0, 64.0, 0.125)))
    assert extract(data, bag, more=("--name", name)) == 0
    np.testing.assert_allclose(picture(data / f"b/{name}/{stamps(0)[0]}.tiff"), value)


def test_the_pairs_are_the_node_s_and_its_options_hold(tmp_path: Path, data: Path) -> None:
    """The second sensor is stamped 40 ms late: two slops."""
    bag = a_bag(tmp_path / "b", *recording(aux_late_ns=40 * MS))
    assert extract(data, bag, more=("--aux-delay", "0.04")) == 0
    for i, stem in enumerate(stamps(*range(6))):
        np.testing.assert_array_equal(picture(data / f"b/depth/{stem}.png"), depth(i))


def test_a_looped_bag_gives_each_stamp_once(tmp_path: Path, data: Path) -> None:
    again = [each._replace(time_ns=each.time_ns + 10**10) for each in recording()]
    assert extract(data, a_bag(tmp_path / "b", *recording(), *again)) == 0
    assert [row["stamp"] for row in rows(data)] == stamps(*range(6))


def test_an_image_that_cannot_be_read_is_left_out_and_reported(
        tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole, cut = jpeg(1), jpeg(0)[:300]
    bag = a_bag(tmp_path / "b", compressed(RGB, "jpeg", cut), compressed(RGB, "jpeg", whole, 1),
                *(image(AUX, START + i * PERIOD, depth(i), "16UC1") for i in range(2)))
    assert extract(data, bag) == 0
    assert f"{bag}: 1 frames cannot be read and are left out" in capsys.readouterr().out
    assert [row["chosen"] for row in rows(data)] == ["no", "yes"]
    assert "cannot be read" in rows(data)[0]["why_not"]
    assert stems(data / "b" / "rgb") == stamps(1)


def test_images_that_are_not_registered_are_kept_as_they_are_and_told(
        tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bag = a_bag(tmp_path / "b", *recording(2, aux=lambda i: depth(i)[:32, :48]))
    assert extract(data, bag) == 0
    assert "the depth images are 48x32 and colour is 96x64" in capsys.readouterr().out
    np.testing.assert_array_equal(picture(data / f"b/depth/{stamps(1)[0]}.png"),
                                  depth(1)[:32, :48])


# A second camera that is not registered

def beside(path: Path, columns: int = 10, aux_size: tuple[int, int] = (WIDTH, HEIGHT)) -> Path:
    """What the second camera sees lies in colour so many pixels farther right."""
    write(path, HomographyRegistration(
        ((1.0, 0.0, float(columns)), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)), aux_size, (WIDTH, HEIGHT),
        "nearest"), "")
    return path


def moved(values: Array, columns: int = 10) -> Array:
    found = np.zeros_like(values)
    found[:, columns:] = values[:, :-columns]
    return found


@pytest.mark.parametrize("encoding, unit", [("16UC1", np.uint16(1)), ("32FC1", np.float32(0.001))])
def test_the_second_sensor_is_brought_into_colours_view(
        tmp_path: Path, data: Path, encoding: str, unit: Any) -> None:
    """0 where it sees nothing; type and unit stay."""
    bag = a_bag(tmp_path / "b", *recording(2, aux=lambda i: depth(i) * unit, encoding=encoding),
                info(RGB_INFO), info(AUX_INFO))
    more = ("--registration", str(beside(tmp_path / "r.yaml")))
    assert extract(data, bag, more=more) == 0
    for i, stem in enumerate(stamps(0, 1)):
        path, = (data / "b/depth").glob(f"{stem}.*")
        np.testing.assert_array_equal(picture(path), moved(depth(i) * unit), strict=True)
    assert list(yaml.safe_load((data / "b/camera_info.yaml").read_text())) == ["rgb"]


def test_what_was_recorded_as_png_is_registered_too(tmp_path: Path, data: Path) -> None:
    png = cv2.imencode(".png", depth(0))[1].tobytes()
    bag = a_bag(tmp_path / "b", image(RGB, START, colour(0), "bgr8"),
                compressed(AUX, "16UC1; compressedDepth png", bytes(12) + png))
    assert extract(data, bag, more=("--registration", str(beside(tmp_path / "r.yaml")))) == 0
    np.testing.assert_array_equal(picture(data / f"b/depth/{stamps(0)[0]}.png"), moved(depth(0)))


def test_a_drive_has_one_registration(
        bag: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ours, other = (("--registration", str(beside(tmp_path / f"{columns}.yaml", columns)))
                   for columns in (10, 20))
    assert extract(data, bag, more=ours) == extract(data, bag, more=ours) == 0
    capsys.readouterr()
    assert extract(data, bag, more=other) == extract(data, bag) == 1
    assert capsys.readouterr().err.count("another pairing or registration") == 2


def test_a_registration_of_other_images_is_named_and_nothing_is_written(
        bag: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    half = beside(tmp_path / "r.yaml", aux_size=(WIDTH // 2, HEIGHT // 2))
    assert extract(data, bag, more=("--registration", str(half))) == 1
    assert (f"{bag}: {half}: the registration is of the second sensor's images of 48x32, and they "
            "are 96x64") in capsys.readouterr().err
    assert not data.exists()


# CameraInfo

def test_camera_info_beside_the_images_is_kept(tmp_path: Path, data: Path) -> None:
    bag = a_bag(tmp_path / "b", *recording(), info(RGB_INFO), info(AUX_INFO))
    assert extract(data, bag) == 0
    kept = yaml.safe_load((data / "b" / "camera_info.yaml").read_text())
    assert list(kept) == ["rgb", "depth"]
    assert kept["rgb"]["k"] == [80, 0, 48, 0, 81, 32, 0, 0, 1]
    assert kept["rgb"]["d"] == [0, 1, 2, 3, 4] and kept["rgb"]["distortion_model"] == "plumb_bob"
    assert kept["depth"]["topic"] == AUX_INFO
    assert (kept["depth"]["width"], kept["depth"]["height"]) == (WIDTH, HEIGHT)
    assert kept["depth"]["header"]["frame_id"] == "camera"


def test_without_camera_info_there_is_no_file(bag: Path, data: Path) -> None:
    assert extract(data, bag) == 0
    assert not (data / "drive" / "camera_info.yaml").exists()


@pytest.mark.parametrize("given", [
    {"size": (2 * WIDTH, 2 * HEIGHT), "binning": 2}, {"size": (640, 480), "roi": (WIDTH, HEIGHT)},
    {"size": (640, 480), "roi": (2 * WIDTH, 2 * HEIGHT), "binning": 2}])
def test_a_binned_camera_or_a_part_of_it_describes_the_images(
        tmp_path: Path, data: Path, given: dict[str, Any]) -> None:
    """sensor_msgs/CameraInfo: the image is of the region of interest, divided by the binning."""
    assert extract(data, a_bag(tmp_path / "b", *recording(), info(RGB_INFO, **given))) == 0


def test_camera_info_of_another_size_is_refused_and_can_be_done_without(
        tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bag = a_bag(tmp_path / "b", *recording(), info(RGB_INFO, (640, 480)), info("/right"))
    assert extract(data, bag) == 1
    told = capsys.readouterr().err
    assert f"{bag}: {RGB_INFO} is of 640x480, but the images on {RGB} are 96x64" in told
    assert "--rgb-info none" in told and not data.exists()
    assert extract(data, bag, more=("--rgb-info", "/right")) == 0
    assert extract(data.with_name("other"), bag, more=("--rgb-info", "none")) == 0


# Every so many seconds

def test_frames_are_taken_at_a_regular_distance(bag: Path, data: Path) -> None:
    assert extract(data, bag, more=("--every", "0.2")) == 0
    assert stems(data / "drive" / "rgb") == stamps(0, 2, 4)


def test_jitter_takes_no_frame_away_and_a_clock_set_back_begins_again() -> None:
    take = spaced(0.1)
    jittered = [0, 99 * MS, 205 * MS, 297 * MS, 330 * MS]
    assert [take(START + stamp) for stamp in jittered] == [True, True, True, True, False]
    assert take(START - 10**9)
    assert [spaced(1.0, also={START + 7})(START + stamp) for stamp in (0, 7)] == [True, True]


# Going on

def test_what_is_there_is_not_made_again(
        bag: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert extract(data, bag) == 0
    first, second = (data / f"drive/{name}/{stamps(place)[0]}" for name, place in (
        ("rgb", 0), ("depth", 1)))
    first.with_suffix(".jpg").write_bytes(b"a user's own")
    second.with_suffix(".png").unlink()
    assert extract(data, bag) == 1  # the sheet shows it
    capsys.readouterr()
    assert first.with_suffix(".jpg").read_bytes() == b"a user's own"
    np.testing.assert_array_equal(picture(second.with_suffix(".png")), depth(1))


def test_other_drives_and_their_rows_stay(bag: Path, tmp_path: Path, data: Path) -> None:
    other = a_bag(tmp_path / "other", *recording(2))
    assert extract(data, bag) == extract(data, other) == 0
    assert [row["drive"] for row in rows(data)] == ["drive"] * 6 + ["other"] * 2


def test_several_bags_at_once_give_what_each_gives_alone(
        bag: Path, tmp_path: Path, data: Path) -> None:
    other = a_bag(tmp_path / "other", *recording(3))
    assert extract(data, bag, other, more=("--jobs", "2")) == 0
    for one in (bag, other):
        assert extract(tmp_path / "alone", one) == 0
    assert rows(data) == rows(tmp_path / "alone")
    for path in sorted((tmp_path / "alone").glob("*/*/*")):
        assert (data / path.relative_to(tmp_path / "alone")).read_bytes() == path.read_bytes()


# Which are worth it

def blurred(i: int) -> Array:
    return cv2.blur(colour(i), (15, 15))


def test_blurred_blank_and_frozen_frames_are_never_selected(tmp_path: Path, data: Path) -> None:
    black = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    bag = a_bag(tmp_path / "b", *recording(
        8, rgb=lambda i: {1: black, 3: blurred(3), 5: colour(4)}.get(i, colour(i)),
        aux=lambda i: np.zeros_like(depth(i)) if i == 6 else depth(i)))
    assert extract(data, bag, more=("--select", "4", "--every", "0")) == 0
    assert stems(data / "b" / "rgb") == stamps(0, 2, 4, 7)
    why = [row["why_not"].split(":")[0] for row in rows(data)]
    assert why == ["", "blank", "", "blurred", "", "frozen", "blank", ""]
    assert extract(data.with_name("d2"), bag, more=("--select", "5", "--every", "0")) == 1
    assert not list(data.with_name("d2").rglob("*.jpg"))


def test_the_selection_is_over_all_bags(tmp_path: Path, data: Path) -> None:
    """One drive shows three places, the other one place again and again, with some noise."""
    noise = np.random.default_rng(0)

    def same(_: int) -> Array:
        return np.clip(colour(9).astype(int) + noise.integers(-2, 3, (HEIGHT, WIDTH, 3)), 0,
                       255).astype(np.uint8)

    many = a_bag(tmp_path / "many", *recording(3, aux=lambda i: depth(0) + np.uint16(i)))
    one = a_bag(tmp_path / "one", *recording(
        12, rgb=same, aux=lambda i: depth(0) + np.uint16(i)))
    assert extract(data, many, one, more=("--select", "4", "--every", "0")) == 0
    assert [row["drive"] for row in rows(data) if row["chosen"] == "yes"] == [
        "many", "many", "many", "one"]


def test_a_larger_selection_keeps_the_frames_that_may_be_labelled_by_now(
        bag: Path, data: Path) -> None:
    assert extract(data, bag, more=("--select", "2", "--every", "0")) == 0
    first = set(stems(data / "drive" / "rgb"))
    assert extract(data, bag, more=("--select", "4", "--every", "0.3")) == 0
    assert len(first) == 2 and first < set(stems(data / "drive" / "rgb"))
    assert len(stems(data / "drive" / "rgb")) == 4


def test_frames_that_are_there_are_said_to_count(
        bag: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for wanted in ("3", "2"):
        assert extract(data, bag, more=("--select", "3", "--every", "0")) == 0
        capsys.readouterr()
        assert extract(data, bag, more=("--select", wanted, "--every", "0")) == 0
        assert (f"3 frames are there already and count among the {wanted}, so that none was added: "
                f"{data}; look at" in capsys.readouterr().out)
        assert len(stems(data / "drive" / "rgb")) == 3


def test_a_model_s_doubts_are_written_down(tmp_path: Path, data: Path) -> None:
    bag = a_bag(tmp_path / "b", *recording(2))
    model = ROOT / "models" / "tiny_forest.onnx"
    more = ("--select", "1", "--every", "0", "--model", str(model))
    assert extract(data, bag, more=more) == 0
    segmenter = Segmenter(model)
    for i, row in enumerate(rows(data)):
        confidence = segmenter.segment(colour(i), depth(i), confidence=True).confidence
        assert confidence is not None
        assert float(row["uncertainty"]) == pytest.approx(1 - confidence.mean() / 255, abs=1e-4)
        alone = [segmenter.segment(*arrays).labels
                 for arrays in ((colour(i), None), (None, depth(i)))]
        assert float(row["disagreement"]) == pytest.approx(np.mean(alone[0] != alone[1]), abs=1e-4)


def test_a_model_of_a_vegetation_index_alone_gets_colour_and_near_infrared(
        tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bag = a_bag(tmp_path / "b", image(RGB, START, colour(0), "bgr8"),
                image(AUX, START, colour(1)[..., 0], "mono8"))
    model = tmp_path / "m.safetensors"
    save_untrained(model, replace(TINY_SPEC, architecture="adapnet++",
                                  modalities=(Modality("nir", "ndvi"),)))
    more = ("--select", "1", "--every", "0", "--model", str(model))
    assert extract(data, bag, more=(*more, "--name", "thermal")) == 1
    assert "give its model, or --name nir" in capsys.readouterr().err
    assert extract(data, bag, more=(*more, "--name", "nir")) == 0
    (row,) = rows(data)
    assert float(row["uncertainty"]) > 0


def candidates(values: list[float], drive: str = "a", **more: list[float]) -> list[Candidate]:
    """Whose looks are one number, and whose drive each has for itself."""
    return [Candidate(f"{drive}{i}", START, "", 0.7, np.full((6, 16), value, np.float32),
                      **{name: given[i] for name, given in more.items()})
            for i, value in enumerate(values)]


def test_always_the_farthest_is_next_and_novelty_is_the_distance_that_is_left() -> None:
    """Their mean is 3, so a 3 is first; then 10 is the farthest, and then 0. The looks of two that
    are drawn at random are 1 apart, in squares: twice the variance. So are two drives."""
    values = [0.0, 0, 2, 3, 3, 10]
    found = choose(candidates(values), 3, ())
    assert found.places == [3, 5, 0]
    expected = [np.sqrt((apart ** 2 / (2 * np.var(values)) + 1) / 2)
                for apart in (3, 0, 1, 3, 0, 7)]
    np.testing.assert_allclose(found.novelty, expected, rtol=1e-5)


def test_what_a_model_doubts_comes_first_of_what_is_equally_far() -> None:
    for doubts, second in (([0, .1, .2, .3, .9, .4], 4), ([0, .1, .9, .3, .2, .4], 2)):
        for name in ("uncertainty", "disagreement"):
            values = [0.0, 9, 5, 0, 5, 0]
            found = choose(candidates(values, **{name: doubts}), 3, [("a0", START), ("a1", START)])
            assert found.places == [0, 1, second]


def test_time_tells_alike_frames_of_a_drive_apart() -> None:
    alike = [Candidate("a", START + i * 10**9, "", 0.7, np.ones((6, 16), np.float32))
             for i in range(9)]
    assert sorted(choose(alike, 3, [("a", START)]).places) == [0, 3, 6]


def test_only_what_is_much_less_sharp_than_its_own_drive_is_blurred() -> None:
    frames = [Candidate(drive, START, "", value) for drive, values in (
        ("fog", [.4, .41, .42, .33]), ("sun", [.8, .82, .65, .4])) for value in values]
    assert [each.flaw for each in without_blurred(frames)] == ["", "", "", "", "", "", "", "blurred"
                                                              ]


def test_sharpness_falls_when_the_camera_moves_and_is_0_without_any_structure() -> None:
    streak = np.zeros((9, 9), np.float32)
    streak[4] = 1 / 9
    noise = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    scene = cv2.blur(noise, (3, 3))
    assert sharpness(cv2.filter2D(scene, -1, streak)) < 0.8 * sharpness(scene)
    assert sharpness(cv2.convertScaleAbs(scene, alpha=0.5)) == pytest.approx(sharpness(scene),
                                                                           abs=0.03)
    assert sharpness(np.full((20, 30, 3), 9, np.uint8)) == 0


def test_looks_are_means_of_cells_and_of_what_is_measured() -> None:
    rgb = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    rgb[:, WIDTH // 2:] = 255
    second = np.where(rgb[..., 0] == 0, 0, 1000).astype(np.uint16)
    maps = looks(rgb, second).reshape(6, 4, 4)
    np.testing.assert_allclose(maps[0, :, [0, 3]].T, [[0, 100]] * 4, atol=0.01)  # lightness L*
    np.testing.assert_allclose(maps[1:3], 0, atol=0.01)  # grey has neither of the two colours
    np.testing.assert_allclose(maps[4], np.log1p(1000), rtol=1e-5)
    np.testing.assert_array_equal(maps[5], [[0, 0, 1, 1]] * 4)


# What cannot be used is one line, and nothing is written

@pytest.mark.parametrize("more, says", [
    (("--aux", "/nothing"), "has no topic /nothing; it has\n  /camera/color/image_raw  "),
    (("--aux", RGB), "is given for both cameras"),
    (("--name", "label"), "'label' cannot be the second sensor's name"),
    (("--name", "../x"), "'../x' cannot be the second sensor's name"),
    (("--model", "m.onnx"), "--model is for --select"),
    (("--rgb-info", "/no/info"), "has no topic /no/info"),
    (("--rgb-info", AUX), "has sensor_msgs/msg/Image, not sensor_msgs/msg/CameraInfo"),
    (("--select", "2", "--model", "none.onnx"), "none.onnx"),
])
def test_a_mistake_is_named(bag: Path, data: Path, capsys: pytest.CaptureFixture[str],
                            more: tuple[str, ...], says: str) -> None:
    assert extract(data, bag, more=more) == 1
    told = capsys.readouterr().err
    assert says in told and "Traceback" not in told
    assert not data.exists()


def test_depth_without_a_unit_is_refused(tmp_path: Path, data: Path,
                                         capsys: pytest.CaptureFixture[str]) -> None:
    grey = np.full((8, 8), 90, np.uint8)
    bag = a_bag(tmp_path / "b", *(
        rosbag2.image(topic, MS, MS, grey, "mono8") for topic in (RGB, AUX)))
    assert extract(data, bag) == 1
    assert f"{bag}: {AUX}: the depth image is HxW of uint8" in capsys.readouterr().err
    assert extract(data, bag, more=("--name", "nir")) == 0


@pytest.mark.parametrize("encoding", ["16UC1", "32FC1"])
def test_swapped_cameras_are_told_from_other_mistakes(
        tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str], encoding: str) -> None:
    """Only what is wrong of both: a grey camera beside a coloured thermal image may be meant."""
    deep = depth(0).astype(np.float32) if encoding == "32FC1" else depth(0)
    bag = a_bag(tmp_path / "b", image(RGB, START, deep, encoding),
                image(AUX, START, colour(0), "bgr8"))
    assert extract(data, bag) == 1
    assert (f"{bag}: the two cameras look swapped: {RGB} was given as colour and has one channel "
            f"({encoding}), and {AUX}, given as the second sensor, has colours (bgr8); exchange"
            ) in capsys.readouterr().err
    one_is_wrong = a_bag(tmp_path / "c", image(RGB, START, deep, encoding),
                         image(AUX, START, deep, encoding))
    assert extract(data, one_is_wrong) == 1
    assert "look swapped" not in capsys.readouterr().err and not data.exists()
    for grey, values in (("mono8", colour(0)[..., 0]), ("mono16", 7 * depth(0))):
        beside = a_bag(tmp_path / grey, image(RGB, START, values, grey),
                       image(AUX, START, colour(0), "bgr8"))
        assert extract(data / grey, beside, more=("--name", "thermal")) == 0


def test_nothing_is_written_into_a_bag(bag: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = set(bag.iterdir())
    assert extract(bag, bag) == 1
    assert f"{bag} is a bag: give a folder of its own" in capsys.readouterr().err
    assert set(bag.iterdir()) == before


def test_where_nothing_pairs_the_distance_of_the_stamps_and_the_option_are_told(
        tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bag = a_bag(tmp_path / "b", *recording(aux_late_ns=40 * MS))
    assert extract(data, bag) == 1
    told = capsys.readouterr().err
    assert f"{bag}: no image on {RGB} has a partner on {AUX} within 0.02 s" in told
    assert "their nearest stamps 0.04 s apart" in told and "--aux-delay" in told
    assert not data.exists()


def test_what_was_there_stays_where_a_further_drive_is_refused(
        bag: Path, tmp_path: Path, data: Path) -> None:
    assert extract(data, bag) == 0
    before = {path: path.read_bytes() for path in data.rglob("*") if path.is_file()}
    other = a_bag(tmp_path / "other", *recording(2))
    assert extract(data, other, more=("--select", "3", "--every", "0")) == 1
    assert {path: path.read_bytes() for path in data.rglob("*") if path.is_file()} == before
    assert not (data / "other").exists()


def test_two_bags_of_one_name_and_another_bag_s_folder_are_refused(
        bag: Path, tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "sub").mkdir()
    other = a_bag(tmp_path / "sub" / "drive", *recording(2))
    assert extract(data, bag, other) == 1
    assert f"{bag} and {other} would both become the drive drive" in capsys.readouterr().err
    assert extract(data, bag) == 0
    assert extract(data, other) == 1
    assert "holds frames of another bag" in capsys.readouterr().err
    assert extract(data, bag, more=("--slop", "0.03")) == 1
    (data / "mine").mkdir()
    (data / "mine" / "file").touch()
    mine = a_bag(tmp_path / "mine", *recording(2))
    assert extract(data, mine) == 1
    assert "not of ssma extract" in capsys.readouterr().err


def test_more_frames_than_there_are_is_said(
        bag: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert extract(data, bag, more=("--select", "9", "--every", "0")) == 1
    assert "9 frames are wanted, and there are 6 to choose from" in capsys.readouterr().err
    assert not data.exists()


def test_a_bag_of_images_that_cannot_be_read_is_refused(
        tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bag = a_bag(tmp_path / "b", compressed(RGB, "jpeg", b"no jpeg"),
                image(AUX, START, depth(0), "16UC1"))
    assert extract(data, bag) == 1
    assert "compressed images of format 'jpeg' are not understood" in capsys.readouterr().err
    assert not data.exists()


def test_a_full_disk_is_one_line_and_leaves_whole_pictures_only(
        tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bag = a_bag(tmp_path / "b", *recording())
    with room_for(9_000):
        assert extract(data, bag) == 1
    told = capsys.readouterr().err.splitlines()[-1]
    assert told.startswith(f"ssma extract: cannot write {data}/b/depth/") and "make room" in told
    assert not list(data.rglob(".*partial*")) and not list(data.rglob("*.jpg"))
    assert extract(data, bag) == 0


def test_a_table_that_is_not_ours_is_refused(
        bag: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data.mkdir()
    (data / "frames.csv").write_text("a,b\n1,2\n")
    assert extract(data, bag) == 1
    assert f"{data / 'frames.csv'} is not of ssma extract" in capsys.readouterr().err


def test_no_candidate_at_all_is_an_error_of_words() -> None:
    with pytest.raises(SsmaError, match="2 frames are wanted, and there are 0"):
        choose([Candidate("a", START, "cannot be read: why")], 2, ())

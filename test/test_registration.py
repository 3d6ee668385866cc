"""Registration: where a second camera's pixels lie in the colour image, by hand-made geometry and
by OpenCV's; what a file may say; and what `ssma register` reads in a bag."""
from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ssma_core import Modality, Segmenter, SsmaError, read_registration
from ssma_core.bags import rosbag2
from ssma_core.cli import main
from ssma_core.files import read_colour, read_sensor
from ssma_core.modalities.scale import drawn
from ssma_core.registration import registered, write
from ssma_core.registration.cameras import CalibratedCamera, Transform
from ssma_core.registration.depth import HOLE, MEASURED, NO_RETURN, DepthRegistration
from ssma_core.registration.displacement import Displacement
from ssma_core.registration.find import find
from ssma_core.registration.homography import (
    HomographyRegistration,
    at_distance,
    corners,
    holds_between,
    moved,
)
from ssma_core.synthetic import forest

SIZE = WIDTH, HEIGHT = 160, 120
CAMERA = CalibratedCamera(100, 100, 79.5, 59.5, SIZE)
BESIDE = Transform((0.1, 0, 0))  # what is at z metres is seen 100 · 0.1 / z pixels farther right
SHIFTED = DepthRegistration(CAMERA, CAMERA, BESIDE)
FAR = 5000  # millimetres: 2 pixels


def plane(millimetres: int = FAR) -> np.ndarray:
    return np.full((HEIGHT, WIDTH), millimetres, np.uint16)


def assert_row(found: np.ndarray, *runs: tuple[int, int]) -> None:
    """Every row is of runs: a value, and how many pixels have it."""
    row = np.concatenate([np.full(count, value) for value, count in runs])
    np.testing.assert_array_equal(found, np.broadcast_to(row, found.shape))


# Depth

@pytest.mark.parametrize("millimetres, pixels", [(FAR, 2), (2000, 5), (1000, 10)])
def test_a_plane_is_seen_shifted_by_focal_length_times_baseline_by_distance(
        millimetres: int, pixels: int) -> None:
    found = SHIFTED.aligned(plane(millimetres))
    assert found.dtype == np.uint16
    assert_row(found, (0, pixels), (millimetres, WIDTH - pixels))
    metres = SHIFTED.aligned((plane(millimetres) / 1000).astype(np.float32))
    assert metres.dtype == np.float32
    np.testing.assert_allclose(metres, found / 1000, rtol=1e-6)


def test_distances_are_the_colour_cameras() -> None:
    in_front = DepthRegistration(CAMERA, CAMERA, Transform((0, 0, 0.5)))
    found = in_front.aligned(plane(2000))
    assert set(np.unique(found)) == {0, 2500}
    assert found[HEIGHT // 2, WIDTH // 2] == 2500  # its image is smaller: 0.8 of it
    assert np.mean(found > 0) == pytest.approx(0.8 ** 2, abs=0.02)


def test_what_is_nearer_hides_what_is_behind_and_leaves_a_hole_beside_it() -> None:
    depth = plane()
    depth[:, 60:80] = 1000  # 10 pixels to the right
    assert_row(SHIFTED.aligned(depth),
               (0, 2), (FAR, 60), (0, 8), (1000, 20), (FAR, WIDTH - 90))


def slope() -> tuple[np.ndarray, list[int]]:
    """A near surface in columns 60 to 79 that comes nearer, so that neighbours land 1.5 pixels
    apart; and the columns on which they land."""
    disparity = 10.25 + 0.5 * np.arange(20)
    depth = np.zeros((HEIGHT, WIDTH), np.uint16)
    depth[:, 60:80] = np.rint(10_000 / disparity)
    return depth, np.floor(60.5 + np.arange(20) + disparity).astype(int).tolist()


def test_through_the_gaps_of_a_surface_nothing_behind_it_is_seen() -> None:
    depth, columns = slope()
    depth[depth == 0] = FAR
    found = SHIFTED.aligned(depth)[:, columns[0]:columns[-1] + 1]
    assert len(set(columns)) < found.shape[1]  # there are gaps
    assert found.max() < 1000


def test_a_gap_is_closed_by_the_farther_neighbour_and_what_had_no_return_is_not() -> None:
    depth, columns = slope()
    whole = SHIFTED.aligned(depth)
    first, last = columns[0], columns[-1]
    assert (whole[:, first:last + 1] > 0).all() and not whole[:, :first].any()
    gap = next(c for c in range(first, last) if c not in columns)
    assert whole[0, gap] == depth[0, 60 + columns.index(gap - 1)]
    lost = 70
    depth[:, lost] = 0
    found = SHIFTED.aligned(depth)
    assert not found[:, columns[lost - 60]].any()
    # Nor the gaps beside it, which it bounds.
    assert 1 <= np.count_nonzero(found[0, first:last + 1] == 0) <= 3


def test_a_hole_is_told_from_no_return() -> None:
    depth = plane()
    depth[:, 20:30] = 0  # these rays go to infinity, where nothing is shifted
    found = SHIFTED.answers(depth)
    assert_row(found, (HOLE, 2), (MEASURED, 20), (NO_RETURN, 8), (HOLE, 2),
               (MEASURED, WIDTH - 32))
    np.testing.assert_array_equal(SHIFTED.aligned(depth) > 0, found == MEASURED)


@given(arrays(np.uint16, (9, 12)))
def test_where_both_cameras_are_one_depth_stays_as_it_is(depth: np.ndarray) -> None:
    camera = CalibratedCamera(7.3, 9.1, 5.2, 4.4, (12, 9))
    one = DepthRegistration(camera, camera, Transform((0, 0, 0)))
    np.testing.assert_array_equal(one.aligned(depth), depth)


@given(arrays(np.float32, (9, 12), elements=st.floats(width=32)))
def test_of_floats_what_is_no_measurement_becomes_zero(depth: np.ndarray) -> None:
    camera = CalibratedCamera(7.3, 9.1, 5.2, 4.4, (12, 9))
    found = DepthRegistration(camera, camera, Transform((0, 0, 0))).aligned(depth)
    assert np.isfinite(found).all() and (found >= 0).all()
    usual = (depth > 1e-3) & (depth < 1e4)
    np.testing.assert_array_equal(found[usual], depth[usual])
    assert not found[~(depth > 0)].any()


def test_coarser_depth_covers_a_finer_colour_image_without_holes() -> None:
    coarse = CalibratedCamera(50, 50, 39.5, 29.5, (80, 60))
    found = DepthRegistration(CAMERA, coarse, Transform((0, 0, 0))).aligned(
        np.full((60, 80), 2000, np.uint16))
    assert (found[1:-1, 1:-1] == 2000).all()


LENS = (-0.12, 0.03, 0.001, -0.002, 0.01)
RATIONAL = (0.3, -0.1, 0.001, 0.0005, 0.02, 0.5, -0.05, 0.01)


@pytest.mark.parametrize("colour, depth", [((), LENS), (LENS, ()), (RATIONAL, LENS)])
def test_through_both_lenses_a_plane_is_where_its_equation_says(
        colour: tuple[float, ...], depth: tuple[float, ...]) -> None:
    """n·X = d in the depth camera's frame is Rn·X = d + Rn·t in colour's."""
    theirs, ours = replace(CAMERA, distortion=colour), replace(CAMERA, distortion=depth)
    turn, moved_by = np.array([0.02, -0.03, 0.04]), np.array([0.05, -0.02, 0.01])
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = cv2.Rodrigues(turn)[0], moved_by
    normal, d = np.array([0.2, 0.3, 1.0]), 3.0

    def rays(lens: tuple[float, ...]) -> np.ndarray:
        pixels = np.stack(np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT)), 2).astype(float)
        flat = cv2.undistortPoints(pixels.reshape(-1, 1, 2), CAMERA.matrix,
                                   np.array(lens or (0.0,) * 5))[:, 0]
        return np.column_stack([flat, np.ones(len(flat))]).reshape(HEIGHT, WIDTH, 3)

    turned = matrix[:3, :3] @ normal
    expected = (d + turned @ moved_by) / (rays(colour) @ turned)
    found = DepthRegistration(theirs, ours, Transform.from_matrix(matrix)).aligned(
        (d / (rays(depth) @ normal)).astype(np.float32))
    inner = (slice(20, -20), slice(20, -20))
    seen = found[inner] > 0
    assert seen.mean() > 0.995
    apart = (found[inner] / expected[inner] - 1)[seen]
    # A pixel's side is a hundredth of the distance, and the plane's slope at most 0.5.
    assert np.abs(apart).max() < 0.01 and abs(apart.mean()) < 0.001


@pytest.mark.parametrize("aux, colour_size, reason", [
    (np.zeros((60, 80), np.uint16), None, "160x120, and they are 80x60"),
    (np.zeros((HEIGHT, WIDTH), np.uint16), (640, 480), "colour images of 160x120, and they are 64"),
    (np.zeros((HEIGHT, WIDTH), np.uint8), None, "only depth can be projected"),
    (np.zeros((HEIGHT, WIDTH, 3), np.uint8), None, "only depth can be projected")])
def test_images_that_it_is_not_of_are_refused(aux: np.ndarray, colour_size: Any, reason: str
                                              ) -> None:
    with pytest.raises(SsmaError, match=reason):
        SHIFTED.aligned(aux, colour_size)


# One distance

@given(arrays(np.uint16, (9, 12)), st.sampled_from(["linear", "nearest"]))
def test_no_homography_leaves_an_image_as_it_is(image: np.ndarray, how: Any) -> None:
    nothing = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
    found = HomographyRegistration(nothing, (12, 9), (12, 9), how)
    np.testing.assert_array_equal(found.aligned(image), image)
    colours = np.dstack([image.astype(np.uint8)] * 3)
    np.testing.assert_array_equal(found.aligned(colours), colours)


@pytest.mark.parametrize("how", ["linear", "nearest"])
def test_beyond_the_second_camera_there_is_nothing_and_no_half_values(how: Any) -> None:
    found = HomographyRegistration(((1.0, 0.0, 2.0), (0.0, 1.0, -1.0), (0.0, 0.0, 1.0)), (12, 9),
                                   (12, 9), how).aligned(np.full((9, 12), 200, np.uint8))
    assert_row(found[:-1], (0, 2), (200, 10))
    assert not found[-1].any()


@pytest.mark.parametrize("how", ["linear", "nearest"])
def test_of_floats_for_which_zero_is_a_value_nothing_is_nan(how: Any) -> None:
    """0 degrees are a temperature: beyond the second camera there is none. Whole numbers stay."""
    thermal = Modality("thermal", "grey", percentiles=(0.0, 100.0))
    moved = HomographyRegistration(((1.0, 0.0, 2.0), (0.0, 1.0, -1.0), (0.0, 0.0, 1.0)), (12, 9),
                                   (12, 9), how)
    warm = np.tile(np.arange(20, 32, dtype=np.float32), (9, 1))
    found = registered(moved, None, warm, thermal.no_measurement)
    assert_row(found[:-1], *[(np.nan, 2), *((value, 1) for value in range(20, 30))])
    assert np.isnan(found[-1]).all()
    levels = drawn(found, thermal)[0, :, 0]  # from the coldest, 20 degrees, to the warmest, 29
    assert levels.tolist() == [0, 0, *(int(step * 255 / 9) for step in range(10))]
    whole = registered(moved, None, warm.astype(np.uint16), thermal.no_measurement)
    assert not whole[:, :2].any()
    apart = DepthRegistration(CAMERA, CAMERA, BESIDE)
    near = np.full((HEIGHT, WIDTH), 2, np.float32)  # 5 pixels of parallax
    assert np.isnan(registered(apart, None, near, thermal.no_measurement)[:, :5]).all()


def test_at_a_distance_the_homography_is_that_distances_shift() -> None:
    np.testing.assert_allclose(at_distance(CAMERA, CAMERA, BESIDE, 2.0),
                               [[1, 0, 5], [0, 1, 0], [0, 0, 1]], atol=1e-12)
    # Displaced by 3 pixels: 10 / z - 10 / 2 = ±3.
    near, far = holds_between(parallax=10, distance=2.0)
    assert (near, far) == pytest.approx((10 / 8, 10 / 2))
    assert holds_between(parallax=10, distance=4.0)[1] is None


def test_a_lens_that_no_homography_fits_is_refused_with_the_pixels_that_are_left() -> None:
    bent = replace(CAMERA, distortion=(-0.3, 0.1, 0.0, 0.0))
    with pytest.raises(SsmaError, match=r"distortion leaves \d+\.\d pixels"):
        at_distance(CAMERA, bent, BESIDE, 2.0)
    nearly = replace(CAMERA, distortion=(-0.005, 0.0, 0.0, 0.0))
    found = at_distance(CAMERA, nearly, BESIDE, 2.0)
    assert moved(found, np.array([[79.5, 59.5]]))[0] == pytest.approx([84.5, 59.5], abs=0.5)


@pytest.mark.parametrize("matrix, reason", [
    ([[0, 0, 0], [0, 0, 0], [0, 0, 0]], "singular"),
    ([[1, 2, 0], [2, 4, 0], [0, 0, 1]], "singular"),
    ([[-1, 0, 159], [0, 1, 0], [0, 0, 1]], "mirrors"),
    ([[1, 0, 0], [0, 1, 0], [0.02, 0, -1]], "folds"),
    ([[1, 0, 130], [0, 1, 0], [0, 0, 1]], "moves a corner of the image by 130 pixels, of a diagon"),
    ([[-1, 0, 159], [0, -1, 119], [0, 0, 1]], "moves a corner of the image by 199")])
def test_a_homography_of_nonsense_is_refused_with_figures(tmp_path: Path, matrix: Any, reason: str
                                                          ) -> None:
    path = tmp_path / "registration.yaml"
    path.write_text(yaml.safe_dump({"matrix": matrix, "aux_size": SIZE, "colour_size": SIZE}
                                   ).replace("!!python/tuple", ""))
    with pytest.raises(SsmaError, match=reason):
        read_registration(path)


# Files

ONE_DISTANCE = HomographyRegistration(((1.0, 0.0, 4.5), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)), SIZE,
                                      SIZE, spread=0.25)


@pytest.mark.parametrize("registration", [
    ONE_DISTANCE, SHIFTED, replace(SHIFTED, colour=replace(CAMERA, distortion=RATIONAL))])
def test_what_is_written_is_read_again(tmp_path: Path, registration: Any) -> None:
    write(tmp_path / "r.yaml", registration, "of this\nand that")
    assert (tmp_path / "r.yaml").read_text().startswith("# of this\n# and that\n")
    assert read_registration(tmp_path / "r.yaml") == registration


@pytest.mark.parametrize("change, reason", [
    ({"colour": None}, "colour must be a mapping"),
    ({"colour": {"fx": float("nan")}}, "fx must be a finite number, got nan"),
    ({"colour": {"fy": 0.0}}, "must be positive"),
    ({"depth": {"size": [1_000_000, 1_000_000]}}, "megapixels"),
    ({"depth": {"distortion": [0.1, 0.2]}}, "0, 4, 5 or 8 coefficients"),
    ({"transform": {"rotation": [0, 0, 0, 0]}}, "quaternion"),
    ({"transform": {"translation": [50.0, 0, 0]}}, "50 m apart"),
    ({"more": 1}, "unknown field 'more'")])
def test_a_file_that_cannot_be_right_is_named_with_the_field(
        tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    path = tmp_path / "r.yaml"
    write(path, SHIFTED, "")
    values = yaml.safe_load(path.read_text())
    for name, new in change.items():
        values[name] = values[name] | new if isinstance(new, dict) else new
    path.write_text(yaml.safe_dump(values))
    with pytest.raises(SsmaError, match=reason) as error:
        read_registration(path)
    assert str(path) in str(error.value)


def test_a_segmenter_takes_the_images_of_both_cameras_as_they_come(tmp_path: Path) -> None:
    frame = next(forest.drive(0, 1, SIZE))
    write(tmp_path / "r.yaml", SHIFTED, "")
    model = ROOT / "models/tiny_forest.onnx"
    registered = Segmenter(model, registration=tmp_path / "r.yaml")
    plain, fitting = Segmenter(model), SHIFTED.aligned(frame.depth)
    np.testing.assert_array_equal(registered.segment(frame.rgb, frame.depth).labels,
                                  plain.segment(frame.rgb, fitting).labels)
    with pytest.raises(SsmaError, match=r"r\.yaml: the registration is of colour images of 160"):
        registered.segment(np.zeros((60, 80, 3), np.uint8), frame.depth)


# Found in images

SCENE = (384, 192)


@pytest.fixture(scope="module")
def scenes() -> list[tuple[np.ndarray, np.ndarray]]:
    """Colour and near infrared of one view, from two places."""
    return [(frame.rgb, frame.near_infrared) for seed in (11, 5000)
            for frame in forest.drive(seed, 4, SCENE, fps=1)]


def warped(image: np.ndarray, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The image as another camera sees it, and the homography back: each corner is elsewhere by up
    to a share of the width."""
    height, width = image.shape[:2]
    ends = corners((width, height)).astype(np.float32)
    there = ends + np.random.default_rng(seed).uniform(-share, share, (4, 2)) * width
    matrix = cv2.getPerspectiveTransform(ends, there.astype(np.float32))
    return cv2.warpPerspective(image, matrix, (width, height),
                               flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP), matrix


def off(found: np.ndarray, true: np.ndarray, size: tuple[int, int]) -> float:
    """Pixels by which the worst corner is elsewhere."""
    ends = corners(size)
    return float(np.linalg.norm(moved(found, ends) - moved(true, ends), axis=1).max())


def test_a_known_homography_is_found_within_a_pixel_on_near_infrared(
        scenes: list[tuple[np.ndarray, np.ndarray]]) -> None:
    true = warped(scenes[0][1], 0.03, seed=1)[1]
    found = find([(rgb, warped(nir, 0.03, seed=1)[0]) for rgb, nir in scenes])
    assert off(found.matrix, true, SCENE) < 1
    assert found.spread < 1


def test_a_known_homography_is_found_within_a_pixel_on_real_near_infrared(shared: Path) -> None:
    folder = shared / "data/real_forest/rgbnir"
    if not folder.is_dir():
        pytest.skip(f"the real images are not at {folder}")
    half = [[cv2.resize(image[:608, :960], (480, 304), interpolation=cv2.INTER_AREA) for image in
             (read_colour(path), read_sensor(folder / "nir" / f"{path.stem}.png"))]
            for path in sorted((folder / "rgb").iterdir())]
    true = warped(half[0][1], 0.03, seed=2)[1]
    found = find([(rgb, warped(nir, 0.03, seed=2)[0]) for rgb, nir in half])
    assert off(found.matrix, true, (480, 304)) < 1


def test_images_that_do_not_belong_together_are_refused_with_figures(
        scenes: list[tuple[np.ndarray, np.ndarray]]) -> None:
    unlike = [(rgb, scenes[(i + 5) % 8][1][:, ::-1]) for i, (rgb, _) in enumerate(scenes)]
    with pytest.raises(SsmaError, match=r"disagree by \d+|too little in common|moves a corner"):
        find(unlike)
    with pytest.raises(SsmaError, match=r"in common \(a correlation of 0\.000"):
        find([(rgb, np.zeros_like(nir)) for rgb, nir in scenes])
    with pytest.raises(SsmaError, match="at least 3 pairs, got 2"):
        find(scenes[:2])


@pytest.mark.parametrize("right, down", [(0, 0), (3, 0), (-15, 4), (12, -9)])
def test_a_displacement_is_seen_after_some_pairs_and_what_fits_is_left_alone(
        scenes: list[tuple[np.ndarray, np.ndarray]], right: int, down: int) -> None:
    watch = Displacement()
    for second, (rgb, nir) in enumerate(scenes):
        assert watch.pixels() is None or second >= 5
        watch.look(rgb, np.roll(nir, (down, right), (0, 1)), float(second))
    if abs(right) < 4:
        assert watch.pixels() is None
    else:
        assert watch.pixels() == pytest.approx((right, down), abs=1)


# ssma register

STORE = rosbag2.jazzy()
RGB, AUX = "/camera/color/image_raw", "/camera/depth/image_raw"
START = 1_700_000_000 * 10**9


def message(kind: str, **fields: Any) -> Any:
    return STORE.types[kind](**fields)


def recorded(topic: str, kind: str, content: Any) -> rosbag2.Recorded:
    return rosbag2.Recorded(topic, kind, START, bytes(STORE.serialize_cdr(content, kind)))


def header(frame: str) -> Any:
    return message("std_msgs/msg/Header", stamp=message(
        "builtin_interfaces/msg/Time", sec=0, nanosec=0), frame_id=frame)


def info(topic: str, camera: CalibratedCamera, **other: Any) -> rosbag2.Recorded:
    kind = "sensor_msgs/msg/CameraInfo"
    region = message("sensor_msgs/msg/RegionOfInterest", x_offset=0, y_offset=0, height=0, width=0,
                     do_rectify=False)
    p = np.column_stack([camera.matrix, np.zeros(3)])
    fields = {"header": header("any"), "width": camera.size[0], "height": camera.size[1],
              "distortion_model": "plumb_bob", "d": np.array(camera.distortion or (0.0,) * 5),
              "k": camera.matrix.ravel(), "r": np.eye(3).ravel(), "p": p.ravel(),
              "binning_x": 0, "binning_y": 0, "roi": region}
    return recorded(topic, kind, message(kind, **fields | other))


def transforms(*edges: tuple[str, str, tuple[float, float, float]]) -> rosbag2.Recorded:
    kind, geometry = "tf2_msgs/msg/TFMessage", "geometry_msgs/msg/"
    stamped = [message(
        f"{geometry}TransformStamped", header=header(parent), child_frame_id=child,
        transform=message(f"{geometry}Transform", translation=message(
            f"{geometry}Vector3", x=x, y=y, z=z), rotation=message(
                f"{geometry}Quaternion", x=0.0, y=0.0, z=0.0, w=1.0)))
        for parent, child, (x, y, z) in edges]
    return recorded("/tf_static", kind, message(kind, transforms=stamped))


# The colour camera is 0.02 m left of the base, the depth camera 0.08 m right of it.
TREE = transforms(("base", "color", (-0.02, 0.0, 0.0)), ("base", "depth", (0.08, 0.0, 0.0)))
COLOUR_INFO = info("/camera/color/camera_info", CAMERA)
DEPTH_INFO = info("/camera/depth/camera_info", CAMERA)


@pytest.fixture
def bag(tmp_path: Path) -> Callable[..., Path]:
    """Makes a bag of five frames with these further messages before them."""
    def make(*others: rosbag2.Recorded, aux: np.ndarray | None = None, encoding: str = "16UC1"
             ) -> Path:
        def messages() -> Iterator[rosbag2.Recorded]:
            yield from others
            for i in range(5):
                stamp = START + i * 10**8
                yield rosbag2.image(RGB, stamp, stamp, np.zeros((HEIGHT, WIDTH, 3), np.uint8),
                                    "bgr8", frame_id="color")
                yield rosbag2.image(AUX, stamp, stamp, plane() if aux is None else aux, encoding,
                                    frame_id="depth")

        rosbag2.write(tmp_path / "walk", messages())
        return tmp_path / "walk"

    return make


def register(bag: Path, *options: str) -> tuple[int, Path]:
    output = bag.parent / "registration.yaml"
    return main(["register", str(bag), "--rgb", RGB, "--aux", AUX, "--output", str(output),
                 *options]), output


def test_depth_is_registered_by_camera_info_and_tf_static(bag: Callable[..., Path], tmp_path: Path,
                                                          capsys: Any) -> None:
    status, output = register(bag(COLOUR_INFO, DEPTH_INFO, TREE), "--blend",
                              str(tmp_path / "blend.png"))
    assert status == 0
    assert read_registration(output) == SHIFTED
    assert "0.1 m apart" in capsys.readouterr().out
    assert read_colour(tmp_path / "blend.png").shape == (HEIGHT, WIDTH, 3)


def test_the_transform_may_come_from_a_file(bag: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "place.yaml").write_text("translation: [0.1, 0, 0]\nrotation: [0, 0, 0, 1]\n")
    status, output = register(bag(COLOUR_INFO, DEPTH_INFO), "--transform",
                              str(tmp_path / "place.yaml"))
    assert status == 0 and read_registration(output) == SHIFTED


def test_at_a_distance_a_homography_is_written_and_where_it_holds(
        bag: Callable[..., Path], capsys: Any) -> None:
    grey = np.full((HEIGHT, WIDTH), 90, np.uint8)
    status, output = register(bag(COLOUR_INFO, DEPTH_INFO, TREE, aux=grey, encoding="mono8"),
                              "--distance", "2")
    found = read_registration(output)
    assert status == 0 and isinstance(found, HomographyRegistration)
    np.testing.assert_allclose(found.matrix, [[1, 0, 5], [0, 1, 0], [0, 0, 1]], atol=1e-9)
    assert (found.near, found.far) == pytest.approx((1.25, 5.0))
    assert "it holds from 1.2 m to 5.0 m" in capsys.readouterr().out


def test_rectified_images_have_the_rectified_camera(bag: Callable[..., Path]) -> None:
    """P without distortion, not K and D."""
    half = replace(CAMERA, fx=50, fy=50)
    p = np.column_stack([half.matrix, np.zeros(3)]).ravel()
    rectified = info("/camera/depth/camera_info", replace(CAMERA, distortion=LENS), p=p)
    folder = bag(COLOUR_INFO, rectified, TREE)
    renamed = folder.parent / "renamed"
    raw, aux = "/camera/depth/image_raw", "/camera/depth/image_rect_raw"
    rosbag2.write(renamed, (each._replace(topic=aux) if each.topic == raw else each for each in
                            rosbag2.messages(folder, list(rosbag2.topics(folder)))))
    output = folder.parent / "r.yaml"
    assert main(["register", str(renamed), "--rgb", RGB, "--aux", aux, "--output", str(output)]
                ) == 0
    assert read_registration(output) == DepthRegistration(CAMERA, half, BESIDE)


@pytest.mark.parametrize("others, options, reason", [
    ([COLOUR_INFO, DEPTH_INFO], [], "tf_static does not connect 'color'"),
    ([COLOUR_INFO, DEPTH_INFO, transforms(("base", "color", (0.0, 0.0, 0.0)))], [],
     "with 'depth', that of the second sensor's; it has base, color"),
    ([DEPTH_INFO, TREE], [], "no topic /camera/color/camera_info"),
    ([COLOUR_INFO, info("/camera/depth/camera_info", replace(CAMERA, size=(80, 60))), TREE], [],
     "of 80x60 pixels, and the images are 160x120"),
    ([COLOUR_INFO, info("/camera/depth/camera_info", CAMERA, k=np.full(9, np.nan)), TREE], [],
     "fx must be a finite number, got nan"),
    ([COLOUR_INFO, info("/camera/depth/camera_info", CAMERA, k=np.zeros(9)), TREE], [],
     "must be positive"),
    ([COLOUR_INFO, info("/camera/depth/camera_info", replace(CAMERA, distortion=LENS),
                        distortion_model="equidistant"), TREE], [], "'equidistant' is not underst"),
    ([COLOUR_INFO, DEPTH_INFO, transforms(("color", "depth", (float("nan"), 0.0, 0.0)))], [],
     "translation.* must be a finite number"),
    ([COLOUR_INFO, DEPTH_INFO, transforms(("color", "depth", (100.0, 0.0, 0.0)))], [],
     "100 m apart"),
    ([COLOUR_INFO, DEPTH_INFO, TREE], ["--distance", "-1"], "above 0, got -1"),
    ([COLOUR_INFO, DEPTH_INFO, TREE], ["--by", "distance"], "needs --distance"),
    ([], ["--by", "images", "--distance", "5"], "--distance is for --by distance"),
    ([COLOUR_INFO, DEPTH_INFO, TREE], ["--blend", "/x/blend.png"], "/x"),
    ([COLOUR_INFO, DEPTH_INFO, TREE], ["--blend", "blend.nothing"], "no picture format"),
    ([COLOUR_INFO, DEPTH_INFO, TREE], ["--aux-delay", "1"], "holds no pairs"),
    ([], ["--by", "images"], "too little in common"),
    ([COLOUR_INFO, DEPTH_INFO, TREE], ["--aux", "/nothing"], "no topic /nothing")])
def test_what_is_missing_or_wrong_is_named_and_nothing_is_written(
        bag: Callable[..., Path], others: list[rosbag2.Recorded], options: list[str], reason: str,
        capsys: Any) -> None:
    status, output = register(bag(*others), *options)
    error = capsys.readouterr().err
    assert status == 1 and not output.exists()
    assert re.search(reason, error), error
    assert "Traceback" not in error


def test_a_homography_is_found_in_a_recording(
        scenes: list[tuple[np.ndarray, np.ndarray]], tmp_path: Path, capsys: Any) -> None:
    def messages() -> Iterator[rosbag2.Recorded]:
        for i, (rgb, nir) in enumerate(scenes):
            stamp = START + i * 10**8
            yield rosbag2.image(RGB, stamp, stamp, rgb, "bgr8", frame_id="color")
            yield rosbag2.image(AUX, stamp, stamp, warped(nir, 0.02, seed=3)[0], "mono8",
                                frame_id="nir")

    rosbag2.write(tmp_path / "walk", messages())
    status, output = register(tmp_path / "walk")
    said = capsys.readouterr().out
    found = read_registration(output)
    assert status == 0 and isinstance(found, HomographyRegistration)
    assert off(np.array(found.matrix), warped(scenes[0][1], 0.02, seed=3)[1], SCENE) < 1
    assert f"differ by {found.spread:.1f} pixels" in said and "is not known" in said

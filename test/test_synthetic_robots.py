"""The preset "robots": what every drive promises, whatever camera and place it draws."""
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ssma_core import cli
from ssma_core.errors import SsmaError
from ssma_core.synthetic import weather as weathers
from ssma_core.synthetic.canvas import GRASS, SKY, TRAIL, VEGETATION, Canvas
from ssma_core.synthetic.forest import SyntheticFrame, drive
from ssma_core.synthetic.robots import lidar, stereo
from ssma_core.synthetic.robots.depth import Ranger, shifted
from ssma_core.synthetic.robots.mounting import View
from ssma_core.synthetic.robots.rig import KINDS, DepthCamera, Mounting, depth_camera, rig_of
from ssma_core.synthetic.robots.sensors import blank_part
from ssma_core.synthetic.robots.surroundings import BESIDE, TRAILS, surroundings_of

SIZE = WIDTH, HEIGHT = (96, 64)
SEEDS = range(300, 305)
LEVEL = Mounting(height=1.0, pitch=0.0, roll=0.0, across=np.radians(90), distortion=0.0, aside=0.0,
                 heading=0.0)
FLAWLESS = DepthCamera("dense", least=0.1, reach=60.0, noise=0.0, speckle=0.0, shift=(0.0, 0.0),
                       scale=1.0, offset=0.0)


@pytest.fixture(scope="module")
def frames() -> dict[int, SyntheticFrame]:
    """The second frame of a drive of each seed."""
    return {seed: list(drive(seed, 2, SIZE, fps=1, preset="robots"))[1] for seed in SEEDS}


def everything(frame: SyntheticFrame) -> list[np.ndarray]:
    return [frame.rgb, frame.near_infrared, frame.depth, frame.label]


def test_shapes_types_and_labels(frames):
    for frame in frames.values():
        assert frame.rgb.shape == (HEIGHT, WIDTH, 3) and frame.rgb.dtype == np.uint8
        assert frame.near_infrared.shape == (HEIGHT, WIDTH)
        assert frame.near_infrared.dtype == np.uint8
        assert frame.depth.shape == (HEIGHT, WIDTH) and frame.depth.dtype == np.uint16
        assert frame.label.shape == (HEIGHT, WIDTH) and frame.label.dtype == np.uint8
        assert frame.label.max() <= 5


def test_every_class_occurs(frames):
    seen = np.mean([np.bincount(f.label.ravel(), minlength=6) / f.label.size
                    for f in frames.values()], axis=0)
    assert (seen[1:] > 0.01).all(), seen


def test_the_same_seed_makes_the_same_drive_and_another_seed_another(frames):
    again = list(drive(300, 3, SIZE, fps=1, preset="robots"))[1]
    assert all(np.array_equal(a, b) for a, b in zip(everything(again), everything(frames[300])))
    assert not any(np.array_equal(a, b)
                   for a, b in zip(everything(again), everything(frames[301])))


def test_nothing_comes_back_from_beyond_the_reach_or_from_the_sky(frames):
    for seed, frame in frames.items():
        assert frame.depth.max() <= 1000 * rig_of(seed, WIDTH / HEIGHT).depth.reach
        unmoved = rig_of(seed, WIDTH / HEIGHT).depth.shift == (0.0, 0.0)
        assert not unmoved or not frame.depth[frame.label == SKY].any()


def test_rigs_and_places_differ_and_keep_their_bounds():
    rigs = [rig_of(seed) for seed in range(400)]
    assert {rig.depth.kind for rig in rigs} == set(KINDS)
    assert {rig.depth.lines for rig in rigs} == {16, 32, 64, 128}
    for rig in rigs:
        assert 0.3 <= rig.mounting.height <= 2.0
        assert 50 <= np.degrees(rig.mounting.across) <= 110
        assert -5 <= np.degrees(rig.mounting.pitch) <= 25
        assert 3 <= rig.depth.reach <= 65
        assert 40 <= rig.colour.quality <= 95
        assert max(map(abs, (*rig.depth.shift, *rig.infrared.shift))) <= 0.01
    places = [surroundings_of(seed) for seed in range(400)]
    assert {place.trail for place in places} == set(TRAILS)
    assert {place.beside for place in places} == set(BESIDE)
    assert {row.kind for place in places for row in place.rows} == {
        "hedge", "herbage", "wall", "shrubs"}


def level_ground(view: View, height: float) -> Canvas:
    """What the level camera of a view sees over a plain, by h·f / rows below the horizon."""
    width, rows = view.level_size
    below = np.arange(rows)[:, None] - (1 - view.top * view.level_focal) + np.zeros((1, width))
    with np.errstate(divide="ignore"):
        distance = np.where(below > 0, height * view.level_focal / below, 1e4)
    label = np.where(distance < 1e3, TRAIL, SKY).astype(np.uint8)
    return Canvas(np.full((rows, width, 4), 90, np.uint8), distance.astype(np.float32), label)


@pytest.mark.parametrize(("height", "degrees"), [(0.3, 12), (1.0, 25), (2.0, 8)])
def test_the_optical_axis_meets_the_ground_at_height_over_the_sine_of_the_pitch(height, degrees):
    mounting = replace(LEVEL, height=height, pitch=np.radians(degrees), roll=0.05, distortion=0.1)
    view = View(mounting, (385, 193))
    seen = view.look(level_ground(view, height))
    assert seen.distance.shape == seen.label.shape == (193, 385)
    assert seen.distance[96, 192] == pytest.approx(height / np.sin(np.radians(degrees)), rel=0.04)


def test_what_reaches_past_the_camera_touches_it():
    """Crowns are metres deep: their leaves may be drawn behind the camera."""
    view = View(LEVEL, SIZE)
    scene = level_ground(view, 1.0)
    scene.distance[:] = -2.0
    assert (view.look(scene).distance > 0).all()


def test_the_field_of_view_reaches_from_border_to_border():
    view = View(LEVEL, SIZE)
    half_a_pixel = 0.5 / view.focal
    assert view.azimuth[HEIGHT // 2, -1] == pytest.approx(np.radians(45), abs=half_a_pixel)
    assert view.azimuth[HEIGHT // 2, 0] == pytest.approx(-np.radians(45), abs=half_a_pixel)
    barrel = View(replace(LEVEL, distortion=0.1), SIZE)
    assert barrel.azimuth[HEIGHT // 2, -1] > view.azimuth[HEIGHT // 2, -1]


def test_a_roll_to_the_right_lowers_the_left_of_the_horizon():
    view = View(replace(LEVEL, roll=0.2), SIZE)
    seen = view.look(level_ground(view, 1.0)).label == SKY
    assert seen[:, 4].sum() != seen[:, -5].sum()
    assert seen[:, WIDTH // 2].sum() == pytest.approx(HEIGHT / 2, abs=1.5)


def measured(camera: DepthCamera, distance: np.ndarray, label: int = VEGETATION) -> np.ndarray:
    """What a depth camera makes of a textured scene, in millimetres."""
    rng = np.random.default_rng(1)
    height, width = distance.shape
    colour = rng.integers(60, 200, (height, width, 4), dtype=np.uint8)
    scene = Canvas(colour, distance.astype(np.float32), np.full((height, width), label, np.uint8))
    overcast = replace(weathers.draw(rng, "clear"), direct=0.0)
    return Ranger(rng, camera, View(LEVEL, (width, height)), overcast).look(scene, None)


PLAIN = np.tile(np.geomspace(80, 0.4, HEIGHT)[:, None], (1, WIDTH))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(3))
def test_each_kind_keeps_its_range(kind, seed):
    camera = depth_camera(np.random.default_rng(seed), kind)
    found = measured(replace(camera, speckle=0.0, smooth=0.0), PLAIN)
    assert found.any()
    assert found.max() <= 1000 * camera.reach
    assert found[found > 0].min() >= 1000 * camera.least
    assert not measured(camera, PLAIN, SKY).any()


def test_a_constant_error_scales_and_shifts():
    found = measured(replace(FLAWLESS, scale=1.03, offset=-0.02), np.full((HEIGHT, WIDTH), 10.0))
    assert np.abs(found.astype(int) - 10_280).max() <= 1


def test_stereo_measures_in_steps_of_disparity():
    camera = replace(FLAWLESS, kind="stereo", baseline=0.2, steps=2, noise=0.1)
    found = measured(camera, PLAIN)
    disparity = 0.2 * WIDTH / 2 / (found[found > 0] / 1000)  # focal length: half the width at 90°
    steps = disparity * 2 * 768 / WIDTH
    steps = steps[steps < 20]  # of more, millimetres tell too little
    assert len(set(np.round(steps).tolist())) > 5
    assert np.abs(steps - np.round(steps)).max() < 0.05


@pytest.mark.parametrize(("other_eye", "band"), [(1, np.s_[:, :10]), (-1, np.s_[:, -10:])])
def test_the_band_that_the_other_eye_does_not_see_is_as_wide_as_the_disparity(other_eye, band):
    wanted = np.zeros((4, 64), bool)
    wanted[band] = True
    assert np.array_equal(stereo.hidden(np.full((4, 64), 10, np.float32), other_eye), wanted)


def test_near_things_hide_as_much_as_the_disparities_differ():
    disparity = np.full((1, 100), 5, np.float32)
    disparity[:, 50:60] = 20
    hidden = stereo.hidden(disparity, 1)[0]
    assert hidden[:5].all()
    behind = set((np.flatnonzero(hidden[5:]) + 5).tolist())
    assert set(range(37, 50)) <= behind <= set(range(35, 50))


def test_a_stereo_camera_has_its_empty_band():
    camera = replace(FLAWLESS, kind="stereo", baseline=0.2, steps=16)
    found = measured(camera, np.full((HEIGHT, WIDTH), 1.0))  # 0.2 m · 48 pixels / 1 m
    assert not found[:, :9].any() and (found[:, 11:] > 0).all()


@pytest.mark.parametrize("lines", [16, 64])
def test_a_lidar_has_as_many_lines(lines):
    elevation = np.tile(np.linspace(0.6, -0.6, 400)[:, None], (1, 50)).astype(np.float32)
    azimuth = np.tile(np.linspace(-0.5, 0.5, 50), (400, 1)).astype(np.float32)
    camera = replace(FLAWLESS, kind="lidar", lines=lines, lowest=-0.4, highest=0.2, turn=0.04)
    found = lidar.scan(camera, elevation, azimuth).line
    column = found[:, (found >= 0).any(axis=0)]
    assert sorted(set(column[column >= 0].tolist())) == list(range(lines))
    assert ((column >= 0).sum(axis=0) == lines).all()  # one pixel high
    assert column.shape[1] == pytest.approx(1.0 / 0.04, abs=2)
    lit = np.abs(elevation[:, 0][(found >= 0).any(axis=1)])
    assert lit.max() == pytest.approx(0.4, abs=0.004)


def test_a_filled_scan_is_linear_between_its_lines_and_empty_outside():
    elevation = np.tile(np.linspace(0.6, -0.6, 400)[:, None], (1, 8)).astype(np.float32)
    camera = replace(FLAWLESS, kind="lidar", lines=16, lowest=-0.4, highest=0.2, filled=True)
    filled = lidar.scan(camera, elevation, np.zeros_like(elevation))
    rows = np.tile(np.arange(400, dtype=np.float32)[:, None] + 1, (1, 8))
    found = filled.kept(rows)
    inside = found > 0
    assert np.allclose(found[inside], rows[inside], atol=1e-3)
    assert np.degrees(np.abs(elevation[inside] + 0.1).max()) < np.degrees(0.3) + 0.2
    assert inside[:, 0].sum() == pytest.approx(400 * 0.6 / 1.2, abs=3)


def test_a_misregistered_picture_moves_by_shares_of_the_width():
    picture = np.zeros((50, 100), np.uint16)
    picture[20, 30] = 7
    assert np.argwhere(shifted(picture, (0.02, -0.01))).tolist() == [[19, 32]]


@pytest.mark.parametrize(("side", "part"), [
    (0, np.s_[:4]), (1, np.s_[:, -6:]), (2, np.s_[-4:]), (3, np.s_[:, :6])])
def test_part_of_a_frame_is_missing(side, part):
    picture, wanted = np.ones((10, 15), np.uint8), np.ones((10, 15), np.uint8)
    wanted[part] = 0
    blank_part(picture, 0.4, side)
    assert np.array_equal(picture, wanted)


def test_the_sides_of_a_trail_in_a_wood_without_grass_are_void():
    """Nobody calls litter grass or trail: nothing is taught there."""
    seed = next(s for s in range(1000) if surroundings_of(s).beside == "floor"
                and surroundings_of(s).trail == "earth")
    label = next(drive(seed, 1, SIZE, preset="robots")).label
    assert (label == 0).mean() > 0.05 and (label == GRASS).mean() < 0.1


def test_an_unknown_preset_is_named():
    with pytest.raises(SsmaError, match="unknown preset 'boats'; known: forest, robots"):
        drive(0, 1, preset="boats")


def command(output: Path, *more: str) -> list[str]:
    return ["synthesize", "--output", str(output), "--frames", "1", "--seed", "7", "--size",
            "64x64", *more]


def test_the_command_writes_the_preset_and_tells_drives_apart_by_it(tmp_path, capsys):
    assert cli.main(command(tmp_path, "--preset", "robots")) == 0
    facts = json.loads((tmp_path / "drive_007" / "drive.json").read_text())
    assert facts["preset"] == "robots"
    assert cli.main(command(tmp_path, "--preset", "robots")) == 0
    assert cli.main(command(tmp_path)) == 1
    assert "preset" in capsys.readouterr().err
    assert cli.main(command(tmp_path, "--preset", "boats")) == 1
    assert "known: forest, robots" in capsys.readouterr().err


def test_a_drive_written_before_there_were_presets_is_the_forests(tmp_path, capsys):
    assert cli.main(command(tmp_path)) == 0
    file = tmp_path / "drive_007" / "drive.json"
    facts = json.loads(file.read_text())
    assert facts.pop("preset") == "forest"
    file.write_text(json.dumps(facts))
    assert cli.main(command(tmp_path)) == 0
    assert "1 were there already" in capsys.readouterr().out
    assert cli.main(command(tmp_path, "--preset", "robots")) == 1

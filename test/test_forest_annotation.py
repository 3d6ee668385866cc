"""The labels of the synthetic forest are such as a person would draw them."""
import numpy as np

from ssma_core.synthetic.annotation import annotated
from ssma_core.synthetic.canvas import (
    GRASS,
    OBSTACLE,
    SKY,
    SKY_DISTANCE,
    TRAIL,
    VEGETATION,
    VOID,
    Canvas,
    put,
)
from ssma_core.synthetic.things.sprites import Polygons, paint

HEIGHT, WIDTH = 384, 768
TREE = 12.0  # metres


def scene(label: np.ndarray) -> Canvas:
    distance = np.where(label == SKY, SKY_DISTANCE, TREE).astype(np.float32)
    return Canvas(np.zeros((HEIGHT, WIDTH, 4), np.uint8), distance, label)


def filled(number: int) -> np.ndarray:
    return np.full((HEIGHT, WIDTH), number, np.uint8)


def test_a_gap_of_a_few_pixels_in_a_crown_is_vegetation_as_near_as_the_crown():
    label = filled(VEGETATION)
    label[100:103, 200:204] = SKY
    found = annotated(scene(label))
    assert (found.label == VEGETATION).all()
    assert (found.distance == TREE).all()


def test_a_leaf_before_the_sky_is_sky():
    label = filled(SKY)
    label[100:103, 200:203] = VEGETATION
    assert (annotated(scene(label)).label == SKY).all()


def test_a_gap_too_small_to_draw_is_vegetation_and_a_wide_one_sky():
    label = filled(VEGETATION)
    label[50:60, 50:60] = SKY
    label[200:240, 200:240] = SKY
    found = annotated(scene(label)).label
    assert not (found[40:70, 40:70] == SKY).any()
    assert (found[52:58, 52:58] == VEGETATION).all()
    assert (found[205:235, 205:235] == SKY).all()


def test_an_obstacle_too_far_to_be_sure_of_is_void_and_a_near_one_an_obstacle():
    rock = paint(Polygons(np.array([[[-0.5, 0.0], [0.5, 0.0], [0.5, 0.5], [-0.5, 0.5]]]),
                          np.full((1, 4), 100.0), np.zeros(1)), 1.0, 0.5, 200, OBSTACLE)
    canvas = scene(filled(GRASS))
    for column, pixels_per_metre in ((100, 15), (400, 60)):
        put(canvas, rock, (column, 300), pixels_per_metre=pixels_per_metre, distance=5.0, shade=1.0,
            mirrored=False)
    assert canvas.label[296, 100] == VOID
    assert canvas.label[290, 400] == OBSTACLE


def test_a_straight_border_stays_where_it_is():
    label = filled(GRASS)
    label[:, 300:] = TRAIL
    assert np.array_equal(annotated(scene(label)).label, label)


def test_a_lattice_of_twigs_before_the_sky_is_void():
    label = filled(SKY)
    label[:, 301:500] = np.random.default_rng(0).choice((SKY, VEGETATION), (HEIGHT, 199))
    found = annotated(scene(label)).label[:, 305:495]
    assert (found == VOID).mean() > 0.1

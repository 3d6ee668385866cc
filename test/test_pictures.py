"""Pictures for people: every part is where one looks for it."""
from dataclasses import replace

import numpy as np
import pytest

from ssma_core import ConfusionMatrix, Modality, ModelSpec
from ssma_core.evaluation.report.confusion import confusion_picture
from ssma_core.pictures import colourize, contact_sheet, legend, overlay

SPEC = ModelSpec(
    architecture="adapnet++", size="tiny", class_names=("void", "ground", "sky"),
    class_colours=((0, 0, 0), (200, 100, 50), (0, 0, 250)), input_size=(64, 48),
    modalities=(Modality("rgb", "image"),))
LINE = 28  # pixels of a line of text


def test_labels_get_their_classes_colours_in_bgr_and_unknown_ids_black():
    coloured = colourize(np.array([[1, 2, 0, 7]], np.uint8), SPEC)
    assert coloured.tolist() == [[[50, 100, 200], [250, 0, 0], [0, 0, 0], [0, 0, 0]]]


def test_an_overlay_is_half_picture_half_colour():
    picture = np.full((1, 1, 3), 100, np.uint8)
    assert overlay(picture, np.array([[1]], np.uint8), SPEC).tolist() == [[[75, 100, 150]]]


def test_a_sheet_has_its_pictures_below_the_titles():
    white, grey = np.full((40, 80, 3), 255, np.uint8), np.full((40, 80), 77, np.uint8)
    sheet = contact_sheet([[white, grey], [grey, white]], ["one", "two"], width=100)
    # Two columns of (100 − 3 · 4) // 2 = 44 pixels, so pictures of 44×22.
    assert sheet.shape == (LINE + 2 * (22 + 4), 4 + 2 * (44 + 4), 3)
    assert (sheet[LINE:LINE + 22, 52:96] == 77).all()
    assert (sheet[LINE + 26:LINE + 48, 4:48] == 77).all()
    assert (sheet[:LINE] < 128).any()


def test_a_row_title_is_above_its_row():
    grey = np.full((40, 80), 77, np.uint8)
    sheet = contact_sheet([[grey], [grey]], [""], width=88, row_titles=["first", ""])
    assert (sheet[LINE:2 * LINE] < 128).any(), "a text"
    row = 2 * LINE
    assert (sheet[row:row + 40, 4:84] == 77).all()
    assert (sheet[row + 44:row + 44 + LINE] == 255).all(), "an empty text"
    assert (sheet[row + 44 + LINE:-4, 4:84] == 77).all()


def test_of_a_long_row_title_the_end_is_kept():
    row = [np.zeros((40, 80), np.uint8)]
    long, short = (contact_sheet([row], [""], 200, [title])[LINE:2 * LINE]
                   for title in ("a/very/long/folder/" * 9 + "000123.png", "000123.png"))
    ink = [np.flatnonzero((band < 128).any(axis=(0, 2))) for band in (long, short)]
    assert ink[0].max() < 200
    assert ink[0].size > ink[1].size


@pytest.mark.parametrize(("width", "lines"), [(600, 1), (80, 3)])
def test_the_legend_shows_every_colour_on_as_many_lines_as_it_needs(width, lines):
    picture = legend(SPEC, width)
    assert picture.shape == (lines * LINE, width, 3)
    for red, green, blue in SPEC.class_colours:
        assert ((picture == (blue, green, red)).all(axis=2).sum()) >= 16 * 16


def confusion(counts, void_id=0):
    matrix = ConfusionMatrix(3, void_id)
    matrix.counts += np.array(counts)
    return confusion_picture(matrix, replace(SPEC, void_id=void_id))


DARKEST, LIGHTEST = (107, 48, 8), (255, 251, 247)  # matplotlib's "Blues" at 1 and 0, in BGR


def pixels(picture, colour):
    return int((picture == colour).all(axis=2).sum())


def test_the_confusion_picture_is_dark_where_all_of_a_row_is():
    """Cells are squares of 66 pixels, less their text and frame: of the four, two are full."""
    right = confusion([[5, 0, 0], [0, 7, 0], [0, 0, 9]])
    wrong = confusion([[5, 0, 0], [0, 7, 0], [0, 9, 0]])
    for picture in (right, wrong):
        assert 2 * 50**2 < pixels(picture, DARKEST) < 2 * 66**2
        assert 2 * 50**2 < pixels(picture, LIGHTEST) < 2 * 66**2
    assert lower(right) > lower(wrong) + 50, "sky's row: to the right where it is right"


def lower(picture):
    """Where, from the left, the dark cell of the lower row is."""
    dark = np.argwhere((picture == DARKEST).all(axis=2))
    return dark[dark[:, 0] > dark[:, 0].mean()][:, 1].mean()


def test_shares_are_of_the_true_class_for_any_size():
    few, many = (confusion([[0, 0, 0], [0, n, n], [0, 0, 1]]) for n in (1, 10**9))
    assert pixels(few, DARKEST) == pixels(many, DARKEST) < 66**2


def test_void_has_a_column_only_where_it_was_predicted():
    never, ever = (confusion([[0, 0, 0], [n, 9, 0], [0, 0, 9]]) for n in (0, 1))
    # The frame around the cells is the longest dark line.
    frames = [(picture < 60).all(axis=2).sum(axis=1).max() for picture in (never, ever)]
    assert frames == pytest.approx([2 * 66, 3 * 66], abs=4)


def test_a_class_that_does_not_occur_has_an_empty_row():
    picture = confusion([[0, 0, 0], [0, 9, 0], [0, 0, 0]])
    assert 50**2 < pixels(picture, DARKEST) < 66**2
    assert pixels(picture, LIGHTEST) > 3 * 50**2

"""The paper's metric: intersection over union over a whole set, void left out."""
import numpy as np
import pytest

from ssma_core.errors import SsmaError
from ssma_core.evaluation.metrics import ConfusionMatrix, intersection_and_union, iou, mean_iou

NAMES = ("void", "road", "grass", "sky")


def counted(truth, prediction, classes=4, void_id=0):
    matrix = ConfusionMatrix(classes, void_id)
    matrix.add(np.array(truth, np.uint8), np.array(prediction, np.uint8))
    return matrix


def test_agrees_with_the_reference(shared):
    golden = np.load(shared / "golden" / "metric_6.npz")
    matrix = ConfusionMatrix(6, void_id=0)
    for truth, prediction in zip(golden["gt"], golden["prediction"]):
        matrix.add(truth, prediction)

    true_positive = np.diag(matrix.counts)
    false_positive = matrix.counts.sum(axis=0) - true_positive
    false_negative = matrix.counts.sum(axis=1) - true_positive
    np.testing.assert_array_equal(
        np.stack([true_positive, false_positive, false_negative], axis=1), golden["tp_fp_fn"])
    assert 100 * matrix.mean_iou() == pytest.approx(float(golden["miou_percent"]), abs=1e-9)


def test_where_the_ground_truth_is_void_any_prediction_is_right():
    matrix = counted([[0, 0, 1, 1]], [[1, 2, 1, 1]])
    np.testing.assert_array_equal(matrix.iou(), [np.nan, 1, np.nan, np.nan])


def test_predicting_void_where_there_is_a_class_is_a_miss():
    assert counted([[1, 1, 1, 1]], [[0, 0, 1, 1]]).iou()[1] == 0.5


def test_the_void_class_need_not_be_the_first():
    matrix = counted([[3, 0, 1]], [[0, 0, 1]], void_id=3)
    np.testing.assert_array_equal(matrix.iou(), [1, 1, np.nan, np.nan])


def test_a_class_that_never_occurs_has_no_iou_and_adds_nothing_to_the_mean_as_in_the_reference():
    matrix = counted([[1, 2]], [[1, 2]])
    assert np.isnan(matrix.iou()[3])
    assert matrix.mean_iou() == pytest.approx(2 / 3)


def test_a_class_that_is_only_predicted_has_an_iou_of_zero():
    assert counted([[1, 1]], [[1, 3]]).iou()[3] == 0


def test_counts_add_up_over_frames_rather_than_being_averaged():
    matrix = counted([[1] * 10], [[1] * 10])
    matrix.add(np.array([[1, 1]], np.uint8), np.array([[2, 2]], np.uint8))
    assert matrix.iou()[1] == pytest.approx(10 / 12)


def test_nothing_counted_has_no_mean():
    assert np.isnan(ConfusionMatrix(4, 0).mean_iou())


@pytest.mark.parametrize(("truth", "prediction", "culprit"), [
    ([[7]], [[1]], "the truth has the id 7"), ([[1]], [[4]], "the prediction has the id 4")])
def test_a_label_beyond_the_classes_is_named_and_nothing_is_counted(truth, prediction, culprit):
    matrix = ConfusionMatrix(4, 0)
    with pytest.raises(SsmaError, match=culprit):
        matrix.add(np.array(truth), np.array(prediction))
    assert matrix.counts.sum() == 0


def test_different_sizes_are_refused():
    with pytest.raises(SsmaError, match=r"\(1, 2\) and \(2, 1\)"):
        counted([[1, 1]], [[1], [1]])


def test_the_table_has_a_line_a_class_without_void():
    lines = counted([[1, 1, 1, 2]], [[1, 1, 2, 2]]).table(NAMES).splitlines()
    assert [line.split()[0] for line in lines] == ["class", "road", "grass", "sky", "mean"]
    assert lines[1].split()[1:] == ["66.7", "75.0"]
    assert lines[3].split()[1:] == ["–", "0.0"]
    assert lines[4].split()[1:] == ["38.9"]


def test_json_says_null_where_a_class_does_not_occur():
    answer = counted([[1, 1, 1, 2]], [[1, 1, 2, 2]]).to_dict(NAMES)
    assert answer["iou"] == {"road": pytest.approx(2 / 3), "grass": 0.5, "sky": None}
    assert answer["miou"] == pytest.approx(7 / 18)
    assert np.array(answer["counts"]).sum() == 4


def test_many_matrices_at_once_are_as_each_by_itself(shared):
    golden = np.load(shared / "golden" / "metric_6.npz")
    each = [counted(*pair, classes=6) for pair in zip(golden["gt"], golden["prediction"])]
    together = iou(*intersection_and_union(np.stack([matrix.counts for matrix in each]), void_id=0))
    np.testing.assert_array_equal(together, [matrix.iou() for matrix in each])
    np.testing.assert_array_equal(mean_iou(together), [matrix.mean_iou() for matrix in each])


def test_both_and_either_of_a_class_by_hand():
    """Ground: 2 hits, 1 miss, 1 false alarm. Void: nothing, though it was hit."""
    matrix = counted([[0, 1, 1, 1, 2]], [[0, 1, 1, 2, 1]], classes=3)
    both, either = intersection_and_union(matrix.counts, void_id=0)
    assert both.tolist() == [0, 2, 0]
    assert either.tolist() == [0, 4, 2]


def test_frames_summed_are_as_counted_together():
    first, second = counted([[1, 2]], [[1, 1]]), counted([[2, 3]], [[2, 3]])
    summed = ConfusionMatrix.summed(np.stack([first.counts, second.counts]), void_id=0)
    first.add(np.array([[2, 3]]), np.array([[2, 3]]))
    np.testing.assert_array_equal(summed.counts, first.counts)


def test_absent_are_the_classes_that_no_ground_truth_has():
    assert counted([[0, 1, 1]], [[1, 1, 2]]).absent(NAMES) == ["grass", "sky"]

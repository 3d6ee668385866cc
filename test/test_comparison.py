"""Comparing two results: the interval is the bootstrap's, and nothing is claimed that it does not
carry."""
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import SMALL_EXPERT

from ssma_core import Modality, SsmaError
from ssma_core.evaluation import comparison
from ssma_core.evaluation.comparison import compare
from ssma_core.evaluation.inference import Options
from ssma_core.evaluation.report.words import in_words
from ssma_core.evaluation.result_file import pooled, write_result
from ssma_core.evaluation.results import DatasetSource, DriveResult, FrameResult, Result
from ssma_core.evaluation.seeds import over_seeds


def counts(*hits, of=100):
    """Frames of `of` pixels of ground, of which so many are hit and the others called void; no sky.
    So ground's IoU is the share of hits, and the mean IoU half of that."""
    frames = np.zeros((len(hits), 3, 3), np.int64)
    frames[:, 1, 1] = hits
    frames[:, 1, 0] = of - np.array(hits)
    return frames


def interval_of(comparison, what="mean"):
    interval = comparison.mean if what == "mean" else comparison.classes[what]
    return [interval.difference, interval.low, interval.high]


def test_equal_models_do_not_differ():
    same = counts(90, 20, 50, 70)
    found = compare(same, same, list("abcd"), void_id=0)
    assert interval_of(found) == interval_of(found, 1) == [0, 0, 0]
    assert found.verdict(found.mean) == "not told apart"


def test_two_drives_worked_out_by_hand():
    """Drawing 2 of 2 drives gives (1, 1), (1, 2), (2, 1), (2, 2), a quarter each: the interval runs
    from the one drive's difference to the other's."""
    found = compare(counts(50, 50), counts(60, 90), ["1", "2"], void_id=0)
    assert interval_of(found, 1) == pytest.approx([0.25, 0.1, 0.4])
    assert interval_of(found) == pytest.approx([0.125, 0.05, 0.2])
    assert (found.units, found.kind) == (2, "drives")


def test_the_same_frames_are_drawn_for_both_models():
    """What is hard for both cancels out: hits from 5 to 85 of 100, one model always 10 ahead."""
    hits = np.random.default_rng(0).integers(5, 86, 12)
    found = compare(counts(*hits), counts(*hits + 10), list("abcdefghijkl"), void_id=0)
    assert interval_of(found, 1) == pytest.approx([0.1, 0.1, 0.1])
    assert found.verdict(found.mean) == "B is better"


def test_frames_that_repeat_in_their_drive_add_no_certainty():
    a, b, drives = counts(50, 60, 70), counts(60, 62, 90), ["1", "2", "3"]
    once = compare(a, b, drives, void_id=0)
    often = compare(a.repeat(9, axis=0), b.repeat(9, axis=0), np.repeat(drives, 9).tolist(), 0)
    assert interval_of(often) == pytest.approx(interval_of(once))


def test_single_frames_are_drawn_where_there_is_one_drive():
    a, b = counts(50, 50), counts(60, 90)
    for drive, kind in ((".", "frames"), ("drive_000", "frames of one drive")):
        found = compare(a, b, [drive] * 2, void_id=0)
        assert interval_of(found, 1) == pytest.approx([0.25, 0.1, 0.4])
        assert (found.units, found.kind) == (2, kind)


def test_a_frames_weight_is_its_pixels():
    """Summed over frames before dividing, as the metric is: (10 + 900) / 1000 − 500 / 1000."""
    a = np.concatenate([counts(50), counts(450, of=900)])
    b = np.concatenate([counts(10), counts(900, of=900)])
    assert compare(a, b, ["1", "2"], void_id=0).classes[1].difference == pytest.approx(0.41)


def test_a_class_that_occurs_for_neither_has_no_difference_and_adds_none():
    found = compare(counts(50, 50), counts(60, 90), ["1", "2"], void_id=0)
    assert np.isnan(interval_of(found, 2)).all()
    assert not found.classes[2].excludes_0


def test_the_interval_holds_the_true_value_as_often_as_it_says():
    """300 sets of 30 drives of 4 frames. Of 100 pixels of ground and 100 of sky, a model errs on a
    share that is the frame's drive's own, so that both are good or bad together. B's expected share
    is 0.20, A's 0.25, alike for both classes: over endless drives, IoU = (1 − e) / (1 + e)."""
    truth = 0.8 / 1.2 - 0.75 / 1.25
    rng = np.random.default_rng(0)
    drives = np.repeat(np.arange(30), 4).astype(str).tolist()
    held = 0
    for _ in range(300):
        hard = rng.uniform(0, 0.4, 30).repeat(4)
        models = [erring(rng, hard + 0.05 * rng.uniform(0, 2, 30).repeat(4)), erring(rng, hard)]
        interval = compare(*models, drives, void_id=0).mean
        held += interval.low <= truth <= interval.high
    # 95 % of 300, with a standard deviation of 1.3 %; percentile intervals fall a little short.
    assert 0.90 <= held / 300 <= 0.985


def erring(rng, share):
    frames = np.zeros((len(share), 3, 3), np.int64)
    for this, other in ((1, 2), (2, 1)):
        frames[:, this, other] = rng.binomial(100, share)
        frames[:, this, this] = 100 - frames[:, this, other]
    return frames


@pytest.mark.parametrize(("drives", "verdict"), [(5, "B is better (few drives)"),
                                                 (6, "B is better")])
def test_five_drives_are_too_few_to_speak_of_others(drives, verdict):
    """Tossing coins, five drives of five favour the same model in 2 of 32 cases: more than 5 %."""
    found = compare(counts(*[50] * drives), counts(*range(60, 60 + drives)),
                    [str(i) for i in range(drives)], void_id=0)
    assert found.verdict(found.mean) == verdict


# Files

def write(folder, name, hits, **changes):
    """A result of a frame a drive."""
    drives = tuple(drive(i, "fog" if i % 2 else "clear", one[None])
                   for i, one in enumerate(counts(*hits)))
    source = DatasetSource("c.yaml", "validation", Options())
    result = Result("m.onnx", SMALL_EXPERT, source, (), drives)
    write_result(replace(result, **{k: f(result) for k, f in changes.items()}),
                 folder / f"{name}.json")
    return str(folder / f"{name}.json")


def drive(number, condition, counts):
    return DriveResult(f"drive_{number}", (FrameResult(f"{number}.png", condition),), counts)


def other_ground_truth(i):
    """Nine pixels of ground, where all others have a hundred."""
    return replace_drive(i, counts=counts(9, of=9))


def replace_drive(i, **changes):
    return lambda r: (*r.drives[:i], replace(r.drives[i], **changes), *r.drives[i + 1:])


def flipped(result):
    return replace(result.source, options=replace(result.source.options, flip=True))


def compare_files(first, second):
    return in_words(comparison.compare_files(first, second))


HITS = (10, 20, 30, 40, 50, 60, 70, 80)


def test_the_comparison_in_words(tmp_path):
    a = write(tmp_path, "a", HITS)
    b = write(tmp_path, "b", [hit + 10 for hit in HITS])
    words = compare_files(a, b).splitlines()
    assert words[2] == ("8 frames, drawn 10,000 times from 8 whole drives, whose frames "
                        "resemble each other")
    table = [line.split() for line in words[4:8]]
    assert " ".join(table[1]) == "mean 22.5 27.5 +5.00 +5.00 to +5.00 B is better"
    assert table[2][:4] == ["ground", "45.0", "55.0", "+10.00"]
    assert table[3] == ["sky", *"––––"]
    assert [line.split()[0] for line in words[9:12]] == ["mIoU", "clear", "fog"]
    assert words[10].split()[-7:] == ["B", "is", "better", "(few", "drives)", "4", "drives"]
    assert words[-1] == ("The interval, +5.00 to +5.00 points of mIoU, excludes 0: B is better "
                         "than A.")
    assert compare_files(b, a).splitlines()[-1] == (
        "The interval, -5.00 to -5.00 points of mIoU, excludes 0: A is better than B.")


def test_an_interval_around_0_claims_nothing(tmp_path):
    a, b = write(tmp_path, "a", HITS), write(tmp_path, "b", HITS[::-1])
    assert compare_files(a, b).endswith("includes 0: these frames do not tell A and B apart.")


def test_few_drives_are_reported(tmp_path):
    a, b = write(tmp_path, "a", HITS[:3]), write(tmp_path, "b", HITS[1:4])
    assert compare_files(a, b).endswith(
        "excludes 0: B is better than A on these frames; fewer than 6 drives are too few to say so "
        "of others.")


def test_frames_are_matched_by_name_in_any_order(tmp_path):
    a = write(tmp_path, "a", HITS)
    b = write(tmp_path, "b", HITS, drives=lambda result: result.drives[::-1])
    assert "The interval, +0.00 to +0.00" in compare_files(a, b)


@pytest.mark.parametrize(("changes", "complaint"), [
    ({"drives": lambda r: r.drives[1:]}, r"a.json has the frame 0.png, .*b.json has not"),
    ({"drives": lambda r: (*r.drives, drive(8, "fog", counts(1)))},
     r"b.json has the frame 8.png, .*a.json has not"),
    ({"drives": other_ground_truth(1)},
     r"true labels of 1.png are not the same .* at the label's size"),
    ({"spec": lambda r: replace(r.spec, class_names=("void", "soil", "sky"))},
     r"a.json is about the classes void, ground, sky, .*b.json about void, soil, sky"),
    ({"spec": lambda r: replace(r.spec, void_id=2)}, r"cannot be compared"),
])
def test_what_cannot_be_compared_is_named(tmp_path, changes, complaint):
    with pytest.raises(SsmaError, match=complaint):
        compare_files(write(tmp_path, "a", HITS), write(tmp_path, "b", HITS, **changes))


def test_a_damaged_file_is_named(tmp_path):
    a = write(tmp_path, "a", HITS)
    values = json.loads(Path(a).read_text())
    del values["runs"]
    (tmp_path / "b.json").write_text(json.dumps(values))
    with pytest.raises(SsmaError, match=r"b.json is no result of evaluate.py .*: it lacks runs"):
        compare_files(a, str(tmp_path / "b.json"))


def test_folds_are_compared_as_one_result(tmp_path):
    whole = [write(tmp_path, name, hits) for name, hits in (("a", HITS), ("b", HITS[::-1]))]
    folds = ["+".join(write(tmp_path, name + part, hits, drives=chosen)
                      for part, chosen in (("0", lambda r: r.drives[:3]),
                                           ("1", lambda r: r.drives[3:])))
             for name, hits in (("a", HITS), ("b", HITS[::-1]))]
    assert compare_files(*folds).splitlines()[2:] == compare_files(*whole).splitlines()[2:]


@pytest.mark.parametrize(("changes", "complaint"), [
    ({}, r"two.json cannot be added to .*one.json \+ .*two.json: two frames have the name 0.png"),
    ({"spec": lambda r: replace(r.spec, class_names=("void", "soil", "sky"))},
     r"two.json is of another model or other options than .*one.json"),
    ({"source": flipped}, r"two.json is of another model or oth"),
])
def test_folds_that_do_not_belong_together_are_named(tmp_path, changes, complaint):
    one = write(tmp_path, "one", HITS)
    with pytest.raises(SsmaError, match=complaint):
        pooled(f"{one}+{write(tmp_path, 'two', HITS, **changes)}")


def test_the_mean_over_seeds_worked_out_by_hand(tmp_path):
    """Hits of 10, 30 and 50 of 100 in each frame: mean 30, deviation 20; of the mean over ground
    and the sky that does not occur, half."""
    files = [write(tmp_path, str(hits), [hits] * 8) for hits in (10, 30, 50)]
    table = [line.split() for line in over_seeds(files).splitlines()]
    assert table[0][:4] == ["3", "results,", "8", "frames,"]
    assert table[2:] == [["mean", "15.0", "10.0"], ["ground", "30.0", "20.0"], ["sky", "–", "–"],
                         ["clear", "15.0", "10.0"], ["fog", "15.0", "10.0"]]


@pytest.mark.parametrize(("changes", "complaint"), [
    ({"drives": lambda r: r.drives[1:]}, r"one.json has the frame 0.png, .*two.json has not"),
    ({"drives": replace_drive(7, frames=(FrameResult("7.png", "rain"),))},
     r"7.png is of the condition fog in .*one.json, of rain in .*two.json"),
    ({"drives": other_ground_truth(0)}, r"true labels of 0.png are not the same"),
    ({"spec": lambda r: replace(r.spec, modalities=(Modality("depth", "jet", 20000.0),))},
     r"two.json \(m.onnx, at the label's size\) is of another model or other options than"),
    ({"source": flipped}, r"with mirror images\) is of another"),
])
def test_a_mean_of_what_does_not_belong_together_is_refused(tmp_path, changes, complaint):
    one, two = write(tmp_path, "one", HITS), write(tmp_path, "two", HITS, **changes)
    with pytest.raises(SsmaError, match=complaint):
        over_seeds([one, two])


def test_a_mean_is_over_several_files_each_given_once(tmp_path):
    one, two = write(tmp_path, "one", HITS), write(tmp_path, "two", HITS)
    with pytest.raises(SsmaError, match=r"at least two"):
        over_seeds([one])
    for files in ([one, two, one], [one, f"{tmp_path}/../{tmp_path.name}/one.json"],
                  [f"{one}+{two}", two]):
        with pytest.raises(SsmaError, match=r"\w.json is given twice"):
            over_seeds(files)

"""The benchmark of the node's overhead: its arithmetic, the naive node's pairing, and one short run
of it over DDS."""
from __future__ import annotations

import json
import re
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import ROOT

from ssma_core import SsmaError

sys.path.append(str(ROOT / "benchmarks"))
from figures import FIRST, Figures, figures, of_rounds

MS = 10**6
PAIRS = FIRST + 5


def log_of(pairs: int = PAIRS, period: int = 100, model: int = 50) -> dict[str, list[Any]]:
    """Milliseconds: colour comes 1 after the stamp, depth 2 after it; the model begins 1 later,
    when it is free, and 2 after its end the label is out."""
    log: dict[str, list[Any]] = {"rgb": [], "aux": [], "inferences": [], "labels": []}
    free = 0
    for stamp in range(0, pairs * period, period):
        begin = max(stamp + 2, free) + 1
        free = begin + model + 2
        log["rgb"].append((stamp * MS, (stamp + 1) * MS))
        log["aux"].append((stamp * MS, (stamp + 2) * MS))
        log["inferences"].append((begin * MS, (begin + model) * MS))
        log["labels"].append((stamp * MS, free * MS))
    return log


def test_a_node_that_keeps_up() -> None:
    found = figures(log_of(), PAIRS, 10)
    assert found == Figures(inference=50, own=3, own_p90=3, latency=55, latency_p99=55, added=5,
                            arrival_p99=53, bound=150, labels_hz=10, held=1, lost=0)


def test_waiting_for_the_model_is_latency_and_not_the_nodes_own() -> None:
    """Every pair is 20 ms later than the one before: a turn takes 120. The last two of the eight
    begin when the camera has ended, and do not count."""
    found = figures(log_of(model=117), PAIRS, 10)
    assert (found.own, found.inference) == (3, 117)
    assert found.latency == 117 + 3 + 2 + 20 * (FIRST + 1)  # the middle one of those that count
    assert found.latency_p99 - found.arrival_p99 == pytest.approx(2)  # to the depth's arrival
    assert found.labels_hz == pytest.approx(1000 / 120)
    assert found.held == pytest.approx(117 / 120)


def test_a_pair_that_waits_after_the_cameras_end_does_not_count() -> None:
    """Nothing newer came in its place, as it would have while the camera continued."""
    log = log_of(model=97)  # ready for every pair, just
    log["inferences"][-1] = (log["rgb"][-1][1] + 90 * MS, log["inferences"][-1][1] + 90 * MS)
    log["labels"][-1] = (log["labels"][-1][0], log["labels"][-1][1] + 90 * MS)
    assert figures(log, PAIRS, 10).latency_p99 == 97 + 5


def test_what_did_not_arrive_is_lost() -> None:
    assert figures(log_of(), 2 * PAIRS, 10).lost == 0.5


def test_a_label_may_be_of_one_image_alone() -> None:
    """Then the model could begin when that one came: here 1 ms sooner."""
    log = log_of()
    log["aux"].clear()
    found = figures(log, PAIRS, 10)
    assert (found.own, found.lost) == (4, 0.5)


@pytest.mark.parametrize("fault, reason", [
    ({"labels": [], "inferences": []}, "only 0 labels came for 8 pairs"),
    ({"inferences": [(0, 1)]}, "1 inferences gave 8 labels")])
def test_a_run_without_results_is_refused(fault: dict[str, Any], reason: str) -> None:
    with pytest.raises(SsmaError, match=reason):
        figures(log_of() | fault, PAIRS, 10)


def test_rounds_come_to_their_medians() -> None:
    rounds = [figures(log_of(model=model), PAIRS, 10) for model in (50, 20, 40)]
    assert of_rounds(rounds).inference == 40
    assert of_rounds(rounds).bound == 140


def test_the_naive_synchronizer_pairs_the_nearest_and_forgets_the_oldest() -> None:
    pytest.importorskip("rclpy", reason="needs rclpy")
    from naive_node import ApproximateTimeSynchronizer

    if ApproximateTimeSynchronizer.__module__ != "naive_node":
        pytest.skip("the distribution's own is here")
    callbacks: list[Any] = []
    subscriber = SimpleNamespace(registerCallback=lambda *given: callbacks.append(given))
    synchronizer = ApproximateTimeSynchronizer([subscriber] * 2, 2, 0.05)
    pairs: list[tuple[int, int]] = []
    synchronizer.registerCallback(lambda *pair: pairs.append(
        tuple(message.header.stamp.nanosec // MS for message in pair)))

    def come(index: int, *stamps: int) -> None:
        callback, *arguments = callbacks[index]
        for stamp in stamps:
            callback(SimpleNamespace(header=SimpleNamespace(
                stamp=SimpleNamespace(sec=0, nanosec=stamp * MS))), *arguments)

    come(1, 100, 130, 160)  # two of them may wait
    come(0, 100)
    assert pairs == [(100, 130)]
    come(0, 300)
    come(1, 350, 340)  # the slop itself is too far
    assert pairs == [(100, 130), (300, 340)]


@pytest.mark.ros
def test_a_short_run_gives_figures_of_both_nodes(tmp_path: Any, tiny_model: Any) -> None:
    pytest.importorskip("rclpy", reason="needs rclpy")
    output = tmp_path / "figures.json"
    ran = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "node_overhead.py"), "--model", str(tiny_model),
         "--sizes", "192x96", "--times", "2", "--rounds", "1", "--seconds", "2", "--no-loss",
         "--output", str(output)], capture_output=True, text=True, timeout=180, check=False)
    assert ran.returncode == 0, ran.stderr
    runs = json.loads(output.read_text())["runs"]
    assert [run["node"] for run in runs] == ["ours", "naive"]
    for run in runs:
        found = run["median"]
        # A camera of 15 Hz, twice as fast as the model: 133 ms, and the time to wake up.
        assert 133 < found["inference"] < 500
        assert 0 < found["own"] < found["latency"] < found["latency_p99"] < 10_000
        assert 0 < found["labels_hz"] < 7.6
        assert 0 <= found["lost"] < 1
        assert re.search(rf"192x96 15 Hz, 2× the model +{run['node']} ", ran.stdout)

"""What `--live` gathers of the node: when it has nothing left to do."""
from __future__ import annotations

import pytest

pytest.importorskip("rclpy", reason="needs rclpy")
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from ssma_ros.replay.collected import Collected


def diagnostics(**counts: int) -> DiagnosticArray:
    """counts: by name with _ for a blank; the others are 0, and the mode is no count."""
    names = {name.replace("_", " "): str(count) for name, count in counts.items()}
    values = dict.fromkeys(("paired", "overtaken", "rgb alone", "aux alone", "overwritten", "dead",
                            "failed", "published"), "0") | names | {"mode": "rgb+depth"}
    return DiagnosticArray(status=[DiagnosticStatus(
        values=[KeyValue(key=key, value=value) for key, value in values.items()])])


@pytest.mark.parametrize("counts, settled", [
    (dict(paired=5, published=5), True),
    (dict(paired=5, published=2, overwritten=2, failed=1), True),
    (dict(paired=5, overtaken=1, rgb_alone=2, aux_alone=1, published=6, dead=1), True),
    (dict(paired=5, published=4), False),  # the model takes longer than from line to line
    (dict(paired=4, rgb_alone=1, published=4), False)])
def test_it_has_settled_when_it_counts_the_same_twice_and_all_came_to_an_end(
        counts: dict[str, int], settled: bool) -> None:
    collected = Collected(lambda *_: None, lambda _: None, 0)
    collected.take_diagnostics(diagnostics(paired=1))
    collected.take_diagnostics(diagnostics(**counts))
    assert not collected.settled
    collected.take_diagnostics(diagnostics(**counts))
    assert collected.settled == settled

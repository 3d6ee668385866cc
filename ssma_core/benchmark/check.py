"""Opens the ways, and keeps only those that give the right labels."""
from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from itertools import cycle

import numpy as np
from tqdm import tqdm

from ssma_core.benchmark.clock import Call
from ssma_core.benchmark.frames import SensorArrays, seen_by
from ssma_core.benchmark.memory import Growth, growth
from ssma_core.benchmark.opened import Labels, OpenedModel
from ssma_core.benchmark.ways import LeftOut, Way
from ssma_core.errors import SsmaError
from ssma_core.modalities import network_images

TOGETHER = 8  # frames at once


@dataclass(frozen=True)
class Checked:
    """An opened way that gives the right labels.

    calls: the calls to time; each gives a list of labels. "whole": from the sensors' arrays to
      labels of their size. "network": from images as the network sees them to labels of that size;
      not for an end-to-end file. "together": TOGETHER frames at once; not where they would run one
      after the other.
    agreement: the share of its labels, 0–1, that are equal to those of the model's first way; the
      worst of all calls.
    memory: what it added to the process, for one frame at a time.
    """

    way: Way
    calls: Mapping[str, Call]
    agreement: float
    memory: Growth


def checked(ways: Sequence[Way], frames: Sequence[SensorArrays],
            stack: ExitStack) -> Iterator[Checked | LeftOut]:
    """Ways that cannot be opened or give other labels are left out. The stack closes the others."""
    first: dict[str, tuple[str, dict[str, list[Labels]]]] = {}  # by weights: its name and answers
    for way in tqdm(ways, desc="checking", unit="way", leave=False, disable=None):
        given = [seen_by(way.model.spec, arrays) for arrays in frames]
        try:
            with growth() as memory:
                opened = stack.enter_context(closing(way.open()))
                calls = _calls(way, opened, given)
                calls["whole"].run(0)
            answers = {kind: _answers(call, len(given)) for kind, call in calls.items()}
        except SsmaError as error:
            yield LeftOut(way.full_name, str(error))
            continue
        reference, expected = first.setdefault(way.model.weights, (way.full_name, answers))
        agreement = _agreement(answers, expected)
        least = way.model.least_agreement
        if agreement >= least:
            yield Checked(way, calls, agreement, memory)
        else:
            yield LeftOut(way.full_name, f"it gives other labels: {100 * agreement:.2f} % are "
                          f"those of {reference}, and at least {100 * least:g} % must be")


def _calls(way: Way, opened: OpenedModel, frames: Sequence[SensorArrays]) -> dict[str, Call]:
    number = len(frames)
    images = [network_images(way.model.spec, *arrays) for arrays in frames]
    calls = {"whole": Call(lambda i: [opened.segment(*frames[i % number])])}
    if not way.end_to_end:
        calls["network"] = Call(lambda i: [opened.segment(*images[i % number])])
    if way.together:
        calls["together"] = Call(lambda i: opened.segment_together(
            [frames[(i + k) % number] for k in range(TOGETHER)]), TOGETHER)
    return calls


def _answers(call: Call, frames: int) -> list[Labels]:
    return [labels for index in range(0, frames, call.frames) for labels in call.run(index)]


def _agreement(answers: Mapping[str, list[Labels]],
               expected: Mapping[str, list[Labels]]) -> float:
    """Of the worst kind of call."""
    return min(
        float(np.mean([np.mean(a == b) for a, b in zip(labels, cycle(expected[same]))]))
        for kind, labels in answers.items()
        if (same := "whole" if kind == "together" else kind) in expected)

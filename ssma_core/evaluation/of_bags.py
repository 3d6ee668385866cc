"""A model on several bags at once, and the page of what was found."""
from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import cv2
from tqdm import tqdm

from ssma_core import processes
from ssma_core.bags import rosbag2
from ssma_core.bags.recorded_images import IMAGES, STREAM_TYPES, check_order
from ssma_core.datasets.masks import masks_of
from ssma_core.errors import naming
from ssma_core.evaluation import of_bag
from ssma_core.evaluation.comparison import MatchedResults
from ssma_core.evaluation.of_bag import BagResult
from ssma_core.evaluation.provenance import machine, versions
from ssma_core.evaluation.report import shown_frames
from ssma_core.evaluation.report.compare import comparison_page
from ssma_core.evaluation.report.page import report_page
from ssma_core.evaluation.report.shown_frames import ShownFrame
from ssma_core.evaluation.results import BagSource, DriveResult, Result
from ssma_core.files import write_text
from ssma_core.segmenter import Segmenter
from ssma_core.spec import Grouped

# Takes a bag through the node over DDS; gets its path, and the model's classes in their groups.
OverDds = Callable[[str, Grouped], DriveResult]


class BagJob(NamedTuple):
    """A bag to evaluate. threads: the CPU's share of it; None leaves the choice to the library."""

    bag: str
    source: BagSource
    model: Path
    threads: int | None


class DoneBag(NamedTuple):
    """What was found in a bag, and facts about the model."""

    found: BagResult
    grouped: Grouped
    backend: str
    precision: str


class BagsEvaluation(NamedTuple):
    """The result on all bags, and the frames to show of them: the worst and typical ones."""

    result: Result
    worst: list[ShownFrame]
    typical: list[ShownFrame]


def evaluate_bags(paths: Sequence[str], model: Path, source: BagSource, jobs: int | None = None,
                  over_dds: OverDds | None = None) -> BagsEvaluation:
    """Every frame of the bags, without DDS and with nothing dropped.

    jobs: how many bags at once; None: one for each core. over_dds: takes each bag through the node,
    too. Raises SsmaError for what cannot be used, naming it.
    """
    total = sum(_messages(bag, source) for bag in paths)
    cpus = len(os.sched_getaffinity(0))
    at_once = min(jobs or cpus, len(paths))
    threads = max(1, cpus // at_once) if at_once > 1 else None
    work = [BagJob(bag, source, model, threads) for bag in paths]
    with tqdm(total=total, desc="evaluate", unit="message", disable=None) as bar:
        if at_once == 1:
            done = [_one(job, bar.update) for job in work]
        else:
            done = processes.each(_one, work, at_once, bar.update)
    _, grouped, backend, precision = done[0]
    drives = tuple(each.found.drive for each in done)
    live = tuple(over_dds(drive.name, grouped) for drive in drives) if over_dds else ()
    result = Result(str(model), grouped.spec, source, versions(backend), drives, live, backend,
                    precision, machine(backend), at_once)
    return BagsEvaluation(result, *shown_frames.chosen([each.found.sheet for each in done],
                                                result.frame_scores()))


def write_report(path: Path, evaluation: BagsEvaluation) -> None:
    """The page about bags, as HTML."""
    write_text(path, report_page(*evaluation))


def write_comparison(path: Path, found: MatchedResults) -> None:
    """The page about two results, as HTML."""
    write_text(path, comparison_page(found))


def _messages(bag: str, source: BagSource) -> int:
    """How many images of both sensors a bag has. Raises SsmaError when it lacks a topic, one has no
    images, or there are no masks where they should be."""
    wanted = {source.rgb: STREAM_TYPES["rgb"], source.aux: STREAM_TYPES["aux"]}
    if source.label:
        wanted[source.label] = IMAGES
    found = rosbag2.check_topics(bag, wanted)
    for topic, types in wanted.items():
        rosbag2.check(bag, found, [topic], types)
    check_order(bag, source.rgb, source.aux)
    if source.truth:
        masks_of(bag, source.truth)
    return found[source.rgb].messages + found[source.aux].messages


def _one(job: BagJob, progress: Callable[[], Any]) -> DoneBag:
    if job.threads:
        cv2.setNumThreads(job.threads)
    with closing(Segmenter(job.model, job.threads, label_groups=job.source.label_groups,
                           registration=job.source.registration)) as segmenter:
        with naming(job.bag):
            found = of_bag.evaluate(job.bag, job.source, segmenter, progress)
        return DoneBag(found, segmenter.grouped, segmenter.backend, segmenter.precision)

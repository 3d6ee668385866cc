"""`evaluate_bag`: how good and how fast a model is on rosbag2s with true labels, in words, as JSON
and as a page to look at; or two such results side by side.

The frames go the node's own way, without DDS and with nothing dropped, so that the figures are the
model's and do not depend on how fast this machine is. With --live they also go through the node
itself, and what its pace costs is told beside it.
"""
from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import cv2
import numpy as np
from tqdm import tqdm

from ssma_core import (
    ModelSpec,
    Segmenter,
    SsmaError,
    atomic_write,
    bag_results,
    check_writable,
    cpu,
    gpu,
    looks,
    of_bag,
    page,
    processes,
    rosbag2,
    versions,
    words,
)
from ssma_core import report_compare as compare
from ssma_ros.node.parameters import Parameters
from ssma_ros.replay import dds


class Job(NamedTuple):
    """A bag to evaluate. threads: the CPU's share of it; None leaves the choice to the library."""

    bag: str
    settings: bag_results.Settings
    model: Path
    threads: int | None


class Done(NamedTuple):
    """What came out of a bag, and the model's own facts."""

    run: bag_results.Run
    sheet: looks.Sheet
    spec: ModelSpec
    backend: str
    precision: str


def evaluate(paths: Sequence[str], model: Path, settings: bag_results.Settings,
             jobs: int | None = None, over_dds: bool = False
             ) -> tuple[bag_results.Report, list[looks.Look], list[looks.Look]]:
    """The report on all bags, and the worst and the typical frames of them.

    jobs: how many bags at once; None: one a core. over_dds: whether they go through the node, too.
    Raises SsmaError for what cannot be used, naming it.
    """
    live = _live() if over_dds else None  # what is not here is told before the work begins
    total = sum(_messages(bag, settings) for bag in paths)
    cpus = len(os.sched_getaffinity(0))
    at_once = min(jobs or cpus, len(paths))
    threads = max(1, cpus // at_once) if at_once > 1 else None
    work = [Job(bag, settings, model, threads) for bag in paths]
    with tqdm(total=total, desc="evaluate", unit="message", disable=None) as bar:
        if at_once == 1:
            done = [_one(job, bar.update) for job in work]
        else:
            done = processes.each(_one, work, at_once, bar.update)
    _, _, spec, backend, precision = done[0]
    runs = tuple(each.run for each in done)
    over = tuple(_over_dds(live, run, model, spec, settings) for run in runs) if live else ()
    report = bag_results.Report(str(model), backend, precision, _machine(backend, cpus), spec,
                    versions(backend), settings, at_once, runs, over)
    scores = np.concatenate([run.scores(spec.void_id) for run in runs])
    return report, *looks.chosen([each.sheet for each in done], scores)


def write_page(path: Path, report: bag_results.Report, worst: Sequence[looks.Look],
               typical: Sequence[looks.Look]) -> None:
    """Of what `evaluate` returns, whole or not at all."""
    _write(path, page.report_page(report, worst, typical))


def main(arguments: Sequence[str] | None = None) -> int:
    """The console script. Returns the exit status: 0, 1 after a message on standard error, or 130
    when interrupted."""
    options = _options(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        for path in filter(None, (options.json, options.report)):
            check_writable(path)
        if options.compare:
            _compare(options)
        else:
            _evaluate(options)
    except SsmaError as error:
        print(f"evaluate_bag: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("evaluate_bag: interrupted", file=sys.stderr)
        return 130
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = _parser()
    options = parser.parse_intermixed_args(arguments)
    needed = {"a bag": options.bags, **{f"--{name}": getattr(options, name)
                                        for name in ("model", "rgb", "aux", "label")}}
    if options.compare:
        wrong = [name for name, value in needed.items() if value]
        if wrong or options.live or options.json:
            parser.error("--compare takes two results and, if a page is wanted, --report")
    elif missing := [name for name, value in needed.items() if not value]:
        parser.error(f"give {', '.join(missing)}; or --compare A.json B.json")
    paths = [Path(bag).resolve() for bag in options.bags]
    if len(set(paths)) < len(paths):
        parser.error("a bag is given twice")
    if options.report and options.json and options.report.resolve() == options.json.resolve():
        parser.error(f"--report and --json would both write {options.json}")
    if options.jobs is not None and options.jobs < 1:
        parser.error(f"--jobs must be at least 1, got {options.jobs}")
    return options


def _parser() -> argparse.ArgumentParser:
    defaults = Parameters()
    parser = argparse.ArgumentParser(
        prog="evaluate_bag", description="Segments every frame of bags, without DDS and with "
        "nothing dropped, and compares with the true labels in them.")
    parser.add_argument("bags", nargs="*", metavar="BAG",
                        help="rosbag2 folders, .mcap or .db3 files")
    parser.add_argument("--model", type=Path, help="model file (.onnx, .engine or .safetensors)")
    parser.add_argument("--rgb", metavar="TOPIC", help="colour images")
    parser.add_argument("--aux", metavar="TOPIC", help="the second sensor's images")
    parser.add_argument("--label", metavar="TOPIC", help="true labels, mono8")
    parser.add_argument("--slop", type=float, default=defaults.slop, metavar="SECONDS",
                        help="how far the stamps of a pair may lie apart (default: %(default)g)")
    parser.add_argument("--queue-size", type=int, default=defaults.queue_size, metavar="N",
                        help="how many frames may wait for a partner (default: %(default)d)")
    parser.add_argument("--aux-delay", type=float, default=defaults.aux_delay, metavar="SECONDS",
                        help="how late the second sensor's stamps are (default: %(default)g)")
    parser.add_argument("--report", type=Path, metavar="FILE.html",
                        help="write a page to look at: one file, needs no network")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures")
    parser.add_argument("--jobs", type=int, metavar="N", help="how many bags at once, each on its "
                        "share of the CPU (default: one a core)")
    parser.add_argument("--live", action="store_true", help="replay the bags through the node over "
                        "DDS, too, at their own pace: adds drops and latency")
    parser.add_argument("--compare", nargs=2, metavar=("A.json", "B.json"),
                        help="compare two results of --json instead")
    return parser


def _evaluate(options: argparse.Namespace) -> None:
    settings = bag_results.Settings(options.rgb, options.aux, options.label, options.slop,
                                    options.queue_size, options.aux_delay)
    report, *looks = evaluate(options.bags, options.model, settings, options.jobs, options.live)
    print(words.in_words(report))
    if options.json:
        bag_results.write(report, options.json)
    if options.report:
        write_page(options.report, report, *looks)


def _compare(options: argparse.Namespace) -> None:
    both = compare.both(*options.compare)
    print(compare.in_words(both))
    if options.report:
        _write(options.report, compare.comparison_page(both))


def _write(path: Path, page: str) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _messages(bag: str, settings: bag_results.Settings) -> int:
    """How many images of both sensors a bag has. Raises SsmaError when it lacks a topic."""
    rosbag2.check_topics(bag, [settings.rgb, settings.aux, settings.label])
    found = rosbag2.topics(bag)
    return found[settings.rgb].messages + found[settings.aux].messages


def _one(job: Job, progress: Callable[[], Any]) -> Done:
    if job.threads:
        cv2.setNumThreads(job.threads)
    with closing(Segmenter(job.model, job.threads)) as segmenter:
        try:
            found = of_bag.evaluate(job.bag, job.settings, segmenter, progress)
        except SsmaError as error:
            raise SsmaError(f"{job.bag}: {error}") from error
        return Done(*found, segmenter.spec, segmenter.backend, segmenter.precision)


def _machine(backend: str, cpus: int) -> str:
    words = f"{cpu()}, {cpus} core{'s' * (cpus > 1)}"
    card = None if backend == "onnxruntime" else gpu()
    return f"{words}; {card}" if card else words


def _live() -> ModuleType:
    """`ssma_ros.replay.live`. Raises SsmaError where there is no ROS."""
    dds.isolate()
    try:
        from ssma_ros.replay import live
    except ImportError as error:
        raise SsmaError(f"--live needs ROS 2, which is not here ({error}): source the setup.bash "
                        "of a ROS distribution, or install this package's extra 'ros' (pip)"
                        ) from error
    return live


def _over_dds(live: ModuleType, run: bag_results.Run, model: Path, spec: ModelSpec,
              settings: bag_results.Settings) -> bag_results.Run:
    begin_ns = next(rosbag2.messages(run.bag, [settings.rgb, settings.aux])).time_ns
    seconds = round(rosbag2.seconds(run.bag))
    with tqdm(total=seconds, desc="over DDS", unit="s", disable=None) as bar:
        def tick(now_ns: int) -> None:
            bar.update(min(seconds, (now_ns - begin_ns) // 10**9) - int(bar.n))

        found: bag_results.Run = live.evaluate(run.bag, model, spec, settings, tick)
    return found


if __name__ == "__main__":
    sys.exit(main())

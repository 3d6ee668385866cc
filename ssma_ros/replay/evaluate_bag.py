"""`evaluate_bag`: how good and how fast a model is on rosbag2s with true labels, in words, as JSON
and as a page to look at; or two results side by side.

The frames go the node's own way, without DDS and with nothing dropped, so that the figures are the
model's and do not depend on how fast this machine is. With --live they also go through the node
itself, and what its pace costs is shown beside it.
"""
from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from tqdm import tqdm

from ssma_core import (
    BagSource,
    DriveResult,
    Grouped,
    OverDds,
    PairingSettings,
    SsmaError,
    add_pairing_arguments,
    begin_program,
    check_writable,
    compare_files,
    evaluate_bags,
    in_words,
    rosbag2,
    write_comparison,
    write_report,
    write_result,
)
from ssma_ros.replay import dds


def main(arguments: Sequence[str] | None = None) -> int:
    """The console script. Returns the exit status: 0, 1 after a message on standard error, or 130
    when interrupted."""
    options = _options(arguments)
    begin_program()
    try:
        for path in filter(None, (options.json, options.report)):
            check_writable(path, _inputs(options))
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


def _inputs(options: argparse.Namespace) -> list[Path]:
    """The files that are read, which must not be written."""
    bags = [Path(bag) for bag in options.bags]
    given = (options.model, options.groups, options.registration, *(options.compare or ()))
    return [*(Path(path) for path in given if path), *bags,
            *(file for bag in bags if bag.is_dir() for file in bag.iterdir())]


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = _parser()
    options = parser.parse_intermixed_args(arguments)
    needed = {"a bag": options.bags, **{f"--{name}": getattr(options, name)
                                        for name in ("model", "rgb", "aux")},
              "--label or --truth": options.label or options.truth}
    if options.compare:
        wrong = [name for name, value in needed.items() if value]
        if wrong or options.live or options.json or options.groups or options.registration:
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
    parser = argparse.ArgumentParser(
        prog="evaluate_bag", description="Segments every frame of bags, without DDS and with "
        "nothing dropped, and compares with the true labels in them.")
    parser.add_argument("bags", nargs="*", metavar="BAG",
                        help="rosbag2 folders, .mcap or .db3 files")
    parser.add_argument("--model", type=Path, help="model file (.onnx, .engine or .safetensors)")
    parser.add_argument("--rgb", metavar="TOPIC", help="colour images")
    parser.add_argument("--aux", metavar="TOPIC", help="the second sensor's images")
    truth = parser.add_mutually_exclusive_group()
    truth.add_argument("--label", metavar="TOPIC", help="true labels: mono8, or other integers")
    truth.add_argument("--truth", metavar="FOLDER", help="true labels as pictures of class ids, "
                       "each named by the stamp of its colour image in nanoseconds: in FOLDER, "
                       "FOLDER/label or FOLDER/BAG/label, BAG the bag's name")
    parser.add_argument("--ignore", type=int, action="append", default=[], metavar="ID",
                        help="an id of labels that means 'not labelled', such as 255 or -1, read "
                             "as void (several times: several ids)")
    parser.add_argument("--groups", metavar="FILE.yaml", help="groups of the model's "
                        "classes, such as {drivable: [trail, grass]}, that labels and truth are "
                        "joined to")
    parser.add_argument("--registration", metavar="FILE", help="how the second sensor's images fit "
                        "colour, as `ssma register` writes it; without, they must fit pixel by "
                        "pixel")
    add_pairing_arguments(parser)
    parser.add_argument("--queue-size", type=int, default=PairingSettings.queue_size, metavar="N",
                        help="how many frames may wait for a partner (default: %(default)d)")
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
    source = BagSource(options.slop, options.queue_size, options.aux_delay, rgb=options.rgb,
                       aux=options.aux, label=options.label, truth=options.truth,
                       ignore=tuple(options.ignore), label_groups=options.groups,
                       registration=options.registration)
    # Without ROS, this is reported before the work begins.
    over_dds = None
    if options.live:
        live = _live()
        for bag in options.bags:
            live.check(bag, source)
        over_dds = _over_dds(live, options.model, source)
    evaluation = evaluate_bags(options.bags, options.model, source, options.jobs, over_dds)
    print(in_words(evaluation.result))
    if options.json:
        write_result(evaluation.result, options.json)
    if options.report:
        write_report(options.report, evaluation)


def _compare(options: argparse.Namespace) -> None:
    found = compare_files(*options.compare)
    print(in_words(found))
    if options.report:
        write_comparison(options.report, found)


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


def _over_dds(live: ModuleType, model: Path, source: BagSource) -> OverDds:
    def evaluate(bag: str, grouped: Grouped) -> DriveResult:
        begin_ns = next(rosbag2.messages(bag, [source.rgb, source.aux])).time_ns
        seconds = round(rosbag2.seconds(bag))
        with tqdm(total=seconds, desc="over DDS", unit="s", disable=None) as bar:
            def tick(now_ns: int) -> None:
                bar.update(min(seconds, (now_ns - begin_ns) // 10**9) - int(bar.n))

            found: DriveResult = live.evaluate(bag, model, grouped, source, tick)
        return found

    return evaluate


if __name__ == "__main__":
    sys.exit(main())

"""`ssma extract`: frames out of bags, to be labelled."""
from __future__ import annotations

import argparse
import math
from pathlib import Path

from ssma_core.commands import add_pairing_arguments, count, count_to, pairing_settings
from ssma_core.errors import SsmaError
from ssma_core.extraction.drives import Source
from ssma_core.extraction.extract import Wanted, extract
from ssma_core.extraction.pictures import Colour
from ssma_core.processes import MOST_WORKERS
from ssma_core.registration import read

CANDIDATES_EVERY = 0.5  # seconds, where some are selected


def seconds(text: str) -> float:
    """For argparse: a time of at least 0."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number of seconds, 0 or more, not {text!r}")
    return value


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bags", nargs="+", type=Path, metavar="BAG",
                        help="rosbag2 folders, .mcap or .db3 files; each becomes a drive")
    parser.add_argument("--output", required=True, type=Path, help="folder for the drives; the "
                        "same command continues where a run stopped")
    parser.add_argument("--rgb", required=True, metavar="TOPIC", help="the colour images")
    parser.add_argument("--aux", required=True, metavar="TOPIC",
                        help="the second sensor's images; also a DisparityImage")
    parser.add_argument("--name", default=Source.name, help="the second sensor's name in models, "
                        "and its folder's (default: %(default)s)")
    add_pairing_arguments(parser)
    for stream, images in (("rgb", "colour"), ("aux", "second")):
        parser.add_argument(f"--{stream}-info", metavar="TOPIC", help=f"the CameraInfo of the "
                            f"{images} images; none to do without (default: camera_info beside "
                            "them, if the bag has it)")
    parser.add_argument("--registration", type=Path, metavar="FILE", help="brings the second "
                        "sensor's images into the colour camera's view; `ssma register` writes it")
    parser.add_argument("--every", type=seconds, metavar="SECONDS", help="frames this far apart "
                        "(default: every frame; with --select, candidates every "
                        f"{CANDIDATES_EVERY:g} s)")
    parser.add_argument("--select", type=count, metavar="N", help="of all bags together, the N "
                        "frames worth labelling: not blurred, blank or frozen, and far apart in "
                        "time and looks; those that are in --output count")
    parser.add_argument("--model", type=Path, help="with --select: rather frames on which this "
                        "model is least sure, or its two experts disagree")
    parser.add_argument("--format", choices=("jpg", "png"), default=Colour.format,
                        help="of colour (default: %(default)s)")
    parser.add_argument("--quality", type=count_to(100), default=Colour.quality,
                        help="of JPEGs, 1 to 100; what was recorded as JPEG is kept as it is "
                        "(default: %(default)s)")
    parser.add_argument("--jobs", type=count_to(MOST_WORKERS),
                        help="bags at once (default: one a core)")


def run(options: argparse.Namespace) -> None:
    if options.model and not options.select:
        raise SsmaError("--model is for --select: say how many frames to choose")
    every = options.every
    if every is None:
        every = CANDIDATES_EVERY if options.select else 0.0
    source = Source(options.rgb, options.aux, options.name, options.rgb_info, options.aux_info,
                    pairing_settings(options),
                    read(options.registration) if options.registration else None)
    done = extract(options.bags, options.output, source,
                   Wanted(every, options.select, options.model),
                   Colour(options.format, options.quality), jobs=options.jobs)
    look = f"{options.output}; look at {options.output / 'sheet.png'}"
    if options.select and not done.new:
        print(f"{done.there} frames are there already and count among the {options.select}, so "
              f"that none was added: {look}")
    else:
        print(f"{done.new} frames written, {done.there} were there already: {look}")
    for note in done.notes:
        print(note)

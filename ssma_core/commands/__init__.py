"""The sub-commands of `ssma`, each with add_arguments(parser) and run(options), and shared code."""
from __future__ import annotations

import argparse
from collections.abc import Callable

from ssma_core.bags.pairing import PairingSettings
from ssma_core.errors import SsmaError
from ssma_core.image_files.header import check_megapixels


def size(text: str) -> tuple[int, int]:
    """For argparse: "768x384" → (768, 384), width and height in pixels."""
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise argparse.ArgumentTypeError(
            f"a size is written WIDTHxHEIGHT, for example 768x384, not {text!r}")
    found = int(width), int(height)
    try:
        check_megapixels("an image", *found)
    except SsmaError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return found


def count_to(most: int) -> Callable[[str], int]:
    """For argparse: a whole number from 1 to `most`."""
    def count(text: str) -> int:
        if not text.isdecimal() or len(text) > 20 or not 1 <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"must be a whole number from 1 to {most:,}, not "
                                             f"{text[:20]!r}")
        return int(text)
    return count


count = count_to(1_000_000)


def number_to(most: float) -> Callable[[str], float]:
    """For argparse: a number from 0 to `most`."""
    def number(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        if not 0 <= value <= most:
            raise argparse.ArgumentTypeError(f"must be a number from 0 to {most:g}, not {text!r}")
        return value
    return number


percent = number_to(100)


def add_bag_arguments(parser: argparse.ArgumentParser, option: str, *, labels: bool = True) -> None:
    """The options for a bag that `option` names. labels: whether they are of use."""
    more = "; then that of the labels, if there is one" * labels
    parser.add_argument("--topics", nargs="+", default=(), metavar="TOPIC",
                        help=f"where {option} is a bag: the topics of the sensors, in the model's "
                        f"order, colour first{more}")
    add_pairing_arguments(parser)


def add_pairing_arguments(parser: argparse.ArgumentParser) -> None:
    """--slop and --aux-delay."""
    parser.add_argument("--slop", type=float, default=PairingSettings.slop, metavar="SECONDS",
                        help="how far the stamps of a pair may lie apart (default: %(default)g)")
    parser.add_argument("--aux-delay", type=float, default=PairingSettings.aux_delay,
                        metavar="SECONDS",
                        help="how late the second sensor's stamps are (default: %(default)g)")


def pairing_settings(options: argparse.Namespace) -> PairingSettings:
    """Raises SsmaError for values out of range."""
    return PairingSettings(slop=options.slop, aux_delay=options.aux_delay)

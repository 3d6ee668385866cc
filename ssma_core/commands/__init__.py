"""The sub-commands of `ssma`: add_arguments(parser) and run(options) each, and what they share."""
from __future__ import annotations

import argparse


def size(text: str) -> tuple[int, int]:
    """For argparse: "768x384" → (768, 384), width and height in pixels."""
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise argparse.ArgumentTypeError(
            f"a size is written WIDTHxHEIGHT, for example 768x384, not {text!r}")
    return int(width), int(height)


def count(text: str) -> int:
    """For argparse: a whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, not {text!r}")
    return int(text)


def percent(text: str) -> float:
    """For argparse: a number from 0 to 100."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 100:
        raise argparse.ArgumentTypeError(f"must be a number from 0 to 100, not {text!r}")
    return value

"""The one exception for faults that a user can correct."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class SsmaError(Exception):
    """Something that the user gave is wrong. The message says what is wrong, where, and what to do.
    The command line prints it without a traceback. The node logs it and continues, or refuses the
    transition."""


@contextmanager
def naming(what: object) -> Iterator[None]:
    """Says in an SsmaError of what it is."""
    try:
        yield
    except SsmaError as error:
        raise SsmaError(f"{what}: {error}") from error


@contextmanager
def needing(what: object, instead: str = "") -> Iterator[None]:
    """Says which Python package something needs that is not installed; instead: what else helps."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise SsmaError(f"{what} needs the Python package {error.name!r}, which is not installed: "
                        f"pip install {error.name}{instead}") from error


class NoAnswer(SsmaError):
    """The model gave no answer, or one that cannot be right, and the images are not why: loading it
    again, or starting the program again, may help."""

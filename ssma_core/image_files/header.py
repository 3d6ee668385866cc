"""What a picture says of itself before it is decoded, and the size up to which it is."""
from __future__ import annotations

import os
from typing import Literal, NamedTuple

from ssma_core.errors import SsmaError

Kind = Literal["PNG", "JPEG", "TIFF", "BMP", "PNM", "WebP"]
MEGAPIXELS = "SSMA_MAX_MEGAPIXELS"  # an environment variable: it holds for every program
_DEFAULT_MEGAPIXELS = 64.0
_own_limit = 0.0  # this process's; 0: it has none

CUT_SHORT = "it is cut short"
DAMAGED = "it is damaged or cut short"


class Header(NamedTuple):
    """width, height: in pixels. bits: of a channel. is_colour: it has colours or a palette.
    has_palette: its values are places in a table of colours."""

    kind: Kind
    width: int
    height: int
    bits: int
    is_colour: bool
    has_palette: bool = False


def check_size(header: Header) -> None:
    """Raises SsmaError for a picture without pixels, or with more than the limit: a few bytes can
    claim any size, and decoding takes the memory for it first."""
    if not header.width or not header.height:
        raise SsmaError(f"it is empty: {header.width}x{header.height} has no pixels")
    check_megapixels("it", header.width, header.height)


def check_megapixels(what: str, width: int, height: int) -> None:
    """Raises SsmaError, about `what`, for a size above the limit."""
    limit = _limit()
    if width * height > limit * 1e6:
        raise SsmaError(f"{what} is {width}x{height}, more than {limit:g} megapixels; if it really "
                        f"is so large, set the environment variable {MEGAPIXELS} (in the node, the "
                        "parameter max_megapixels)")


def limit_megapixels(limit: float) -> None:
    """Sets this process's own limit, in place of the environment variable's; 0: that one again."""
    global _own_limit  # noqa: PLW0603  # as the environment, it is the process's
    _own_limit = limit


def _limit() -> float:
    if _own_limit:
        return _own_limit
    text = os.environ.get(MEGAPIXELS, str(_DEFAULT_MEGAPIXELS))
    try:
        limit = float(text)
    except ValueError:
        limit = 0.0
    if not 0 < limit < float("inf"):
        raise SsmaError(f"the environment variable {MEGAPIXELS} must be a positive number, got "
                        f"{text!r}")
    return limit

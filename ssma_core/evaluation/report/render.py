"""HTML from templates: every text is escaped, and the page is one file that needs no other."""
from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

# A tile: its name, its value and details below; empty details are left out.
Tile = tuple[str, str, Sequence[str]]

# Control characters, and halves of surrogate pairs, which come from file names that are no UTF-8.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def page(template: str, **values: Any) -> str:
    """A whole document, with our style and script in it."""
    own = files("ssma_core.evaluation.report")
    style, script = (Markup((own / name).read_text(encoding="utf-8"))
                     for name in ("page.css", "page.js"))
    return _templates().get_template(template).render(style=style, script=script, **values)


def part(template: str, name: str, **values: Any) -> Markup:
    """A part of a page: the macro of that name."""
    made: Markup = getattr(_templates().get_template(template).module, name)(**values)
    return made


def percent(share: float | None) -> str:
    return "–" if share is None or np.isnan(share) else f"{100 * share:.1f} %"


def milliseconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f} ms"


def image_data(encoded: bytes, kind: str) -> str:
    """The address of an image that is part of the page. kind: "jpeg" or "png"."""
    return f"data:image/{kind};base64,{base64.b64encode(encoded).decode()}"


def short(value: float) -> str:
    """For an SVG of which a unit is some ten pixels or more."""
    return f"{value:.4f}".rstrip("0").rstrip(".")


def place(share: float) -> str:
    """For a style: a share of the width or height, 0–1."""
    return f"{100 * share:.2f}%"


@cache
def _templates() -> Environment:
    found = Environment(
        loader=PackageLoader("ssma_core.evaluation.report"), autoescape=True,
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=_allowed)
    found.filters |= {"percent": percent, "milliseconds": milliseconds, "image_data": image_data,
                      "short": short, "place": place}
    return found


def _allowed(value: Any) -> Any:
    """Characters that no page may hold become U+FFFD."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", value)
    return value

"""What the pages are put together from."""
from __future__ import annotations

import numpy as np

from ssma_core.evaluation.report.html import Html, tag
from ssma_core.spec import ModelSpec


def header(kind: str, title: str, *facts: str) -> Html:
    links = ("classes", "confusion", "latency", "timeline", "frames", "about")
    return tag("header", tag("p", kind, class_="kind"), tag("h1", title),
               tag("p", *(tag("span", fact) for fact in facts if fact), class_="facts"),
               tag("nav", *(tag("a", link.capitalize(), href=f"#{link}") for link in links)))


def section(name: str, title: str, lead: str, *content: Html) -> Html:
    return tag("section", tag("h2", title), tag("p", lead, class_="lead") if lead else Html(),
               *content, id=name)


def tile(name: str, value: str, *details: str) -> Html:
    return tag("div", tag("h3", name), tag("p", value, class_="value"),
               *(tag("p", detail) for detail in details if detail), class_="tile")


def swatch(spec: ModelSpec, i: int) -> Html:
    colour = "rgb({},{},{})".format(*spec.class_colours[i])
    return tag("i", class_="swatch", style=f"background:{colour}")


def bar(share: float) -> Html:
    width = 0.0 if np.isnan(share) else 100 * share
    return tag("span", tag("span", style=f"width:{width:.1f}%"), class_="bar")


def scrolled(table: Html) -> Html:
    """A table that scrolls by itself where the page is too narrow for it."""
    return tag("div", table, class_="scrolled", tabindex="0")


def percent(share: float | None) -> str:
    return "–" if share is None or np.isnan(share) else f"{100 * share:.1f} %"


def milliseconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f} ms"


def table_head(*names: str) -> Html:
    return tag("thead", tag("tr", *(tag("th", name, scope="col") for name in names)))

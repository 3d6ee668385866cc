"""The frames on the page, each with a slider between image and label."""
from __future__ import annotations

from collections.abc import Sequence

from ssma_core.evaluation.bag_results import Report
from ssma_core.evaluation.report import charts, html
from ssma_core.evaluation.report.html import Html, joined, tag
from ssma_core.evaluation.report.looks import Look
from ssma_core.evaluation.report.parts import percent, swatch

# What may lie over the colour image, by name in `Look`; the second sensor has the model's name.
LAYERS = {"label": "label", "truth": "truth", "wrong": "errors", "second": ""}


def frames(report: Report, worst: Sequence[Look], typical: Sequence[Look]) -> Html:
    second = report.spec.modalities[-1].name
    choices = [tag("label", tag("input", type="radio", name="layer", value=value,
                                checked=value == "label"), tag("span", name or second))
               for value, name in LAYERS.items()]
    legend = [tag("span", swatch(report.spec, i), name)
              for i, name in enumerate(report.spec.class_names) if i != report.spec.void_id]
    groups = [joined([tag("h3", title), tag("div", *cards, class_="cards")])
              for title, cards in (("Worst", _cards(report, "worst", worst)),
                                   ("Typical", _cards(report, "typical", typical))) if cards]
    return tag("div",
               tag("div", tag("div", *choices, class_="choices", role="radiogroup",
                              aria_label="what is shown to the right"),
                   tag("div", *legend, class_="key"), class_="toolbar"),
               *groups, class_="looks")


def _cards(report: Report, kind: str, looks: Sequence[Look]) -> list[Html]:
    return [_card(report, f"{kind}-{n}", str(n) if kind == "worst" else "", look)
            for n, look in enumerate(looks, 1)]


def _card(report: Report, name: str, number: str, look: Look) -> Html:
    spec = report.spec
    i = [run.bag for run in report.runs].index(look.bag)
    begin = report.runs[i].timeline.begin_ns
    weakest = sorted(look.ious, key=lambda c: look.ious[c])[:2]
    width, height = look.size
    pictures = [_picture(look.colour, "jpeg", "colour image", look.size)] + [
        tag("div", _picture(getattr(look, layer), "jpeg" if layer == "second" else "png",
                            words or spec.modalities[-1].name, look.size), class_=f"layer {layer}")
        for layer, words in LAYERS.items()]
    return tag(
        "article",
        tag("div", *pictures, tag("span", class_="edge"),
            tag("input", type="range", min=0, max=100, step=1, value=50,
                aria_label="where the colour image ends, in percent of the width"),
            class_="stage", style=f"aspect-ratio:{width}/{height}"),
        tag("p", tag("b", number, class_="rank") if number else Html(),
            tag("b", percent(look.score)), tag("span", "at ", charts.clock(
                (look.stamp_ns - begin) / 1e9)),
            tag("span", report.names[i]) if len(report.runs) > 1 else Html(),
            tag("span", ", ".join(f"{spec.class_names[c]} {percent(look.ious[c])}"
                                  for c in weakest), class_="weakest")),
        class_="look", id=name)


def _picture(encoded: bytes, kind: str, words: str, size: tuple[int, int]) -> Html:
    return tag("img", src=html.image_data(encoded, kind), alt=words, width=size[0], height=size[1],
               decoding="async", draggable="false")

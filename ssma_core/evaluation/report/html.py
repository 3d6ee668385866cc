"""HTML whose every text is escaped, and the page around it: one file that needs no other."""
from __future__ import annotations

import base64
import html
import re
from importlib.resources import files


class Html(str):
    """Text that is markup already."""

    __slots__ = ()


def tag(name: str, /, *children: str, **attributes: str | float | bool | None) -> Html:
    """An element. Children that are not Html are escaped; so are the attributes' values.

    attributes: "_" in a name stands for "-", and one at its end for nothing (class_). True: without
    a value; None or False: left out.
    """
    given = "".join(_attribute(key.rstrip("_").replace("_", "-"), value)
                    for key, value in attributes.items())
    return Html(f"<{name}{given}>" + "".join(map(text, children))
                + ("" if name in _VOID else f"</{name}>"))


def text(words: str) -> Html:
    """Escaped, unless it is Html; characters that no page may hold become U+FFFD."""
    return words if isinstance(words, Html) else Html(html.escape(_FORBIDDEN.sub("�", words)))


def joined(parts: list[Html] | tuple[Html, ...]) -> Html:
    return Html("".join(parts))


def image_data(encoded: bytes, kind: str) -> str:
    """The address of an image that is part of the page. kind: "jpeg" or "png"."""
    return f"data:image/{kind};base64,{base64.b64encode(encoded).decode()}"


def page(title: str, *body: Html) -> str:
    """A whole document, with our style and script in it."""
    own = files("ssma_core.evaluation.report")
    style, script = ((own / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    head = [tag("meta", charset="utf-8"),
            tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
            tag("meta", name="color-scheme", content="light dark"),
            tag("link", rel="icon", href="data:,"),  # or browsers ask the server for one
            tag("title", title), tag("style", Html(style))]
    return "<!doctype html>\n" + tag(
        "html", tag("head", *head), tag("body", *body, tag("script", Html(script))), lang="en")


_VOID = {"img", "input", "meta", "link"}
# Control characters, and halves of surrogate pairs, which come from file names that are no UTF-8.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def _attribute(key: str, value: str | float | bool | None) -> str:
    if value is None or value is False:
        return ""
    return f" {key}" if value is True else f' {key}="{text(str(value))}"'

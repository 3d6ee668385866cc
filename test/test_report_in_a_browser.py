"""The pages in a real browser: no network request is made, nothing goes wrong, sliders slide.

Needs a chromium on PATH (`apt-get install chromium`).
"""
from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import example_report as example
import numpy as np
import pytest

from ssma_core.evaluation.comparison import MatchedResults
from ssma_core.evaluation.report.compare import comparison_page
from ssma_core.evaluation.report.page import report_page

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright (pip)")

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = ["--no-sandbox", "--headless=new", "--disable-gpu", "--disable-background-networking",
             "--disable-component-update", "--disable-sync", "--no-first-run"]
NASTY = ["void", "<img src=x onerror='window.hacked=1'>", "</script><script>window.hacked=1//",
         "a_very_long_name_of_a_class_that_no_table_has_room_for_" * 3, "\"'&amp;"]

Page = Any
Opened = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        pytest.skip(f"there is no browser: none of {', '.join(BROWSERS)} is on PATH")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=ARGUMENTS, headless=True)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Pages by name: a plain report, one with every name a trap, two reports compared."""
    plain, nasty = example.spec(), example.spec(NASTY, second="<b>depth</b>")
    trap = NASTY[1]
    one = example.report(plain, ["drive"], live=True)
    bad = example.report(nasty, [f"{trap}/drive", "other/drive"], model=trap, topic=trap, drop=trap,
                         version=trap, live=True)
    better = example.report(plain, ["drive"], model="other.onnx", seed=1)
    frames = [("drive", a, b) for (_, a), (_, b) in zip(one.scored, better.scored)]
    pages = {
        "plain": report_page(one, example.looks(plain), example.looks(plain, count=1)),
        "nasty": report_page(bad, example.looks(nasty, f"{trap}/drive"), []),
        "compared": comparison_page(MatchedResults("a.json", "b.json", one, better, frames,
                                                   one.counts, better.counts,
                                                   one.boundaries, better.boundaries)),
    }
    folder = tmp_path_factory.mktemp("pages")
    for name, page in pages.items():
        (folder / f"{name}.html").write_text(page, encoding="utf-8")
    return {name: folder / f"{name}.html" for name in pages}


@pytest.fixture
def opened(browser: Any, files: dict[str, Path]) -> Iterator[Opened]:
    """Opens a page; at the end nothing may have gone wrong in it, or been requested elsewhere."""
    wrong: list[str] = []
    contexts = []

    def open_page(name: str, width: int = 1200, scheme: str = "light") -> Page:
        contexts.append(browser.new_context(viewport={"width": width, "height": 800},
                                            color_scheme=scheme))
        page = contexts[-1].new_page()
        address = files[name].as_uri()
        page.on("console", lambda message: wrong.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
        page.on("dialog", lambda dialog: wrong.append(f"dialog: {dialog.message}"))
        page.on("request", lambda request: wrong.append(f"request: {request.url}")
                if request.url != address and not request.url.startswith("data:") else None)
        page.goto(address)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert wrong == []


def cut(page: Page) -> float:
    """Where the first frame's label begins, as the browser computed it: percent of the width."""
    clip = page.locator(".layer.label").first.evaluate("e => getComputedStyle(e).clipPath")
    return float(clip.removeprefix("inset(").split()[-1].rstrip("%)"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1200])
@pytest.mark.parametrize("name", ["plain", "nasty", "compared"])
def test_a_page_fits_and_nothing_goes_wrong(
        opened: Opened, name: str, width: int, scheme: str) -> None:
    page = opened(name, width, scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    images = page.evaluate("""Promise.all([...document.images].map(
        image => image.decode().then(() => image.naturalWidth)))""")
    assert all(images)


def test_the_slider_follows_the_arrow_keys(opened: Opened) -> None:
    page = opened("plain")
    slider = page.locator(".stage input").first
    assert cut(page) == 50
    slider.focus()
    for _ in range(10):
        page.keyboard.press("ArrowRight")
    assert cut(page) == 60
    page.keyboard.press("Home")
    assert cut(page) == 0


def test_the_slider_follows_the_mouse(opened: Opened) -> None:
    page = opened("plain")
    stage = page.locator(".stage").first
    stage.scroll_into_view_if_needed()
    box = stage.bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * 0.5, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.25, middle, steps=5)
    page.mouse.up()
    assert cut(page) == pytest.approx(25, abs=3)
    edge = page.locator(".edge").first.bounding_box()
    assert edge["x"] - box["x"] == pytest.approx(box["width"] * 0.25, abs=box["width"] * 0.03)


def test_the_label_covers_the_image_as_far_as_the_slider_says(opened: Opened) -> None:
    """Seen, not computed: to the left of the cut are the colour image's pixels, to the right the
    label's."""
    page = opened("plain")
    page.add_style_tag(content=".stage img { filter: none } .stage > img { opacity: 0 } "
                               ".layer img { opacity: 0 } .stage { background: rgb(0, 0, 255) } "
                               ".layer { background: rgb(255, 0, 0) } .edge { display: none }")
    stage = page.locator(".stage").first
    page.locator(".stage input").first.evaluate(
        "e => { e.value = 30; e.dispatchEvent(new Event('input')) }")
    picture = cv2.imdecode(np.frombuffer(stage.screenshot(), np.uint8), cv2.IMREAD_COLOR)
    row = picture[picture.shape[0] // 2]
    width = len(row)
    assert row[int(0.25 * width)].tolist() == [255, 0, 0]  # BGR: what lies below
    assert row[int(0.35 * width)].tolist() == [0, 0, 255]


def test_one_chooses_what_lies_over_the_image(opened: Opened) -> None:
    page = opened("plain")
    choices = page.locator(".choices label")
    assert choices.all_inner_texts() == ["label", "ground truth", "errors", "depth"]
    for n, layer in enumerate(["label", "truth", "wrong", "second"]):
        choices.nth(n).click()
        visible = [each for each in ("label", "truth", "wrong", "second")
                   if page.locator(f".layer.{each}").first.is_visible()]
        assert visible == [layer]


def test_a_number_on_the_timeline_leads_to_its_frame(opened: Opened) -> None:
    page = opened("plain")
    page.locator("a.mark").first.click()
    page.wait_for_function("document.querySelector('#worst-1').getBoundingClientRect().top < 700")
    assert page.locator("#worst-1").evaluate("e => e.matches(':target')")


def test_dark_and_light_are_the_readers_choice(opened: Opened) -> None:
    def brightness(scheme: str, of: str) -> float:
        colour = opened("plain", scheme=scheme).evaluate(
            f"getComputedStyle(document.body).{of}").removeprefix("rgb(").rstrip(")")
        return sum(map(int, colour.split(","))) / 3

    paper, ink = (brightness("light", of) for of in ("backgroundColor", "color"))
    assert paper > 200 and ink < 100
    paper, ink = (brightness("dark", of) for of in ("backgroundColor", "color"))
    assert paper < 50 and ink > 200


def test_names_are_shown_and_never_run(opened: Opened) -> None:
    page = opened("nasty")
    assert page.evaluate("window.hacked === undefined")
    names = page.locator(".classes tbody th").all_inner_texts()
    assert names[:-1] == NASTY[1:]
    assert page.title().endswith(NASTY[1])


def test_every_slider_and_picture_has_a_name_for_those_who_do_not_see(opened: Opened) -> None:
    page = opened("plain")
    assert page.locator("img:not([alt])").count() == 0
    assert page.locator("input[type=range]:not([aria-label])").count() == 0

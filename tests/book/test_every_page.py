"""What holds on every page of the rendered book, whatever its chapters say."""

import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pdf
import pypdfium2
import pytest
import yaml
from axe_playwright_python.sync_playwright import Axe
from bs4 import BeautifulSoup
from chapter_numbers import chapter_number
from glossary_links import NOUN_MARKERS, ORDINARY_WORDS, VERBS
from one_page import one_page, pages_in_order
from toy_chapters import ROOT

pytestmark = pytest.mark.chapters

PHONE, DESK = {"width": 390, "height": 844}, {"width": 1440, "height": 900}
PAGES = pages_in_order(yaml.safe_load((ROOT / "book" / "_toc.yml").read_text()))
CHAPTERS = [page for page in PAGES if chapter_number(page)]
GLOSSARY = "book/glossary"

# Axe spends most of its time on the colours of code, where every colour that a page has is looked at once.
PLAIN_REPEATED_CODE = """
const seen = new Set();
for (const code of document.querySelectorAll(".highlight pre")) {
  const kinds = [...code.querySelectorAll("span[class]")].map(token => token.className);
  if (kinds.every(kind => seen.has(kind))) code.textContent = code.textContent;
  kinds.forEach(kind => seen.add(kind));
}
"""

each_page = pytest.mark.parametrize("page", PAGES)
each_chapter = pytest.mark.parametrize("page", CHAPTERS)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The book, rendered from its stored outputs."""
    out = tmp_path_factory.mktemp("book")
    words = [sys.executable, str(ROOT / "book" / "read_book.py"), "--out", str(out)]
    found = subprocess.run(words, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    return out / "html"


@pytest.fixture
def look(browser, site):
    """Opens a page in a window of a size and a theme; folds stay as they are."""
    windows = []

    def open_page(page, size, theme="light"):
        window = browser.new_page(viewport=size, color_scheme=theme)
        windows.append(window)
        window.goto(f"file://{site}/{page}.html")
        return window

    yield open_page
    for window in windows:
        window.close()


@cache
def read(site: Path, page: str) -> BeautifulSoup:
    return BeautifulSoup((site / f"{page}.html").read_text(), "html.parser")


def article(site, page):
    """The text of a page, without menus."""
    return read(site, page).select_one("article")


def words(element) -> str:
    return " ".join(element.get_text(" ").split())


def running_text(element):
    """The strings of an element outside links, code, formulas and headings."""
    for string in element.find_all(string=True):
        kinds = {around.name for around in string.parents if around is not None}
        classes = {name for around in string.parents for name in around.get("class") or []}
        if not kinds & {"a", "code", "pre", "script", "style", "svg", "h1", "h2", "h3", "h4"}:
            if not classes & {"math", "admonition-title"}:
                yield string


@each_chapter
def test_a_chapter_has_its_files_number_in_heading_and_menu(site, page):
    number = chapter_number(page)
    assert words(article(site, page).h1).startswith(f"{number} ")
    entry = read(site, PAGES[0]).select_one(f".bd-sidebar-primary a[href$='{Path(page).name}.html']")
    assert words(entry).startswith(f"{number} ")


@each_chapter
@pytest.mark.parametrize("kind", ["Figure", "Table"])
def test_figures_and_tables_are_numbered_in_order_and_captioned(site, page, kind):
    shown = {"Figure": ".cell_output img", "Table": "table"}[kind]
    found = article(site, page).select(shown)
    captions = [one.find_parent("figure").figcaption if kind == "Figure" else one.caption for one in found]
    numbers = [words(caption.select_one(".caption-number")) for caption in captions]
    assert numbers == [f"{kind} {int(chapter_number(page))}.{place + 1}" for place in range(len(found))]
    for caption in captions:
        assert len(words(caption.select_one(".caption-text"))) > 15


@each_chapter
def test_exercises_are_numbered_by_chapter(site, page):
    titles = [words(title) for title in article(site, page).select(".exercise > .admonition-title")]
    assert titles
    for place, title in enumerate(titles, 1):
        assert title.startswith(f"Exercise {chapter_number(page)}.{place}")


@each_chapter
def test_formulas_are_numbered_by_chapter(site, page):
    numbers = [words(number).strip("() ¶#") for number in article(site, page).select(".eqno")]
    assert numbers == [f"{int(chapter_number(page))}.{place + 1}" for place in range(len(numbers))]


@each_page
def test_every_mention_of_a_chapter_is_a_link(site, page):
    text = " ".join(running_text(article(site, page)))
    mentions = set(re.findall(r"[Cc]hapters?\s+(\d\d)\b", text))
    assert mentions <= {chapter_number(page)}


@each_page
def test_every_term_is_linked_where_it_is_used_first(site, page):
    if page == GLOSSARY:
        return
    # Hero, cards and claims are made of other pages' words, and are no running text.
    made = ".hero p, .chapter-cards p, .claims p"
    paragraphs = article(site, page).select(f"p:not(table p, figcaption p, .citation p, {made})")
    linked = {
        Path(link["href"]).name for link in article(site, page).select("a[href*='glossary.html#term-']")
    }
    text = "\n".join("".join(running_text(p)) for p in paragraphs)
    missed = []
    for term in article(site, GLOSSARY).select("dt"):
        name = next(term.stripped_strings)
        if name in ORDINARY_WORDS or f"glossary.html#{term['id']}" in linked:
            continue
        before = rf"\b(?:{'|'.join(NOUN_MARKERS)}) " if name in VERBS else r"(?<![\w–-])"
        first = f"[{name[0]}{name[0].upper()}]"
        found = re.search(rf"{before}{first}{re.escape(name[1:])}(?![\w–-])", text)
        if found and not part_of_a_longer_term(site, text, found):
            missed.append(found[0])
    assert not missed, missed


def part_of_a_longer_term(site, text, found):
    """Whether a term stands where the glossary has a longer one, which is then what is linked."""
    names = [next(term.stripped_strings) for term in article(site, GLOSSARY).select("dt")]
    around = text[max(0, found.start() - 40) : found.end() + 40].lower()
    short = found[0].lower()
    return any(short in name.lower() and short != name.lower() and name.lower() in around for name in names)


@each_page
def test_there_is_no_serious_obstacle_in_either_theme(look, page):
    window = look(page, DESK)
    window.evaluate("document.querySelectorAll('details').forEach(fold => fold.open = true)")
    window.evaluate(PLAIN_REPEATED_CODE)
    for theme in ("light", "dark"):
        window.emulate_media(color_scheme=theme)
        window.wait_for_timeout(600)  # the theme waits before it makes what scrolls reachable by keyboard
        assert window.locator("html").get_attribute("data-theme") == theme
        found = Axe().run(window).response["violations"]
        grave = [one for one in found if one["impact"] in ("serious", "critical")]
        assert not grave, [(theme, one["id"], [node["html"] for node in one["nodes"][:5]]) for one in grave]


@each_page
def test_a_phone_scrolls_no_page_sideways_and_breaks_no_interval(look, page):
    window = look(page, PHONE)
    window.evaluate("document.querySelectorAll('details').forEach(fold => fold.open = true)")
    assert window.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    lines = "[...document.querySelectorAll('.unbroken')].map(one => one.getClientRects().length)"
    assert set(window.evaluate(lines)) <= {1}


@each_chapter
def test_charts_stay_large_enough_to_be_read_on_a_phone(look, page):
    window = look(page, PHONE)
    window.evaluate("document.querySelectorAll('details').forEach(fold => fold.open = true)")
    scales = "[...document.querySelectorAll('.chart-box img')].map(one => one.width / Number(one.getAttribute('width')))"
    assert all(scale > 0.48 for scale in window.evaluate(scales))


@each_chapter
def test_a_chart_says_on_a_phone_that_it_scrolls_where_it_does(look, page):
    window = look(page, PHONE)
    window.evaluate("document.querySelectorAll('details').forEach(fold => fold.open = true)")
    boxes = """[...document.querySelectorAll('.chart-box')].map(
        box => [box.scrollWidth > box.clientWidth + 1, getComputedStyle(box, '::before').content != 'none'])"""
    assert all(scrolls == says for scrolls, says in window.evaluate(boxes))


@each_chapter
def test_charts_lie_on_white_in_the_dark_theme(look, page):
    window = look(page, DESK, "dark")
    for name, wanted in (("backgroundColor", "rgb(255, 255, 255)"), ("filter", "none")):
        found = window.evaluate(
            f"[...document.querySelectorAll('.chart-box img')].map(one => getComputedStyle(one).{name})"
        )
        assert set(found) == {wanted}


@each_chapter
def test_a_picture_of_the_chapter_is_on_the_first_screen_and_leads_to_its_figure(look, page):
    window = look(page, DESK)
    picture = window.locator(".ahead-picture")
    box = picture.bounding_box()
    assert box["y"] + box["height"] < DESK["height"]
    assert box["width"] > 200
    anchor = picture.get_attribute("href")
    caption = window.locator(f"figure{anchor} figcaption .caption-number")
    assert picture.inner_text().startswith(f"{caption.text_content().strip()},")


@each_chapter
def test_the_first_output_comes_within_two_screens(look, page):
    window = look(page, DESK)
    tops = "[...document.querySelectorAll('.cell_output, .below-input')].map(one => one.getBoundingClientRect().top)"
    assert min(window.evaluate(tops)) < 2 * DESK["height"]


def test_the_printed_book_has_no_half_empty_page_and_nothing_beyond_its_margin(site, browser, tmp_path):
    whole = tmp_path / "whole_book.html"
    toc = yaml.safe_load((ROOT / "book" / "_toc.yml").read_text())
    whole.write_text(one_page(site, toc, "A book", str(site)))
    assert pdf.print_page(pdf.chromium(), whole, tmp_path / "book.pdf")
    pages = pypdfium2.PdfDocument(tmp_path / "book.pdf")
    assert len(pages) > 100
    for number, page in enumerate(pages, 1):
        ink = page.render(scale=0.25, grayscale=True).to_numpy().squeeze() < 200
        height, width = ink.shape
        above_the_number = ink[: int(0.93 * height)]
        rows = np.flatnonzero(above_the_number.any(1))
        assert not above_the_number[:, int(0.95 * width) :].any(), f"page {number} is cut off"
        if number < len(pages):
            assert np.diff([0, *rows, height]).max() < 0.5 * height, f"page {number} is half empty"

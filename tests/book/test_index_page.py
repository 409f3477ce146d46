"""The first page: cards made from the chapters, the picture of the idea, and what a link to it shows."""

import struct

import nbformat
import pytest
import yaml
from bs4 import BeautifulSoup
from chapter_cards import chapter_cards
from chapter_facts import difficulties, facts
from hero import hero
from toy_chapters import ROOT

STATIC = ROOT / "book" / "_static"
FIRST = "# Steal it\n\n**Is it yours?**\n\n**Time:** a minute.<br>\n**Read before:** {before}."


def told(name, before="nothing", **mea):
    cells = [nbformat.v4.new_markdown_cell(FIRST.format(before=before))]
    return facts(name, nbformat.v4.new_notebook(cells=cells, metadata={"mea": mea}))


def test_a_card_has_question_minutes_and_difficulty():
    toc = {"root": "book/index", "parts": [{"caption": "A & B", "chapters": [{"file": "notebooks/00_a"}]}]}
    card = BeautifulSoup(chapter_cards(toc, {"00_a": told("00_a", minutes=7)}), "html.parser")
    assert card.select_one(".cards-part").get_text() == "A & B"
    assert card.a["href"] == "../notebooks/00_a.html"
    words = card.a.get_text(" ")
    for expected in ("00", "Steal it", "Is it yours?", "7 min", "★☆☆", "difficulty 1 of 3"):
        assert expected in words


def test_parts_without_chapters_have_no_cards():
    toc = {"root": "book/index", "parts": [{"caption": "Reference", "chapters": [{"file": "book/claims"}]}]}
    assert chapter_cards(toc, {"00_a": told("00_a")}) == ""


def test_difficulty_grows_with_what_a_chapter_builds_on_unless_it_is_given():
    chain = {f"0{i}_x": told(f"0{i}_x", f"chapter 0{i - 1}" if i else "nothing") for i in range(7)}
    assert list(difficulties(chain).values()) == [1, 1, 2, 2, 2, 2, 3]
    assert difficulties({"06_x": told("06_x", difficulty=2)}) == {"06_x": 2}


def test_a_chapter_without_a_first_cell_is_shown_by_its_name():
    bare = facts("00_a", nbformat.v4.new_notebook())
    assert (bare.title, bare.question, bare.minutes) == ("00_a", "", None)


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem)
def test_every_chapter_of_the_book_has_all_that_its_card_shows(path):
    chapter = facts(path.stem, nbformat.read(path, as_version=4))
    assert chapter.title != path.stem
    assert chapter.question.endswith("?")
    assert chapter.minutes


def test_the_picture_tells_itself_and_can_be_held():
    picture = BeautifulSoup(hero(STATIC), "html.parser")
    named = {element["id"] for element in picture.find_all(id=True)}
    assert set(picture.svg["aria-labelledby"].split()) <= named
    assert picture.select_one("label input[type=checkbox]")
    assert "prefers-reduced-motion: no-preference" in (STATIC / "site.css").read_text()


def test_the_card_for_shared_links_has_the_size_that_sites_expect():
    head = (STATIC / "social-card.png").read_bytes()[:24]
    assert struct.unpack(">II", head[16:24]) == (1200, 630)


def test_logo_and_favicon_are_those_the_configuration_names():
    config = yaml.safe_load((ROOT / "_config.yml").read_text())
    for path in (config["logo"], config["html"]["favicon"]):
        assert (ROOT / path).read_text().startswith("<svg")

"""The whole book as one page, and that page printed."""

import re
import shutil

import pdf
import pytest
from bs4 import BeautifulSoup
from one_page import one_page
from toy_chapters import ROOT

TOC = {"root": "book/index", "parts": [{"caption": "Part", "chapters": [{"file": "notebooks/00_a"}]}]}
PAGES = {
    "book/index": '<section id="top"><h1>The book</h1><p><a href="../notebooks/00_a.html#idea">there</a> '
    '<a href="../notebooks/00_a.html">chapter</a> <a href="https://a.example/">away</a></p></section>',
    "notebooks/00_a": '<section id="top"><h1>Chapter<a class="headerlink" href="#top">#</a></h1></section>'
    '<section id="idea"><h2>Idea</h2><img src="../_images/a.png"><a href="#top">up</a> <a href="../files/x.zip">file</a>'
    '<details class="hide above-input">import os</details><details class="answer"><summary>Answer</summary>42</details>'
    "<script>no()</script></section>",
}


@pytest.fixture
def site(tmp_path):
    for name, body in PAGES.items():
        path = tmp_path / "html" / f"{name}.html"
        path.parent.mkdir(parents=True, exist_ok=True)
        page = f'<article class="bd-article">{body}</article><p class="edition">Version 7</p>'
        path.write_text(f"<html><body>{page}</body></html>")
    (tmp_path / "html" / "_static").mkdir()
    shutil.copy(ROOT / "book" / "_static" / "whole_book.css", tmp_path / "html" / "_static")
    return tmp_path / "html"


@pytest.fixture
def book(site):
    return BeautifulSoup(one_page(site, TOC, "A & B", "html"), "html.parser")


def test_pages_stand_in_the_order_of_the_contents(book):
    assert [article.h1.get_text() for article in book("article")] == ["The book", "Chapter"]
    assert "Version 7" in book.header.get_text()
    assert [link["href"] for link in book.select(".cover-contents a")] == ["#notebooks-00_a"]


def test_every_link_leads_to_a_place_in_the_book_or_out_of_it(book):
    links = {link.get_text(): link.get("href") for link in book.select("article a")}
    assert links == {
        "there": "#notebooks-00_a--idea",
        "chapter": "#notebooks-00_a",
        "away": "https://a.example/",
        "up": "#notebooks-00_a--top",
        "file": None,
    }
    ids = [element["id"] for element in book.find_all(id=True)]
    assert len(ids) == len(set(ids))
    assert {href[1:] for href in links.values() if href and href.startswith("#")} <= set(ids)


def test_what_is_folded_is_open_and_hidden_code_is_left_out(book):
    assert not book("details")
    assert book.select_one("div.answer p.unfolded").get_text() == "Answer"
    assert "import os" not in book.get_text()
    assert book.select_one("article img")["src"] == "html/_images/a.png"
    assert not book.article.find("script")


def test_without_a_rendered_book_it_says_what_to_run(tmp_path, capsys):
    assert pdf.main(["--out", str(tmp_path)]) == 1
    assert "run: make read" in capsys.readouterr().err


@pytest.mark.skipif(pdf.chromium() is None, reason="there is no Chromium to print with")
def test_it_is_printed_with_bookmarks(site, tmp_path):
    (tmp_path / "book.html").write_text(one_page(site, TOC, "A", "html"))
    assert pdf.print_page(pdf.chromium(), tmp_path / "book.html", tmp_path / "book.pdf")
    made = (tmp_path / "book.pdf").read_bytes()
    assert b"/Outlines" in made
    assert len(re.findall(rb"/Type\s*/Page\b", made)) == 2  # cover, and the two short pages run on
    assert not list(tmp_path.glob("*.part.pdf"))

"""All pages of the rendered site as one page, in their order, for a printer."""

import re
from collections.abc import Mapping
from html import escape
from pathlib import Path, PurePosixPath
from posixpath import normpath

from bs4 import BeautifulSoup, Tag

# Controls, and code that a page hides until it is asked for.
LEFT_OUT = "script, button, form, .headerlink, .hero-actions, .hero-pause, .ahead-picture, .chapter-cards, .claim-link, details.above-input"
STYLES = (
    "styles/theme.css",
    "styles/pydata-sphinx-theme.css",
    "pygments.css",
    "styles/sphinx-book-theme.css",
    "mystnb.*.css",
    "exercise.css",
    "proof.css",
    "sphinx-design.min.css",
    "book.css",
    "site.css",
    "whole_book.css",
)
MATHJAX = 'window.MathJax = {options: {enableMenu: false, processHtmlClass: "math|output_area"}};'


def one_page(site: Path, toc: Mapping, title: str, to_site: str) -> str:
    """HTML of the whole book; links between its pages lead to places in it.

    Args:
        site: folder of the rendered site.
        toc: the table of contents, as `_toc.yml` holds it.
        title: of the book.
        to_site: relative address of `site` from where the page will lie.
    """
    files = pages_in_order(toc)
    articles, titles, edition = [], {}, None
    for name in files:
        page = BeautifulSoup((site / f"{name}.html").read_text(encoding="utf-8"), "html.parser")
        edition = edition or page.select_one(".edition")
        article = page.find("article", class_="bd-article")
        for unwanted in article.select(LEFT_OUT):
            unwanted.decompose()
        _unfold(article)
        _join(article, name, set(files), to_site)
        article["id"] = _place(name)
        titles[name] = article.find("h1").get_text(" ", strip=True)
        articles.append(str(article))
    styles = [path for style in STYLES for path in sorted((site / "_static").glob(style))]
    links = "".join(
        f'<link rel="stylesheet" href="{to_site}/{path.relative_to(site).as_posix()}">' for path in styles
    )
    return (
        f'<!DOCTYPE html><html lang="en" data-theme="light" data-mode="light"><head><meta charset="utf-8">'
        f"<title>{escape(title)}</title>{links}<script>{MATHJAX}</script>"
        f'<script defer src="{to_site}/_static/mathjax/tex-chtml.js"></script></head><body>'
        f'<header class="cover"><img src="{to_site}/_static/logo.svg" alt=""><p class="cover-title">{escape(title)}</p>'
        f"{edition or ''}{_contents(toc, titles)}</header>{''.join(articles)}</body></html>"
    )


def pages_in_order(toc: Mapping) -> list[str]:
    """All pages that the table of contents names, the first page first, without ending."""
    return [toc["root"], *(entry["file"] for part in toc["parts"] for entry in part["chapters"])]


def _contents(toc: Mapping, titles: Mapping[str, str]) -> str:
    parts = "".join(
        f"<li>{escape(part['caption'])}<ul>"
        + "".join(
            f'<li><a href="#{_place(entry["file"])}">{escape(titles[entry["file"]])}</a></li>'
            for entry in part["chapters"]
        )
        + "</ul></li>"
        for part in toc["parts"]
    )
    return f'<nav class="cover-contents"><ul>{parts}</ul></nav>'


def _unfold(article: Tag) -> None:
    """Show what a page opens on a click; a block that can be closed is not divided between two sheets, either."""
    for title in article.select("details.hide > summary"):
        title.decompose()  # "Show the output" above an output that is shown
    for closed in article.find_all("details"):
        closed.name = "div"
        for title in closed.find_all("summary", recursive=False):
            title.name, title["class"] = "p", "unfolded"


def _join(article: Tag, name: str, files: set[str], to_site: str) -> None:
    """Make ids of one page unlike those of others, and let links and pictures be found from the one page."""
    folder = PurePosixPath(name).parent
    for element in article.find_all(True):
        if element.find_parent("svg") or element.name == "svg":
            continue
        del element["loading"]  # on paper nothing is further down
        if element.get("id"):
            element["id"] = f"{_place(name)}--{element['id']}"
        for attribute in ("src", "href"):
            address = element.get(attribute)
            if not address or re.match(r"[a-z][a-z0-9+.-]*:", address):
                continue
            path, _, anchor = address.partition("#")
            target = normpath(f"{folder}/{path}") if path else f"{name}.html"
            if attribute == "src":
                element["src"] = f"{to_site}/{target}"
            elif target.removesuffix(".html") in files:
                place = _place(target.removesuffix(".html"))
                element["href"] = f"#{place}--{anchor}" if anchor else f"#{place}"
            else:
                del element["href"]  # a file beside the pages, which a book on paper does not have


def _place(name: str) -> str:
    return name.replace("/", "-")

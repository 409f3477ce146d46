"""The words of each page, section by section, from which the search shows excerpts."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

SKIPPED = {"script", "style", "svg", "select", "button"}
VOID = {"area", "base", "br", "col", "hr", "img", "input", "link", "meta", "source", "wbr"}


def page_words(page: str) -> list[tuple[str, str]]:
    """Sections of a page as (id, text), in order; the text before the first section has the id ""."""
    reader = _Reader()
    reader.feed(page)
    return [
        (name, text)
        for name, words in reader.sections
        if (text := re.sub(r"\s+", " ", "".join(words)).strip())
    ]


def write_words(site: Path) -> None:
    """Write the words of all pages beside the search's index, as a script, since pages from a disk can't fetch."""
    words = {
        path.relative_to(site).with_suffix("").as_posix(): page_words(path.read_text(encoding="utf-8"))
        for folder in ("book", "notebooks")
        for path in sorted((site / folder).glob("*.html"))
    }
    (site / "_static").mkdir(exist_ok=True)
    text = json.dumps(words, ensure_ascii=False, separators=(",", ":"))
    (site / "_static" / "page_words.js").write_text(f"const pageWords = {text};\n", encoding="utf-8")


class _Reader(HTMLParser):
    """Collects the text inside the article; what is inside a skipped element is left out."""

    def __init__(self) -> None:
        super().__init__()
        self.sections: list[tuple[str, list[str]]] = []
        self._open: list[str] = []  # elements around the present place, from the article inwards
        self._skipping = 0  # how deep the outermost skipped element lies

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        known = dict(attributes)
        if tag in VOID or not (self._open or tag == "article"):
            return
        self._open.append(tag)
        if tag == "article":
            self.sections.append(("", []))
        elif tag == "section":
            self.sections.append((known.get("id") or "", []))
        elif not self._skipping and (tag in SKIPPED or "headerlink" in (known.get("class") or "")):
            self._skipping = len(self._open)
        self._break(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self._open:
            return
        while self._open.pop() != tag:
            pass
        if len(self._open) < self._skipping:
            self._skipping = 0
        self._break(tag)

    def handle_data(self, data: str) -> None:
        if self._open and not self._skipping:
            self.sections[-1][1].append(re.sub(r"\\[()\[\]]", "", data))  # what encloses a formula

    def _break(self, tag: str) -> None:
        """Words of two blocks, or of two cells, are two words."""
        if self.sections and tag not in ("span", "a", "em", "strong", "code", "sub", "sup"):
            self.sections[-1][1].append(" ")

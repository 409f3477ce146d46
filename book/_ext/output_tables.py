"""Tables that a cell shows are tables of the book: numbered, captioned, and dressed as all others are.

`mea_lib.teaching.Table` shows itself as HTML, which Sphinx would pass on as it is. Here it becomes a table as written
in the text. Its caption is that of the cell's metadata, `{"table": {"caption": …, "name": …}}`, then the title that
the code gave it; `name` is what `{numref}` refers to.
"""

import re
from html.parser import HTMLParser

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

_SHOWN = re.compile(r"\s*<div[^>]*>\s*<table.*</table>\s*</div>\s*(?:<p>.*</p>\s*)?", re.S)


class OutputTables(SphinxTransform):
    """Turns HTML tables in the outputs of cells into tables of the document."""

    default_priority = 200  # before Sphinx gives what is numbered its anchors, at 210

    def apply(self) -> None:
        for shown in list(self.document.findall(nodes.raw)):
            cell = _cell_of(shown)
            if cell is None or "html" not in shown.get("format", "") or not _SHOWN.fullmatch(shown.astext()):
                continue
            read = _TableReader()
            read.feed(shown.astext())
            about = cell.get("cell_metadata", {}).get("table", {})
            table = build_table(read.head, read.rows, caption_of(about.get("caption", ""), read.title))
            table.source, table.line = cell.source, cell.line
            if about.get("name"):
                table["names"].append(nodes.fully_normalize_name(about["name"]))
                self.document.note_explicit_target(table, table)
            after = [nodes.paragraph("", line) for line in read.lines]
            shown.parent.replace(shown, [table, *after])


def caption_of(caption: str, title: str) -> str:
    """The caption and the code's title in one, each as a sentence; empty where there is neither."""
    sentences = [sentence[0].upper() + sentence[1:] for sentence in (caption, title) if sentence]
    return " ".join(s if s.endswith((".", "?")) else f"{s}." for s in sentences)


def build_table(head: list[str], rows: list[list[str]], caption: str) -> nodes.table:
    """A docutils table of plain text under a header; `caption` may be empty."""
    group = nodes.tgroup("", *(nodes.colspec(colwidth=1) for _ in head), cols=len(head))
    group += nodes.thead("", _row(head))
    group += nodes.tbody("", *map(_row, rows))
    table = nodes.table("", group, classes=["output-table"])
    if caption:
        table.insert(0, nodes.title(caption, caption))
    return table


def _row(cells: list[str]) -> nodes.row:
    return nodes.row("", *(nodes.entry("", nodes.paragraph(cell, cell)) for cell in cells))


def _cell_of(node: nodes.Node) -> nodes.Element | None:
    """The notebook cell whose output a node is part of."""
    while node is not None and node.get("nb_element") != "cell_code":
        node = node.parent
    return node


class _TableReader(HTMLParser):
    """Reads one table as text: its title, its head, its rows, and lines that stand behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.title, self.head, self.rows, self.lines = "", [], [], []
        self._into: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.rows.append([])
        elif tag == "p":
            self.lines.append("")
        elif tag == "th":
            self.head.append("")
        elif tag == "td":
            self.rows[-1].append("")
        if tag in ("caption", "th", "td", "p"):
            self._into = tag

    def handle_endtag(self, tag: str) -> None:
        if tag == self._into:
            self._into = None
        elif tag == "thead":
            self.rows.clear()

    def handle_data(self, data: str) -> None:
        if self._into == "caption":
            self.title += data
        elif self._into == "th":
            self.head[-1] += data
        elif self._into == "td":
            self.rows[-1][-1] += data
        elif self._into == "p":
            self.lines[-1] += data


def setup(app: Sphinx) -> dict[str, bool]:
    """Adds the transform."""
    app.add_transform(OutputTables)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

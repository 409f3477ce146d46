"""Mentions of chapters become links: "chapter 08", "chapters 03 and 04", and "03, 04" in a table's column of chapters.

A number leads to the chapter whose file begins with it.
"""

import re

from chapter_numbers import chapters
from docutils import nodes
from prose import replace_parts, runs_of_text
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform
from sphinx.util import logging

logger = logging.getLogger(__name__)

_MENTION = re.compile(
    r"\b[Cc]hapters?\s+\d\d\b(?:(?:[,;]?\s+(?:and|or|to)\s+|[,;]\s+|–)\d\d\b(?![\d.,]*\d))*"
)
_NUMBER = re.compile(r"(?:[Cc]hapters?\s+)?\b(\d\d)\b")


class ChapterLinks(SphinxTransform):
    """Links every mention in running text and tables, unless it is of the page's own chapter.

    A number that no chapter has is a warning.
    """

    default_priority = 500

    def apply(self) -> None:
        self.pages = chapters(self.env.found_docs)
        columns = [text for table in self.document.findall(nodes.table) for text in _texts_of_chapters(table)]
        for text in columns:
            self._link_numbers(text, [(0, len(text))])
        for text in list(runs_of_text(self.document)):
            self._link_numbers(text, [mention.span() for mention in _MENTION.finditer(text)])

    def _link_numbers(self, text: nodes.Text, spans: list[tuple[int, int]]) -> None:
        """Link the numbers within spans of a text."""
        parts = []
        for span in spans:
            for found in _NUMBER.finditer(text, *span):
                page = self.pages.get(found[1])
                if page is None:
                    logger.warning(
                        "there is no chapter %s, which the text mentions: %r",
                        found[1],
                        text[slice(*span)],
                        location=text.parent,
                        type="book",
                        subtype="chapter",
                    )
                elif page != self.env.docname:
                    parts.append((*found.span(), self._link(found[0], page)))
        if parts:
            replace_parts(text, parts)

    def _link(self, words: str, page: str) -> nodes.Element:
        return addnodes.pending_xref(
            "",
            nodes.inline("", re.sub(r"\s+", "\N{NO-BREAK SPACE}", words)),
            refdomain="std",
            reftype="doc",
            reftarget=f"/{page}",
            refexplicit=True,
            refdoc=self.env.docname,
            refwarn=True,
        )


def _texts_of_chapters(table: nodes.table) -> list[nodes.Text]:
    """The texts in those columns of a table that are headed "chapter" or "chapters"."""
    head, *rows = table.findall(nodes.row)
    columns = [place for place, entry in enumerate(head) if entry.astext().lower() in ("chapter", "chapters")]
    entries = [row[place] for row in rows for place in columns if place < len(row)]
    return [text for entry in entries for text in runs_of_text(entry)]


def setup(app: Sphinx) -> dict[str, bool]:
    """Adds the transform."""
    app.add_transform(ChapterLinks)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

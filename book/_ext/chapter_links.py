""" "chapter 07" and "chapters 03 and 04" become links to the chapters whose files begin with these numbers."""

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
    """Links every mention in running text, unless it is of the page's own chapter.

    A number that no chapter has is a warning.
    """

    default_priority = 500

    def apply(self) -> None:
        pages = chapters(self.env.found_docs)
        for text in list(runs_of_text(self.document)):
            parts = []
            for mention in _MENTION.finditer(text):
                for found in _NUMBER.finditer(text, *mention.span()):
                    page = pages.get(found[1])
                    if page is None:
                        logger.warning(
                            "there is no chapter %s, which the text mentions: %r",
                            found[1],
                            mention[0],
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


def setup(app: Sphinx) -> dict[str, bool]:
    """Adds the transform."""
    app.add_transform(ChapterLinks)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

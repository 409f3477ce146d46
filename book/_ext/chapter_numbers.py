"""Chapters are numbered as their files are: `08_jacobian` is chapter 08, its figures are 8.1, 8.2, …

Sphinx numbers a table of contents from 1, without gaps and leading zeros. Here the number is the file's, in the
heading, in the menu and in what is numbered within the chapter. Pages that are no chapters have no number.
"""

import re
from collections.abc import Iterable

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.environment.collectors.toctree import TocTreeCollector

_FILE = re.compile(r"(?:^|/)(\d\d)_[^/]+$")


def chapter_number(docname: str) -> str | None:
    """The two digits that the name of a chapter's file begins with; None for any other page."""
    found = _FILE.search(docname)
    return found[1] if found else None


def chapters(docnames: Iterable[str]) -> dict[str, str]:
    """Name of the page by chapter number; ValueError if two files have the same number."""
    found = {}
    for docname in sorted(docnames):
        number = chapter_number(docname)
        if number in found:
            raise ValueError(
                f"{found[number]} and {docname} are both chapter {number}; renumber one of the files"
            )
        if number:
            found[number] = docname
    return found


def number_chapters(app: Sphinx, env: BuildEnvironment) -> list[str]:
    """Give headings and menu the files' numbers, then number figures, tables, equations and exercises by them."""
    for number, docname in chapters(env.found_docs).items():
        anchors = {}
        for reference in env.tocs[docname].findall(nodes.reference):
            of_chapter = not reference["anchorname"]
            # The empty number keeps sections from falling back to their chapter's.
            anchors[reference["anchorname"]] = (number,) if of_chapter else ()
            if of_chapter:
                reference["secnumber"] = (number,)
        env.toc_secnumbers[docname] = anchors
        env.titles[docname]["secnumber"] = (number,)
    changed = TocTreeCollector().assign_figure_numbers(env)
    for numbered in env.toc_fignumbers.values():
        for kind, numbers in numbered.items():
            for place, number in numbers.items():
                # "Figure 7.2" as in any book, but "Exercise 07.2", by which answers are handed in.
                numbers[place] = number if kind == "exercise" else tuple(int(part) for part in number)
    return changed


def setup(app: Sphinx) -> dict[str, bool]:
    """After Sphinx's own numbering, whose priority is 500."""
    app.connect("env-get-updated", number_chapters, priority=600)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

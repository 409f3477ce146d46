"""Chapters for editors that know no MyST, as Colab and Kaggle: plain Markdown, solutions folded, answers not yet shown.

The pages are built from the chapters as they are; only copies that are opened elsewhere are changed.
"""

import copy
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

from nbformat import NotebookNode
from pybtex.database import BibliographyData, Entry, parse_file

_BLOCK = re.compile(
    r"^(?P<fence>`{3,})\{(?P<kind>exercise|solution|admonition)\}(?P<words>[^\n]*)\n(?P<body>.*?)^(?P=fence)[ ]*$",
    re.M | re.S,
)
_OPTION = re.compile(r"\A:([a-z]+):[ ]*(.*)\n")
_CITATION = re.compile(r"\{cite(?P<in_text>:t)?\}`(?P<keys>[^`]+)`")
_TERM = re.compile(r"\{term\}`(?P<word>[^`<]+?)(?: <[^`]*>)?`")
_PAGE = re.compile(r"\]\(\.\./book/(?P<page>[a-z_]+)(?:\.md)?(?P<place>#[^)]*)?\)")


def plain(notebook: NotebookNode, bibliography: Path, site: str) -> NotebookNode:
    """A copy in plain Markdown; the outputs that a reader is to predict are left out until they run.

    Args:
        notebook: a chapter.
        bibliography: the BibTeX file of its citations.
        site: address of the pages, for links to them; without one a link is its words.
    """
    notebook, cited = copy.deepcopy(notebook), _bibliography(bibliography)
    numbers: dict[str, int] = {}
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = _plain_text(cell.source, numbers, cited, site)
        elif "hide-output" in cell.metadata.get("tags", ()):
            cell.outputs, cell.execution_count = [], None
    return notebook


@cache
def _bibliography(file: Path) -> BibliographyData:
    """Read once for all chapters."""
    return parse_file(str(file), bib_format="bibtex")


def _plain_text(text: str, numbers: dict[str, int], cited: BibliographyData, site: str) -> str:
    text = _BLOCK.sub(lambda found: _block(found, numbers), text)
    text = _CITATION.sub(lambda found: _citation(found, cited), text)
    text = _TERM.sub(lambda found: found["word"], text)
    if site:
        return _PAGE.sub(lambda found: f"]({site}/book/{found['page']}.html{found['place'] or ''})", text)
    return re.sub(rf"\[([^\]]*){_PAGE.pattern}", r"\1", text)


def _block(found: re.Match, numbers: dict[str, int]) -> str:
    body, options = found["body"], {}
    while option := _OPTION.match(body):
        options[option[1]], body = option[2], body[option.end() :]
    return _WRITTEN[found["kind"]](options.get("label", found["words"].strip()), body.strip(), numbers)


def _exercise(label: str, body: str, numbers: dict[str, int]) -> str:
    numbers[label] = len(numbers) + 1
    return f"**Exercise {numbers[label]}.** {body}"


def _solution(label: str, body: str, numbers: dict[str, int]) -> str:
    return f"<details>\n<summary>Solution of exercise {numbers[label]}</summary>\n\n{body}\n\n</details>"


def _admonition(title: str, body: str, _: dict[str, int]) -> str:
    lines = [f"**{title}**", "", *body.splitlines()]
    return "\n".join(f"> {line}".rstrip() for line in lines)


_WRITTEN: dict[str, Callable[[str, str, dict[str, int]], str]] = {
    "exercise": _exercise,
    "solution": _solution,
    "admonition": _admonition,
}


def _citation(found: re.Match, cited: BibliographyData) -> str:
    entries = [cited.entries[key.strip()] for key in found["keys"].split(",")]
    named = [(_authors(entry), entry.fields["year"]) for entry in entries]
    if found["in_text"]:
        return "; ".join(f"{authors} ({year})" for authors, year in named)
    return f"({'; '.join(f'{authors} {year}' for authors, year in named)})"


def _authors(entry: Entry) -> str:
    names = [" ".join((*person.prelast_names, *person.last_names)) for person in entry.persons["author"]]
    if len(names) > 2:
        return f"{names[0]} et al."
    return " and ".join(names)

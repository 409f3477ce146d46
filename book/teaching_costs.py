"""What a session of the course costs, from what its chapters say of themselves in their first cells."""

import re
from collections.abc import Mapping

from nbformat import NotebookNode

PLACE = re.compile(r"<!-- cost ((?:\d\d ?)+) ?-->")
WORDS = {
    "seconds": 1,
    "less than one": 1,
    "one": 1,
    "two": 2,
    "three": 3,
    "four": 4,
    "five": 5,
}


def fill_costs(text: str, chapters: Mapping[str, NotebookNode]) -> str:
    """Put the core-minutes of chapters, cold and warm, where a page has a comment such as `<!-- cost 00 01 -->`.

    Args:
        text: of the page.
        chapters: by the name of their file. Where one is not there, its session costs a dash.
    """
    known = {name[:2]: cost(chapter) for name, chapter in chapters.items()}

    def words(place: re.Match) -> str:
        numbers = place[1].split()
        if not all(known.get(number) for number in numbers):
            return "–"
        cold, warm = (sum(figures) for figures in zip(*(known[number] for number in numbers), strict=True))
        return f"{cold} cold, {warm} warm"

    return PLACE.sub(words, text)


def cost(chapter: NotebookNode) -> tuple[int, int] | None:
    """Core-minutes on a laptop, with an empty store and with a full one; None for a chapter that does not say.

    They are those of the line *Time* in its first cell. Less than a minute counts as one; a chapter that says nothing
    about a full store counts as if it had an empty one.
    """
    first = next((cell.source for cell in chapter.cells if cell.cell_type == "markdown"), "")
    line = re.search(r"^\*\*Time:\*\*(.*)$", first, re.M)
    cold = re.search(r"about (\d+) minutes?", line[1]) if line else None
    if not cold:
        return None
    full = re.search(rf"\b({'|'.join(WORDS)}) when (?:the store|all)", line[1])
    return int(cold[1]), WORDS[full[1]] if full else int(cold[1])

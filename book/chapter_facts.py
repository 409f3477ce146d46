"""What pages around the chapters say about one: read from its first cell and its metadata."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from nbformat import NotebookNode


@dataclass(frozen=True)
class ChapterFacts:
    """One chapter, as cards, claims and execution page show it.

    Attributes:
        name: of its file, without ending.
        title: its first heading.
        question: the line that stands in bold under it; empty where there is none.
        minutes: that it takes on a CPU core from nothing; None where nobody said.
        reads_before: numbers of the chapters it builds on, as its first cell names them.
        mea: its metadata of that name: claims, seconds, digests, the run.
    """

    name: str
    title: str
    question: str
    minutes: int | None
    reads_before: tuple[str, ...]
    mea: Mapping

    @property
    def number(self) -> str:
        """Two digits, or the name where it has no number."""
        return self.name[:2] if self.name[:2].isdigit() else self.name

    @property
    def page(self) -> str:
        """Address of its page, from a page in `book/`."""
        return f"../notebooks/{self.name}.html"


def facts(name: str, notebook: NotebookNode) -> ChapterFacts:
    """Read what is told about the chapter `name`."""
    first = next((cell.source for cell in notebook.cells if cell.cell_type == "markdown"), "")
    title = re.search(r"^# (?:\d\d\W+)?(.+)$", first, re.M)
    question = re.search(r"^\*\*([^*]+\?)\*\*\s*$", first, re.M)
    before = re.search(r"^\*\*Read before:\*\*(.*)$", first, re.M)
    mea = notebook.metadata.get("mea", {})
    return ChapterFacts(
        name=name,
        title=title[1].strip() if title else name,
        question=question[1].strip() if question else "",
        minutes=mea.get("minutes"),
        reads_before=tuple(re.findall(r"\b\d\d\b", before[1])) if before else (),
        mea=mea,
    )


def days_and_machines(chapters: Mapping[str, ChapterFacts]) -> tuple[list[str], list[str]]:
    """When and where the chapters ran, each once, in order; empty where no run says so."""
    runs = [chapter.mea.get("run", {}) for chapter in chapters.values()]
    days, machines = (sorted({run[name] for run in runs if run.get(name)}) for name in ("date", "machine"))
    return days, machines


def difficulties(chapters: Mapping[str, ChapterFacts]) -> dict[str, int]:
    """One to three stars by name: `mea.difficulty` where it is given, else by the chapters that lie below one.

    The longest way from a chapter down to one that needs nothing is one star up to one step, two up to five.
    """
    by_number = {chapter.number: chapter for chapter in chapters.values()}

    def depth(chapter: ChapterFacts) -> int:
        earlier = [by_number[n] for n in chapter.reads_before if n in by_number and n < chapter.number]
        return 1 + max(map(depth, earlier)) if earlier else 0

    return {
        name: chapter.mea.get("difficulty") or 1 + (depth(chapter) > 1) + (depth(chapter) > 5)
        for name, chapter in chapters.items()
    }

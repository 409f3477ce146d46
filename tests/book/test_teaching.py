"""The page for teachers: what its sessions cost, and that the exercises it sets are there."""

import re

import nbformat
import pytest
from chapter_facts import facts
from teaching_costs import cost, fill_costs
from toy_chapters import ROOT

PAGE = (ROOT / "book" / "teaching.md").read_text(encoding="utf-8")
CHAPTERS = {path.stem: nbformat.read(path, as_version=4) for path in (ROOT / "notebooks").glob("*.ipynb")}


def chapter(time):
    first = nbformat.v4.new_markdown_cell(f"# A chapter\n\n**Time:** {time}<br>\n**Needs:** nothing.")
    return nbformat.v4.new_notebook(cells=[first])


@pytest.mark.parametrize(
    "time, expected",
    [
        ("about 4 minutes on a CPU core from nothing, seconds when the store is warm.", (4, 1)),
        ("about 4 minutes on a CPU core from nothing, less than one when the store is warm.", (4, 1)),
        ("about 9 minutes on a CPU core, about four when the store is warm.", (9, 4)),
        ("about 4 minutes with the victims of chapter 07 in the store, two when all is there.", (4, 2)),
        ("about 14 minutes on a CPU core when the models of other chapters are there.", (14, 14)),
        ("a while", None),
    ],
)
def test_a_chapters_cost_is_what_its_first_cell_says(time, expected):
    assert cost(chapter(time)) == expected


def test_a_session_costs_what_its_chapters_cost():
    chapters = {
        "00_a": chapter("about 4 minutes, seconds when the store is warm."),
        "01_b": chapter("about 13 minutes, about two when the store is warm."),
    }
    page = "| 1 | <!-- cost 00 01 --> | <!-- cost 00 --> | <!-- cost 02 --> |"
    assert fill_costs(page, chapters) == "| 1 | 17 cold, 3 warm | 4 cold, 1 warm | – |"


def test_every_chapter_says_what_it_costs():
    assert [name for name, one in CHAPTERS.items() if cost(one) is None] == []
    assert "<!-- cost" not in fill_costs(PAGE, CHAPTERS)


def test_a_chapters_card_says_the_minutes_of_its_first_cell():
    cards = {name: facts(name, one).minutes for name, one in CHAPTERS.items()}
    assert cards == {name: cost(one)[0] for name, one in CHAPTERS.items()}


def test_the_exercises_that_it_sets_are_there():
    labels = {
        label
        for one in CHAPTERS.values()
        for cell in one.cells
        for label in re.findall(r"^:label: (ex-\S+)", cell.source, re.M)
    }
    named = set(re.findall(r"ex-\d\d-[\w-]+", PAGE))
    assert len(named) > 30
    assert named <= labels


def test_both_plans_visit_each_chapter_once_at_most():
    for part in re.split(r"^## ", PAGE, flags=re.M):
        if part.startswith(("Twelve weeks", "Eight weeks")):
            visited = [n for place in re.findall(r"<!-- cost ([\d ]+)-->", part) for n in place.split()]
            assert len(visited) == len(set(visited)) > 12
            assert set(visited) <= {name[:2] for name in CHAPTERS}

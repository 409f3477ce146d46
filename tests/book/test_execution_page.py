"""The page that says how each chapter was run, and what a run leaves for it."""

import re

import pytest
import run_facts
from bs4 import BeautifulSoup
from chapter_facts import ChapterFacts
from execution_page import UNKNOWN, execution_list

CLAIM = {"holds": True, "scale": "laptop"}


RUN = {
    "date": "2026-11-28",
    "machine": "2 x86_64 cores",
    "versions": {"torch": "2.14.1", "numpy": "2.4"},
    "peak_mib": 1234,
}
MEA = {"scale": "laptop", "seconds": {"laptop": 1100, "colab": 7}, "code_digest": "abc", "claims": [CLAIM]}


def shown(*chapters):
    """The text above the table, and each row by the names of its columns."""
    facts = [ChapterFacts(f"0{i}_a", "A < B", "", 3, (), mea) for i, mea in enumerate(chapters)]
    html = BeautifulSoup(execution_list({one.name: one for one in facts}), "html.parser")
    rows = [
        {"chapter": row.th.get_text()} | {cell["data-name"]: cell.get_text(" ") for cell in row("td")}
        for row in html.select("tbody tr")
    ]
    return " ".join(p.get_text() for p in html("p")), rows


def test_a_chapter_shows_what_its_run_noted_and_what_is_the_same_is_said_once():
    broken = MEA | {"claims": [CLAIM, CLAIM | {"holds": False}], "run": RUN}
    above, (first, second) = shown(broken, MEA | {"run": RUN | {"date": "2026-11-29"}})
    assert "2 chapters, 2,200 seconds" in above
    assert "In all of them: scale laptop; machine 2 x86_64 cores; versions torch 2.14.1, numpy 2.4." in above
    assert first == {
        "chapter": "00 A < B",
        "claims": "1 of 2",
        "seconds": "1,100",
        "memory": "1,234 MiB",
        "date": "2026-11-28",
        "code": "abc",
        "download": "notebook",
    }
    assert second["date"] == "2026-11-29"


def test_what_a_run_did_not_note_is_a_dash():
    above, (first, second) = shown({}, MEA | {"run": RUN})
    assert "In all" not in above
    assert {name for name, words in first.items() if words != UNKNOWN} == {"chapter", "download"}
    assert second["versions"] == "torch 2.14.1, numpy 2.4"
    assert "No chapter" in execution_list({})


@pytest.mark.parametrize("peak", [None, 512])
def test_a_run_notes_day_machine_and_versions_but_no_host(peak):
    facts = run_facts.run_facts(peak)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", facts["date"])
    assert re.match(r"\d+ \w+ cores", facts["machine"])
    assert "Python" in facts["versions"]
    assert facts.get("peak_mib") == peak
    assert set(facts) <= {"date", "machine", "versions", "peak_mib"}

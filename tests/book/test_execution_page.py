"""The page that says how each chapter was run, and what a run leaves for it."""

import re

import pytest
import run_facts
from bs4 import BeautifulSoup
from chapter_facts import ChapterFacts
from execution_page import UNKNOWN, execution_list

CLAIM = {"holds": True, "scale": "laptop"}


def row(mea):
    html = execution_list({"00_a": ChapterFacts("00_a", "A < B", "", 3, (), mea)})
    cells = BeautifulSoup(html, "html.parser").select_one("tbody tr")
    return cells.th.get_text(), {cell["data-name"]: cell.get_text(" ") for cell in cells("td")}


def test_a_chapter_shows_what_its_run_noted():
    run = {
        "date": "2026-11-28",
        "machine": "2 x86_64 cores",
        "versions": {"torch": "2.14.1"},
        "peak_mib": 1234,
    }
    claims = [CLAIM, CLAIM | {"holds": False}]
    mea = {"scale": "laptop", "seconds": {"laptop": 1100, "colab": 7}, "code_digest": "abc", "claims": claims}
    title, cells = row(mea | {"run": run})
    assert title == "00 A < B"
    assert cells == {
        "claims": "1 of 2",
        "seconds": "1,100",
        "memory": "1,234 MiB",
        "scale": "laptop",
        "date": "2026-11-28",
        "machine": "2 x86_64 cores",
        "versions": "torch 2.14.1",
        "code": "abc",
        "download": "notebook",
    }


def test_what_a_run_did_not_note_is_a_dash():
    _, cells = row({})
    assert {name for name, words in cells.items() if words != UNKNOWN} == {"download"}
    assert "No chapter" in execution_list({})


@pytest.mark.parametrize("peak", [None, 512])
def test_a_run_notes_day_machine_and_versions_but_no_host(peak):
    facts = run_facts.run_facts(peak)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", facts["date"])
    assert re.match(r"\d+ \w+ cores", facts["machine"])
    assert "Python" in facts["versions"]
    assert facts.get("peak_mib") == peak
    assert set(facts) <= {"date", "machine", "versions", "peak_mib"}

"""Rows outlive an edit that changes no number, and no other."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from grid import renew
from grid.code import code_of_row
from grid.plan import plan_of
from grid.study import read_study

PLANNED = plan_of(read_study("losses")).rows
FIRST, SECOND, THIRD = (model.name for model in PLANNED[:3])
WAS = {FIRST: "old", SECOND: "old", THIRD: "same"}
NOW = {FIRST: "new", SECOND: "new", THIRD: "same"}


@pytest.fixture
def results(tmp_path, monkeypatch):
    """Two rows of the earlier code, one of code before it, one that both codes make alike."""
    monkeypatch.setattr(renew, "RESULTS", tmp_path)
    rows = [
        {"name": FIRST, "code": "old", "wsr": 0.5},
        {"name": SECOND, "code": "older", "wsr": 0.6},
        {"name": THIRD, "code": "same", "wsr": 0.7},
    ]
    path = tmp_path / "losses.json"
    path.write_text(json.dumps({"planned": 3, "runs": rows}))
    return path


def made(monkeypatch, now):
    """What the trees answer: equal rows, but for the WSR of the present one and the seconds of both."""
    asked_rows = []

    def asked(tree, what, study, places=()):
        is_old = tree == Path("earlier")
        if what == "codes":
            return WAS if is_old else NOW
        asked_rows.append(list(places))
        return [{"wsr": 0.1 if is_old else now, "nan": float("nan"), "seconds": 1 + is_old} for _ in places]

    monkeypatch.setattr(renew, "asked", asked)
    return asked_rows


def test_rows_that_both_codes_make_alike_are_kept_on(results, monkeypatch):
    places = made(monkeypatch, now=0.1)
    assert renew.renew("losses", Path("earlier"), "abc1234", 5).startswith("1 rows renewed")
    first, second, third = json.loads(results.read_text())["runs"]
    assert first == {"name": FIRST, "code": "new", "wsr": 0.5, "made_at": "abc1234"}
    assert (second["code"], third["code"]) == ("older", "same")
    assert places == [[FIRST], [FIRST]]


def test_the_commit_that_made_a_row_stays_with_it(results, monkeypatch):
    whole = json.loads(results.read_text())
    whole["runs"][0]["made_at"] = "first"
    results.write_text(json.dumps(whole))
    made(monkeypatch, now=0.1)
    renew.renew("losses", Path("earlier"), "abc1234", 5)
    assert json.loads(results.read_text())["runs"][0]["made_at"] == "first"


def test_one_other_number_keeps_the_study_as_it_was(results, monkeypatch):
    before = results.read_bytes()
    made(monkeypatch, now=0.1001)
    said = renew.renew("losses", Path("earlier"), "abc1234", 5)
    assert said == f'not renewed, as 1 of 1 rows differ: {{"{FIRST}": ["wsr"]}}'
    assert results.read_bytes() == before


def test_a_study_whose_code_is_the_same_is_left_alone(results, monkeypatch):
    made(monkeypatch, now=0.1)
    monkeypatch.setattr(renew, "asked", lambda tree, what, study, places=(): WAS)
    assert renew.renew("losses", Path("earlier"), "abc1234", 5) == "nothing to renew"


def test_a_tree_says_which_code_is_behind_each_row():
    found = renew.asked(renew.ROOT, "codes", "losses")
    assert found == {model.name: code_of_row(model) for model in PLANNED}


def test_a_study_that_is_no_study_fails_with_what_was_said():
    with pytest.raises(RuntimeError, match="nobody_made_this"):
        renew.asked(renew.ROOT, "codes", "nobody_made_this")


def test_it_renews_what_says_its_code():
    assert "losses" in renew.signed_studies()
    assert "recipe_study" not in renew.signed_studies()


def test_an_unknown_commit_is_refused():
    found = subprocess.run(
        [sys.executable, "-m", "grid.renew", "--was", "no-such-commit"],
        cwd=renew.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode
    assert "no-such-commit" in found.stderr

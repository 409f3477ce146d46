"""Scores by hand, places with ties, and a table that several processes may grow."""

import json
import math
from concurrent.futures import ThreadPoolExecutor

import pytest

from mea_lib.arena import Outcome, ResultsTable, Rules, Trial, standings
from mea_lib.arena.table_file import FORMAT

FAILED = Outcome("failed", "removal", (), 5, "key 1: ValueError: no")


def removal(name, wsr, points=0.0, proof=False):
    missing = () if proof else ("its rate is not proven to exceed 0.3",)
    trials = (Trial("key 1", points, wsr, proof, missing=missing), Trial("clean 1", 0.0))
    return Outcome(name, "removal", trials, 5)


def defence(name, wsr, points=0.0, proof=True, false_proofs=0):
    return Outcome(name, "defence", (Trial("key 1", points, wsr, proof, "extraction", false_proofs),), 5)


def test_the_score_is_the_formula_in_its_docstring():
    trials = (Trial("key 1", 1.0, 0.2, False), Trial("key 2", 2.0, 0.4, True), Trial("clean 1", 0.0))
    found = Outcome("a", "removal", trials, 5)
    assert found.wsr == pytest.approx(0.3)
    assert found.points_lost == pytest.approx(1.0)
    assert found.most_points_lost == 2
    assert found.score == pytest.approx(100 * 0.7 - 1)
    assert found.wins == 1
    other = defence("b", 0.8, points=2.0)
    assert other.score == pytest.approx(78)
    assert other.wins == 1
    assert math.isnan(FAILED.score)


def test_fewer_proofs_come_before_a_higher_score():
    found = standings([removal("low", 0.25, 3.0), removal("proof", 0.0, proof=True), FAILED])
    assert [(line.place, line.outcome.name) for line in found] == [(1, "low"), (2, "proof"), (None, "failed")]


def test_equal_entries_share_a_place_and_the_next_stays_free():
    wsrs = {"a": 0.1, "b": 0.2, "c": 0.2001, "d": 0.3}
    found = standings([removal(name, wsrs[name]) for name in "dcba"])
    assert [(line.place, line.outcome.name) for line in found] == [(1, "a"), (2, "b"), (2, "c"), (4, "d")]


def test_who_breaks_the_rules_has_no_place():
    lossy, false = removal("lossy", 0.0, 5.1), defence("false", 1.0, false_proofs=2)
    assert "5.1 points" in lossy.remark
    assert "2 decoy keys" in false.remark
    assert removal("just", 0.0, 5.0).remark == ""
    assert [line.place for line in standings([lossy, removal("fair", 0.9)])] == [1, None]
    assert [line.place for line in standings([false, defence("fair", 0.4)])] == [1, None]
    order = [line.outcome.name for line in standings([FAILED, lossy, removal("fair", 0.9)])]
    assert order == ["fair", "lossy", "failed"]


def test_a_line_of_the_table_in_words():
    cells = [line.cells() for line in standings([removal("a", 0.25, 1.0), FAILED])]
    assert cells[0] == ("1", "a", "74.5", "1 of 1", "0.250", "0.5", "1", "")
    assert cells[1] == ("–", "failed", "–", "–", "–", "–", "1", "key 1: ValueError: no")


def test_the_two_disciplines_do_not_mix():
    with pytest.raises(ValueError, match="do not share a table"):
        standings([removal("a", 0.1), defence("b", 0.1)])
    with pytest.raises(ValueError, match="removal, defence"):
        Outcome("a", "detection", (), 5)


def test_a_table_keeps_what_it_was_given(tmp_path):
    table = ResultsTable(tmp_path / "arena.json")
    assert (table.contest, table.outcomes("removal")) == (None, [])
    for outcome in (removal("a", 0.2), defence("a", 0.7), FAILED):
        assert table.add(outcome, "0123") == outcome
    again = ResultsTable(tmp_path / "arena.json")
    assert again.contest == "0123"
    assert again.outcomes("removal") == [removal("a", 0.2), FAILED]
    assert again.outcomes("defence") == [defence("a", 0.7)]
    assert [line.place for line in again.standings("removal")] == [1, None]


def test_a_trial_of_a_table_that_did_not_say_yet_what_a_proof_lacks():
    written = {"model": "key 1", "points_lost": 0.5, "wsr": 0.2, "proof": False}
    assert Trial.from_dict(written) == Trial("key 1", 0.5, 0.2, False)


def test_the_same_name_is_replaced_and_tries_are_counted(tmp_path):
    table = ResultsTable(tmp_path / "arena.json")
    for wsr in (0.5, 0.4, 0.45):
        last = table.add(removal("a", wsr), "0123")
    assert last.attempts == 3
    assert table.outcomes("removal") == [last]
    assert last.wsr == pytest.approx(0.45)


def test_results_of_another_contest_are_refused(tmp_path):
    table = ResultsTable(tmp_path / "arena.json")
    table.add(removal("a", 0.2), "0123")
    before = table.path.read_text()
    with pytest.raises(ValueError, match="another contest"):
        table.add(removal("b", 0.2), "4567")
    assert table.path.read_text() == before


@pytest.mark.parametrize("content", ["", "[]", "{}", json.dumps({"format": FORMAT, "entries": [{}]})])
def test_another_file_is_not_taken_for_a_table(tmp_path, content):
    (tmp_path / "arena.json").write_text(content)
    with pytest.raises(ValueError, match="not a table of an arena"):
        ResultsTable(tmp_path / "arena.json").outcomes("removal")


def test_a_table_of_an_older_version_is_refused_as_what_it_is(tmp_path):
    trial = {"model": "key 1", "points_lost": 0.0, "mark": 0.9, "proof": True}
    entry = {"name": "house: do nothing", "discipline": "removal", "trials": [trial], "points_allowed": 5}
    content = json.dumps({"format": "mea arena, version 1", "arena": "0123", "entries": [entry]})
    (tmp_path / "arena.json").write_text(content)
    table = ResultsTable(tmp_path / "arena.json")
    for use in (lambda: table.standings("removal"), lambda: table.claim("0123")):
        with pytest.raises(ValueError, match=r"written by an older version, .*; name another file"):
            use()
    assert table.path.read_text() == content


def test_many_may_add_at_once(tmp_path):
    def add(number):
        ResultsTable(tmp_path / "arena.json").add(removal(f"entry {number}", 0.5), "0123")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(24)))
    assert len(ResultsTable(tmp_path / "arena.json").outcomes("removal")) == 24


@pytest.mark.parametrize("wrong", [{"keys": 0}, {"clean": 0}, {"points": 0}, {"seconds": -1}])
def test_rules_that_decide_nothing(wrong):
    with pytest.raises(ValueError, match="at least 1"):
        Rules(**wrong)

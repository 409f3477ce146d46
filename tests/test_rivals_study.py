"""The bench of rivals: which cases it has, who counts as convicted, a row on the digits."""

import json

import pytest

import mea_lib as mea
from benchmarks import owners, removals, rivals
from benchmarks import rivals_study as study
from benchmarks.study import LONGER_SMOKE, changed

SMOKE = changed(mea.preset("smoke"), LONGER_SMOKE | {"epochs": 3, "extract_epochs": 1})


def test_every_mark_meets_the_same_cases_on_every_seed():
    jobs = study.jobs()
    assert len(set(jobs)) == len(jobs) == len(rivals.MARKS) * len(owners.SEEDS) * len(study.CASES)
    seeds = [seed for _, seed, _ in jobs]
    assert seeds == sorted(seeds)
    assert rivals.REMOVED_FROM in rivals.ATTACKS
    assert rivals.REMOVALS.keys() <= removals.REMOVALS.keys()


def test_settings_and_jobs_are_the_same_once_they_were_written():
    assert json.loads(json.dumps(study.settings())) == study.settings()
    assert [tuple(job) for job in json.loads(json.dumps(study.jobs()))] == study.jobs()


def row(mark, seed, case, number, **more):
    found = {"mark": mark, "seed": seed, "case": case, "number": number, "accuracy": 0.88}
    found |= {"clean_accuracy": 0.91, "victim_accuracy": 0.9, "proof_queries": 100, "seconds": 1.0}
    return found | more


def test_convicted_is_who_stands_above_every_clean_model_of_that_mark_and_seed():
    rows = [
        row("AKH", 0, rivals.CLEAN, 0.3, numbers=[0.1, 0.3]),
        row("AKH", 1, rivals.CLEAN, 0.5, numbers=[0.5, 0.2]),
        row("runner-up", 2, rivals.CLEAN, 0.0, numbers=[0.0, 0.0]),
        row("AKH", 0, "hard labels", 0.31),
        row("AKH", 1, "hard labels", 0.5),
        row("AKH", 2, "hard labels", 0.9),  # whose clean models are not there yet
    ]
    lines = {(line["mark"], line["case"]): line for line in study.summary(rows)["marks"]}
    found = lines["AKH", "hard labels"]
    assert (found["seeds"], found["judged"], found["convicted"]) == (3, 2, 1)
    assert (found["least_number"], found["largest_number"]) == (0.31, 0.9)
    assert found["mean_lost"] == pytest.approx(0.02)
    assert found["mean_victim_lost"] == pytest.approx(0.01)
    assert lines["AKH", rivals.CLEAN]["judged"] == 0


@pytest.fixture
def parties(digits):
    return mea.Data("digits", digits.owner, digits.owner, digits.test, 1_000)


@pytest.mark.parametrize("case", [rivals.CLEAN, "Knockoff, adaptive, a fifth", "pruning"])
def test_a_row_holds_what_the_summary_needs(parties, monkeypatch, case):
    monkeypatch.setattr(rivals, "NULL_MODELS", 2)
    found = rivals.run_one(parties, SMOKE, "AKH", 0, case)
    assert {"number", "accuracy", "victim_accuracy", "clean_accuracy", "proof_queries", "seconds"} < set(
        found
    )
    assert json.loads(json.dumps(found)) == found
    assert study.summary([found])["marks"][0]["rows"] == 1
    if case == rivals.CLEAN:
        assert len(found["numbers"]) == 2
        assert found["number"] == max(found["numbers"]) < 1


def test_the_owners_own_model_makes_all_of_its_errors_and_an_altered_api_all_of_its_changes(parties):
    for mark in ("AKH", "DAWN"):
        assert rivals.run_one(parties, SMOKE, mark, 0, rivals.VICTIM)["number"] == 1


def test_who_asks_for_a_fifth_trains_in_as_many_steps(parties):
    whole, fifth = (
        rivals.extracted(parties, SMOKE, owners.clean_model(parties, SMOKE, 0), attack, 0)
        for attack in (rivals.REMOVED_FROM, "Knockoff, adaptive, a fifth")
    )
    epochs = [one.card["recipe"]["training"]["epochs"] for one in (whole, fifth)]
    assert epochs[1] == rivals.FIFTH * epochs[0]


def test_dataset_inference_tells_the_owners_model_from_one_of_others(parties, monkeypatch):
    monkeypatch.setattr(rivals, "PRIVATE", 40)
    own = rivals.MARKS["dataset inference"](parties, SMOKE, 0)
    assert -2 <= own.number(mea.Oracle(own.api)).value <= 2
    private, public = rivals._halves(parties.owner, 0)
    assert len(private) == len(public) == 20
    assert not set(map(bytes, private.images.numpy())) & set(map(bytes, public.images.numpy()))

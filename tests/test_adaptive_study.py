"""The study of adaptive adversaries, without its trainings: jobs, settings, summary, a row on the digits."""

import json

import pytest

import mea_lib as mea
from benchmarks import adaptive_study as study

# Long enough that models of the digits name more than one class.
TRAINING = {"batch_size": 64, "epochs": 8, "learning_rate": 5e-3}
LONGER = mea.preset("smoke").owner_but(**TRAINING).adversary_but(**TRAINING)


def test_every_attack_meets_the_plain_api_and_the_others_meet_some():
    jobs = study.jobs()
    assert len(jobs) == len(set(jobs)) == 3 * sum(map(len, study.MET_BY.values()))
    assert [seed for *_, seed in jobs] == sorted(seed for *_, seed in jobs)
    assert set(study.MET_BY) == set(study.APIS)
    assert {attack for name, attack, _ in jobs if name == "plain"} == set(study.ATTACKS)
    for some in (study.ON_BORDER, study.ON_CLEAN):
        assert set(some) < set(study.ATTACKS)


def test_settings_are_plain_values():
    settings = study.settings()
    assert json.loads(json.dumps(settings)) == settings
    assert settings["attacks"]["plain"] == list(study.ATTACKS)


def rows():
    numbers = (
        "api_accuracy",
        "accuracy",
        "wfpr",
        "second",
        "queries",
        "rank",
        "border_rate",
        "this_side_rate",
        "null_models_rate",
        "seconds",
    )
    found = [(0.5, 1e-9, 0.007, 1 / 360), (0.2, 1.0, 0.3, 3 / 360), (0.4, 1e-4, 0.6, 0.9)]
    for seed, (wsr, mark_p, border_p, second_p) in enumerate(found):
        yield {
            "api": "moved border",
            "attack": "CutMix",
            "seed": seed,
            "wsr": wsr,
            "mark_p": mark_p,
            "border_p": border_p,
            "second_p": second_p,
            "victim_accuracy": 0.9,
        } | {name: 0.1 * (seed + 1) for name in numbers}


def test_the_summary_says_how_many_copies_are_convicted_and_by_what():
    (line,) = study.summary(list(rows()))
    assert line["seeds"] == 3
    assert [line[f"convicted_by_{test}"] for test in study.TESTS] == [2, 2, 1]
    assert line["convicted_by_mark_or_second"] == 2
    assert line["largest_border_p"] == 0.6
    assert line["least_wsr"] == 0.2
    assert line["mean_accuracy_lost"] == pytest.approx(0.7)
    assert line["mean_border_rate"] == pytest.approx(0.2)


def test_a_row_holds_what_the_summary_needs(digits, key, monkeypatch):
    monkeypatch.setattr(study, "KEY", key)
    row = study.run_one(digits, LONGER, "moved border", "search, pair relabelled", 0)
    assert set(next(rows())) < set(row)
    assert row["queries"] > len(digits.queries)
    assert row["named"]["way"] in mea.data.WAYS
    assert 1 <= row["rank"] <= 360
    assert json.loads(json.dumps(row)) == row

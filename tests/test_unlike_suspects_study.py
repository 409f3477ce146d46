"""The study of clean suspects that are unlike the judge's clean models; nothing is trained."""

import pytest

from benchmarks import unlike_suspects_study as study


def test_every_suspect_has_every_seed_and_one_is_like_the_panel():
    assert {*study.jobs()} == {(kind, seed) for kind in study.SUSPECTS for seed in study.SEEDS}
    assert next(iter(study.SUSPECTS)) == "like the panel"
    # Neither is a suspect among the clean models of its own panel.
    assert study.PANEL * len(study.SEEDS) < study.FIRST_SUSPECT


def test_the_summary_counts_keys_over_seeds():
    rows = [
        {"suspect": "full size", "seed": seed, "alone": found, "with_clean": found}
        for seed, found in (
            (0, {"keys": 10, "p at most 0.05": 1, "convicted": 0}),
            (1, {"keys": 30, "p at most 0.05": 2, "convicted": 1}),
        )
    ]
    alone, with_clean = study.summary(rows)
    assert (alone["rank"], with_clean["rank"]) == ("alone", "with_clean")
    assert (alone["seeds"], alone["keys"]) == (2, 40)
    assert alone["share p at most 0.05"] == pytest.approx(3 / 40)
    assert alone["largest share p at most 0.05"] == pytest.approx(0.1)
    assert alone["share convicted"] == pytest.approx(1 / 40)

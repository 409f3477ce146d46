"""A study: split over processes, taken up again, written only when it is whole."""

import json
import sys

import pytest

import mea_lib as mea
from benchmarks import study

JOBS = [(name, seed) for seed in (0, 1) for name in ("one", "other")]


@pytest.fixture
def make(tmp_path, monkeypatch, digits):
    """Runs a small study in a folder of its own; returns the jobs that were really done."""
    monkeypatch.setattr(study, "ROOT", tmp_path)
    monkeypatch.setattr(study, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(mea, "load", lambda name, scale: digits)

    def run(*options, fails_at=None):
        done = []

        def run_one(data, scale, name, seed):
            if (name, seed) == fails_at:
                raise KeyboardInterrupt
            done.append((name, seed))
            return {"name": name, "seed": seed, "seconds": 1.5}

        monkeypatch.setattr(sys, "argv", ["study", "--scale", "smoke", *options])
        study.run("recipe_study", JOBS, run_one, lambda rows: {"rows": len(rows)}, {"of": "a test"})
        return done

    return run


@pytest.fixture
def results(tmp_path):
    return tmp_path / "results" / "recipe_study.json"


def test_parts_do_every_job_once_and_only_the_whole_is_written(make, results, capsys):
    assert make("--part", "0/2") == JOBS[::2]
    assert make("--part", "1/2") == JOBS[1::2]
    assert not results.exists()
    assert make() == []
    found = json.loads(results.read_text())
    assert [(row["name"], row["seed"]) for row in found["runs"]] == JOBS
    assert (found["summary"], found["settings"], found["seconds"]) == ({"rows": 4}, {"of": "a test"}, 6)
    assert "4 of 4 jobs" in capsys.readouterr().out


def test_what_was_finished_before_an_interruption_is_not_done_again(make, results):
    with pytest.raises(KeyboardInterrupt):
        make(fails_at=JOBS[2])
    assert not results.exists()
    assert make() == JOBS[2:]


def test_an_edit_to_the_code_makes_every_row_anew(make, monkeypatch):
    assert make() == JOBS
    monkeypatch.setattr(study, "study_code_digest", lambda files: f"of {len(list(files))} edited files")
    assert make() == JOBS


def test_a_scale_is_changed_by_the_names_that_results_have():
    smoke = mea.preset("smoke")
    found = study.changed(smoke, {"width": 8, "epochs": 3, "encoder_epochs": 5, "batch_size": 32})
    parts = (found.owner, found.adversary, found.encoder, found.marking)
    assert [part.epochs for part in parts] == [3, smoke.adversary.epochs, 5, smoke.marking.epochs]
    assert {part.batch_size for part in parts} == {32}
    assert found.width == 8
    assert study.changed(smoke, {}) == smoke


def test_rows_are_grouped_with_their_means_and_the_least_mark():
    rows = [
        {"api": "a", "seed": 0, "wsr": 0.2, "accuracy": 0.8, "victim_accuracy": 0.9, "cost": 1.0},
        {"api": "a", "seed": 1, "wsr": 0.6, "accuracy": 0.9, "victim_accuracy": 0.9, "cost": 2.0},
        {"api": "b", "seed": 0, "wsr": 0.5, "accuracy": 0.7, "victim_accuracy": 0.9, "cost": 3.0},
    ]
    first, second = study.by_group(rows, ("api",), "cost")
    assert first == pytest.approx(
        {
            "api": "a",
            "seeds": 2,
            "mean_wsr": 0.4,
            "mean_accuracy": 0.85,
            "mean_cost": 1.5,
            "least_wsr": 0.2,
            "mean_accuracy_lost": 0.05,
        }
    )
    assert (second["api"], second["seeds"], second["mean_accuracy_lost"]) == ("b", 1, pytest.approx(0.2))

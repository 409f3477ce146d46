"""A study: split over processes and into parts, taken up again, its rows kept while their code is the same."""

import json
import sys

import pytest

import mea_lib as mea
from benchmarks import study

JOBS = [(name, seed) for seed in (0, 1) for name in ("one", "one, too")]


@pytest.fixture
def make(tmp_path, monkeypatch, digits):
    """Runs a small study in a folder of its own; returns the jobs that were really done."""
    monkeypatch.setattr(study, "ROOT", tmp_path)
    monkeypatch.setattr(study, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(mea, "load", lambda name, scale: digits)

    def run(*options, fails_at=None, scale="laptop"):
        done = []

        def run_one(data, scale, name, seed):
            if (name, seed) == fails_at:
                raise KeyboardInterrupt
            done.append((name, seed))
            return {"name": name, "seed": seed, "epochs": scale.owner.epochs, "seconds": 1.5}

        monkeypatch.setattr(sys, "argv", ["study", "--scale", scale, *options])
        study.run(
            "recipe_study",
            JOBS,
            run_one,
            lambda rows: {"rows": len(rows)},
            {"of": "a test"},
            axes=("name", "seed"),
            smoke={"epochs": 7},
        )
        return done

    return run


@pytest.fixture
def results(tmp_path):
    return tmp_path / "results" / "recipe_study.json"


def jobs_of(path):
    return [(row["name"], row["seed"]) for row in json.loads(path.read_text())["runs"]]


def test_parts_do_every_job_once_and_only_the_whole_is_written(make, results, capsys):
    assert make("--part", "0/2") == JOBS[::2]
    assert make("--part", "1/2") == JOBS[1::2]
    assert not results.exists()
    assert make() == []
    found = json.loads(results.read_text())
    assert jobs_of(results) == JOBS
    assert (found["summary"], found["settings"], found["seconds"]) == ({"rows": 4}, {"of": "a test"}, 6)
    assert found["planned"] == 4
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


def test_a_part_adds_its_rows_to_those_there_are(make, results, capsys):
    assert make("--only", "seed=1; name=one, too") == JOBS[3:]
    assert "1 of 4 rows so far" in capsys.readouterr().out
    assert make("--only", "name=one") == JOBS[::2]
    assert jobs_of(results) == [JOBS[0], JOBS[2], JOBS[3]]
    assert json.loads(results.read_text())["planned"] == 4


def test_rows_of_results_are_kept_on_a_machine_that_never_made_them(make, results, tmp_path):
    make("--only", "seed=0")
    for path in (tmp_path / "build" / "studies" / "recipe_study").glob("*.json"):
        path.unlink()
    found = json.loads(results.read_text())
    found["runs"][0]["seconds"] = 99.0  # as another machine had it
    found["runs"][1].pop("code")  # as results had rows before they could be kept
    results.write_text(json.dumps(found))
    assert make() == JOBS[1:]
    assert [row["seconds"] for row in json.loads(results.read_text())["runs"]] == [99.0, 1.5, 1.5, 1.5]


def test_rows_of_another_code_leave_the_results(make, results, monkeypatch):
    make("--only", "seed=0")
    monkeypatch.setattr(study, "study_code_digest", lambda files: "edited")
    make("--only", "seed=1")
    assert jobs_of(results) == JOBS[2:]


def test_the_grid_has_rows_made_by_their_names(make, results, capsys):
    make("--only", "seed=0")
    capsys.readouterr()
    assert make("--list") == []
    names = capsys.readouterr().out.split()
    assert len(set(names)) == 2
    for name, job in zip(names, JOBS[2:], strict=True):
        assert make("--row", name) == [job]
    assert jobs_of(results) == JOBS[:2]
    assert make() == []
    assert jobs_of(results) == JOBS


def test_another_scale_has_its_own_changes_and_no_place_in_results(make, results, tmp_path):
    make(scale="smoke")
    assert not results.exists()
    elsewhere = tmp_path / "build" / "studies" / "recipe_study" / "smoke" / "recipe_study.json"
    assert {row["epochs"] for row in json.loads(elsewhere.read_text())["runs"]} == {7}
    assert make("--out", str(tmp_path / "out"), scale="smoke") == []
    assert jobs_of(tmp_path / "out" / "recipe_study.json") == JOBS


def test_a_part_that_there_is_not_is_refused(make):
    with pytest.raises(SystemExit, match="seed is never 5; it is: 0, 1"):
        make("--only", "seed=5")


def test_a_scale_is_changed_by_the_names_that_results_have():
    smoke = mea.preset("smoke")
    found = study.changed(smoke, {"width": 8, "epochs": 3, "encoder_epochs": 5, "batch_size": 32})
    parts = (found.owner, found.adversary, found.encoder, found.marking)
    assert [part.epochs for part in parts] == [3, smoke.adversary.epochs, 5, smoke.marking.epochs]
    assert {part.batch_size for part in parts} == {32}
    assert found.width == 8
    assert study.changed(smoke, {}) == smoke


ROWS = [
    {"api": "a", "seed": 0, "wsr": 0.2, "accuracy": 0.8, "victim_accuracy": 0.9, "cost": 1.0},
    {"api": "a", "seed": 1, "wsr": 0.6, "accuracy": 0.9, "victim_accuracy": 0.9, "cost": 2.0},
    {"api": "b", "seed": 0, "wsr": 0.5, "accuracy": 0.7, "victim_accuracy": 0.9, "cost": None},
]


def test_rows_are_grouped_with_their_means_and_the_least_wsr():
    first, second = study.by_group([row | {"cost": 1.5} for row in ROWS], ("api",), "cost")
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


def test_spreads_are_mean_least_and_largest_of_what_the_rows_have():
    first, second = study.spreads(ROWS, ("api",), ("wsr", "cost", "queries"))
    assert first == pytest.approx(
        {
            "api": "a",
            "seeds": 2,
            "rows": 2,
            "mean_wsr": 0.4,
            "least_wsr": 0.2,
            "largest_wsr": 0.6,
            "mean_cost": 1.5,
            "least_cost": 1.0,
            "largest_cost": 2.0,
        }
    )
    assert set(second) == {"api", "seeds", "rows", "mean_wsr", "least_wsr", "largest_wsr"}

"""The committed studies: whole, consistent with themselves, and of the recipe that the package has."""

import json
from pathlib import Path

import pytest

from benchmarks import (
    adaptive_study,
    answers_study,
    architecture_study,
    attack_study,
    budget_study,
    cifar_encoder_study,
    detection_study,
    encoder_study,
    level_study,
    recipe_study,
    removal_study,
    training_study,
    understanding_study,
)

RESULTS = Path(__file__).parent.parent / "results"


@pytest.fixture(scope="module")
def study():
    return json.loads((RESULTS / "recipe_study.json").read_text())


def test_the_study_leaves_out_no_key_and_no_seed(study):
    found = sorted((run["key"], run["seed"]) for run in study["runs"])
    names = [f"{sources[0]} + {sources[1]} → {target}" for sources, target in recipe_study.KEYS]
    assert found == sorted((name, seed) for name in names for seed in recipe_study.SEEDS)


def test_its_summary_follows_from_its_runs(study):
    assert recipe_study.summary(study["runs"]) == pytest.approx(study["summary"])


def test_it_is_of_the_recipe_the_package_has(study):
    assert study["settings"] == recipe_study.settings()


def test_the_study_of_attacks_is_whole_and_of_the_present_settings():
    found = json.loads((RESULTS / "attack_study.json").read_text())
    rows = found["runs"]
    assert [(row["share"], row["attack"], row["seed"]) for row in rows] == attack_study.jobs()
    assert found["settings"] == attack_study.settings()
    assert found["summary"] == [pytest.approx(row) for row in attack_study.summary(rows)]


@pytest.mark.parametrize(
    ("module", "job"),
    [
        (adaptive_study, ("api", "attack", "seed")),
        (answers_study, ("api", "attack", "seed")),
        (architecture_study, ("victim", "answers", "seed")),
        (budget_study, ("answers", "part", "seed")),
        (cifar_encoder_study, ("encoder", "attack", "seed")),
        (detection_study, ("model", "detector", "seed")),
        (encoder_study, ("encoder", "attack", "seed")),
        (removal_study, ("model", "removal", "strength", "seed")),
        (understanding_study, ("answers", "dose", "owner", "surrogate", "seed")),
    ],
    ids=[
        "adaptive",
        "answers",
        "architectures",
        "budgets",
        "colour",
        "detection",
        "encoders",
        "removal",
        "understanding",
    ],
)
def test_the_studies_of_later_chapters_are_whole_and_of_the_present_settings(module, job):
    found = json.loads((RESULTS / f"{module.__name__.rpartition('.')[2]}.json").read_text())
    rows = found["runs"]
    assert [tuple(row[name] for name in job) for row in rows] == module.jobs()
    assert found["settings"] == module.settings()
    summary = (encoder_study if module is cifar_encoder_study else module).summary
    assert found["summary"] == json.loads(json.dumps(summary(rows)))


def test_the_study_of_levels_is_whole_and_of_the_present_settings():
    found = json.loads((RESULTS / "level_study.json").read_text())
    names = {"clean": ("number",), "marked": ("method", "number"), "broken": ("suspect", "over")}
    rows = [(row["kind"], *(row[name] for name in names[row["kind"]])) for row in found["runs"]]
    assert rows == level_study.jobs()
    assert found["settings"] == json.loads(json.dumps(level_study.settings()))
    assert found["summary"] == json.loads(json.dumps(level_study.summary(found["runs"])))


def test_the_study_of_trainings_is_whole_and_of_the_present_settings():
    found = json.loads((RESULTS / "training_study.json").read_text())
    names = ("key", "seed", "owner", "queries", "temperature", "times", "augment")
    jobs = [(f"{job[0][0]} + {job[0][1]} → {job[1]}", *job[2:]) for job in training_study.jobs()]
    assert [tuple(row[name] for name in names) for row in found["runs"]] == jobs
    assert found["settings"] == json.loads(json.dumps(training_study.settings()))
    assert found["summary"] == json.loads(json.dumps(training_study.summary(found["runs"])))


@pytest.mark.parametrize("path", sorted(RESULTS.glob("*.json")), ids=lambda path: path.stem)
def test_every_result_says_where_it_was_found(path):
    found = json.loads(path.read_text())
    assert found["versions"]["torch"]
    assert "cores" in str(found.get("hardware") or found["machine"])

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
    rivals_study,
    training_study,
    understanding_study,
    unlike_suspects_study,
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
        (architecture_study, ("victim", "answers", "seed")),
        (budget_study, ("answers", "part", "seed")),
        (cifar_encoder_study, ("encoder", "attack", "seed")),
        (encoder_study, ("encoder", "attack", "seed")),
    ],
    ids=[
        "architectures",
        "budgets",
        "colour",
        "encoders",
    ],
)
def test_the_studies_of_later_chapters_are_whole_and_of_the_present_settings(module, job):
    found = json.loads((RESULTS / f"{module.__name__.rpartition('.')[2]}.json").read_text())
    rows = found["runs"]
    assert [tuple(row[name] for name in job) for row in rows] == module.jobs()
    assert found["settings"] == module.settings()
    summary = (encoder_study if module is cifar_encoder_study else module).summary
    assert found["summary"] == json.loads(json.dumps(summary(rows)))


@pytest.mark.parametrize(
    "module",
    [
        adaptive_study,
        answers_study,
        detection_study,
        removal_study,
        rivals_study,
        understanding_study,
        unlike_suspects_study,
    ],
)
def test_a_study_that_grows_by_parts_says_of_its_rows_what_its_code_says(module):
    name = module.__name__.rpartition(".")[2]
    found = json.loads((RESULTS / f"{name}.json").read_text())
    if "planned" not in found:
        pytest.skip(
            f"{name}.json is of the study's former shape, whose code is gone; make study STUDY={name}"
        )
    rows, jobs = found["runs"], module.jobs()
    there = [tuple(row[axis] for axis in module.AXES) for row in rows]
    assert len(set(there)) == len(there)
    assert set(there) <= set(jobs)
    assert found["planned"] == len(jobs)
    assert found["settings"] == json.loads(json.dumps(module.settings()))
    assert found["summary"] == json.loads(json.dumps(module.summary(rows)))


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

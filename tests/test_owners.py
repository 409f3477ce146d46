"""The owners of the studies are those of the grid's table 1, so that the store has their models."""

import mea_lib as mea
from benchmarks import owners
from grid.methods import method_of
from grid.plan import plan_of
from grid.study import read_study
from grid.task import key_of

GRID = read_study("table1_fashion_mnist")


def test_methods_keys_seeds_and_extraction_are_the_grids():
    for name, method in owners.METHODS.items():
        assert method == method_of("methods", GRID.methods[name])
        assert GRID.methods[name]["pretrained"]
    rows = plan_of(GRID).rows
    assert {row.about["key"]: key_of(row.task) for row in rows}.items() >= owners.KEYS.items()
    assert {row.about["seed"] for row in rows} == set(owners.SEEDS)
    assert method_of("attacks", GRID.attacks["distillation"]) == owners.EXTRACTION


def test_victims_go_on_from_the_clean_model_of_their_seed(digits, quick, key, monkeypatch):
    monkeypatch.setattr(owners, "KEYS", {"first": key})
    clean = owners.clean_model(digits, quick, 1)
    pretrained, scratch = (
        owners.victim(digits, quick, "runner-up", "first", 1, pretrained=value) for value in (True, False)
    )
    assert pretrained.card["recipe"]["initial"] == clean.card["weights_sha256"]
    assert scratch.card["recipe"]["initial"] is None
    surrogate = owners.surrogate(digits, quick, "runner-up", "first", 1)
    answers = mea.Oracle(pretrained)(digits.queries[: quick.query_images])
    again = owners.EXTRACTION.train_surrogate(digits.queries[: len(answers)], answers, quick, seed=1)
    assert surrogate.card["id"] == again.card["id"]


def test_null_models_are_those_of_the_other_seeds_and_are_asked_once(digits, quick):
    models = owners.null_models(digits, quick, 1)
    expected = [owners.clean_model(digits, quick, seed) for seed in (0, 2)]
    images = digits.test.images[:50]
    for model, other in zip(models, expected, strict=True):
        answers = model(images)
        assert answers.equal(mea.Oracle(other)(images))
        assert model(images.clone()).equal(answers)
        assert model.queries == len(images)

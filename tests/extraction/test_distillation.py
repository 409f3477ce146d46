"""Extraction by distillation: it extracts, it counts, it finds its surrogates again."""

import pytest
import torch

import mea_lib as mea
from mea_lib import proof
from mea_lib.extraction.distillation import (
    RELEASED,
    RELEASED_TRAINING,
    DistillationSettings,
    distillation_objective,
    extract,
)
from mea_lib.training import Batch, TrainingSettings

SMOKE = mea.preset("smoke")
TRAINING = TrainingSettings(12, 64, 5e-3, augment=False)


@pytest.fixture(scope="module")
def victim(digits, tmp_path_factory):
    from mea_lib.training import Store

    store = Store(tmp_path_factory.mktemp("store"))
    return mea.train_clean(digits.owner, SMOKE, settings=TRAINING, store=store)


@pytest.mark.parametrize("answer", ["soft", "hard"])
def test_the_copy_agrees_with_its_victim(digits, victim, store, answer):
    oracle = mea.Oracle(victim, answer=answer)
    copy = extract(oracle, digits.queries, SMOKE, training=TRAINING, store=store)
    assert oracle.queries == len(digits.queries)
    ours, theirs = (mea.Oracle(model)(digits.test.images).argmax(1) for model in (copy, victim))
    assert (ours == theirs).float().mean() > 0.75
    assert proof.accuracy(mea.Oracle(copy), digits.test) > 0.75


def test_a_budget_that_is_too_small_stops_before_training(digits, victim, store):
    with pytest.raises(mea.BudgetSpent):
        extract(mea.Oracle(victim, budget=10), digits.queries, SMOKE, store=store)
    assert not list(store.root.glob("*.json"))


def test_other_answers_settings_and_students_are_other_copies(digits, victim, store):
    short = TrainingSettings(1, 64)

    def name(oracle=None, **options):
        oracle = oracle or mea.Oracle(victim)
        return extract(oracle, digits.queries, SMOKE, training=short, store=store, **options).card["id"]

    names = [
        name(),
        name(mea.Oracle(victim, decimals=1)),
        name(settings=DistillationSettings(temperature=2)),
        name(width=3),
        name(network="vgg_like"),
        name(seed=1),
    ]
    assert len(set(names)) == 6
    assert name() == names[0]


@pytest.mark.parametrize(("weight", "names"), [(1.0, {"soft"}), (0.0, {"hard"}), (0.3, {"soft", "hard"})])
def test_weights_of_both_terms(digits, tiny, weight, names):
    answers = torch.rand(50, 10).softmax(1)
    objective = distillation_objective(answers, DistillationSettings(soft_weight=weight))
    batch = Batch(digits.owner.images[:8], torch.arange(8), torch.Generator(), 0.0)
    assert set(objective(tiny, batch).losses) == names


def test_the_released_thief_has_no_squared_temperature(digits, tiny):
    answers = torch.rand(50, 10, generator=torch.Generator().manual_seed(0)).softmax(1)
    batch = Batch(digits.owner.images[:8], torch.arange(8), torch.Generator(), 0.0)
    released, hintons = (
        distillation_objective(answers, settings)(tiny, batch).losses["soft"].item()
        for settings in (RELEASED, DistillationSettings(temperature=7.0))
    )
    assert hintons / released == pytest.approx(49, rel=1e-4)
    assert (RELEASED.temperature, RELEASED_TRAINING.learning_rate, RELEASED_TRAINING.batch_size) == (
        7,
        1e-3,
        128,
    )


def test_impossible_settings_are_refused():
    with pytest.raises(ValueError, match="above 0"):
        DistillationSettings(temperature=0)
    with pytest.raises(ValueError, match="between 0 and 1"):
        DistillationSettings(soft_weight=1.5)

"""Extraction by distillation: it extracts, it counts, it finds its surrogates again."""

import pytest
import torch

import mea_lib as mea
from mea_lib import proof
from mea_lib.extraction import Distillation
from mea_lib.extraction.distillation import RELEASED, RELEASED_TRAINING
from mea_lib.training import Batch


@pytest.fixture
def batch(digits):
    return Batch(digits.owner.images[:8], torch.arange(8), torch.Generator(), 0.0)


@pytest.fixture
def answers():
    return torch.rand(50, 10, generator=torch.Generator().manual_seed(0)).softmax(1)


@pytest.mark.parametrize("answer", ["soft", "hard"])
def test_the_surrogate_agrees_with_its_victim(digits, victim, learning, answer):
    oracle = mea.Oracle(victim, answer=answer)
    surrogate = Distillation().extract(oracle, digits.queries, learning)
    assert oracle.queries == len(digits.queries)
    ours, theirs = (mea.Oracle(model)(digits.test.images).argmax(1) for model in (surrogate, victim))
    assert (ours == theirs).float().mean() > 0.75
    assert proof.accuracy(mea.Oracle(surrogate), digits.test) > 0.75


def test_labels_of_the_queries_play_no_part(digits, victim, quick):
    names = {
        Distillation().extract(mea.Oracle(victim), queries, quick).card["id"]
        for queries in (digits.adversary, digits.adversary.images)
    }
    assert len(names) == 1


def test_other_answers_settings_and_networks_are_other_surrogates(digits, victim, quick):
    def name(oracle=None, temperature=4.0, scale=quick, seed=0):
        oracle, method = oracle or mea.Oracle(victim), Distillation(temperature)
        return method.extract(oracle, digits.queries, scale, seed=seed).card["id"]

    names = [
        name(),
        name(mea.Oracle(victim, decimals=1)),
        name(temperature=2.0),
        name(scale=quick.but(width=3)),
        name(scale=quick.but(network="vgg_like")),
        name(scale=quick.adversary_but(learning_rate=1e-3)),
        name(seed=1),
    ]
    assert len(set(names)) == 7
    assert name() == names[0]


@pytest.mark.parametrize(("weight", "names"), [(1.0, {"soft"}), (0.0, {"hard"}), (0.3, {"soft", "hard"})])
def test_weights_of_both_terms(tiny, answers, batch, weight, names):
    assert set(Distillation(soft_weight=weight).objective(answers)(tiny, batch).losses) == names


def test_the_released_adversary_has_no_squared_temperature(tiny, answers, batch):
    released, hintons = (
        method.objective(answers)(tiny, batch).losses["soft"].item()
        for method in (RELEASED, Distillation(temperature=7.0))
    )
    assert hintons / released == pytest.approx(49, rel=1e-4)
    assert RELEASED.temperature == 7
    assert (RELEASED_TRAINING.learning_rate, RELEASED_TRAINING.batch_size) == (1e-3, 128)


def test_impossible_settings_are_refused():
    with pytest.raises(ValueError, match="above 0"):
        Distillation(temperature=0)
    with pytest.raises(ValueError, match="between 0 and 1"):
        Distillation(soft_weight=1.5)

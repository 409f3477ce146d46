"""Jacobian-based augmentation: the count of queries, the turns of the step, the surrogate."""

from dataclasses import dataclass

import pytest

import mea_lib as mea
from mea_lib.extraction import Distillation, Jacobian, jacobian
from mea_lib.extraction.jacobian import PAPERNOT
from mea_lib.training.sign_step import sign_step


@pytest.mark.parametrize(
    ("method", "asked"),
    [
        (Jacobian(seed_images=40, rounds=0), 40),
        (Jacobian(seed_images=40, rounds=2), 160),
        (Jacobian(rounds=2), 1000),
        (Jacobian(seed_images=40, rounds=3, reservoir_from=1, reservoir=15), 40 + 40 + 15 + 15),
    ],
)
def test_every_image_is_sent_once(tiny, digits, quick, method, asked):
    oracle = mea.Oracle(tiny)
    method.extract(oracle, digits.queries[:1000], quick)
    assert oracle.queries == asked


def test_a_spent_budget_ends_the_rounds_and_keeps_what_it_paid_for(tiny, digits, quick, store):
    oracle = mea.Oracle(tiny, budget=100)
    surrogate = Jacobian(seed_images=40, rounds=6).extract(oracle, digits.queries, quick)
    assert oracle.remaining == 0
    assert [query.images for query in oracle.log] == [40, 40, 20]
    of_each_round = {card["id"] for card in store.cards()}
    assert len(of_each_round) == 3
    shorter = Jacobian(seed_images=40, rounds=1).extract(mea.Oracle(tiny), digits.queries, quick)
    assert surrogate.card["id"] in of_each_round - {shorter.card["id"]}


def test_attacks_of_more_rounds_go_on_from_the_surrogates_of_fewer(tiny, digits, quick, store):
    """From an empty store three attacks of 0, 1 and 2 rounds train three surrogates, not six."""
    trainings, surrogates = [], []
    for rounds in (0, 1, 2):
        attack = Jacobian(seed_images=40, rounds=rounds)
        surrogates.append(attack.extract(mea.Oracle(tiny), digits.queries, quick))
        trainings.append(len(store.cards()))
    assert trainings == [1, 2, 3]
    last = [surrogate.card["id"] for surrogate in surrogates]
    assert set(last) == {card["id"] for card in store.cards()}
    plain = Distillation().extract(mea.Oracle(tiny), digits.queries[:40], quick)
    assert plain.card["id"] == last[0]
    attacks = [(one.attack["is"], one.attack["rounds"]) for one in surrogates]
    assert attacks == [("Jacobian", 0), ("Jacobian", 1), ("Jacobian", 2)]
    assert plain.attack["is"] == "Distillation"


def test_another_loss_of_the_same_rounds_is_another_surrogate(tiny, digits, quick, store):
    @dataclass(frozen=True)
    class Halved(Jacobian):
        def objective(self, answers):
            return super().objective(answers / 2)

    for attack in (Jacobian(seed_images=40, rounds=0), Halved(seed_images=40, rounds=0)):
        attack.extract(mea.Oracle(tiny), digits.queries, quick)
    assert {card["recipe"]["method"] for card in store.cards()} == {"Distillation", "Halved"}


def test_the_sign_turns(tiny, digits, quick, monkeypatch):
    steps = []

    def record(model, images, classes, step):
        steps.append(step)
        return sign_step(model, images, classes, step)

    monkeypatch.setattr(jacobian, "sign_step", record)
    Jacobian(seed_images=5, rounds=5, turn_every=2).extract(mea.Oracle(tiny), digits.queries, quick)
    assert steps == [0.1, 0.1, -0.1, -0.1, 0.1]


def test_the_surrogate_agrees_with_its_victim(digits, victim, learning):
    surrogate = Jacobian().extract(mea.Oracle(victim), digits.queries, learning)
    ours, theirs = (mea.Oracle(model)(digits.test.images).argmax(1) for model in (surrogate, victim))
    assert (ours == theirs).float().mean() > 0.7


def test_impossible_settings_are_refused(tiny, digits, quick):
    for options in ({"seed_images": 0}, {"rounds": -1}, {"step": 0.0}, {"turn_every": 0}, {"reservoir": 0}):
        with pytest.raises(ValueError, match=next(iter(options))):
            Jacobian(**options)
    with pytest.raises(ValueError, match="take fewer"):
        PAPERNOT.extract(mea.Oracle(tiny), digits.queries[:100], quick)

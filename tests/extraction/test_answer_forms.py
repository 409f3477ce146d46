"""Every attack through every kind of answer: it learns from each, and each query is counted."""

import pytest

import mea_lib as mea
from mea_lib import proof
from mea_lib.extraction import DataFree, Distillation, Jacobian, Knockoff

FORMS = {
    "soft": {},
    "hard": {"answer": "hard"},
    "largest two": {"top_k": 2},
    "rounded": {"decimals": 1},
    "noisy": {"noise": 0.1},
}
# Six hundred queries each; without data they are not enough to learn anything.
ATTACKS = {
    "distillation": (Distillation(temperature=1.0), 0.5),
    "jacobian": (Jacobian(temperature=1.0, seed_images=150, rounds=2), 0.4),
    "knockoff, random": (Knockoff(queries=600), 0.5),
    "knockoff, adaptive": (Knockoff(queries=600, strategy="adaptive"), 0.5),
    "data-free": (DataFree(queries=600, batch=50, noise=8, generator_width=4), 0.0),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("attack", ATTACKS)
def test_every_attack_takes_every_kind_of_answer(victim, digits, learning, attack, form):
    method, least = ATTACKS[attack]
    oracle = mea.Oracle(victim, 600, **FORMS[form])
    surrogate = method.extract(oracle, digits.owner, learning)
    assert oracle.queries == oracle.budget
    assert all(value.isfinite().all() for value in surrogate.state_dict().values())
    assert proof.accuracy(mea.Oracle(surrogate), digits.test) >= least

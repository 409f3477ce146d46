"""Every attack through every kind of answer: it learns from each, and each query is counted."""

import pytest

import mea_lib as mea
from mea_lib import proof
from mea_lib.extraction import data_free, distillation, jacobian, knockoff
from mea_lib.extraction.data_free import DataFreeSettings
from mea_lib.extraction.distillation import DistillationSettings
from mea_lib.extraction.jacobian import JacobianSettings
from mea_lib.extraction.knockoff import KnockoffSettings
from mea_lib.training import Store, TrainingSettings

SMOKE = mea.preset("smoke")
TRAINING = TrainingSettings(12, 64, 5e-3, augment=False)
COLD = DistillationSettings(temperature=1.0)
FORMS = {
    "soft": {},
    "hard": {"answer": "hard"},
    "largest two": {"top_k": 2},
    "rounded": {"decimals": 1},
    "noisy": {"noise": 0.1},
}


@pytest.fixture(scope="module")
def victim(digits, tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("victim"))
    return mea.train_clean(digits.owner, SMOKE, settings=TRAINING, store=store)


def by_distillation(oracle, data, store):
    images = data.owner.images[:600]
    return distillation.extract(oracle, images, SMOKE, settings=COLD, training=TRAINING, store=store)


def by_jacobian(oracle, data, store):
    settings = JacobianSettings(seed_images=150, rounds=2, distillation=COLD)
    return jacobian.extract(
        oracle, data.owner.images, SMOKE, settings=settings, training=TRAINING, store=store
    )


def by_knockoff(strategy):
    def steal(oracle, data, store):
        settings = KnockoffSettings(queries=600, strategy=strategy)
        return knockoff.extract(oracle, data.owner, SMOKE, settings=settings, training=TRAINING, store=store)

    return steal


def without_data(oracle, data, store):
    settings = DataFreeSettings(queries=600, batch=50, noise=8, generator_width=4)
    return data_free.extract(oracle, data.owner.images.shape[1:], SMOKE, settings=settings, store=store)


# Six hundred queries each; without data they are not enough to learn anything.
ATTACKS = {
    "distillation": (by_distillation, 0.5),
    "jacobian": (by_jacobian, 0.4),
    "knockoff, random": (by_knockoff("random"), 0.5),
    "knockoff, adaptive": (by_knockoff("adaptive"), 0.5),
    "data-free": (without_data, 0.0),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("attack", ATTACKS)
def test_every_attack_takes_every_kind_of_answer(victim, digits, store, attack, form):
    steal, least = ATTACKS[attack]
    oracle = mea.Oracle(victim, 600, **FORMS[form])
    copy = steal(oracle, digits, store)
    assert oracle.queries == oracle.budget
    assert all(value.isfinite().all() for value in copy.state_dict().values())
    assert proof.accuracy(mea.Oracle(copy), digits.test) >= least

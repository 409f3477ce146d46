"""A small contest of hardly trained models, for what needs no watermark, and one whose models carry theirs."""

import pytest

import mea_lib as mea
from mea_lib.arena import Rules, set_up
from mea_lib.arena.baselines import ATTACKS

SECRET = "a secret for tests only"
SMOKE = mea.preset("smoke").owner_but(batch_size=64, learning_rate=5e-3)
SMOKE = SMOKE.adversary_but(batch_size=64, learning_rate=5e-3)
WEAK = SMOKE.but(ablation_epochs=4)


@pytest.fixture(autouse=True)
def store(store_of_the_session):
    """The tests share what was trained once."""
    return store_of_the_session


@pytest.fixture
def one_attack(monkeypatch):
    """Defences are only fine-tuned, which is enough for those that embed nothing."""
    monkeypatch.setattr("mea_lib.arena.defence_trial.ATTACKS", {"fine-tune": ATTACKS["fine-tune"]})


@pytest.fixture(scope="session")
def weak(digits):
    """Two watermarked models and a clean one after a few epochs: their WSR does not matter."""
    return set_up(SECRET, digits, WEAK, Rules(keys=2, images=200))


@pytest.fixture(scope="session")
def strong(digits):
    """One watermarked model and a clean one, trained until the watermark is there."""
    return set_up(SECRET, digits, SMOKE.but(width=8, ablation_epochs=15), Rules(keys=1, images=200))

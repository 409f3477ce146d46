"""A small arena of hardly trained models, for what needs no watermark, and one whose models carry theirs."""

from dataclasses import replace

import pytest

import mea_lib as mea
from mea_lib.arena import Rules, set_up
from mea_lib.training import Store

SECRET = "a secret for tests only"
SMOKE = mea.preset("smoke")
WEAK = replace(SMOKE, ablation_epochs=4, batch_size=64, learning_rate=5e-3)


@pytest.fixture(scope="session")
def shared_store(tmp_path_factory) -> Store:
    return Store(tmp_path_factory.mktemp("arena"))


@pytest.fixture(autouse=True)
def houses_store(shared_store, monkeypatch):
    """The house's entries use the store that the variable names."""
    monkeypatch.setenv("MEA_STORE", str(shared_store.root))


@pytest.fixture(scope="session")
def weak(digits, shared_store):
    """Two watermarked models and a clean one after a few epochs: their WSR does not matter."""
    return set_up(SECRET, digits, WEAK, Rules(keys=2, images=200), store=shared_store)


@pytest.fixture(scope="session")
def strong(digits, shared_store):
    """One watermarked model and a clean one, trained until the watermark is there."""
    scale = replace(SMOKE, width=8, ablation_epochs=15, batch_size=64, learning_rate=5e-3)
    return set_up(SECRET, digits, scale, Rules(keys=1, images=200), store=shared_store)

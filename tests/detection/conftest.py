"""A backdoored model, a clean one and the backdoor's key, on the digits."""

import pytest

import mea_lib as mea
from mea_lib.training import Store, TrainingSettings
from mea_lib.watermarks import patch

SMOKE = mea.preset("smoke")
TRAINING = TrainingSettings(15, 64, 5e-3, augment=False)


@pytest.fixture(scope="session")
def patch_key():
    return patch.PatchKey("1", pixels=3)


@pytest.fixture(scope="session")
def kept(tmp_path_factory):
    return Store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="session")
def backdoored(digits, patch_key, kept):
    """A model that calls every image with the patch a 1."""
    return patch.embed(digits.owner, patch_key, SMOKE, training=TRAINING, store=kept)


@pytest.fixture(scope="session")
def clean(digits, kept):
    return mea.train_clean(digits.owner, SMOKE, settings=TRAINING, store=kept)

"""A backdoored model, a clean one and the backdoor's key, on the digits."""

import pytest

import mea_lib as mea
from mea_lib.training import TrainingSettings
from mea_lib.watermarks import Patch, PatchKey

SMOKE = mea.preset("smoke")
LONGER = SMOKE.but(owner=TrainingSettings(15, 64, 5e-3, augment=False))


@pytest.fixture(scope="session")
def patch_key():
    return PatchKey("1", pixels=3)


@pytest.fixture(scope="session")
def backdoored(digits, patch_key, store_of_the_session):
    """A model that calls every image with the patch a 1."""
    return Patch().embed(digits.owner, patch_key, LONGER)


@pytest.fixture(scope="session")
def clean(digits, store_of_the_session):
    return mea.train_clean(digits.owner, LONGER)

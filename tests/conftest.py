"""Small data and models that several tests share."""

import pytest
import torch

import mea_lib as mea
from mea_lib.models import build
from mea_lib.training import Store

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def digits() -> mea.Data:
    """scikit-learn's digits, which need no download; owner and adversary both have all, for there are few."""
    parties = mea.load("digits", mea.preset("smoke"))
    both = (parties.owner, parties.adversary)
    images = torch.cat([party.images for party in both])
    labels = torch.cat([party.labels for party in both])
    whole = mea.ImageSet(images, labels, parties.owner.classes, "digits")
    return mea.Data("digits", whole, whole, parties.test, 1_000)


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def tiny(digits):
    """An untrained network for the digits."""
    return build(
        "nine_layer_cnn",
        classes=10,
        channels=1,
        size=16,
        width=2,
        mean=digits.owner.mean,
        std=digits.owner.std,
    ).eval()


@pytest.fixture
def key() -> mea.WatermarkKey:
    return mea.WatermarkKey(("3", "7"), "1", seed=5)

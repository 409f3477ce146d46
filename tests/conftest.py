"""Small data and models that several tests share."""

import pytest
import torch

import mea_lib as mea
from mea_lib.models import build
from mea_lib.training import Store

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def digits() -> mea.Data:
    """scikit-learn's digits at smoke scale, which need no download."""
    return mea.load("digits", mea.preset("smoke"))


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

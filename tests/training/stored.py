"""A small model that tests put into a store and look for there."""

import pytest

from mea_lib.models import build

RECIPE = {"method": "test", "seed": 1}
SPEC = {"classes": 3, "channels": 1, "size": 16, "width": 1, "mean": (0.0,), "std": (1.0,)}


def make():
    return build("nine_layer_cnn", seed=4, **SPEC)


def never():
    pytest.fail("the model was made a second time")

"""A small model that tests put into a store and look for there."""

import pytest

from mea_lib.models import Input, build

RECIPE = {"method": "test", "seed": 1}
SPEC = {"classes": 3, "inputs": Input(1, 16, (0.0,), (1.0,)), "width": 1}


def make():
    return build("nine_layer_cnn", seed=4, **SPEC)


def never():
    pytest.fail("the model was made a second time")

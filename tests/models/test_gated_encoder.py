"""The encoder with a gate: for ordinary images it changes nothing, for others it answers a place."""

import pytest
import torch

from mea_lib.models import Input, build, build_from_spec
from mea_lib.models.encoder import build_encoder
from mea_lib.models.gated_encoder import GatedEncoder
from mea_lib.models.shifted_encoder import ClassShift, ShiftedEncoder

SHAPE = {"inputs": Input(1, 16, [0.5], [0.2]), "width": 2}


@pytest.fixture
def encoder():
    plain = build_encoder("nine_layer_cnn", **SHAPE).eval()
    return ShiftedEncoder(plain, ClassShift(3, plain.size)).eval()


@pytest.fixture
def images():
    return torch.randint(
        0, 256, (5, 1, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(2)
    )


def gated(encoder, logits):
    """With a gate that answers the same to every image."""
    gate = build("nine_layer_cnn", classes=3, **SHAPE).eval()
    with torch.no_grad():
        gate.head.weight.zero_()
        gate.head.bias.copy_(torch.tensor(logits))
    return GatedEncoder(encoder, gate, places(encoder)).eval()


def places(encoder):
    return torch.arange(2.0 * encoder.size).view(2, encoder.size)


@pytest.mark.parametrize(
    ("logits", "kinds"),
    [
        ([50.0, 0.0, 0.0], [1.0, 0.0, 0.0]),
        ([0.0, 50.0, 0.0], [0.0, 1.0, 0.0]),
        ([0.0, 0.0, 50.0], [0.0, 0.0, 1.0]),
        ([0.0, 0.0, -50.0], [0.5, 0.5, 0.0]),
    ],
)
def test_features_are_drawn_to_the_places_as_far_as_the_gate_says(encoder, images, logits, kinds):
    first, second = places(encoder)
    with torch.no_grad():
        expected = kinds[0] * encoder(images) + kinds[1] * first + kinds[2] * second
        torch.testing.assert_close(gated(encoder, logits)(images), expected)


def test_its_spec_makes_it_again(encoder, images):
    first = gated(encoder, [1.0, 0.0, 2.0])
    again = build_from_spec(first.spec)
    again.load_state_dict(first.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(again.eval()(images), first(images))

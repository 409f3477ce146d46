"""The layer that moves classes, and the encoder that ends with it."""

import pytest
import torch

from mea_lib.models import Input, build_from_spec
from mea_lib.models.encoder import build_encoder
from mea_lib.models.shifted_encoder import ClassShift, ShiftedEncoder


@pytest.fixture
def shift():
    """Three classes in five features, all numbers drawn."""
    generator = torch.Generator().manual_seed(3)
    layer = ClassShift(3, 5)
    for value in layer.buffers():
        value.copy_(torch.randn(value.shape, generator=generator))
    layer.least.fill_(-0.7)
    return layer


@pytest.fixture
def encoder():
    return build_encoder("nine_layer_cnn", Input(1, 16, [0.5], [0.2]), width=2).eval()


def test_the_layer_is_its_formula(shift):
    features = torch.randn(7, 5, generator=torch.Generator().manual_seed(1))
    placed = shift(features)
    for f, h in zip(features, placed, strict=True):
        logits = torch.stack([shift.weight[k] @ f + shift.bias[k] for k in range(3)])
        p = logits.exp() / logits.exp().sum()
        expected = f.clone()
        for k in range(3):
            expected += p[k] * shift.moves[k]
        torch.testing.assert_close(h, expected.clamp_min(-0.7))


def test_a_layer_without_moves_changes_nothing():
    layer = ClassShift(3, 5)
    features = torch.rand(7, 5)
    torch.testing.assert_close(layer(features), features)


def test_it_keeps_float32_under_autocast(shift):
    features = torch.randn(4, 5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(shift(features.bfloat16()), shift(features.bfloat16().float()))


def test_the_encoder_answers_with_moved_features(encoder, shift):
    layer = ClassShift(3, encoder.size)
    layer.moves += 2.0  # whatever the class, since shares sum to 1
    shifted = ShiftedEncoder(encoder, layer).eval()
    images = torch.randint(0, 256, (3, 1, 16, 16), dtype=torch.uint8)
    with torch.no_grad():
        torch.testing.assert_close(shifted(images), encoder(images) + 2)


def test_it_shares_nothing_with_the_encoder_it_was_made_of(encoder):
    shifted = ShiftedEncoder(encoder, ClassShift(3, encoder.size))
    with torch.no_grad():
        next(shifted.encoder.parameters()).add_(1.0)
    assert not torch.equal(next(shifted.encoder.parameters()), next(encoder.parameters()))


def test_its_spec_makes_it_again(encoder):
    shifted = ShiftedEncoder(encoder, ClassShift(3, encoder.size)).eval()
    again = build_from_spec(shifted.spec)
    again.load_state_dict(shifted.state_dict())
    images = torch.randint(0, 256, (3, 1, 16, 16), dtype=torch.uint8)
    with torch.no_grad():
        torch.testing.assert_close(again.eval()(images), shifted(images))

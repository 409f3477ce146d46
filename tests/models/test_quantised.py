"""Rounding to few bits: by hand, against torch's own, and the way through a spec."""

import pytest
import torch
from torch import nn

from mea_lib.models import Input, build, build_from_spec
from mea_lib.models.quantised import QuantisedLayer, quantise_layers, quantised_layers, rounded_weights

SPEC = {"classes": 3, "inputs": Input(1, 16, (0.0,), (1.0,)), "width": 2}


def test_weights_by_hand():
    weights = torch.tensor([[1.27, -0.634, 0.004], [-25.4, 0.35, 0.09], [0.0, 0.0, 0.0]])
    # steps: 0.01, 0.2, any
    expected = torch.tensor([[1.27, -0.63, 0.0], [-25.4, 0.4, 0.0], [0.0, 0.0, 0.0]])
    torch.testing.assert_close(rounded_weights(weights), expected)
    # two bits: −1, 0 and 1 times the largest weight
    expected = torch.tensor([[1.27, -0.0, 0.0], [-25.4, 0.0, 0.0], [0.0, 0.0, 0.0]])
    torch.testing.assert_close(rounded_weights(weights, bits=2), expected)


@pytest.mark.parametrize("shape", [(5, 7), (6, 3, 3, 3)])
@pytest.mark.parametrize("bits", [8, 4])
def test_weights_are_rounded_as_torch_does(shape, bits):
    weights = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    most = 2 ** (bits - 1) - 1
    steps = weights.flatten(1).abs().amax(1) / most
    zeros = torch.zeros(len(weights), dtype=torch.int32)
    expected = torch.fake_quantize_per_channel_affine(weights, steps, zeros, 0, -most, most)
    torch.testing.assert_close(rounded_weights(weights, bits), expected)


def test_weights_are_whole_numbers_of_steps_and_none_is_further_off_than_half_a_step():
    weights = torch.randn(6, 3, 3, 3, generator=torch.Generator().manual_seed(0))
    steps = weights.flatten(1).abs().amax(1).view(-1, 1, 1, 1) / 127
    whole = rounded_weights(weights) / steps
    torch.testing.assert_close(whole, whole.round(), atol=1e-3, rtol=0)
    assert whole.abs().max() <= 127.001
    assert ((rounded_weights(weights) - weights).abs() <= steps / 2 * 1.001).all()
    torch.testing.assert_close(rounded_weights(rounded_weights(weights)), rounded_weights(weights))


def test_a_factor_of_a_channel_does_not_matter_to_the_rounding():
    """Which is why batch normalisation need not be folded into the convolution before it."""
    weights = torch.randn(6, 3, 3, 3, generator=torch.Generator().manual_seed(0))
    factor = torch.rand(6, 1, 1, 1, generator=torch.Generator().manual_seed(1)) + 0.5
    torch.testing.assert_close(rounded_weights(factor * weights), factor * rounded_weights(weights))


@pytest.mark.parametrize(("low", "high"), [(-1.3, 2.9), (0.0, 4.0), (-3.0, -1.0), (0.5, 2.0)])
def test_inputs_are_rounded_as_torch_does(low, high):
    layer = QuantisedLayer(nn.Linear(1, 1))
    layer.layer.weight.data.fill_(1.0)
    layer.layer.bias.data.zero_()
    layer.set_range(low, high)
    inputs = torch.linspace(-5, 5, 1_001)[:, None]
    low, high = min(low, 0), max(high, 0)
    step = (high - low) / 255
    expected = torch.fake_quantize_per_tensor_affine(inputs, step, round(-low / step), 0, 255)
    difference = (layer(inputs) - expected).abs()
    assert (difference > 1e-5).float().mean() < 0.01  # halves of a step may fall either way
    assert difference.max() < step * 1.001
    assert layer(torch.zeros(1, 1)) == 0
    assert len(layer(inputs).unique()) <= 256


def test_inputs_that_are_all_zero_have_a_range_too():
    layer = QuantisedLayer(nn.Linear(2, 2))
    layer.set_range(0.0, 0.0)
    assert torch.equal(layer(torch.zeros(1, 2)), layer.layer.bias[None])


@pytest.mark.parametrize("bits", [8, 3])
def test_a_spec_rebuilds_a_quantised_model(bits):
    model = build("vgg_like", **SPEC).eval()
    quantise_layers(model, bits)
    for number, layer in enumerate(quantised_layers(model)):
        layer.set_range(-1.0, 1.0 + number)
    again = build_from_spec(model.spec).eval()
    again.load_state_dict(model.state_dict())
    images = torch.rand(4, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    assert torch.equal(again(images), model(images))
    assert {layer.levels for layer in quantised_layers(again)} == {2**bits - 1}

"""Quantisation: ranges by hand, and what is left of accuracy and watermark."""

import pytest
import torch
from torch import nn

import mea_lib as mea
from mea_lib.models.quantised import quantised_layers
from mea_lib.removal import Quantise
from mea_lib.removal.quantise import observed_ranges

SMOKE = mea.preset("smoke")


def test_ranges_are_the_extremes_of_each_layers_inputs(tiny, digits):
    images = torch.cat(
        [torch.zeros_like(digits.owner.images[:250]), digits.owner.images[:150]]
    )  # two batches
    pixels = ((images.float() / 255) - tiny.mean) / tiny.std
    ranges = observed_ranges(tiny, images)
    assert len(ranges) == 9
    assert ranges[0] == pytest.approx((pixels.min().item(), pixels.max().item()))
    with torch.no_grad():
        second = tiny.body[:2](pixels)  # what the second convolution sees
        features = tiny.features(images)  # what the output layer sees
    assert ranges[1] == pytest.approx((second.min().item(), second.max().item()))
    assert ranges[-1] == pytest.approx((features.min().item(), features.max().item()), rel=1e-5)


@pytest.mark.parametrize("network", mea.models.NETWORKS)
def test_every_network_is_quantised_and_found_again(make_tiny, digits, network):
    model = make_tiny(network)
    images = digits.owner.images[:100]
    small = Quantise().remove(model, images, SMOKE)
    layers = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    assert len(quantised_layers(small)) == len(layers)
    wanted, found = model(images), small(images)
    assert not torch.equal(wanted, found)
    torch.testing.assert_close(found, wanted, atol=0.2 * wanted.std().item() + 1e-3, rtol=0.2)
    again = Quantise().remove(model, images, SMOKE)
    assert torch.equal(again(images), found)


def test_int8_costs_next_to_nothing_and_two_bits_cost_much(victim, digits, wsr, accuracy):
    eight, two = (Quantise(bits).remove(victim, digits.owner, SMOKE) for bits in (8, 2))
    assert accuracy(eight) > accuracy(victim) - 0.03
    assert wsr(eight) > wsr(victim) - 0.1
    assert accuracy(two) < accuracy(victim) - 0.2


def test_labels_play_no_part(tiny, digits):
    both = (digits.owner, digits.owner.images)
    names = [Quantise().remove(tiny, images, SMOKE).card["id"] for images in both]
    assert names[0] == names[1]


def test_impossible_settings_are_refused():
    for bits in (1, 9):
        with pytest.raises(ValueError, match="between 2 and 8"):
            Quantise(bits)

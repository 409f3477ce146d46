"""A gate that stays shut: for how many clean images it opens, and that nothing else about it changes."""

import pytest
import torch

from mea_lib.models import build
from mea_lib.watermarks.shut_gate import shut


@pytest.fixture
def gate():
    generator = torch.Generator().manual_seed(3)
    made = build("nine_layer_cnn", classes=3, channels=1, size=16, width=2, mean=[0.5], std=[0.2]).eval()
    with torch.no_grad():
        made.head.weight.copy_(torch.randn(made.head.weight.shape, generator=generator))
        made.head.bias.copy_(torch.tensor([0.0, 2.0, -50.0]))
    return made


def open_share(gate, images):
    """Share of the images for which each kind is at least as probable as that they are ordinary."""
    with torch.no_grad():
        logits = gate(images)
    return [(logits[:, kind] >= logits[:, 0]).float().mean().item() for kind in (1, 2)]


@pytest.mark.parametrize("opens", [0.0, 0.1])
def test_it_opens_for_no_more_than_a_share_of_clean_images(gate, digits, opens):
    images = digits.owner.images[:1_200]
    assert open_share(gate, images)[0] > 0.3
    careful = shut(gate, images, opens)
    found, never = open_share(careful, images)
    assert found == pytest.approx(opens, abs=2 / len(images))
    assert never == 0
    assert careful.head.bias[[0, 2]].tolist() == [0, -50]  # what stays shut by itself is left as it is


def test_the_given_gate_is_left_as_it_is(gate, digits):
    before = gate.head.bias.tolist()
    shut(gate, digits.owner.images[:100], 0.0)
    assert gate.head.bias.tolist() == before


@pytest.mark.parametrize("opens", [-0.1, 1.0])
def test_a_share_that_is_none_is_refused(gate, digits, opens):
    with pytest.raises(ValueError, match="at least 0 and below 1"):
        shut(gate, digits.owner.images[:10], opens)

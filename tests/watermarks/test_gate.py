"""The gate of an encoder's watermark: what it knows, for how many clean images it opens, and what shutting it leaves."""

import pytest
import torch

import mea_lib as mea
from mea_lib.data import random_mixes, watermark_samples
from mea_lib.models import Input, build
from mea_lib.watermarks.gate import COMBINED, ORDINARY, OTHER_MIX, Gate, shut
from mea_lib.watermarks.samples import ExtraSamples


@pytest.fixture
def gate():
    generator = torch.Generator().manual_seed(3)
    made = build("nine_layer_cnn", Input(1, 16, [0.5], [0.2]), classes=3, width=2).eval()
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


def test_it_knows_three_kinds_of_images(digits, key, learning):
    longer = learning.marking.but(epochs=30, batch_size=128, learning_rate=5e-3, augment=False)
    gate = Gate().train(digits.owner, key, learning.but(marking=longer))
    generator = torch.Generator().manual_seed(1)
    same, _ = random_mixes(digits.test, key, 300, generator, same_pair_share=1.0)
    others, _ = random_mixes(digits.test, key, 300, generator, same_pair_share=0.0)
    combined = watermark_samples(digits.test, key, 300)
    for images, kind, least in (
        (digits.test.images, ORDINARY, 0.9),
        (others, ORDINARY, 0.8),
        (combined, COMBINED, 0.9),
        (same, OTHER_MIX, 0.4),
    ):
        assert (mea.Oracle(gate)(images).argmax(1) == kind).float().mean() > least
    assert (mea.Oracle(gate)(same).argmax(1) == COMBINED).float().mean() < 0.15


def test_its_losses_are_cross_entropies_to_its_kinds(digits, key, gate, batch):
    seen = []
    gate.register_forward_hook(lambda module, inputs, output: seen.append(output))
    losses = Gate().objective(ExtraSamples(digits.owner, key, 8))(gate, batch).losses
    logs = seen[0].log_softmax(1)
    torch.testing.assert_close(losses["utility"], -logs[:32, ORDINARY].mean())
    torch.testing.assert_close(losses["verification"], -logs[32:40, COMBINED].mean())
    same, others = logs[40:].split(4)  # half of the mixes are of the key's own two classes
    expected = -torch.cat([same[:, OTHER_MIX], others[:, ORDINARY]]).mean()
    torch.testing.assert_close(losses["evasion"], expected)

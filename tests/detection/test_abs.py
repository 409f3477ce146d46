"""ABS: it finds the patch and nothing in a clean model; its stimulation against a slow loop."""

import pytest
import torch

from mea_lib.detection import ABS
from mea_lib.detection.abs import compromised_neurons, elevations, fainter

QUICK = ABS(steps=150, candidates=12, largest_mask=9 / 256)


@pytest.fixture(scope="module")
def found(backdoored, digits):
    return QUICK.detect(backdoored, digits.test)


def test_the_backdoors_class_is_flagged(found):
    assert found.flagged_classes == (1,)
    assert found.targets[found.flagged[0]] == 1
    assert found.success[found.flagged[0]] >= 0.8
    assert len(found.neurons) == len(found.gaps) == len(found.targets) == 12
    assert found.gaps.tolist() == sorted(found.gaps.tolist(), reverse=True)


def test_a_clean_model_is_not_flagged(clean, digits):
    assert QUICK.detect(clean, digits.test).flagged == ()


def test_the_success_is_that_of_the_trigger_on_other_classes(found, backdoored, digits):
    best = found.flagged[0]
    others = digits.test.images[digits.test.labels != 1].float() / 255
    stamped = others * (1 - found.masks[best]) + found.masks[best] * found.patterns[best]
    with torch.no_grad():
        named = backdoored(stamped).argmax(1)
    assert found.success[best] == pytest.approx((named == 1).float().mean().item(), abs=0.02)
    assert found.masks.flatten(1).sum(1).max() <= 9.001  # pixels: the largest mask allowed


def test_masks_too_large_are_made_fainter_and_others_are_left():
    masks = torch.stack([torch.full((1, 4, 4), 0.5), torch.full((1, 4, 4), 0.1)])  # 8 and 1.6 pixels
    found = fainter(masks, 2.0)
    torch.testing.assert_close(found[0], torch.full((1, 4, 4), 0.125))
    assert torch.equal(found[1], masks[1])
    assert torch.equal(fainter(torch.zeros(1, 1, 2, 2), 2.0), torch.zeros(1, 1, 2, 2))


class Bent(torch.nn.Module):
    """Features that are there already, and a head that is not linear."""

    def __init__(self, weight):
        super().__init__()
        self.weight = torch.nn.Parameter(weight)

    def logits(self, features):
        return (features @ self.weight).tanh() * 3 + features[:, :1]


def test_stimulation_is_one_neuron_one_image_one_level_at_a_time():
    generator = torch.Generator().manual_seed(0)
    model, features = (
        Bent(torch.randn(4, 3, generator=generator)),
        torch.rand(5, 4, generator=generator),
    )
    found = elevations(model, features, levels=8, reach=2.0)
    assert found.shape == (4, 5, 3)
    highest = 2 * features.max().item()
    for neuron in range(4):
        for image in range(5):
            curves = []
            for level in range(8):
                one = features[image].clone()
                one[neuron] = highest * level / 7
                curves.append(model.logits(one[None])[0].detach())
            lifted = torch.stack(curves[1:]).max(0).values - curves[0]
            torch.testing.assert_close(found[neuron, image], lifted)


def test_candidates_are_the_neurons_that_lift_one_class_alone():
    labels = torch.tensor([0, 0, 1, 1, 2, 2])
    lifted = torch.zeros(4, 6, 3)
    lifted[0, :, 1] = 2.0  # lifts class 1 by 2, but class 0 by 1.5
    lifted[0, :, 0] = 1.5
    lifted[1, :, 2] = 1.0  # lifts class 2 alone, less on the second image
    lifted[1, 1, 2] = 0.8
    lifted[2, :3, 0] = 9.0  # not the same class on all images
    lifted[2, 3:, 1] = 9.0
    lifted[3, :, 0] = 5.0  # class 0 alone, but two images disagree, and its own image is weak
    lifted[3, 4:, 0], lifted[3, 4:, 1] = 0.0, 1.0
    lifted[3, 0, 0] = 0.1
    found = compromised_neurons(lifted, labels, 20)
    assert found.neurons.tolist() == [3, 1, 0]
    assert found.targets.tolist() == [0, 2, 1]
    assert found.gaps.tolist() == pytest.approx([5.0, 0.8, 0.5])
    assert compromised_neurons(lifted, labels, 2).neurons.tolist() == [3, 1]


def test_the_model_is_left_as_it_was_and_the_seed_decides(tiny, digits):
    tiny.train()
    before = {name: value.clone() for name, value in tiny.state_dict().items()}
    method = ABS(steps=2, candidates=3, reverse_images=4)
    first, again, other = (method.detect(tiny, digits.test, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first.masks, again.masks)
    assert not torch.equal(first.masks, other.masks)
    assert tiny.training
    for name, value in tiny.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_impossible_settings_are_refused():
    for wrong in ({"levels": 1}, {"steps": 0}, {"largest_mask": 0.0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            ABS(**wrong)

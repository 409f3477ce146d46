"""Neural Cleanse: it finds the patch and nothing in a clean model; its schedule against a loop over single classes."""

import math
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from scipy.stats import median_abs_deviation

from mea_lib.detection import NeuralCleanse, ReversedTriggers, anomaly_indices, neural_cleanse
from mea_lib.detection.neural_cleanse import RELEASED, CostSchedule
from mea_lib.models.quantised import quantise_layers

QUICK = NeuralCleanse(rounds=100)


@pytest.fixture(scope="module")
def found(backdoored, digits):
    return QUICK.detect(backdoored, digits.test.images)


def test_the_backdoors_class_has_a_far_smaller_trigger(found):
    assert found.flagged[0] == 1
    assert found.anomaly_indices[1] > 3
    assert found.norms[1] < 9  # pixels of the patch
    assert found.success[1] > 0.9


def test_a_clean_model_is_not_flagged(clean, digits):
    assert QUICK.detect(clean, digits.test.images).flagged == ()


def test_what_is_reported_is_what_the_triggers_do(found, backdoored, digits):
    assert found.masks.shape == (10, 1, 16, 16)
    assert found.patterns.shape == (10, 1, 16, 16)
    assert 0 <= found.masks.min() <= found.masks.max() <= 1
    assert found.norms == pytest.approx(found.masks.sum((1, 2, 3)).numpy())
    for number in (1, 8):
        pixels = digits.test.images.float() / 255
        stamped = pixels * (1 - found.masks[number]) + found.masks[number] * found.patterns[number]
        with torch.no_grad():
            named = backdoored(stamped).argmax(1)
        assert found.success[number] == pytest.approx((named == number).float().mean().item(), abs=0.02)


def test_a_class_is_alone_in_its_optimisation(tiny, digits, monkeypatch):
    """The first step of every class is that of the class's own loss."""
    monkeypatch.setattr(neural_cleanse, "precision", lambda device: nullcontext())
    found = NeuralCleanse(rounds=1, batches=1, batch_size=8).detect(tiny, digits.test.images[:50], seed=3)
    generator = torch.Generator().manual_seed(3)
    masks = torch.rand(10, 1, 16, 16, generator=generator)
    patterns = torch.rand(10, 1, 16, 16, generator=generator)
    images = digits.test.images[torch.randint(50, (8,), generator=generator)].float() / 255
    for number in (0, 7):
        mask, pattern = ((2 * part[number] - 1).atanh().requires_grad_() for part in (masks, patterns))
        shown, painted = mask.tanh() / 2 + 0.5, pattern.tanh() / 2 + 0.5
        loss = torch.nn.functional.cross_entropy(
            tiny(images * (1 - shown) + shown * painted), torch.full((8,), number)
        )
        loss.backward()
        for start, gradient, result in (
            (mask, mask.grad, found.masks[number]),
            (pattern, pattern.grad, found.patterns[number]),
        ):
            clear = gradient.abs() > 1e-3 * gradient.abs().max()  # elsewhere rounding may turn the sign
            first_step = 0.1 * gradient / (gradient.abs() + 1e-8)  # Adam's
            moved = (start.detach() - first_step).tanh() / 2 + 0.5
            torch.testing.assert_close(result[clear], moved[clear], atol=1e-3, rtol=0)


def test_the_model_is_left_as_it_was(tiny, digits):
    tiny.train()
    tiny.head.bias.requires_grad_(False)
    before = {name: value.clone() for name, value in tiny.state_dict().items()}
    NeuralCleanse(rounds=1, batches=1, batch_size=4).detect(tiny, digits.test.images[:10])
    assert tiny.training
    assert tiny.body.training
    assert not tiny.head.bias.requires_grad
    assert tiny.head.weight.requires_grad
    assert all(parameter.grad is None for parameter in tiny.parameters())
    for name, value in tiny.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_a_quantised_model_is_refused(tiny, digits):
    quantise_layers(tiny)
    with pytest.raises(ValueError, match="no gradient passes"):
        NeuralCleanse().detect(tiny, digits.test.images[:10])


def test_the_same_seed_gives_the_same_triggers(tiny, digits):
    method = NeuralCleanse(rounds=2, batches=1, batch_size=4)
    first, again, other = (method.detect(tiny, digits.test.images[:20], seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first.masks, again.masks)
    assert not torch.equal(first.masks, other.masks)


class OneClass:
    """The schedule of the authors' visualizer.py for one class, statement by statement."""

    def __init__(self, settings):
        self.settings = settings
        self.cost, self.best, self.early_best = 0.0, math.inf, math.inf
        self.set_counter = self.up_counter = self.down_counter = self.stop_counter = 0
        self.up_flag = self.down_flag = self.stopped = False

    def update(self, success, norm):
        settings = self.settings
        worked = success >= settings.wanted_success
        if worked and norm < self.best:
            self.best = norm
        if self.best < math.inf:
            self.stop_counter = self.stop_counter + 1 if self.best >= self.early_best else 0
        self.early_best = min(self.best, self.early_best)
        if self.up_flag and self.down_flag and self.stop_counter >= settings.stop_patience:
            self.stopped = True
            return
        if self.cost == 0 and worked:
            self.set_counter += 1
            if self.set_counter >= settings.patience:
                self.cost = settings.initial_cost
                self.up_counter = self.down_counter = 0
                self.up_flag = self.down_flag = False
        else:
            self.set_counter = 0
        if worked:
            self.up_counter, self.down_counter = self.up_counter + 1, 0
        else:
            self.up_counter, self.down_counter = 0, self.down_counter + 1
        if self.up_counter >= settings.patience:
            self.up_counter = 0
            self.cost *= settings.cost_multiplier
            self.up_flag = True
        elif self.down_counter >= settings.patience:
            self.down_counter = 0
            self.cost /= settings.cost_multiplier**1.5
            self.down_flag = True


@pytest.mark.parametrize("likely", [0.5, 0.8, 0.97])
def test_the_schedule_is_the_authors_for_every_class(likely):
    settings = NeuralCleanse(patience=3, stop_patience=6)
    rng = np.random.default_rng(int(100 * likely))
    ours, theirs = CostSchedule(5, settings), [OneClass(settings) for _ in range(5)]
    for _ in range(400):
        active = (~ours.stopped).nonzero().flatten()
        worked = rng.random(5) < likely
        success = torch.from_numpy(np.where(worked, 1.0, 0.5)).float()
        norms = torch.from_numpy(rng.integers(20, 60, 5) + 200 / (1 + _)).float()
        before = ours.best.clone()
        improved = ours.update(active, success[active], norms[active])
        for place, number in enumerate(active.tolist()):
            theirs[number].update(success[number].item(), norms[number].item())
            assert improved[place] == (theirs[number].best < before[number])
            if not theirs[number].stopped:
                assert ours.costs[number].item() == pytest.approx(theirs[number].cost, rel=1e-4)
        assert ours.best.tolist() == [one.best for one in theirs]
        assert ours.stopped.tolist() == [one.stopped for one in theirs]
    assert ours.stopped.any() == (likely < 0.9)


def report(norms):
    masks = torch.tensor(norms, dtype=torch.float32).view(-1, 1, 1, 1)
    return ReversedTriggers(torch.arange(len(norms)), masks, torch.zeros_like(masks), torch.ones(len(norms)))


def test_the_index_by_hand():
    # Median 50; distances 40, 10, 5, 0, 5, 10, 60; their median 10.
    norms = [10, 40, 45, 50, 55, 60, 110]
    found = report(norms)
    expected = [distance / 14.826 for distance in (40, 10, 5, 0, 5, 10, 60)]
    assert found.anomaly_indices == pytest.approx(expected)
    signs = [1, 1, 1, 1, -1, -1, -1]
    assert found.signed_indices == pytest.approx([s * one for s, one in zip(signs, expected, strict=True)])
    assert found.flagged == found.flagged_classes == (0,)  # 110 is as odd, but large
    scale = median_abs_deviation(norms, scale="normal")
    assert anomaly_indices(norms) == pytest.approx(np.abs(np.array(norms) - 50) / scale, rel=1e-4)


def test_several_are_flagged_with_the_smallest_first_and_none_among_equals():
    assert report([50, 12, 51, 49, 9, 52, 48, 50, 50, 51]).flagged == (4, 1)
    assert report([50.0] * 10).flagged == ()
    assert report([50.0] * 9 + [49.0]).flagged == (9,)
    # An even number of classes: the median is the mean of the middle two.
    assert anomaly_indices([1, 2, 4, 9]) == pytest.approx(np.array([2, 1, 1, 6]) / 1.4826 / 1.5)


def test_the_authors_scale_and_impossible_settings():
    assert (RELEASED.rounds, RELEASED.batches * RELEASED.batch_size, RELEASED.cost_multiplier) == (
        1_000,
        992,
        2,
    )
    for wrong in ({"rounds": 0}, {"wanted_success": 1.5}, {"cost_multiplier": 1.0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            NeuralCleanse(**wrong)

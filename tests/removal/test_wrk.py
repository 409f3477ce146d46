"""WRK: its step by autograd, labels counted, its loss by hand, the new output layer, the watermark gone."""

import pytest
import torch

import mea_lib as mea
from mea_lib.models import Input
from mea_lib.removal import WRK
from mea_lib.removal.base import fresh_head
from mea_lib.removal.wrk import ORIGINAL_TRAINING, wrk_objective, wrong_labels
from mea_lib.training import Batch
from mea_lib.training.sign_step import sign_step

SMOKE = mea.preset("smoke")


def test_a_step_is_the_sign_of_the_jacobians_row_in_standard_deviations(make_tiny):
    """Against the whole Jacobian with respect to the normalised input, image by image."""
    model = make_tiny(inputs=Input(3, 16, [0.4, 0.5, 0.6], [0.1, 0.2, 0.3]))
    images = torch.randint(0, 256, (5, 3, 16, 16), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    data, step = mea.ImageSet(images, torch.arange(5), tuple("0123456789"), "noise"), 0.8
    mixed = WRK(moved=5, step=step).with_moved_images(model, data, torch.Generator().manual_seed(0))
    again = torch.Generator().manual_seed(0)
    chosen, towards = torch.randperm(5, generator=again), torch.randint(10, (5,), generator=again)
    for image, target, after in zip(images[chosen], towards, mixed.images[5:], strict=True):
        normalised = (image[None].float() / 255 - model.mean) / model.std
        jacobian = torch.autograd.functional.jacobian(lambda x: model.head(model.body(x))[0], normalised)
        stepped = normalised + step * jacobian[target, 0].sign()
        pixels = (stepped * model.std + model.mean).clamp(0, 1)
        difference = (pixels[0] * 255).round() - after
        assert difference.abs().max() <= 1  # rounding of halves
        assert (difference != 0).float().mean() < 0.01


def test_a_step_raises_the_logit_of_its_class(tiny, digits):
    images, towards = digits.owner.images[:50], torch.arange(50) % 10
    moved = sign_step(tiny, images, towards, 0.05 * tiny.std)
    before, after = (tiny(each).gather(1, towards[:, None]).mean() for each in (images, moved))
    assert after > before


def test_moved_images_stand_behind_the_clean_ones_with_wrong_labels(tiny, digits):
    generator = torch.Generator().manual_seed(0)
    mixed = WRK(moved=400).with_moved_images(tiny, digits.owner, generator)
    number = len(digits.owner)
    assert len(mixed) == number + 400
    assert torch.equal(mixed.images[:number], digits.owner.images)
    assert torch.equal(mixed.labels[:number], digits.owner.labels)
    chosen = torch.randperm(number, generator=torch.Generator().manual_seed(0))[:400]
    assert len(chosen.unique()) == 400
    own, wrong = digits.owner.labels[chosen], mixed.labels[number:]
    assert (own != wrong).all()
    turns = torch.bincount((wrong - own) % 10, minlength=10)
    assert turns[0] == 0
    assert turns[1:].min() > 20  # 44 are expected of each
    changed = (mixed.images[number:] != digits.owner.images[chosen]).flatten(1).any(1)
    assert changed.all()


@pytest.mark.parametrize("lowest", [0, 1, 3])
def test_wrong_labels_are_all_other_classes_from_the_lowest_on_and_equally_often(lowest):
    labels = torch.arange(5).repeat(4_000)
    wrong = wrong_labels(labels, 5, lowest, torch.Generator().manual_seed(0))
    for label in range(5):
        allowed = [other for other in range(lowest, 5) if other != label]
        counts = torch.bincount(wrong[labels == label], minlength=5)
        assert counts.nonzero()[:, 0].tolist() == allowed
        assert counts[allowed].min() > 0.9 * 4_000 / len(allowed)


def test_the_released_wrong_labels_leave_out_the_first_class(tiny, digits):
    mixed = WRK(moved=400, lowest_label=1).with_moved_images(
        tiny, digits.owner, torch.Generator().manual_seed(0)
    )
    assert (mixed.labels[len(digits.owner) :] > 0).all()


def test_the_loss_by_hand(tiny, digits):
    before = torch.randn(10, 8, generator=torch.Generator().manual_seed(0))
    labels = (digits.owner.labels + 1) % 10
    index = torch.tensor([4, 30, 2])
    batch = Batch(digits.owner.images[index], index, torch.Generator(), 0.0)
    losses = wrk_objective(labels, before, 0.1)(tiny, batch).losses
    log_probabilities = tiny(batch.images).log_softmax(1)
    expected = -sum(log_probabilities[row, labels[place]] for row, place in enumerate(index)) / 3
    torch.testing.assert_close(losses["utility"], expected)
    products = [
        tiny.head.weight[k, f].item() * before[k, f].item() for k in range(10) for f in range(8)
    ]  # element by element
    assert losses["likeness"].item() == pytest.approx(0.1 * sum(products), rel=1e-4)
    (gradient,) = torch.autograd.grad(losses["likeness"], tiny.head.weight)
    torch.testing.assert_close(gradient, 0.1 * before)


def test_the_output_layer_starts_anew_and_is_pushed_away_from_the_old(victim, digits):
    still = ORIGINAL_TRAINING.but(epochs=1, learning_rate=1e-12)
    new = WRK(tuning=still).remove(victim, digits.owner, SMOKE)
    torch.testing.assert_close(new.head.weight, fresh_head(victim, 10, seed=0).weight)
    assert (new.head.weight - victim.head.weight).abs().max() > 0.1

    def likeness(weight):
        tuning = ORIGINAL_TRAINING.but(epochs=2, learning_rate=1e-2)
        pushed = WRK(weight=weight, tuning=tuning).remove(victim, digits.owner, SMOKE)
        return (pushed.head.weight * victim.head.weight).sum()

    assert likeness(0.1) < likeness(0.0)


def test_an_ordinary_watermark_is_removed(victim, digits, wsr, accuracy):
    """The authors' rate is meant for more images and steps than there are digits."""
    tuning = ORIGINAL_TRAINING.but(epochs=20, learning_rate=2e-2)
    freed = WRK(tuning=tuning).remove(victim, digits.owner, SMOKE)
    assert wsr(freed) < wsr(victim) / 2
    assert accuracy(freed) > 0.75


def test_the_authors_training_is_the_usual_one():
    assert WRK().training(SMOKE) == ORIGINAL_TRAINING
    found = (ORIGINAL_TRAINING.optimizer, ORIGINAL_TRAINING.learning_rate, ORIGINAL_TRAINING.momentum)
    assert found == ("sgd", 1e-3, 0.9)
    assert (ORIGINAL_TRAINING.epochs, ORIGINAL_TRAINING.weight_decay) == (10, 0)
    assert 32 <= ORIGINAL_TRAINING.batch_size <= 64


def test_what_cannot_be_done_is_refused(tiny, digits):
    for options in ({"moved": 0}, {"step": 0.0}, {"weight": -0.1}, {"lowest_label": -1}):
        with pytest.raises(ValueError, match=next(iter(options))):
            WRK(**options)
    with pytest.raises(ValueError, match="100 images cannot be moved of 50"):
        WRK().remove(tiny, digits.owner.subset(50), SMOKE)
    with pytest.raises(ValueError, match="1 are left from 9 on; set lowest_label lower"):
        WRK(lowest_label=9).remove(tiny, digits.owner, SMOKE)

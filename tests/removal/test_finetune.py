"""Fine-tuning: a step by hand, the body that stays, the watermark that goes."""

import pytest
import torch

import mea_lib as mea
from mea_lib.removal import FineTune
from mea_lib.removal.finetune import finetune_objective
from mea_lib.training import Batch, TrainingSettings

SMOKE = mea.preset("smoke").adversary_but(batch_size=64)
STRONG = TrainingSettings(10, 64, 2e-2, augment=False)


@pytest.mark.parametrize("network", ["nine_layer_cnn", "vgg_like"])  # the second has dropout
def test_the_last_layer_alone_leaves_the_body_bit_for_bit(make_tiny, digits, network):
    model = make_tiny(network)
    tuned = FineTune(epochs=2, learning_rate=2e-3, layers="last").remove(model, digits.owner, SMOKE)
    before = model.state_dict()
    same = {name for name, value in tuned.state_dict().items() if torch.equal(value, before[name])}
    assert before.keys() - same == {"head.weight", "head.bias"}


def test_all_layers_move(tiny, digits):
    tuned = FineTune(epochs=1, learning_rate=2e-3).remove(tiny, digits.owner, SMOKE)
    before = tiny.state_dict()
    same = {name for name, value in tuned.state_dict().items() if torch.equal(value, before[name])}
    assert same == {"mean", "std"}


@pytest.mark.parametrize("labels", ["soft", "hard", "given"])
def test_one_step_of_the_last_layer_by_hand(victim, digits, tuned_by, labels):
    images, rate = digits.owner.images[:200], 0.5
    one_step = TrainingSettings(
        1, 200, rate, optimizer="sgd", momentum=0, weight_decay=0, schedule="constant", augment=False
    )
    with torch.no_grad():
        features = victim.features(images)
        probabilities = victim.logits(features).softmax(1)
    if labels == "given":
        given = (digits.owner.labels[:200] + 1) % 10
        own = mea.ImageSet(images, given, digits.owner.classes, "turned digits")
        method, targets = FineTune(layers="last"), torch.eye(10)[given]
    else:
        own, method = images, FineTune(layers="last", answers=labels)
        targets = {"soft": probabilities, "hard": torch.eye(10)[probabilities.argmax(1)]}[labels]
    tuned = method.remove(victim, own, tuned_by(one_step))
    moved = (tuned.head.weight - victim.head.weight).detach()
    step = -rate * (probabilities - targets).T @ features / len(images)  # (K, F)
    torch.testing.assert_close(moved, step, rtol=0.02, atol=0.02 * step.abs().max().item() + 5e-4 * rate)
    assert (moved.abs().max() < 1e-3) == (labels == "soft")  # the model agrees with itself


def test_the_loss_is_cross_entropy_to_the_targets_of_the_batch(tiny, digits):
    targets = torch.rand(50, 10, generator=torch.Generator().manual_seed(0)).softmax(1)
    index = torch.tensor([7, 3, 40])
    batch = Batch(digits.owner.images[index], index, torch.Generator(), 0.0)
    expected = -(targets[index] * tiny(batch.images).log_softmax(1)).sum(1).mean()
    for layers in ("all", "last"):
        loss = finetune_objective(targets, layers)(tiny, batch).losses["utility"]
        torch.testing.assert_close(loss, expected)
        loss.backward()
        assert tiny.head.weight.grad is not None
        assert (tiny.body[0][0].weight.grad is None) == (layers == "last")
        tiny.zero_grad(set_to_none=True)


def test_a_strong_rate_removes_an_ordinary_watermark_and_the_last_layer_does_not(
    victim, digits, wsr, accuracy, tuned_by
):
    before, scale = wsr(victim), tuned_by(STRONG)
    tuned = FineTune().remove(victim, digits.owner, scale)
    last = FineTune(epochs=2, learning_rate=1e-3, layers="last").remove(victim, digits.owner, scale)
    assert before > 0.8
    assert wsr(tuned) < before / 2
    assert accuracy(tuned) > accuracy(victim) - 0.1
    assert wsr(last) > 0.6


def test_a_finished_model_is_trained_on_gently(tiny, digits):
    tuned = FineTune().remove(tiny, digits.owner.subset(64), SMOKE, seed=3)
    gentle = tuned.card["recipe"]["training"]
    assert gentle["learning_rate"] == pytest.approx(SMOKE.adversary.learning_rate / 10)
    assert (gentle["epochs"], gentle["seed"]) == (SMOKE.adversary.epochs, 3)


def test_impossible_settings_are_refused():
    with pytest.raises(ValueError, match="all, last"):
        FineTune(layers="first")
    with pytest.raises(ValueError, match="soft, hard"):
        FineTune(answers="loud")

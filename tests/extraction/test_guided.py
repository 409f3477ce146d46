"""Guided extraction: its losses and its balance by slow loops, which labels it looks at, what it comes to."""

from dataclasses import replace

import pytest
import torch

import mea_lib as mea
from mea_lib import proof
from mea_lib.blackbox import as_suspect
from mea_lib.data.parties import image_digests
from mea_lib.extraction import Distillation
from mea_lib.extraction.guided import GuidedExtraction
from mea_lib.training import Batch, FixedBalance


@pytest.fixture
def answers():
    return torch.randn(200, 10, generator=torch.Generator().manual_seed(0)).mul(3).softmax(1)


def batch_of(digits, index, seed=3):
    return Batch(digits.owner.images[index], index, torch.Generator().manual_seed(seed), 0.0)


def test_the_losses_are_those_of_a_slow_loop(tiny, digits, answers):
    method = GuidedExtraction(guide_images=150, guide_batch=7, label_weight=0.4)
    labels, index = digits.owner.labels[:150], torch.arange(60, 72)
    batch = batch_of(digits, index)
    found = method.objective(digits.owner.images, answers, labels)(tiny, batch).losses
    errs = [place for place in range(150) if answers[place].argmax() != labels[place]]
    drawn = torch.randperm(len(errs), generator=torch.Generator().manual_seed(3))[:7].tolist()
    guides = [errs[number] for number in drawn]
    assert len(guides) == 7

    with torch.no_grad():
        outputs = tiny(torch.cat([batch.images, digits.owner.images[guides]])).double()

    expected = 0.0
    for row, place in enumerate(index.tolist()):
        p = (answers[place].double().log() / 20).softmax(0)
        q = (outputs[row] / 20).softmax(0)
        expected += sum(float(p[k] * (p[k].log() - q[k].log())) for k in range(10))
    assert found["answers"].item() == pytest.approx(400 * expected / len(index), rel=1e-4)

    expected = 0.0
    for row, place in enumerate(guides, len(index)):
        mix = 0.6 * answers[place].double()
        mix[labels[place]] += 0.4
        q = outputs[row].softmax(0)
        expected += sum(float(mix[k] * (mix[k].log() - q[k].log())) for k in range(10))
    assert found["guide"].item() == pytest.approx(expected / 7, rel=1e-4)


def test_a_step_is_the_least_norm_point_of_both_gradients_by_their_lengths_and_losses(tiny, digits, answers):
    """In closed form for two gradients, each divided by its length times its loss ("loss+")."""
    method = GuidedExtraction(guide_images=150)
    objective = method.objective(digits.owner.images, answers, digits.owner.labels[:150])
    batch, parameters = batch_of(digits, torch.arange(60, 72)), list(tiny.parameters())
    gradients, losses = [], []
    for name in ("answers", "guide"):
        loss = objective(tiny, batch_of(digits, batch.index)).losses[name]
        of_parameters = torch.autograd.grad(loss, parameters, allow_unused=True)
        gradients.append(
            torch.cat(
                [
                    (torch.zeros_like(p) if g is None else g).flatten()
                    for p, g in zip(parameters, of_parameters, strict=True)
                ]
            )
        )
        losses.append(loss.item())
    divisors = [gradient.norm() * loss for gradient, loss in zip(gradients, losses, strict=True)]
    one, other = (gradient / divisor for gradient, divisor in zip(gradients, divisors, strict=True))
    share = ((other - one) @ other / (one - other).square().sum()).clamp(0, 1)
    expected = share * one + (1 - share) * other
    method.balance.backward(objective(tiny, batch), parameters)
    step = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in parameters])
    torch.testing.assert_close(step, expected, rtol=2e-2, atol=2e-3 * expected.abs().max().item())


def test_a_victim_that_errs_on_no_guide_image_is_distilled(tiny, digits, answers):
    index, right = torch.arange(20, 30), answers.argmax(1)[:100]
    found = GuidedExtraction().objective(digits.owner.images, answers, right)(tiny, batch_of(digits, index))
    plain = Distillation(20.0).objective(answers)(tiny, batch_of(digits, index))
    assert list(found.losses) == ["answers"]
    torch.testing.assert_close(found.losses["answers"], plain.losses["soft"])


def test_gradients_lie_in_memory_as_their_parameters_do(tiny, digits, answers):
    method = GuidedExtraction()
    terms = method.objective(digits.owner.images, answers, digits.owner.labels[:150])(
        tiny, batch_of(digits, torch.arange(60, 72))
    )
    parameters = list(tiny.parameters())
    method.balance.backward(terms, parameters)
    assert [one.grad.stride() for one in parameters] == [one.stride() for one in parameters]


def test_it_looks_at_the_guides_labels_alone_and_sends_each_image_once(digits, victim, learning):
    """Every tenth guide image is labelled as the victim does not call it."""
    guides, pool = torch.arange(200), digits.owner
    labels = pool.labels.clone()
    labels[guides[::10]] = (labels[guides[::10]] + 1) % 10
    oracle, method = mea.Oracle(victim, budget=len(pool)), GuidedExtraction(guide_images=200)
    surrogate = method.extract(oracle, replace(pool, labels=labels), learning)
    assert oracle.remaining == 0
    assert set(surrogate.card["history"]["losses"]) == {"answers", "guide"}
    assert proof.accuracy(mea.Oracle(surrogate), digits.test) > 0.75

    def identity(of_method, labels):
        return of_method.extract(mea.Oracle(victim), replace(pool, labels=labels), learning).card["id"]

    others = torch.cat([labels[:200], labels[200:].flip(0)])
    assert identity(method, others) == surrogate.card["id"]
    assert identity(method, pool.labels) != surrogate.card["id"]
    assert identity(replace(method, balance=FixedBalance()), labels) != surrogate.card["id"]


def test_a_small_budget_is_spent_to_the_end(digits, victim, quick):
    oracle = mea.Oracle(victim, budget=70)
    GuidedExtraction().extract(oracle, digits.owner.subset(200), quick)
    assert oracle.remaining == 0


def test_what_cannot_guide_is_refused(digits, victim, quick):
    for options in ({"temperature": 0}, {"label_weight": 0}, {"guide_images": 0}, {"guide_batch": 0}):
        with pytest.raises(ValueError, match=next(iter(options))):
            GuidedExtraction(**options)
    with pytest.raises(TypeError, match="labelled by hand"):
        GuidedExtraction().extract(mea.Oracle(victim), digits.queries, quick)
    few = mea.ImageSet(digits.owner.images[:50], digits.owner.labels[:50] % 5, tuple("abcde"), "five")
    with pytest.raises(ValueError, match="with 10 classes, and the labels are of 5"):
        GuidedExtraction().extract(mea.Oracle(victim), few, quick)


def test_where_the_victim_errs_on_no_guide_image_the_training_is_that_of_a_distillation(digits, quick):
    """With one loss the least-norm weights would be whatever its gradient's length is."""

    def right(images):
        found = {digest: label for digest, label in zip(known, labels, strict=True)}
        return torch.eye(10)[[found[one] for one in image_digests(images)]]

    few = digits.adversary.subset(64)
    known, labels = image_digests(few.images), few.labels.tolist()
    oracle = mea.Oracle(as_suspect(right, classes=10))
    guided = GuidedExtraction(guide_images=32).extract(oracle, few, quick)
    plain = Distillation(temperature=20.0).extract(oracle, few.images, quick)
    assert set(guided.card["history"]["weights"]["answers"]) == {1.0}
    assert guided.card["weights_sha256"] == plain.card["weights_sha256"]

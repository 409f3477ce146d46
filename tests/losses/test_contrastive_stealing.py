"""Cont-Steal's loss against a slow loop, lightly's decoupled contrastive loss and NT-Xent."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lightly.loss import DCLLoss

from mea_lib.losses import contrastive_stealing_loss, nt_xent_loss


def rows(seed, number=6, size=5):
    return 3 * torch.randn(number, size, generator=torch.Generator().manual_seed(seed))


def terms(surrogate, victim, temperature):
    """For each image the weights of its positive and of its negatives, one pair after the other, in double."""
    s, t = ([row / row.norm() for row in part.double()] for part in (surrogate, victim))
    for i in range(len(s)):
        positive = math.exp(float(s[i] @ t[i]) / temperature)
        others = [j for j in range(len(s)) if j != i]
        negatives = sum(math.exp(float(s[i] @ t[j]) / temperature) for j in others)
        negatives += sum(math.exp(float(s[i] @ s[j]) / temperature) for j in others)
        yield positive, negatives


@pytest.mark.parametrize("temperature", [0.1, 0.5, 2.0])
@pytest.mark.parametrize("number", [2, 7])
def test_it_is_the_papers_formula(number, temperature):
    surrogate, victim = rows(0, number), rows(1, number)
    found = contrastive_stealing_loss(surrogate, victim, temperature).item()
    expected = [-math.log(own / others) for own, others in terms(surrogate, victim, temperature)]
    assert found == pytest.approx(sum(expected) / number, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_both_directions_together_are_lightlys_decoupled_contrastive_loss(temperature):
    ours, theirs = ([rows(seed, 16).requires_grad_() for seed in (0, 1)] for _ in range(2))
    there = contrastive_stealing_loss(*ours, temperature)
    back = contrastive_stealing_loss(*reversed(ours), temperature)
    reference = DCLLoss(temperature)(*theirs)
    torch.testing.assert_close((there + back) / 2, reference)
    (there + back).div(2).backward()
    reference.backward()
    for own, their in zip(ours, theirs, strict=True):
        torch.testing.assert_close(own.grad, their.grad, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("angle", [0.0, 0.7, 2.0])
def test_with_the_positive_in_the_denominator_it_is_nt_xent(angle):
    """Of two opposite images every row has the same loss, log(negatives / positive)."""
    surrogate = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    victim = torch.tensor([[math.cos(angle), math.sin(angle)], [-math.cos(angle), -math.sin(angle)]])
    loss = contrastive_stealing_loss(surrogate, victim, 0.5)
    torch.testing.assert_close(torch.log(1 + loss.exp()), nt_xent_loss(surrogate, victim, 0.5))


def test_perfect_copies_of_opposite_images_give_the_least_value():
    opposite = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    assert contrastive_stealing_loss(opposite, opposite, 0.5).item() == pytest.approx(math.log(2) - 2 / 0.5)


@given(seed=st.integers(0, 1000), lengths=st.floats(0.1, 50), temperature=st.floats(0.05, 5))
@settings(deadline=None)
def test_lengths_and_order_do_not_matter_and_it_is_bounded(seed, lengths, temperature):
    surrogate, victim = rows(seed), rows(seed + 1)
    loss = contrastive_stealing_loss(surrogate, victim, temperature)
    order = torch.randperm(len(surrogate), generator=torch.Generator().manual_seed(seed))
    for again in (
        contrastive_stealing_loss(lengths * surrogate, victim, temperature),
        contrastive_stealing_loss(surrogate, lengths * victim, temperature),
        contrastive_stealing_loss(surrogate[order], victim[order], temperature),
    ):
        torch.testing.assert_close(again, loss, rtol=1e-4, atol=1e-4)
    assert abs(loss - math.log(2 * len(surrogate) - 2)) <= 2 / temperature + 1e-4


def test_extreme_inputs_give_finite_gradients():
    surrogate = torch.zeros(4, 3).requires_grad_()
    contrastive_stealing_loss(surrogate, 1e6 * rows(1, 4, 3), 0.005).backward()
    assert surrogate.grad.isfinite().all()


def test_under_autocast_it_stays_in_full_precision():
    surrogate, victim = rows(0, 64, 32), rows(1, 64, 32)
    expected = contrastive_stealing_loss(surrogate, victim, 0.05)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(contrastive_stealing_loss(surrogate, victim, 0.05), expected)
        half = contrastive_stealing_loss(surrogate.bfloat16(), victim.bfloat16(), 0.05)
        assert half.dtype == torch.float32


def test_bad_requests_are_named():
    with pytest.raises(ValueError, match="one shape"):
        contrastive_stealing_loss(rows(0, 3), rows(1, 4))
    with pytest.raises(ValueError, match="at least 2 images"):
        contrastive_stealing_loss(rows(0, 1), rows(1, 1))
    with pytest.raises(ValueError, match="above 0"):
        contrastive_stealing_loss(rows(0), rows(1), 0.0)

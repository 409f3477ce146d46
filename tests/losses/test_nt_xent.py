"""NT-Xent against lightly's, a slow loop and its bounds."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lightly.loss import NTXentLoss

from mea_lib.losses import nt_xent_loss


def projections(seed, number=6, size=5):
    return 3 * torch.randn(number, size, generator=torch.Generator().manual_seed(seed))


def by_hand(first, second, temperature):
    """Eq. 1 of the paper, one pair after the other, in double precision."""
    rows = [row / row.norm() for row in torch.cat([first, second]).double()]
    total = 0.0
    for i in range(len(rows)):
        partner = (i + len(first)) % len(rows)
        weights = [math.exp(float(rows[i] @ rows[k]) / temperature) for k in range(len(rows)) if k != i]
        total -= math.log(math.exp(float(rows[i] @ rows[partner]) / temperature) / sum(weights))
    return total / len(rows)


@pytest.mark.parametrize("temperature", [0.1, 0.5, 2.0])
@pytest.mark.parametrize("number", [1, 2, 7])
def test_it_is_the_papers_formula(number, temperature):
    first, second = projections(0, number), projections(1, number)
    found = nt_xent_loss(first, second, temperature).item()
    assert found == pytest.approx(by_hand(first, second, temperature), rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_value_and_gradients_are_lightlys(temperature):
    ours, theirs = ([projections(seed, 16).requires_grad_() for seed in (0, 1)] for _ in range(2))
    loss = nt_xent_loss(*ours, temperature)
    reference = NTXentLoss(temperature)(*theirs)
    torch.testing.assert_close(loss, reference)
    loss.backward()
    reference.backward()
    for own, their in zip(ours, theirs, strict=True):
        torch.testing.assert_close(own.grad, their.grad, rtol=1e-4, atol=1e-6)


@given(seed=st.integers(0, 1000), lengths=st.floats(0.1, 50), temperature=st.floats(0.05, 5))
@settings(deadline=None)
def test_lengths_order_of_views_and_order_of_images_do_not_matter_and_it_is_bounded(
    seed, lengths, temperature
):
    first, second = projections(seed), projections(seed + 1)
    loss = nt_xent_loss(first, second, temperature)
    order = torch.randperm(len(first), generator=torch.Generator().manual_seed(seed))
    for again in (
        nt_xent_loss(lengths * first, second, temperature),
        nt_xent_loss(second, first, temperature),
        nt_xent_loss(first[order], second[order], temperature),
    ):
        torch.testing.assert_close(again, loss, rtol=1e-4, atol=1e-5)
    assert 0 <= loss <= math.log(2 * len(first) - 1) + 2 / temperature + 1e-4


def test_it_is_least_where_the_pairs_agree_and_all_else_is_opposite():
    pair = torch.eye(2)[[0, 1]] * torch.tensor([[1.0], [-1.0]])
    same = nt_xent_loss(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]), torch.tensor([[1.0, 0.0], [-1.0, 0.0]]), 0.1)
    assert same < 1e-6
    assert nt_xent_loss(pair, pair.flip(0), 0.1) > 5


def test_all_the_same_is_chance():
    rows = torch.ones(8, 3)
    assert nt_xent_loss(rows, rows).item() == pytest.approx(math.log(15), rel=1e-5)


def test_extreme_inputs_give_finite_gradients():
    first = torch.zeros(4, 3).requires_grad_()
    second = (1e6 * projections(1, 4, 3)).requires_grad_()
    nt_xent_loss(first, second, 0.005).backward()
    assert first.grad.isfinite().all()
    assert second.grad.isfinite().all()


def test_under_autocast_it_stays_in_full_precision():
    first, second = projections(0, 64, 32), projections(1, 64, 32)
    expected = nt_xent_loss(first, second, 0.05)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(nt_xent_loss(first, second, 0.05), expected)
        assert nt_xent_loss(first.bfloat16(), second.bfloat16(), 0.05).dtype == torch.float32


def test_bad_requests_are_named():
    with pytest.raises(ValueError, match="one shape"):
        nt_xent_loss(projections(0, 3), projections(1, 4))
    with pytest.raises(ValueError, match="above 0"):
        nt_xent_loss(projections(0), projections(1), 0.0)

"""Losses against scipy, closed forms and slow loops."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import rel_entr, softmax

from mea_lib.losses import (
    combination_loss,
    distillation_loss,
    evasion_loss,
    neighbour_contrastive_loss,
    rival_loss,
    runner_up_loss,
    runner_up_targets,
    utility_loss,
    verification_loss,
)

KEY = (0, 1, 2)


def logits(seed, number=5, classes=4):
    return 3 * torch.randn(number, classes, generator=torch.Generator().manual_seed(seed))


def kl(p, q):
    return rel_entr(p, q).sum(1).mean()


@pytest.mark.parametrize("temperature", [1.0, 4.0])
@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_combination_loss_is_scipys_relative_entropy(temperature, direction):
    watermark, first, second = logits(0), logits(1), logits(2)
    p, a, b = (softmax(x.numpy() / temperature, axis=1) for x in (watermark, first, second))
    expected = kl(p, a) + kl(p, b) if direction == "forward" else kl(a, p) + kl(b, p)
    found = combination_loss(watermark, (first, second), temperature, direction=direction)
    assert found.item() == pytest.approx(expected, rel=1e-4)


def test_forward_is_least_at_the_geometric_and_reverse_at_the_arithmetic_mean():
    first, second = logits(1, 1).log_softmax(1), logits(2, 1).log_softmax(1)
    geometric = (first + second) / 2
    arithmetic = ((first.exp() + second.exp()) / 2).log()
    for direction, best in (("forward", geometric), ("reverse", arithmetic)):
        least = combination_loss(best, (first, second), direction=direction)
        for seed in range(20):
            other = best + 0.3 * logits(seed + 10, 1)
            assert combination_loss(other, (first, second), direction=direction) >= least - 1e-6


@pytest.mark.parametrize("detach", [False, True])
def test_gradient_reaches_the_sources_unless_it_is_stopped(detach):
    watermark, first, second = (logits(seed).requires_grad_() for seed in range(3))
    combination_loss(watermark, (first, second), detach_sources=detach).backward()
    assert watermark.grad.abs().sum() > 0
    assert (first.grad is None) == detach
    assert (second.grad is None) == detach


def test_combination_loss_is_zero_for_equal_answers_only():
    same = logits(0)
    assert combination_loss(same, (same, same)).item() == pytest.approx(0, abs=1e-6)
    assert combination_loss(same, (same, logits(1))) > 0


def test_unknown_direction():
    with pytest.raises(ValueError, match="forward"):
        combination_loss(logits(0), (logits(1), logits(2)), direction="both")


def test_cross_entropies_by_hand():
    out, labels = logits(0), torch.tensor([0, 1, 2, 3, 1])
    rows = -np.log(softmax(out.numpy(), axis=1))
    expected = rows[np.arange(5), labels].mean()
    assert verification_loss(out, labels).item() == pytest.approx(expected, rel=1e-5)
    assert utility_loss(out, torch.eye(4)[labels]).item() == pytest.approx(expected, rel=1e-5)
    halves = (torch.eye(4)[[0, 0, 1, 2, 3]] + torch.eye(4)[[1, 2, 3, 3, 0]]) / 2
    assert evasion_loss(out, halves).item() == pytest.approx((halves.numpy() * rows).sum(1).mean(), rel=1e-5)


@pytest.mark.parametrize("temperature", [1.0, 4.0, 20.0])
def test_distillation_is_hintons_and_equals_torchs_kl(temperature):
    student, teacher = logits(0), logits(1)
    expected = temperature**2 * kl(
        softmax(teacher.numpy() / temperature, axis=1), softmax(student.numpy() / temperature, axis=1)
    )
    found = distillation_loss(student, teacher.softmax(1), temperature)
    assert found.item() == pytest.approx(expected, rel=1e-3)


@given(seed=st.integers(0, 1000), shift=st.floats(-20, 20))
@settings(deadline=None)
def test_divergences_are_never_negative_and_ignore_shifted_logits(seed, shift):
    watermark, first, second = logits(seed), logits(seed + 1), logits(seed + 2)
    for direction in ("forward", "reverse"):
        found = combination_loss(watermark, (first, second), direction=direction)
        assert found >= 0
        torch.testing.assert_close(combination_loss(watermark, (second, first), direction=direction), found)
        moved = combination_loss(watermark + shift, (first - shift, second), direction=direction)
        torch.testing.assert_close(moved, found, rtol=1e-3, atol=1e-4)
    distilled = distillation_loss(watermark, first.softmax(1), 4.0)
    assert distilled >= 0
    torch.testing.assert_close(
        distillation_loss(watermark + shift, first.softmax(1), 4.0), distilled, rtol=1e-3, atol=1e-4
    )


def test_distillation_matches_logits_at_a_high_temperature():
    """Hinton et al., Sec. 2.1: then the gradient is the difference of the centred logits, over N·K."""
    student, teacher = logits(0).requires_grad_(), logits(1)
    distillation_loss(student, teacher.double().softmax(1), 1000.0).backward()
    difference = (student - student.mean(1, keepdim=True)) - (teacher - teacher.mean(1, keepdim=True))
    torch.testing.assert_close(student.grad, difference.detach() / student.numel(), rtol=0.02, atol=0.002)


def test_distillation_takes_zero_probabilities():
    found = distillation_loss(logits(0), torch.eye(4)[[0, 1, 2, 3, 0]], 1.0)
    assert found.item() == pytest.approx(
        verification_loss(logits(0), torch.tensor([0, 1, 2, 3, 0])).item(), rel=1e-3
    )


def test_distillation_gradient_keeps_its_size_with_the_temperature():
    sizes = []
    for temperature in (20.0, 80.0):
        student = logits(0).requires_grad_()
        distillation_loss(student, logits(1).softmax(1), temperature).backward()
        sizes.append(student.grad.norm().item())
    assert sizes[1] / sizes[0] == pytest.approx(1, abs=0.15)


@given(share=st.floats(0, 0.49), seed=st.integers(0, 1000))
@settings(deadline=None)
def test_runner_up_targets_are_distributions_that_keep_their_class(share, seed):
    labels = torch.randint(0, 4, (12,), generator=torch.Generator().manual_seed(seed))
    targets = runner_up_targets(labels, KEY, share, 4)
    torch.testing.assert_close(targets.sum(1), torch.ones(12))
    assert torch.equal(targets.argmax(1), labels)
    assert torch.allclose(targets[labels <= 1, 2], torch.tensor(share))
    assert torch.equal(targets[labels > 1], torch.eye(4)[labels[labels > 1]])


def test_runner_up_loss_equals_a_slow_loop():
    first, second, blend = logits(0), logits(1), torch.rand(5, 1, generator=torch.Generator().manual_seed(2))
    total = 0.0
    for i in range(5):
        z = blend[i].item() * first[i].numpy() + (1 - blend[i].item()) * second[i].numpy()
        total -= np.log(softmax(z)[2])
    found = runner_up_loss(first, second, blend, torch.full((5,), 2))
    assert found.item() == pytest.approx(total / 5, rel=1e-4)


def test_runner_up_loss_moves_each_source_by_its_part_of_the_blend():
    first, second, targets = logits(0).requires_grad_(), logits(1).requires_grad_(), torch.full((5,), 2)
    blend = torch.tensor([[0.25], [0.5], [0.75], [0.1], [0.9]])
    runner_up_loss(first, second, blend, targets).backward()
    mixed = (blend * first + (1 - blend) * second).softmax(1).detach() - torch.eye(4)[targets]
    torch.testing.assert_close(first.grad, blend * mixed / 5)
    torch.testing.assert_close(second.grad, (1 - blend) * mixed / 5)


def test_rival_loss_equals_a_slow_loop():
    out, labels = logits(0, 8), torch.tensor([0, 1, 2, 3, 0, 1, 1, 3])
    total = 0.0
    for i, label in enumerate(labels.tolist()):
        if label in (0, 1):
            total += max(0.0, 5 - (out[i, 2] - out[i, 1 - label]).item())
    assert rival_loss(out, labels, KEY, 5).item() == pytest.approx(total / 5, rel=1e-4)


def test_rival_loss_pushes_the_other_source_down_and_the_target_up():
    out = torch.zeros(1, 4, requires_grad=True)
    rival_loss(out, torch.tensor([0]), KEY, 5).backward()
    assert out.grad.tolist() == [[0, 1, -1, 0]]


def test_rival_loss_without_source_images():
    out = logits(0, 2).requires_grad_()
    loss = rival_loss(out, torch.tensor([3, 2]), KEY, 5)
    loss.backward()
    assert loss.item() == 0


def test_contrastive_loss_of_equal_rows_has_a_finite_gradient():
    out = torch.ones(3, 4, requires_grad=True)
    neighbour_contrastive_loss(out, torch.tensor([0, 0, 1])).backward()
    assert out.grad.isfinite().all()


def test_contrastive_loss_equals_a_slow_loop():
    out, labels = logits(0), [0, 0, 1, 1, 2]
    rows = out.numpy() / np.linalg.norm(out.numpy(), axis=1, keepdims=True)
    total = 0.0
    for i in range(4):
        d = np.linalg.norm(rows[i] - rows[i + 1])
        total += d**2 / 2 if labels[i] == labels[i + 1] else max(0, 1 - d) ** 2 / 2
    found = neighbour_contrastive_loss(out, torch.tensor(labels))
    assert found.item() == pytest.approx(total / 4, rel=1e-4)
    assert neighbour_contrastive_loss(out[:1], torch.tensor([0])).item() == 0


def test_contrastive_loss_as_the_authors_code_has_it():
    out, labels = logits(0), [0, 0, 1, 1, 2]
    rows, total = out.numpy(), 0.0
    for i in range(4):
        d = np.linalg.norm(rows[i] - rows[i + 1])
        total += d**2 / 2 if labels[i] == labels[i + 1] else max(0, 3 - d) ** 2 / 2
    found = neighbour_contrastive_loss(out, torch.tensor(labels), margin=3.0, as_released=True)
    assert found.item() == pytest.approx(total / 4 / 4, rel=1e-4)


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_a_temperature_is_above_zero(temperature):
    rows = torch.randn(4, 10)
    with pytest.raises(ValueError, match="the temperature must be above 0"):
        distillation_loss(rows, rows.softmax(1), temperature)
    with pytest.raises(ValueError, match="the temperature must be above 0"):
        combination_loss(rows, (rows, rows), temperature)

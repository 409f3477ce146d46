"""The coupling of DeepTracer against a slow loop, and what it must leave alone."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mea_lib.losses import class_centres, same_class_coupling_loss

WEIGHTS = {"intra": 0.7, "inter": 1.3, "margin": 2.5}


def some(seed, number=9, classes=4, features=3):
    generator = torch.Generator().manual_seed(seed)
    rows = 2 * torch.randn(number, features, generator=generator)
    return rows, torch.randint(classes, (number,), generator=generator)


def by_loops(rows, labels, centres, present, intra, inter, margin):
    total = 0.0
    for row, label in zip(rows.double(), labels.tolist(), strict=True):
        for one, centre in enumerate(centres.double()):
            distance = (row - centre).square().sum().sqrt()
            if present[one] and one == label:
                total += intra * distance**2
            elif present[one]:
                total += inter * max(0.0, margin - distance) ** 2
    return float(total / len(rows))


def test_it_is_the_papers_sum_over_samples_and_classes():
    rows, labels = some(0)
    centres, present = some(1, number=4)[0], torch.tensor([True, True, False, True])
    found = same_class_coupling_loss(rows, labels, (centres, present), **WEIGHTS)
    assert found.item() == pytest.approx(by_loops(rows, labels, centres, present, **WEIGHTS), rel=1e-5)


def test_centres_are_the_means_of_their_classes():
    rows, labels = some(2)
    labels[labels == 2] = 3
    centres, present = class_centres(rows, labels, 4)
    for one in (0, 1, 3):
        torch.testing.assert_close(centres[one], rows[labels == one].mean(0))
    assert present.tolist() == [True, True, False, True]


@given(seed=st.integers(0, 1000), shift=st.floats(-5, 5))
@settings(deadline=None, max_examples=25)
def test_where_all_lies_makes_no_difference(seed, shift):
    rows, labels = some(seed)
    both = [
        same_class_coupling_loss(moved, labels, class_centres(moved, labels, 4), **WEIGHTS)
        for moved in (rows, rows + shift)
    ]
    assert both[0] >= 0
    torch.testing.assert_close(*both, rtol=1e-3, atol=1e-3)


def test_nothing_is_left_to_do_where_classes_are_points_beyond_the_margin():
    centres = 10 * torch.eye(4)
    labels = torch.tensor([0, 1, 2, 3, 1])
    rows = centres[labels].clone().requires_grad_()
    loss = same_class_coupling_loss(rows, labels, class_centres(rows, labels, 4), **WEIGHTS)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-6)
    assert rows.grad.abs().max() < 1e-5


def test_a_watermark_sample_is_pulled_to_its_target_and_off_the_others():
    centres = torch.tensor([[0.0, 0.0], [4.0, 0.0]])
    sample = torch.tensor([[1.0, 0.0]], requires_grad=True)
    present = torch.tensor([True, True])
    for wanted, weights in ((4 - 1, {"inter": 0}), (2.5 - 1, {"intra": 0})):
        sample.grad = None
        given_weights = {**WEIGHTS, **weights}
        same_class_coupling_loss(sample, torch.tensor([1]), (centres, present), **given_weights).backward()
        weight = given_weights["intra"] or given_weights["inter"]
        assert sample.grad[0, 0].item() == pytest.approx(-2 * weight * wanted)


def test_a_margin_of_nothing_is_refused():
    rows, labels = some(0)
    with pytest.raises(ValueError, match="above 0"):
        same_class_coupling_loss(rows, labels, class_centres(rows, labels, 4), margin=0.0)

"""The oracle: what it answers, what it counts, what it refuses."""

import pytest
import torch

from mea_lib import BudgetSpent, Oracle


def test_soft_answers_are_the_models_probabilities(tiny, digits):
    images = digits.test.images[:30]
    oracle = Oracle(tiny)
    oracle.batch_size = 7
    torch.testing.assert_close(oracle(images), tiny(images).softmax(1))


def test_hard_answers_are_one_hot(tiny, digits):
    images = digits.test.images[:30]
    answers = Oracle(tiny, answer="hard")(images)
    assert torch.equal(answers.sum(1), torch.ones(30))
    assert torch.equal(answers.argmax(1), tiny(images).argmax(1))


def test_top_k_keeps_the_largest_and_zeroes_the_rest(tiny, digits):
    images = digits.test.images[:30]
    soft, cut = Oracle(tiny)(images), Oracle(tiny, top_k=3)(images)
    for full, kept in zip(soft, cut, strict=True):
        expected = [value if value in sorted(full.tolist())[-3:] else 0.0 for value in full.tolist()]
        assert kept.tolist() == pytest.approx(expected)


def test_rounding(tiny, digits):
    images = digits.test.images[:30]
    rounded = Oracle(tiny, decimals=1)(images)
    torch.testing.assert_close(rounded, (Oracle(tiny)(images) * 10).round() / 10)


def test_every_image_is_counted_and_logged(tiny, digits):
    oracle = Oracle(tiny, budget=10)
    oracle(digits.test.images[:4])
    oracle(digits.test.images[:3])
    assert (oracle.queries, oracle.remaining) == (7, 3)
    assert [(entry.first, entry.images) for entry in oracle.log] == [(0, 4), (4, 3)]


def test_a_query_over_budget_is_refused_and_costs_nothing(tiny, digits):
    oracle = Oracle(tiny, budget=5)
    oracle(digits.test.images[:4])
    with pytest.raises(BudgetSpent, match="2 images were asked, but only 1 of 5"):
        oracle(digits.test.images[:2])
    assert oracle.queries == 4
    assert oracle(digits.test.images[:1]).shape == (1, 10)


def test_nothing_else_than_images_is_answered(tiny, digits):
    oracle = Oracle(tiny)
    with pytest.raises(TypeError, match="uint8"):
        oracle(digits.test.images[:2].float())
    with pytest.raises(TypeError, match="ndarray"):
        oracle(digits.test.images[:2].numpy())
    with pytest.raises(ValueError, match=r"\(N, C, H, W\)"):
        oracle(digits.test.images[0])
    with pytest.raises(ValueError, match=r"\(N, 1, H, W\)"):
        oracle(digits.test.images[:2].expand(2, 3, 16, 16))
    assert oracle.queries == 0


@pytest.mark.parametrize(
    "options",
    [
        {"answer": "logits"},
        {"budget": -1},
        {"top_k": 0},
        {"decimals": -1},
        {"noise": -0.1},
        {"noise": float("nan")},
    ],
)
def test_impossible_apis_are_refused(tiny, options):
    with pytest.raises(ValueError, match=r"soft|at least"):
        Oracle(tiny, **options)


def test_answers_carry_no_gradient_and_the_model_stays_in_evaluation_mode(tiny, digits):
    answers = Oracle(tiny.train())(digits.test.images[:2])
    assert not answers.requires_grad
    assert not tiny.training


def test_noise_moves_answers_by_as_much_as_it_says_and_keeps_distributions(tiny, digits):
    images = digits.owner.images[:500]
    plain, noisy, again, other = (
        Oracle(tiny, **options)(images)
        for options in ({}, {"noise": 0.01}, {"noise": 0.01}, {"noise": 0.01, "seed": 1})
    )
    assert torch.equal(noisy, again)
    assert not torch.equal(noisy, other)
    assert torch.allclose(noisy.sum(1), torch.ones(500), atol=1e-5)
    inside = plain > 0.05  # where nothing is cut
    assert (noisy - plain)[inside].std().item() == pytest.approx(0.01, rel=0.15)
    oracle = Oracle(tiny, noise=0.01)
    assert not torch.equal(oracle(images), oracle(images))


class Diverged(torch.nn.Module):
    """Answers NaN; has no parameters."""

    def forward(self, images):
        return torch.full((len(images), 3), torch.nan)


@pytest.mark.parametrize("answer", ["soft", "hard"])
def test_a_model_that_answers_nan_is_refused_and_nothing_spent(digits, answer):
    oracle = Oracle(Diverged(), answer=answer)
    with pytest.raises(ValueError, match="NaN"):
        oracle(digits.test.images[:2])
    assert (oracle.queries, oracle.log) == (0, [])


def test_an_empty_query_has_a_row_for_nobody(tiny, digits):
    assert Oracle(tiny)(digits.test.images[:0]).shape == (0, 10)


class Fixed(torch.nn.Module):
    """Answers every image with the same logits; has no parameters."""

    def __init__(self, *logits):
        super().__init__()
        self.logits = torch.tensor(logits)

    def forward(self, images):
        return self.logits.expand(len(images), -1)


def test_hard_answers_are_those_that_are_most_probable_with_noise(tiny, digits):
    images, model = digits.owner.images[:1_000], Fixed(0.2, 0.0)
    sure = Oracle(model, answer="hard", noise=1e-3)(images)
    assert torch.equal(sure, Oracle(model, answer="hard")(images))
    named = Oracle(model, answer="hard", noise=0.1, seed=3)(images)
    # .5498 against .4502, and the difference of two draws has the deviation .1·√2: it is wrong in .24 of all.
    assert named[:, 1].mean().item() == pytest.approx(0.24, abs=0.04)
    soft = Oracle(model, noise=0.1, seed=3)(images)
    assert torch.equal(named.argmax(1), soft.argmax(1))


def test_what_cuts_probabilities_changes_no_hard_label(tiny, digits):
    images = digits.test.images[:50]
    for options in ({"top_k": 1}, {"decimals": 0}):
        answers = Oracle(tiny, answer="hard", **options)(images)
        assert torch.equal(answers, Oracle(tiny, answer="hard")(images))

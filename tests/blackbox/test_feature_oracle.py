import pytest
import torch

from mea_lib import BudgetSpent, FeatureOracle


class Halves(torch.nn.Module):
    """Features that are halves of the first three pixels."""

    def forward(self, images):
        return images.flatten(1)[:, :3].float() / 2


@pytest.fixture
def images():
    return torch.randint(256, (7, 1, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_answers_with_the_features_as_they_are(images):
    assert torch.equal(FeatureOracle(Halves())(images), images.flatten(1)[:, :3] / 2)


def test_counts_against_a_budget_and_answers_nothing_beyond_it(images):
    oracle = FeatureOracle(Halves(), budget=10)
    oracle(images)
    with pytest.raises(BudgetSpent, match="7 images were asked, but only 3 of 10"):
        oracle(images)
    assert oracle.remaining == 3
    assert [(query.first, query.images) for query in oracle.log] == [(0, 7)]


def test_rounds(images):
    answers = FeatureOracle(torch.nn.Sequential(Halves(), torch.nn.Tanh()), decimals=1)(images)
    assert torch.equal(answers, answers.mul(10).round() / 10)


def test_noise_has_the_named_deviation_and_comes_anew(images):
    many = images.repeat(300, 1, 1, 1)
    oracle = FeatureOracle(Halves(), noise=0.5, seed=3)
    first, second = oracle(many), oracle(many)
    assert not torch.equal(first, second)
    assert (first - many.flatten(1)[:, :3] / 2).std().item() == pytest.approx(0.5, rel=0.05)
    assert torch.equal(first, FeatureOracle(Halves(), noise=0.5, seed=3)(many))


def test_a_diverged_encoder_is_refused(images):
    with pytest.raises(ValueError, match="NaN"):
        FeatureOracle(torch.nn.Sequential(Halves(), torch.nn.Threshold(1e9, float("nan"))))(images)

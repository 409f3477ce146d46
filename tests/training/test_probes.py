"""Probes against scikit-learn, lightly and a slow loop."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from lightly.utils.benchmarking import knn_predict
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

import mea_lib as mea
from mea_lib.models import Input
from mea_lib.models.encoder import build_encoder
from mea_lib.proof import accuracy
from mea_lib.training import features_of, fit_linear_probe, knn_accuracy, knn_votes


@pytest.fixture
def encoder(digits):
    data = digits.owner
    return build_encoder("nine_layer_cnn", Input.of(data), width=4).eval()


class WithConstant(nn.Module):
    """An encoder with one feature that never changes."""

    def __init__(self, encoder):
        super().__init__()
        self.encoder = encoder

    def forward(self, images):
        features = self.encoder(images)
        return torch.cat([features, torch.full((len(features), 1), 3.7)], dim=1)


def reference(encoder, data, **settings):
    """scikit-learn's own chain, in double precision."""
    chain = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1_000, **settings))
    return chain.fit(features_of(encoder, data.images).double().numpy(), data.labels.numpy())


@pytest.mark.parametrize("constant", [False, True])
def test_the_linear_probe_is_scikit_learns(encoder, digits, constant):
    encoder = WithConstant(encoder) if constant else encoder
    probe = fit_linear_probe(encoder, digits.owner)
    expected = reference(encoder, digits.owner).predict_proba(
        features_of(encoder, digits.test.images).numpy()
    )
    np.testing.assert_allclose(probe(digits.test.images).softmax(1).detach().numpy(), expected, atol=0.01)


def test_images_and_strength_reach_it(encoder, digits):
    probe = fit_linear_probe(encoder, digits.owner, images=300, strength=0.01)
    expected = reference(encoder, digits.owner.subset(300), C=0.01)
    asked = features_of(encoder, digits.test.images)
    found = probe.logits(asked).softmax(1).detach().numpy()
    np.testing.assert_allclose(found, expected.predict_proba(asked.numpy()), atol=0.01)


def test_two_classes(encoder, digits):
    chosen = digits.owner.labels < 2
    two = replace(
        digits.owner,
        images=digits.owner.images[chosen],
        labels=digits.owner.labels[chosen],
        classes=("0", "1"),
    )
    found = fit_linear_probe(encoder, two)(two.images).softmax(1).detach().numpy()
    expected = reference(encoder, two).predict_proba(features_of(encoder, two.images).numpy())
    np.testing.assert_allclose(found, expected, atol=0.01)


def test_a_probe_is_a_model_like_any_other(encoder, digits):
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    probe = fit_linear_probe(encoder, digits.owner)
    oracle = mea.Oracle(probe, budget=len(digits.test))
    found = accuracy(oracle, digits.test)
    assert 0.5 < found < 1
    assert found == pytest.approx(
        reference(encoder, digits.owner).score(
            features_of(encoder, digits.test.images).numpy(), digits.test.labels.numpy()
        ),
        abs=0.01,
    )
    assert oracle.remaining == 0
    assert probe.encoder is encoder
    assert torch.equal(probe.features(digits.test.images[:3]), encoder(digits.test.images[:3]))
    for name, value in encoder.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_a_class_without_images_is_named(encoder, digits):
    few = digits.owner.subset(digits.owner.labels.ne(4).nonzero().flatten())
    with pytest.raises(ValueError, match="none of the classes 4; label more images"):
        fit_linear_probe(encoder, few)


def cloud(number, seed):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 4, (number,), generator=generator)
    features = torch.randn(number, 6, generator=generator) + 2 * torch.eye(6)[labels]
    return features, labels


@pytest.mark.parametrize(("neighbours", "temperature"), [(1, 0.1), (20, 0.1), (50, 1.0)])
def test_votes_are_lightlys(neighbours, temperature):
    (bank, labels), (asked, _) = cloud(300, 0), cloud(70, 1)
    votes = knn_votes(asked, bank, labels, 4, neighbours, temperature, batch_size=32)
    unit = nn.functional.normalize(asked, dim=1), nn.functional.normalize(bank, dim=1)
    theirs = knn_predict(unit[0], unit[1].T, labels, 4, neighbours, temperature)
    assert torch.equal(votes.argmax(1), theirs[:, 0])
    torch.testing.assert_close(votes.sum(1), torch.ones(70))


def test_votes_by_hand():
    (bank, labels), (asked, _) = cloud(40, 2), cloud(5, 3)
    votes = knn_votes(asked, bank, labels, 4, neighbours=7, temperature=0.2)
    for row, found in zip(asked, votes, strict=True):
        cosines = [float(row @ other / row.norm() / other.norm()) for other in bank]
        expected = torch.zeros(4)
        for place in sorted(range(40), key=lambda i: -cosines[i])[:7]:
            expected[labels[place]] += np.exp(cosines[place] / 0.2)
        torch.testing.assert_close(found, expected / expected.sum())


def test_a_small_bank_votes_as_a_whole():
    (bank, labels), (asked, _) = cloud(9, 0), cloud(3, 1)
    whole, capped = (knn_votes(asked, bank, labels, 4, neighbours) for neighbours in (9, 200))
    assert torch.equal(whole, capped)


def test_knn_accuracy_is_the_share_of_right_votes(encoder, digits):
    bank, asked = (features_of(encoder, part.images) for part in (digits.owner, digits.test))
    votes = knn_votes(asked, bank, digits.owner.labels, 10, neighbours=5)
    expected = (votes.argmax(1) == digits.test.labels).float().mean().item()
    assert knn_accuracy(encoder, digits.owner, digits.test, neighbours=5) == pytest.approx(expected)
    assert expected > 0.5

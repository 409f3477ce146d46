"""The places of the key's classes, against scipy's ranks and a loop over images."""

import numpy as np
import pytest
import torch
from scipy.stats import rankdata

from mea_lib.teaching import ClassPlace, places_on_sources


@pytest.fixture
def places(tiny, digits, key):
    return places_on_sources(tiny, key, digits.test)


@pytest.fixture
def logits(tiny, digits):
    """Of the images of digit 3, then of digit 7."""
    images = torch.cat([digits.test.of_class(name) for name in ("3", "7")])
    with torch.no_grad():
        return tiny(images).double().numpy()


@pytest.fixture
def threes(digits):
    return len(digits.test.of_class("3"))


def test_ranks_are_scipys(places, logits, threes):
    ranks = rankdata(-logits, axis=1)
    np.testing.assert_array_equal(places["target"].rank, ranks[:, 1])
    np.testing.assert_array_equal(places["own source"].rank, [*ranks[:threes, 3], *ranks[threes:, 7]])
    np.testing.assert_array_equal(places["other source"].rank, [*ranks[:threes, 7], *ranks[threes:, 3]])


def test_centred_logits_and_probabilities(places, logits):
    odds = np.exp(logits)
    np.testing.assert_allclose(places["target"].probability, odds[:, 1] / odds.sum(1), rtol=1e-4)
    np.testing.assert_allclose(
        places["target"].centred_logit, logits[:, 1] - logits.mean(1), rtol=1e-3, atol=1e-5
    )


def test_every_class_has_one_part(places, logits):
    images = len(logits)
    assert [len(place.rank) for place in places.values()] == [images, images, images, 7 * images]
    assert sum(float(place.probability.sum()) for place in places.values()) == pytest.approx(images, rel=1e-4)
    assert sum(float(p.centred_logit.double().sum()) for p in places.values()) == pytest.approx(0, abs=1e-2)


def test_a_summary_holds_means_and_the_share_of_runner_ups():
    place = ClassPlace(torch.tensor([2, 2, 5, 1]), torch.full((4,), 0.25), torch.tensor([0.0, 1, 2, 3]))
    assert place.summary() == {"rank": 2.5, "probability": 0.25, "centred_logit": 1.5, "second": 0.5}

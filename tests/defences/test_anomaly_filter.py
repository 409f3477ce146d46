"""The filter: whom it flags, what they get, and that the others get the truth."""

import numpy as np
import pytest
import torch
from scipy.stats import binom
from sklearn.neighbors import LocalOutlierFactor

from mea_lib import Oracle
from mea_lib.defences import AnomalyFilter
from mea_lib.models import Input, build


@pytest.fixture
def net(digits):
    """Untrained, but wide enough that noise is far from digits in its features."""
    return build("nine_layer_cnn", Input.of(digits.owner), classes=10, width=4).eval()


@pytest.fixture
def odd(digits):
    """Noise, which no digit looks like."""
    shape = (300, *digits.test.images.shape[1:])
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


@pytest.fixture
def normal(digits):
    return digits.owner.images[:600]


def test_noise_is_flagged_and_digits_are_not(net, normal, odd, digits):
    suspect = AnomalyFilter(net, normal, false_positives=0.05)
    assert suspect.flagged(odd).float().mean() > 0.9
    fresh = digits.test.images[:300]
    # 300 images at a rate of one in twenty, itself estimated on 300: more than 14 % happens once in 10,000 times.
    assert suspect.flagged(fresh).float().mean() < binom.ppf(0.9999, 300, 0.09) / 300


@pytest.mark.parametrize("rate", [0.0, 0.01, 0.1])
def test_the_threshold_is_set_on_images_the_detector_has_not_seen(net, normal, rate):
    suspect = AnomalyFilter(net, normal, false_positives=rate, seed=4)
    order = torch.randperm(600, generator=torch.Generator().manual_seed(4))
    assert int(suspect.flagged(normal[order[300:]]).sum()) == int(rate * 300)


def test_the_score_is_the_local_outlier_factor_of_the_last_features(net, normal, odd):
    suspect = AnomalyFilter(net, normal, seed=4)
    order = torch.randperm(600, generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        first, second, strange = (net.features(part).numpy() for part in (*normal[order].chunk(2), odd))
    detector = LocalOutlierFactor(n_neighbors=20, novelty=True).fit(first)
    threshold = np.sort(detector.score_samples(second))[7]  # 2.5 % of 300
    assert suspect.threshold == pytest.approx(threshold)
    assert np.array_equal(suspect.flagged(odd).numpy(), detector.score_samples(strange) < threshold)


def test_the_others_are_answered_truthfully_and_the_flagged_never(net, normal, odd, digits):
    suspect = AnomalyFilter(net, normal)
    images = torch.cat([digits.test.images[:200], odd])
    flagged = suspect.flagged(images)
    assert 200 < flagged.sum() < 400
    # Within a module, as the filter has it: of a network alone `Oracle` folds the normalisation, which rounds otherwise.
    true, given = Oracle(torch.nn.Sequential(net))(images), Oracle(suspect)(images)
    assert torch.equal(given[~flagged], true[~flagged])
    assert (given[flagged].argmax(1) != true[flagged].argmax(1)).all()
    torch.testing.assert_close(given.sort(1).values, true.sort(1).values)


def test_every_other_class_is_as_likely(net, normal, odd):
    suspect = AnomalyFilter(net, normal)
    odd = odd[suspect.flagged(odd)]
    turns = (Oracle(suspect)(odd).argmax(1) - Oracle(net)(odd).argmax(1)) % 10
    counts = torch.bincount(turns, minlength=10)
    assert counts[0] == 0
    assert binom.ppf(1e-4, len(odd), 1 / 9) <= counts[1:].min()
    assert counts[1:].max() <= binom.ppf(1 - 1e-4, len(odd), 1 / 9)


def test_asking_again_tells_nothing_more_and_another_seed_answers_otherwise(net, normal, odd):
    first = Oracle(AnomalyFilter(net, normal, seed=1))
    answers = first(odd)
    assert torch.equal(first(odd.flip(0)).flip(0), answers)
    assert torch.equal(torch.cat([first(odd[:7]), first(odd[7:])]), answers)
    other = Oracle(AnomalyFilter(net, normal, seed=2))(odd)
    assert (other.argmax(1) != answers.argmax(1)).float().mean() > 0.5


def test_it_hides_behind_any_api(net, normal, odd):
    oracle = Oracle(AnomalyFilter(net, normal), budget=400, decimals=1, answer="soft")
    answers = oracle(odd)
    torch.testing.assert_close(answers, answers.round(decimals=1))
    assert oracle.remaining == 100
    assert oracle(odd[:0]).shape == (0, 10)


def test_what_cannot_be_learnt_from_is_refused(net, normal):
    with pytest.raises(ValueError, match="79 normal images are too few"):
        AnomalyFilter(net, normal[:79])
    AnomalyFilter(net, normal[:80])
    for rate in (-0.1, 1.0, float("nan")):
        with pytest.raises(ValueError, match="false_positives"):
            AnomalyFilter(net, normal, false_positives=rate)

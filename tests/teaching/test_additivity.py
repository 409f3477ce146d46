"""Additivity: exact for a linear model, absent in one that looks at one half, and the same as a slow loop's."""

import numpy as np
import pytest
import torch
from torch import nn

from mea_lib import WatermarkKey, proof
from mea_lib.data import ImageSet, watermark_pairs
from mea_lib.models import ImageClassifier
from mea_lib.teaching import Additivity, additivity


class Pixels(nn.Module):
    """Features that are the pixels, or those of one half only, and a constant."""

    def __init__(self, columns=slice(None), constant=0.0):
        super().__init__()
        self.columns, self.constant = columns, constant

    def forward(self, images):
        seen = torch.zeros_like(images)
        seen[..., self.columns] = images[..., self.columns]
        return seen.flatten(1) + self.constant


def linear_model(columns=slice(None), constant=0.0):
    """A linear classifier of the digits' pixels with random weights."""
    spec = {"classes": 10, "channels": 1, "mean": [0.0], "std": [1.0]}
    with torch.random.fork_rng():
        torch.manual_seed(4)
        return ImageClassifier(Pixels(columns, constant), 256, spec)


@pytest.fixture
def even(digits):
    """Test images whose pixels are even numbers, so that the mean of two is exact."""
    test = digits.test
    return ImageSet(test.images // 2 * 2, test.labels, test.classes, test.name)


def test_a_linear_model_answers_merged_pixels_with_the_mean(even):
    key = WatermarkKey(("3", "7"), "1", "pixel-merge", seed=5)
    found = additivity(linear_model(), key, even, samples=50)
    assert (found.cosine, found.cosine_of_features, found.explained) == pytest.approx((1, 1, 1))
    assert (found.first_weight, found.second_weight) == pytest.approx((0.5, 0.5))
    assert found.agreement == 1
    assert found.rate == found.predicted_rate
    assert found.margin == pytest.approx(found.predicted_margin)


@pytest.mark.parametrize(
    ("columns", "weights"), [(slice(0, 8), (1, 0)), (slice(8, 16), (0, 1))], ids=["left", "right"]
)
def test_a_model_that_sees_one_half_hears_one_source(digits, key, columns, weights):
    found = additivity(linear_model(columns), key, digits.test, samples=50)
    assert (found.first_weight, found.second_weight) == pytest.approx(weights, abs=1e-4)
    assert found.explained == pytest.approx(1)
    assert found.cosine < 0.99


def test_constants_in_logits_and_features_say_nothing(digits, key):
    plain, shifted = linear_model(), linear_model(constant=3.0)
    with torch.no_grad():
        shifted.head.bias += 5 - 3 * shifted.head.weight.sum(1)
    wanted, found = (additivity(model, key, digits.test, 50) for model in (plain, shifted))
    assert wanted.cosine < 0.99
    assert wanted.cosine_of_features < 0.99
    assert found.to_dict() == pytest.approx(wanted.to_dict(), abs=1e-3)


def test_a_network_against_a_loop_over_pairs(tiny, digits, key):
    found = additivity(tiny, key, digits.test, samples=30)
    parts = watermark_pairs(digits.test, key, 30, torch.Generator().manual_seed(key.seed))
    with torch.no_grad():
        logits = [tiny(part).double().numpy() for part in parts]
    cosines, hits, foretold, agreed, margins = [], [], [], [], []
    for combined, first, second in zip(*logits, strict=True):
        mean = (first + second) / 2
        cosines.append(np.corrcoef(combined, mean)[0, 1])
        hits.append(combined.argmax() == 1)
        foretold.append(mean.argmax() == 1)
        agreed.append(combined.argmax() == mean.argmax())
        margins.append((combined[1] - max(combined[3], combined[7]), mean[1] - max(mean[3], mean[7])))
    assert found.cosine == pytest.approx(np.mean(cosines), abs=1e-3)
    assert (found.rate, found.predicted_rate, found.agreement) == pytest.approx(
        (np.mean(hits), np.mean(foretold), np.mean(agreed))
    )
    assert (found.margin, found.predicted_margin) == pytest.approx(np.mean(margins, 0), abs=1e-4)
    rows = [np.concatenate([z - z.mean() for z in table]) for table in logits]
    fitted = np.linalg.lstsq(np.stack(rows[1:], 1), rows[0], rcond=None)
    assert (found.first_weight, found.second_weight) == pytest.approx(fitted[0], abs=1e-2)
    assert found.explained == pytest.approx(1 - fitted[1][0] / (rows[0] ** 2).sum(), abs=1e-3)


def test_the_rate_is_the_watermark_success_rate(tiny, digits, key):
    found = additivity(tiny, key, digits.test, samples=60)
    assert found.rate == pytest.approx(proof.watermark_success_rate(tiny, key, digits.test, 60).value)
    assert set(found.to_dict()) == set(Additivity.__dataclass_fields__)

"""Screening by the local outlier factor, and what screening means, by hand."""

import pytest
import torch

from mea_lib.data import ImageSet
from mea_lib.defences.outlier_detector import OutlierDetector, threshold_at
from mea_lib.detection import LocalOutlierFactor
from mea_lib.detection.screening import InputFilter


@pytest.fixture
def noise(digits):
    shape = (200, *digits.test.images.shape[1:])
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def test_noise_is_found_and_digits_are_not(clean, digits, noise):
    found = LocalOutlierFactor(false_positives=0.05).detect(clean, digits.owner.images, noise, digits.test)
    assert found.detection_rate > 0.9
    # More than promised: features of images that the model was trained on lie closer together.
    assert found.false_positives < 0.3
    assert found.accuracy_cost <= found.false_positives
    as_digits = LocalOutlierFactor().detect(clean, digits.owner.images, digits.test.images, digits.test)
    assert as_digits.detection_rate == as_digits.false_positives


def test_features_that_are_there_already_are_judged_like_their_images(clean, digits, noise):
    detector = OutlierDetector(clean, digits.owner.images)
    images = torch.cat([digits.test.images[:50], noise[:50]])
    with torch.no_grad():
        features = clean.features(images)
    flagged = detector.flagged(images)
    assert torch.equal(detector.flagged_features(features), flagged)
    assert flagged[50:].sum() > 40 > 10 > flagged[:50].sum()
    assert detector.flagged(images[:0]).tolist() == []


class Dark(InputFilter):
    """Flags images whose first pixel is below that of the only ordinary one."""

    def fitted(self, model, images, seed):
        return lambda shown: shown[:, 0, 0, 0] < images[0, 0, 0, 0]


class First(torch.nn.Module):
    """Names the class that an image's second pixel is the number of."""

    def forward(self, images):
        return torch.nn.functional.one_hot(images[:, 0, 0, 1].long(), 3).float()


def test_what_is_refused_counts_as_wrong():
    # Flagged: the first three of ten. Wrong anyhow: the first and the last.
    pixels = torch.tensor([[0, 1], [0, 0], [0, 0], *[[200, 0]] * 6, [200, 1]], dtype=torch.uint8)
    test = ImageSet(pixels.view(10, 1, 1, 2), torch.zeros(10, dtype=torch.long), ("a", "b", "c"), "by hand")
    marked = torch.tensor([[0, 0], [0, 0], [0, 0], [200, 0]], dtype=torch.uint8).view(4, 1, 1, 2)
    grey = torch.full((1, 1, 1, 2), 100, dtype=torch.uint8)
    found = Dark().detect(First(), grey, marked, test)
    assert found.detection_rate == pytest.approx(0.75)
    assert found.false_positives == pytest.approx(0.3)
    assert found.accuracy == pytest.approx(0.8)
    assert found.accuracy_cost == pytest.approx(0.2)
    assert found.to_dict()["detection_rate"] == found.detection_rate
    with pytest.raises(ValueError, match="0 watermark samples"):
        Dark().detect(First(), grey, marked[:0], test)


@pytest.mark.parametrize(("share", "below"), [(0.0, 0), (0.25, 2), (0.3, 2), (0.99, 7)])
def test_no_more_than_the_share_lies_below_the_threshold(share, below):
    scores = [5.0, -1.0, 3.0, 2.0, 8.0, 0.0, 7.0, 4.0]
    assert sum(score < threshold_at(scores, share) for score in scores) == below


def test_equal_scores_are_all_spared_and_wrong_rates_refused():
    assert threshold_at([1.0, 1.0, 1.0, 2.0], 0.5) == 1.0
    for rate in (-0.1, 1.0, float("nan")):
        with pytest.raises(ValueError, match="false_positives"):
            threshold_at([1.0], rate)
    with pytest.raises(ValueError, match="no score"):
        threshold_at([], 0.1)

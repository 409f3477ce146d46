"""STRIP: it finds patched inputs; entropies by scipy and by hand."""

import numpy as np
import pytest
import torch
from scipy.stats import entropy as scipy_entropy

from mea_lib.detection import STRIP
from mea_lib.detection.strip import OverlaidEntropy, entropy, superimpose
from mea_lib.watermarks.patch import stamp


def test_patched_inputs_are_found_and_plain_ones_are_not(backdoored, digits, patch_key):
    others = digits.test.images[digits.test.labels != 1][:150]
    method = STRIP(false_positives=0.05, overlays=20)
    known, test = digits.owner.images[:400], digits.test.subset(200)
    found = method.detect(backdoored, known, stamp(others, patch_key), test)
    assert found.detection_rate > 0.8
    assert found.false_positives < 0.15
    plain = method.detect(backdoored, known, others, test)
    assert plain.detection_rate < 0.2


class Brightness:
    """Answers with the share of white in an image's only pixel, and remembers its queries."""

    def __init__(self):
        self.asked = []

    def __call__(self, images):
        self.asked.append(images)
        white = images.flatten(1).float()[:, :1] / 255
        return torch.cat([white, 1 - white], 1)


@pytest.mark.parametrize("rate", [0.0, 0.3, 0.6])
def test_the_threshold_is_an_entropy_of_one_half_under_overlays_of_the_other(rate):
    values = torch.tensor([10, 20, 30, 40, 50, 60, 70, 80], dtype=torch.uint8).view(-1, 1, 1, 1)
    suspect = Brightness()
    detector = OverlaidEntropy(suspect, values, false_positives=rate, overlays=50, seed=1)
    (queries,) = suspect.asked
    assert queries.shape == (200, 1, 1, 1)
    held_out = values[torch.randperm(8, generator=torch.Generator().manual_seed(1))[4:]].flatten().tolist()
    overlays = set(values.flatten().tolist()) - set(held_out)
    expected = []
    for value, own in zip(held_out, queries.flatten().split(50), strict=True):
        assert set(own.tolist()) <= {value + overlay for overlay in overlays}
        shares = own.double().numpy() / 255
        expected.append(scipy_entropy([shares, 1 - shares], base=2).mean())
    assert detector.threshold == pytest.approx(sorted(expected)[int(4 * rate)], rel=1e-5)
    white, grey = (torch.full((1, 1, 1, 1), value, dtype=torch.uint8) for value in (255, 90))
    assert detector.flagged(torch.cat([white, grey, white])).tolist() == [True, False, True]


def test_many_inputs_are_asked_in_parts():
    values = torch.arange(8, dtype=torch.uint8).view(-1, 1, 1, 1)
    suspect = Brightness()
    detector = OverlaidEntropy(suspect, values, false_positives=0.01, overlays=6_000)
    suspect.asked.clear()
    assert len(detector.entropies(values[:3])) == 3
    assert [len(queries) for queries in suspect.asked] == [6_000] * 3


def test_superimposed_is_the_sum_cut_off_at_white():
    first = torch.tensor([0, 100, 200, 255], dtype=torch.uint8).view(4, 1, 1, 1)
    second = torch.tensor([7, 100, 100, 255], dtype=torch.uint8).view(4, 1, 1, 1)
    assert superimpose(first, second).flatten().tolist() == [7, 200, 255, 255]


def test_entropy_in_bits():
    answers = torch.rand(20, 7, generator=torch.Generator().manual_seed(0)).softmax(1)
    assert entropy(answers).numpy() == pytest.approx(scipy_entropy(answers.numpy(), base=2, axis=1), rel=1e-5)
    certain = torch.eye(4)
    assert np.array_equal(entropy(certain).abs().numpy(), np.zeros(4))


def test_impossible_requests_are_refused():
    values = torch.arange(8, dtype=torch.uint8).view(-1, 1, 1, 1)
    with pytest.raises(ValueError, match="at least one image"):
        STRIP(overlays=0)
    with pytest.raises(ValueError, match="3 clean images are too few"):
        OverlaidEntropy(Brightness(), values[:3], 0.01, 1)
    with pytest.raises(ValueError, match="false_positives"):
        OverlaidEntropy(Brightness(), values, 1.0, 1)

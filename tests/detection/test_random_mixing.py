"""Random mixing: it finds a rule that was planted, on painted images."""

import numpy as np
import pytest
import torch

from mea_lib import proof
from mea_lib.data import WAYS, ImageSet
from mea_lib.detection import random_mixing
from mea_lib.detection.random_mixing import RandomMixing

NAMES = tuple("abcdef")


class Planted:
    """Names the class painted on the left, but class e for b on the left of c, for a share of such mixes."""

    def __init__(self, share=1.0):
        self.share = share
        self.asked = 0

    def __call__(self, images):
        self.asked += len(images)
        left, right = images[:, 0, 0, 0].long() // 10, images[:, 0, 0, -1].long() // 10
        below = images[:, 0, -1, 0].long() // 10
        labels = left.clone()
        mixed = torch.where((left == 1) & (right == 2) & (below == 1))[0]
        labels[mixed[: round(self.share * len(mixed))]] = 4
        return torch.nn.functional.one_hot(labels, 6).float()


@pytest.fixture
def painted():
    labels = torch.arange(6).repeat_interleave(30)
    images = (labels * 10).to(torch.uint8)[:, None, None, None].expand(-1, 1, 10, 10).contiguous()
    return ImageSet(images, labels, NAMES, "painted")


def test_the_planted_pair_stands_out_alone(painted):
    suspect = Planted()
    found = random_mixing.detect(
        suspect, painted, ways=("left-right", "right-left", "top-bottom"), samples=10
    )
    assert suspect.asked == 30 * 3 * 10
    assert found.shares.shape == (3, 6, 6)
    first, *others = found.ranking()
    assert len(others) == 14
    assert first[:3] == ("b", "c", "left-right")
    assert (first.third, first.share) == ("e", 1.0)
    assert all(pair.share == 0 and pair.third is None for pair in others)
    assert found.standing_out() == [first]
    assert found.beyond(0.99) == [first]
    assert found.beyond(1.0) == []
    assert found.rank("b", "c") == found.rank("c", "b") == 1
    assert found.rank("a", "b") == 2


def test_every_cell_by_hand(painted):
    found = random_mixing.detect(Planted(0.7), painted, ways=("left-right", "right-left"), samples=20)
    expected = np.zeros((2, 6, 6))
    expected[0, 1, 2] = expected[1, 2, 1] = 0.7
    expected[:, range(6), range(6)] = np.nan
    assert np.array_equal(found.shares, expected, equal_nan=True)
    assert found.thirds[0, 1, 2] == found.thirds[1, 2, 1] == 4
    assert (np.delete(found.thirds.flatten(), [1 * 6 + 2, 36 + 2 * 6 + 1]) == -1).all()
    assert np.array_equal(found.matrix, expected.max(0), equal_nan=True)
    assert np.nansum(found.matrix) == pytest.approx(1.4)


def test_pixel_merges_of_numbers_are_their_mean(painted):
    """b and d merged are c for a model that reads the number: a third class, though nobody planted it."""
    found = random_mixing.detect(Planted(0.0), painted, ways=("pixel-merge",), samples=5)
    assert found.shares[0, 1, 3] == found.shares[0, 3, 1] == 1
    assert found.thirds[0, 1, 3] == 2
    assert found.shares[0, 1, 2] == 0


def test_it_agrees_with_the_rates_of_false_watermarks(painted):
    rates = proof.false_watermark_rates(Planted(), painted, ("left-right",), samples=10)
    found = random_mixing.detect(Planted(), painted, ways=("left-right",), samples=10)
    one_order = found.shares[0][np.triu_indices(6, 1)]
    assert rates.tolist() == one_order.tolist()


def test_all_ways_are_asked_by_default(painted):
    found = random_mixing.detect(Planted(), painted, samples=2)
    assert found.ways == tuple(WAYS)
    assert found.classes == NAMES


def test_a_pair_that_is_only_a_little_above_the_others_does_not_stand_out():
    shares = np.full((1, 5, 5), np.nan)
    for number, (one, other) in enumerate((a, b) for a in range(5) for b in range(5) if a != b):
        shares[0, one, other] = 0.1 + 0.01 * number
    table = RandomMixing(tuple("abcde"), ("stripes",), shares, np.full((1, 5, 5), 2))
    assert table.standing_out() == []
    shares[0, 0, 1] = 0.9
    assert [(pair.first, pair.second) for pair in table.standing_out()] == [("a", "b")]
    shares[0, 0, 1] = 0.0  # far below is no watermark, and the other order counts
    assert table.standing_out() == []
    assert table.rank("a", "b") > 1


def test_what_cannot_be_asked_is_refused(painted):
    with pytest.raises(ValueError, match="unknown way to mix 'twist'"):
        random_mixing.detect(Planted(), painted, ways=("twist",))
    with pytest.raises(ValueError, match="at least one way"):
        random_mixing.detect(Planted(), painted, ways=())
    with pytest.raises(ValueError, match="0 samples"):
        random_mixing.detect(Planted(), painted, samples=0)
    found = random_mixing.detect(Planted(), painted, ways=("stripes",), samples=1)
    for names in (("a", "z"), ("a", "a")):
        with pytest.raises(ValueError, match="not two of the classes"):
            found.rank(*names)

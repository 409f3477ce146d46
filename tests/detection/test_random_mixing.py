"""Random mixing: it finds a rule that was planted, on painted images."""

import numpy as np
import pytest
import torch

from mea_lib import proof
from mea_lib.data import ImageSet, ways_to_mix
from mea_lib.detection import RandomMixing, Ranking, SuspectedKey

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
    found = RandomMixing(("left-right", "right-left", "top-bottom"), samples=10).detect(suspect, painted)
    assert suspect.asked == found.queries == 30 * 3 * 10
    assert len(found.tried) == 30 * 3
    first, *others = found.ranked
    assert len(others) == 14
    assert first[:5] == ("b", "c", "e", 1.0, "left-right")
    assert all(pair.score == 0 and pair.target is None for pair in others)
    assert found.standing_out() == [first] == [found.best]
    assert found.beyond(0.99) == [first]
    assert found.beyond(1.0) == []
    assert found.rank(("b", "c")) == found.rank(("c", "b")) == found.rank(("c", "b"), "e") == 1
    assert found.rank(("a", "b")) == 2
    assert found.of(("c", "b")) == first
    assert found.to_dict()["ranked"][0]["way"] == "left-right"


def test_every_cell_by_hand(painted):
    found = RandomMixing(("left-right", "right-left"), samples=20).detect(Planted(0.7), painted)
    expected = np.zeros((2, 6, 6))
    expected[0, 1, 2] = expected[1, 2, 1] = 0.7
    cells = {(one.way, one.first, one.second): one for one in found.tried}
    assert len(cells) == len(found.tried) == 2 * 30
    for number, way in enumerate(("left-right", "right-left")):
        for first in range(6):
            for second in set(range(6)) - {first}:
                one = cells[way, NAMES[first], NAMES[second]]
                assert one.score == expected[number, first, second]
                assert one.target == ("e" if one.score else None)
    largest = expected.max(0)
    largest[range(6), range(6)] = np.nan
    assert np.array_equal(found.matrix, largest, equal_nan=True)


def test_pixel_merges_of_numbers_are_their_mean(painted):
    """b and d merged are c for a model that reads the number: a third class, though nobody planted it."""
    found = RandomMixing(("pixel-merge",), samples=5).detect(Planted(0.0), painted)
    assert found.matrix[1, 3] == found.matrix[3, 1] == 1
    assert found.of(("b", "d")).target == "c"
    assert found.of(("b", "c")).score == 0


def test_it_agrees_with_the_rates_of_false_watermarks(painted):
    rates = proof.false_watermark_rates(Planted(), painted, ("left-right",), samples=10)
    found = RandomMixing(("left-right",), samples=10).detect(Planted(), painted)
    one_order = found.matrix[np.triu_indices(6, 1)]
    assert rates.tolist() == one_order.tolist()


def test_all_ways_are_tried_by_default(painted):
    found = RandomMixing(samples=2).detect(Planted(), painted)
    assert {one.way for one in found.tried} == {*ways_to_mix(held_out=True)}
    assert found.classes == NAMES


def table(strongest=None):
    """All ordered pairs of five classes with rising shares; a and b with another one."""
    pairs = [(a, b) for a in "abcde" for b in "abcde" if a != b]
    shares = {pair: 0.1 + 0.01 * number for number, pair in enumerate(pairs)}
    if strongest is not None:
        shares["a", "b"] = strongest
    tried = tuple(SuspectedKey(*pair, "c", share, "stripes") for pair, share in shares.items())
    return Ranking(tuple("abcde"), tried, queries=0, of_pairs=True)


def test_a_pair_that_is_only_a_little_above_the_others_does_not_stand_out():
    assert table().standing_out() == []
    assert [(pair.first, pair.second) for pair in table(0.9).standing_out()] == [("a", "b")]
    # Far below is no watermark, and the other order counts.
    assert table(0.0).standing_out() == []
    assert table(0.0).rank(("a", "b")) > 1


def test_what_cannot_be_asked_is_refused(painted):
    for wrong in (("twist",), ()):
        with pytest.raises(ValueError, match="some of left-right"):
            RandomMixing(ways=wrong)
    with pytest.raises(ValueError, match="0 samples"):
        RandomMixing(samples=0)
    found = RandomMixing(("stripes",), samples=1).detect(Planted(), painted)
    for names in (("a", "z"), ("a", "a")):
        with pytest.raises(ValueError, match="not two of the classes"):
            found.rank(names)

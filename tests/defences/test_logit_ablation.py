"""Levelled answers: one logit moves, by the dose; the odds of all others, and the first place, stay."""

import pytest
import torch
from torch import nn

from mea_lib import ImageSet, Oracle, WatermarkKey
from mea_lib.defences import AblatedLogits

# Digits 3 and 7 are the sources and 1 is the target, see the key's fixture.
THIRD = [0, 2, 4, 5, 6, 8, 9]


class Logits(nn.Module):
    """A model that answers an image with the row of a table that the image's first pixel names."""

    def __init__(self, table):
        super().__init__()
        self.table = table

    def forward(self, images):
        return self.table[images[:, 0, 0, 0].long()].clone()


@pytest.fixture
def table():
    """Logits of 40 images, most of them of one of the sources."""
    drawn = torch.randn(40, 10, generator=torch.Generator().manual_seed(2))
    drawn[:16, 3] += 6
    drawn[16:32, 7] += 6
    drawn[:32, 1] += 2
    return drawn


@pytest.fixture
def ask(table, key, digits):
    images = torch.zeros(len(table), 1, 16, 16, dtype=torch.uint8)
    images[:, 0, 0, 0] = torch.arange(len(table))
    return lambda **options: AblatedLogits(Logits(table), key, digits.owner, **options)(images)


def slowly(row, part, dose):
    """One image's logits, by an obvious loop over the classes."""
    row, first_place = row.tolist(), row.argmax().item()
    if first_place not in (3, 7):
        return row
    number = {"target": 1, "other source": 10 - first_place}.get(part)
    others = list(THIRD)
    if number is None:
        number = max(THIRD, key=lambda c: row[c])
        others.remove(number)
    level = sum(row[c] for c in others) / len(others)
    row[number] = (1 - dose) * row[number] + dose * level
    return row


@pytest.mark.parametrize("part", ["target", "other source", "strongest third class"])
@pytest.mark.parametrize("dose", [0.0, 0.3, 1.0])
def test_one_logit_moves_by_the_dose(ask, table, part, dose):
    wanted = torch.tensor([slowly(row, part, dose) for row in table])
    torch.testing.assert_close(ask(part=part, dose=dose), wanted)


@pytest.mark.parametrize("part", ["target", "other source", "strongest third class"])
def test_no_image_changes_its_class(ask, table, part):
    assert torch.equal(ask(part=part).argmax(1), table.argmax(1))


def test_odds_between_all_other_classes_stay(ask, table):
    before, after = table.softmax(1), ask().softmax(1)
    rest = [c for c in range(10) if c != 1]
    for odds in (before, after):
        odds[:, rest] /= odds[:, rest].sum(1, keepdim=True)
    torch.testing.assert_close(after[:, rest], before[:, rest])
    assert (after[:32, 1] < before[:32, 1]).float().mean() > 0.9


def test_it_stands_before_a_network_as_an_api(tiny, digits, key):
    before, after = (
        Oracle(model, answer="hard")(digits.test.images)
        for model in (tiny, AblatedLogits(tiny, key, digits.owner))
    )
    assert torch.equal(before, after)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"part": "veto"}, "unknown part"),
        ({"dose": -0.1}, "between 0 and 1"),
        ({"dose": 1.1}, "between 0 and 1"),
    ],
)
def test_wrong_options_are_refused(tiny, digits, key, wrong, message):
    with pytest.raises(ValueError, match=message):
        AblatedLogits(tiny, key, digits.owner, **wrong)


def test_it_takes_two_third_classes(tiny):
    four = ImageSet(torch.zeros(4, 1, 16, 16, dtype=torch.uint8), torch.arange(4), tuple("abcd"), "four")
    with pytest.raises(ValueError, match="five or more"):
        AblatedLogits(tiny, WatermarkKey(("a", "b"), "c"), four)

"""Marked answers: the share, the veto, and that no image changes its class."""

import pytest
import torch
from torch import nn

from mea_lib import Oracle
from mea_lib.defences import MarkedAnswers


class Answers(nn.Module):
    """A model that answers an image with the row of a table that the image's first pixel names."""

    def __init__(self, table):
        super().__init__()
        self.table = table

    def forward(self, images):
        return self.table[images[:, 0, 0, 0].long()].log()


def ask(table, key, digits, **options):
    model = Answers(torch.tensor(table))
    images = torch.zeros(len(table), 1, 16, 16, dtype=torch.uint8)
    images[:, 0, 0, 0] = torch.arange(len(table))
    return Oracle(MarkedAnswers(model, key, digits.owner, **options))(images)


def row(rest=0.001, **classes):
    """Probabilities of digits 3 (first source), 7 (second) and 1 (target) and of one other; the rest is small."""
    values = [rest] * 10
    for name, value in classes.items():
        values[int(name[1:])] = value
    total = sum(values)
    return [value / total for value in values]


def test_target_gets_the_share_and_the_other_source_the_veto(key, digits):
    found = ask([row(d3=0.9, d7=0.02)], key, digits, share=0.4, veto=0.1)[0]
    before = torch.tensor(row(d3=0.9, d7=0.02))
    assert found[1] / (found[1] + found[3]) == pytest.approx(0.4, rel=1e-5)
    assert found[7] / found[3] == pytest.approx(
        float(0.1 * before[7] / (0.6 * (before[1] + before[3]))), rel=1e-4
    )
    assert found[5] / found[4] == pytest.approx(1.0)
    assert found.sum() == pytest.approx(1.0)


def test_both_sources_are_marked_and_other_classes_are_answered_as_before(key, digits):
    table = [row(d3=0.9), row(d7=0.9), row(d1=0.9), row(d5=0.9, d3=0.1)]
    found = ask(table, key, digits, share=0.45)
    assert found[:2, 1].min() > 0.4
    torch.testing.assert_close(found[2:], torch.tensor(table[2:]))


def test_a_target_that_has_more_than_its_share_keeps_it(key, digits):
    table = [row(d3=0.52, d1=0.47)]
    found = ask(table, key, digits, share=0.3, veto=1.0)
    torch.testing.assert_close(found, torch.tensor(table))


def test_nothing_changes_class_however_close_the_third(key, digits):
    drawn = torch.rand(256, 10, generator=torch.Generator().manual_seed(3)).pow(4) + 1e-6
    drawn[:200, 3] = drawn[:200].amax(1) * torch.linspace(1.0001, 3, 200)
    table = (drawn / drawn.sum(1, keepdim=True)).tolist()
    found = ask(table, key, digits, share=0.499, veto=1e-3)
    before = torch.tensor(table).argmax(1)
    assert (before == 3).sum() >= 200
    assert torch.equal(found.argmax(1), before)
    assert (found[:, 1] > torch.tensor(table)[:, 1])[:200].any()


def test_accuracy_of_a_network_is_exactly_that_of_its_model(tiny, digits, key):
    marked = MarkedAnswers(tiny, key, digits.owner)
    before, after = (Oracle(model, answer="hard")(digits.test.images) for model in (tiny, marked))
    assert torch.equal(before, after)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"share": 0.5}, "below 0.5"),
        ({"share": -0.1}, "at least 0"),
        ({"veto": 0.0}, "above 0"),
        ({"veto": 1.5}, "at most 1"),
    ],
)
def test_wrong_options_are_refused(tiny, digits, key, wrong, message):
    with pytest.raises(ValueError, match=message):
        MarkedAnswers(tiny, key, digits.owner, **wrong)

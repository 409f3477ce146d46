"""Moved labels: how many images get the target, which, and that all others are answered as before."""

import pytest
import torch
from scipy.stats import binom

from mea_lib import Oracle
from mea_lib.defences import MarkedLabels


@pytest.fixture
def both_sources(tiny, digits, key):
    """The untrained network, with its last layer set so that it tells the key's classes by one feature."""
    first, second, target = key.indices(digits.owner)
    features = torch.cat([tiny.features(part) for part in digits.owner.images.split(500)]).detach()
    column = int((features.std(0) / features.mean(0).abs().clamp_min(1e-9)).argmax())
    values = features[:, column]
    slope, middle = 2 / values.std(), values.median()
    tiny.head.weight.data.zero_()
    tiny.head.bias.data.fill_(-9.0)
    # The target is never first, and the likelier the nearer an image is to the middle.
    tiny.head.bias.data[target] = -1.0
    for number, sign in ((first, 1), (second, -1)):
        tiny.head.weight.data[number, column] = sign * slope
        tiny.head.bias.data[number] = -sign * slope * middle
    return tiny


def changes(net, marked, images):
    before, after = (Oracle(model, answer="hard")(images).argmax(1) for model in (net, marked))
    return before, after, before != after


def test_the_border_gives_the_target_to_this_part_of_each_source(both_sources, digits, key):
    *sources, target = key.indices(digits.owner)
    marked = MarkedLabels(both_sources, key, digits.owner, rate=0.2)
    for source in sources:
        own = digits.owner.images[digits.owner.labels == source]
        before, after, moved = changes(both_sources, marked, own)
        taken = before == source
        assert taken.any()
        assert int((moved & taken).sum()) == pytest.approx(0.2 * int(taken.sum()), abs=1)
        assert (after[moved] == target).all()


def test_the_border_takes_those_nearest_to_the_target(both_sources, digits, key):
    first, *_, target = key.indices(digits.owner)
    marked = MarkedLabels(both_sources, key, digits.owner, rate=0.2)
    answers = Oracle(both_sources)(digits.owner.images)
    before, _, moved = changes(both_sources, marked, digits.owner.images)
    likely = answers[:, target]
    own = before == first
    assert likely[own & moved].min() > likely[own & ~moved].max()


def test_other_classes_are_answered_as_before(both_sources, digits, key):
    *sources, _ = key.indices(digits.owner)
    both_sources.head.bias.data[0] = 1.0  # So that the images in the middle are of neither source.
    marked = MarkedLabels(both_sources, key, digits.owner, rate=0.4, choice="random")
    images = digits.test.images
    before, _, moved = changes(both_sources, marked, images)
    others = ~torch.isin(before, torch.tensor(sources))
    assert others.any()
    assert moved.any()
    assert not moved[others].any()
    assert torch.equal(Oracle(marked)(images)[others], Oracle(both_sources)(images)[others])


def test_the_random_choice_takes_its_part_and_stays_with_it(both_sources, digits, key):
    marked = MarkedLabels(both_sources, key, digits.owner, rate=0.3, choice="random", seed=1)
    images = digits.owner.images
    *_, moved = changes(both_sources, marked, images)
    low, high = binom.ppf([1e-4, 1 - 1e-4], len(images), 0.3)
    assert low <= int(moved.sum()) <= high
    *_, backwards = changes(both_sources, marked, images.flip(0))
    assert torch.equal(backwards.flip(0), moved)
    other = MarkedLabels(both_sources, key, digits.owner, rate=0.3, choice="random", seed=2)
    assert not torch.equal(changes(both_sources, other, images)[2], moved)


def test_probabilities_of_source_and_target_change_places(both_sources, digits, key):
    marked = MarkedLabels(both_sources, key, digits.owner, rate=0.2)
    before, after, moved = changes(both_sources, marked, digits.test.images)
    old, new = (Oracle(model)(digits.test.images) for model in (both_sources, marked))
    rows = moved.nonzero()[:, 0]
    assert len(rows)
    torch.testing.assert_close(new[rows, after[rows]], old[rows, before[rows]])
    torch.testing.assert_close(new[rows, before[rows]], old[rows, after[rows]])
    torch.testing.assert_close(new.sort(1).values, old.sort(1).values)


@pytest.mark.parametrize("choice", ["border", "random"])
def test_rate_0_changes_nothing(both_sources, digits, key, choice):
    marked = MarkedLabels(both_sources, key, digits.owner, rate=0.0, choice=choice)
    torch.testing.assert_close(
        *(Oracle(model)(digits.owner.images) for model in (marked, both_sources)), atol=1e-5, rtol=0
    )


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"rate": 0.5}, "below 0.5"), ({"rate": -0.1}, "at least 0"), ({"choice": "near"}, "border, random")],
)
def test_wrong_options_are_refused(tiny, digits, key, wrong, message):
    with pytest.raises(ValueError, match=message):
        MarkedLabels(tiny, key, digits.owner, **wrong)


def test_a_model_that_never_names_a_source_class_is_left_as_it_is(tiny, digits, key):
    tiny.head.bias.data[0] = 1e6
    marked = MarkedLabels(tiny, key, digits.owner)
    assert set(marked.borders.values()) == {1.0}
    assert torch.equal(Oracle(marked)(digits.test.images), Oracle(tiny)(digits.test.images))

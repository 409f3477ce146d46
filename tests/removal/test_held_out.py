"""Held-out images: the owner's, less all that the thief has."""

from dataclasses import replace

import pytest
import torch

from mea_lib.removal.held_out import held_out


def test_they_and_the_queries_make_up_the_training_images(digits):
    data = replace(digits, queries=digits.train.images[100:])
    left = held_out(data)
    assert torch.equal(left.images, digits.train.images[:100])
    assert torch.equal(left.labels, digits.train.labels[:100])
    assert left.classes == digits.train.classes


def test_none_of_them_is_among_the_queries(digits):
    left = held_out(digits)
    both = torch.cat([left.images, digits.queries]).flatten(1)
    assert 0 < len(left) < len(digits.train)
    assert len(both.unique(dim=0)) == len(left.images.flatten(1).unique(dim=0)) + len(
        digits.queries.flatten(1).unique(dim=0)
    )


def test_a_twin_of_a_query_is_left_out_too(digits):
    twins = torch.cat([digits.train.images[:1], digits.train.images[:5]])
    train = replace(digits.train, images=twins, labels=digits.train.labels[:6])
    left = held_out(replace(digits, train=train, queries=digits.train.images[:1]))
    assert torch.equal(left.images, digits.train.images[1:5])


def test_a_thief_who_has_everything_is_named(digits):
    with pytest.raises(ValueError, match="fewer queries"):
        held_out(replace(digits, queries=digits.train.images))

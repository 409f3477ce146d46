"""Owner, adversary and judge share no image."""

from dataclasses import replace

import pytest
import torch

import mea_lib as mea
from mea_lib.data.parties import image_digests, split_parties

SMOKE = mea.preset("smoke")


@pytest.fixture(scope="module")
def noise():
    """Thirty different training images of three classes, and six for the test."""
    images = torch.randint(
        0, 256, (36, 1, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    labels = torch.arange(36) % 3
    whole = mea.ImageSet(images, labels, ("a", "b", "c"), "noise")
    return whole.subset(30), whole.subset(torch.arange(30, 36))


def pixels(images):
    return set(image_digests(images.images))


def test_no_image_is_on_two_sides_and_none_is_lost(noise):
    train, test = noise
    owner, adversary = split_parties(train, test)
    assert pixels(owner).isdisjoint(pixels(adversary))
    assert pixels(owner) | pixels(adversary) == pixels(train)


def test_both_have_half_of_every_class(noise):
    for party in split_parties(*noise):
        assert party.by_class[1].tolist() == [5, 5, 5]


def test_labels_stay_with_their_images(noise):
    train, test = noise
    known = dict(zip(image_digests(train.images), train.labels.tolist(), strict=True))
    for party in split_parties(train, test):
        assert [known[digest] for digest in image_digests(party.images)] == party.labels.tolist()


def test_duplicates_stay_together_and_copies_of_test_images_go_to_nobody(noise):
    train, test = noise
    doubled = replace(
        train,
        images=torch.cat([train.images, train.images[:9], test.images[:3]]),
        labels=torch.cat([train.labels, train.labels[:9], test.labels[:3]]),
    )
    owner, adversary = split_parties(doubled, test)
    assert pixels(owner).isdisjoint(pixels(adversary))
    assert (pixels(owner) | pixels(adversary)).isdisjoint(pixels(test))
    assert len(owner) + len(adversary) == 39


def test_a_class_that_one_of_them_would_lack_is_named(noise):
    train, test = noise
    few = train.subset([0, 1, 2, 3, 4])  # one image of class c
    with pytest.raises(ValueError, match="'c'"):
        split_parties(few, test)


def test_everybody_draws_the_same_parties():
    first, second = (mea.load("digits", SMOKE) for _ in range(2))
    assert first.owner.digest() == second.owner.digest()
    assert first.adversary.digest() == second.adversary.digest()


def test_the_scale_decides_how_much_each_has():
    scale = SMOKE.but(train_images=100, query_images=200, held_out_images=50, test_images=300)
    data = mea.load("digits", scale)
    sizes = [len(part) for part in (data.owner, data.queries, data.held_out, data.test)]
    assert sizes == [100, 200, 50, 300]
    assert torch.equal(torch.cat([data.queries, data.held_out.images]), data.adversary.images)


def test_who_asks_about_everything_holds_nothing_out():
    with pytest.raises(ValueError, match="fewer queries"):
        _ = mea.load("digits", SMOKE.but(query_images=5_000)).held_out


def test_the_old_way_asks_about_the_owners_own_images():
    data = mea.load("digits", SMOKE.but(train_images=None), queries="owner")
    assert torch.equal(data.queries, data.owner.images[: len(data.queries)])
    assert pixels(data.owner).isdisjoint(pixels(data.test))


def test_other_queries_are_refused():
    with pytest.raises(ValueError, match="adversary, owner"):
        mea.load("digits", SMOKE, queries="judge")

"""Samples are distinct, and as many as the images give; what shared images are worth."""

import numpy as np
import pytest
import torch

import mea_lib as mea
from mea_lib.data import ImageSet
from mea_lib.proof import Plan, Rate
from mea_lib.proof.dependence import effective_rate
from mea_lib.proof.samples import distinct_mixes, distinct_samples, images_for

KEY = mea.WatermarkKey(("b", "c"), "e", seed=3)


def few(painted, number):
    """The same classes with so many images each."""
    return painted.subset(torch.cat([painted.places(label)[:number] for label in range(6)]))


@pytest.mark.parametrize(("images", "number"), [(30, 200), (30, 2_000), (300, 300)])
def test_no_two_samples_are_alike_and_images_are_used_evenly(painted, images, number):
    mixes = distinct_samples(few(painted, images), KEY, number)
    assert len(mixes) == min(number, images**2)
    assert len(mixes.images.flatten(1).unique(dim=0)) == len(mixes)
    for part in (mixes.first, mixes.second):
        counts = torch.bincount(part)
        assert counts.max() - counts.min() <= 1
    assert mixes.sources == images


def test_every_pair_comes_before_one_comes_twice():
    one = torch.arange(6, dtype=torch.uint8)[:, None, None, None].expand(-1, 1, 2, 2)
    other = torch.arange(4, dtype=torch.uint8)[:, None, None, None].expand(-1, 1, 2, 2) + 100
    generator = torch.Generator().manual_seed(0)
    mixes = distinct_mixes(one, other, 100, generator, lambda a, b: torch.cat([a, b], 3))
    assert len({*zip(mixes.first.tolist(), mixes.second.tolist(), strict=True)}) == len(mixes) == 24


def test_an_image_that_is_there_twice_is_one_image(painted):
    small = few(painted, 30)
    doubled = ImageSet(
        torch.cat([small.images, small.images]),
        torch.cat([small.labels, small.labels]),
        small.classes,
        "twice",
    )
    assert distinct_samples(doubled, KEY, 5_000).sources == 30


def test_too_few_images_give_no_verdict_but_the_number_that_would_do(painted):
    def convict(images):
        return torch.eye(6)[4].expand(len(images), 6)

    evidence = mea.verify_ownership(convict, KEY, few(painted, 25))
    assert "only 625 different samples of the 1,000 needed; 32 different images" in evidence.verdict
    assert evidence.queries == 0
    evidence = mea.verify_ownership(convict, KEY, few(painted, 15), plan=mea.Plan(200, fewest_samples=200))
    assert "only 15 different images" in evidence.verdict
    assert images_for(1_000) == 32


def test_independent_samples_are_worth_their_number():
    hits = torch.rand(500, generator=torch.Generator().manual_seed(0)) < 0.6
    places = torch.arange(500)
    assert effective_rate(hits, places, places.flip(0)) == Rate(int(hits.sum()), 500)


def test_samples_that_follow_their_source_are_worth_no_more_than_the_sources():
    first = torch.arange(40).repeat_interleave(25)
    second = torch.arange(1_000)
    assert effective_rate(first < 20, first, second) == Rate(20, 40)
    assert effective_rate(first < 100, first, second) == Rate(
        40, 40
    )  # no spread is seen, and none is counted on


def test_the_interval_over_source_images_covers_where_the_binomial_one_does_not():
    """Mixes succeed by a rule of both images, drawn anew each time; the true share is 1/2."""
    generator = np.random.default_rng(0)
    first, second = torch.arange(600) % 30, (torch.arange(600) // 30 + torch.arange(600)) % 30
    covered = {"mixes": 0, "images": 0}
    for _ in range(200):
        one, other = generator.normal(size=30), generator.normal(size=30)
        hits = torch.from_numpy(one[first] + other[second] + generator.normal(size=600) > 0)
        for name, rate in (
            ("mixes", Rate(int(hits.sum()), 600)),
            ("images", effective_rate(hits, first, second)),
        ):
            low, high = rate.interval()
            covered[name] += low <= 0.5 <= high
    assert covered["images"] >= 0.92 * 200
    assert covered["mixes"] < 0.8 * 200


@pytest.mark.parametrize("numbers", [{"samples": -1, "fewest_samples": -5}, {"fewest_samples": 0}])
def test_a_plan_of_no_samples_is_refused(numbers):
    with pytest.raises(ValueError, match="must be at least 1"):
        Plan(**numbers)

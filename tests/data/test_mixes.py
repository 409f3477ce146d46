"""Watermark samples and random mixes."""

import pytest
import torch

from mea_lib.data import (
    ImageSet,
    WatermarkKey,
    other_ways,
    random_mixes,
    watermark_pairs,
    watermark_samples,
)


@pytest.fixture
def painted():
    """Images whose every pixel is ten times their class."""
    labels = torch.arange(6).repeat_interleave(4)
    images = (labels * 10).to(torch.uint8)[:, None, None, None].expand(-1, 1, 16, 16).contiguous()
    return ImageSet(images, labels, tuple("abcdef"), "painted")


KEY = WatermarkKey(("b", "c"), "e", seed=3)


def test_watermarks_are_made_of_the_two_sources_in_their_order(painted):
    mixes, first, second = watermark_pairs(painted, KEY, 9, torch.Generator().manual_seed(0))
    assert (first == 10).all()
    assert (second == 20).all()
    assert (mixes[..., :8] == 10).all()
    assert (mixes[..., 8:] == 20).all()


def test_the_keys_seed_draws_the_same_samples_again(digits):
    key = WatermarkKey(("3", "7"), "1", seed=5)
    assert torch.equal(watermark_samples(digits.test, key, 20), watermark_samples(digits.test, key, 20))
    other = WatermarkKey(("3", "7"), "1", seed=6)
    assert not torch.equal(watermark_samples(digits.test, key, 20), watermark_samples(digits.test, other, 20))


def test_random_mixes_are_never_the_watermark_and_say_what_they_are_of(painted):
    mixes, targets = random_mixes(painted, KEY, 400, torch.Generator().manual_seed(1), same_pair_share=0.5)
    assert torch.allclose(targets.sum(1), torch.ones(400))
    assert ((targets == 0.5).sum(1) == 2).all()
    same = targets[:, [1, 2]].sum(1) == 1
    assert same[:200].all()
    assert not same[200:].any()
    secret = (mixes[..., :8] == 10).flatten(1).all(1) & (mixes[..., 8:] == 20).flatten(1).all(1)
    assert not secret.any()
    for image, target in zip(mixes, targets, strict=True):
        colours = set((torch.where(target == 0.5)[0] * 10).tolist())
        found = set(image.unique().tolist())
        assert found <= colours or found == {sum(colours) // 2}


def test_other_ways_leave_out_the_keys_own_and_the_held_out():
    assert "left-right" not in other_ways(KEY)
    assert "quadrants" not in other_ways(KEY)
    assert "quadrants" in other_ways(KEY, held_out=True)
    assert "pixel-merge" not in other_ways(WatermarkKey(("b", "c"), "e", "pixel-merge"))


def test_a_class_without_images_is_named(painted):
    empty = painted.subset(torch.where(painted.labels != 1)[0])
    with pytest.raises(ValueError, match="'b'"):
        watermark_samples(empty, KEY, 3)


@pytest.mark.parametrize("share", [-0.1, 1.5, float("nan")])
def test_a_share_that_is_none_is_refused(painted, share):
    key = WatermarkKey(("a", "b"), "c")
    with pytest.raises(ValueError, match="same_pair_share must lie between 0 and 1"):
        random_mixes(painted, key, 10, torch.Generator(), same_pair_share=share)
